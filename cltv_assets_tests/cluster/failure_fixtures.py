"""Fixtures of the failure tests: a lake that holds a month, and new files delivered for that month."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets_tests.cluster.failing_run import ASSETS, MONTH, Content, content, direct, stock, write_config
from cltv_assets_tests.cluster.radosgw import Radosgw
from cltv_assets_tests.e2e.running import run, settings_in, values_in

OLD, NEW = 1, 2


@dataclass(frozen=True)
class Case:
    """A lake on S3 that holds the old rows, and a folder whose run would publish the new ones.

    Parameters
    ----------
    home : Path
        Holds ``cltv.yaml``, the delivered files and Dagster's instance.
    settings : Settings
        Of the run: through the proxy.
    reader : Settings
        Of somebody who reads the lake, past the proxy.
    old, new : Content
        The rows of undisturbed runs.
    """

    home: Path
    settings: Settings
    reader: Settings
    old: Content
    new: Content

    def seen(self) -> Content:
        """Return what a reader sees now."""
        return content(self.reader)


@dataclass(frozen=True)
class Undisturbed:
    """A lake on a folder that the embedded engine made of the old files or of the new ones, and its rows."""

    lake: Path
    rows: Content


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Undisturbed, Undisturbed]:
    """Return what the old files and the new ones give."""
    found = []
    for seed in (OLD, NEW):
        home = tmp_path_factory.mktemp("undisturbed")
        stock(home, seed)
        settings = settings_in(home, end_month=MONTH)
        (result,) = run(settings, [Month.parse(MONTH)], ASSETS)
        assert result.errors == [], result.errors
        found.append(Undisturbed(Path(settings.lake_root), content(settings)))
    assert all(found[0].rows[name] != found[1].rows[name] for name in found[0].rows)
    return found[0], found[1]


@pytest.fixture
def case_on(
    cluster_settings: Callable[..., Settings],
    s3_server: Radosgw,
    undisturbed: tuple[Undisturbed, Undisturbed],
    tmp_path: Path,
) -> Callable[..., Case]:
    """Return a function that makes a case for an engine: ``duckdb``, ``spark`` or ``cluster``."""

    def make(engine: str, published: bool = True, **changes: object) -> Case:
        values = values_in(end_month=MONTH) | changes
        settings = cluster_settings(engine, "s3", **values)
        # Past the proxy, which lives in this process: delta-rs holds Python's lock while it waits for some answers.
        reader = direct(settings, s3_server.endpoint_url)
        old, new = undisturbed
        if published:
            s3_server.upload(old.lake, settings.lake_root)
        stock(tmp_path, NEW)
        write_config(settings, tmp_path)
        case = Case(tmp_path, settings, reader, old.rows, new.rows)
        assert not published or case.seen() == case.old
        return case

    return make
