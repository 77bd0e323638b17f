"""A made-up shop's runs that tests disturb, and what a reader sees of its lake meanwhile."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Self

import yaml

from cltv_assets.settings import Settings
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.cleaned_and_rejected.columns import CLEANED_TRANSACTIONS, REJECTED_TRANSACTIONS
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets_tests.cluster.radosgw import Keys
from cltv_assets_tests.cluster.tables import month_of_table
from cltv_assets_tests.e2e.running import CLTV, surroundings
from cltv_assets_tests.e2e.shop import deliver, lines_of_shop, months_of

#: Where most can go wrong: one table that no engine writes, two of one step, one of their own.
TABLES = (RAW_TRANSACTIONS, CLEANED_TRANSACTIONS, REJECTED_TRANSACTIONS, PURCHASE_DAYS)
SELECT = ",".join(table.name for table in TABLES)
ASSETS = [table.name for table in TABLES]
MONTH = "2011-01"
#: Also on a machine that does other things.
PATIENCE_SECONDS = 420.0

Content = dict[str, list[dict[str, Any]]]


def entry_of(table: str) -> str:
    """Return the pattern of a commit to a table: the upload of its log's next entry."""
    return rf"/{table}/_delta_log/\d{{20}}\.json"


def data_of(table: str) -> str:
    """Return the pattern of a table's data files."""
    return rf"/{table}/month"


def stock(home: Path, seed: int, months: int = 1) -> None:
    """Deliver the shop's files, in place of those delivered before."""
    deliver(home / "shop", lines_of_shop(months_of(MONTH, months), customers=60, seed=seed))


def content(settings: Settings, month: str = MONTH) -> Content:
    """Return what a reader of the lake sees of a month, table by table."""
    return {table.name: month_of_table(settings, table, month).to_pylist() for table in TABLES}


def other_than(found: Content, *allowed: Content) -> list[str]:
    """Name the tables whose month is none of those allowed: half written, doubled or mixed."""
    return [name for name, rows in found.items() if all(rows != each[name] for each in allowed)]


class Run:
    """A ``cltv`` process with a group of its own, as a context manager that ends it.

    Parameters
    ----------
    home : Path
        Where ``cltv.yaml`` is.
    *arguments : str
    keys : Keys, optional
        Other credentials than the environment's.
    name : str
        Of the file that its output goes to.
    """

    def __init__(self, home: Path, *arguments: str, keys: Keys | None = None, name: str = "output") -> None:
        self.output = home / f"{name}.txt"
        environ = surroundings()
        if keys is not None:
            environ = {k: v for k, v in environ.items() if k != "AWS_SESSION_TOKEN"} | keys.environment()
        with self.output.open("a") as file:
            self._process = subprocess.Popen(
                [CLTV, *arguments], cwd=home, env=environ, stdout=file, stderr=file, start_new_session=True
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.kill()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def said(self) -> str:
        """What it wrote, with one blank between words."""
        return " ".join(self.output.read_text(errors="replace").split())

    def kill(self) -> None:
        """Kill -9 the driver alone, and require that what it started (Java) ends by itself."""
        self._process.kill()
        assert self._process.wait(30) == -signal.SIGKILL
        until = time.monotonic() + 60
        with suppress(ProcessLookupError):
            while time.monotonic() < until:
                os.killpg(self._process.pid, 0)
                time.sleep(0.2)
            os.killpg(self._process.pid, signal.SIGKILL)
            raise AssertionError("processes of the killed run lived on")

    def ended(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for its end and return the exit code."""
        return self._process.wait(seconds)


def write_config(settings: Settings, home: Path) -> None:
    """Write ``cltv.yaml``."""
    home.mkdir(parents=True, exist_ok=True)
    values = settings.model_dump(mode="json", exclude_defaults=True, exclude={"home"})
    (home / "cltv.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")


def secrets_found(folder: Path, keys: Iterable[Keys]) -> list[str]:
    """Name the files below ``folder`` (outputs, logs, Dagster's databases) that hold any of the keys.

    Databases are read as rows, too: a long value is spread over their pages.
    """
    wanted = {
        f"{each.user}'s {what}": value
        for each in keys
        for what, value in (
            ("access key", each.access_key),
            ("secret", each.secret_key),
            # A part: it may be cut or quoted.
            ("token", (each.session_token or "")[20:60]),
        )
        if value
    }
    # All bytes before any row: closing a database folds its write-ahead log and deletes that file.
    texts = {path: path.read_bytes().decode("utf-8", "replace") for path in folder.rglob("*") if path.is_file()}
    for path, text in texts.items():
        if text.startswith("SQLite format 3"):
            texts[path] += _dumped(path)
    return [f"{path.name}: {what}" for path, text in texts.items() for what, value in wanted.items() if value in text]


def _dumped(path: Path) -> str:
    with closing(sqlite3.connect(path)) as database:
        return "\n".join(database.iterdump())


def events_told(folder: Path) -> str:
    """Return all that Dagster's databases below ``folder`` hold, to see that a search in them finds something."""
    return "\n".join(_dumped(path) for path in folder.rglob("*.db"))


def direct(settings: Settings, endpoint_url: str) -> Settings:
    """Return settings of a reader who does not share the run's trouble."""
    values: Mapping[str, Any] = {"s3": settings.s3.model_copy(update={"endpoint_url": endpoint_url})}
    return settings.model_copy(update=values)
