"""Settings of the made-up shop, as an object and as ``cltv.yaml``, and runs of it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from cltv_assets.cli.runner import MonthResult, run_months
from cltv_assets.dagster_defs.instance_state import calm_sqlite
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets_tests.conftest import SHOP_COLUMNS

#: The executable beside the interpreter that runs the tests.
CLTV = str(Path(sys.executable).with_name("cltv"))


def values_in(**changes: Any) -> dict[str, Any]:
    """Return the shop's settings as they stand in ``cltv.yaml``."""
    source = {"kind": "csv", "path": "shop", "columns": SHOP_COLUMNS, **changes.pop("source", {})}
    common = {"start_month": "2011-01", "end_month": "2011-04", "currency": "GBP", "time_zone": "Europe/London"}
    return common | {"source": source, "horizons_months": [1, 2]} | changes


def settings_in(home: Path, **changes: Any) -> Settings:
    """Return the shop's settings with files below ``home``."""
    return Settings.model_validate(values_in(**changes) | {"home": home})


def write_config(home: Path, **changes: Any) -> Path:
    """Write ``cltv.yaml`` below ``home`` and return its path."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / "cltv.yaml"
    path.write_text(yaml.safe_dump(values_in(**changes)), encoding="utf-8")
    return path


def run(settings: Settings, months: Sequence[Month], assets: Sequence[str] | None = None) -> list[MonthResult]:
    """Run months on an instance of their own, which is forgotten."""
    with dg.DagsterInstance.ephemeral() as instance:
        return run_months(settings, months, instance, assets)


@contextlib.contextmanager
def instance_below(home: Path) -> Iterator[dg.DagsterInstance]:
    """Open an instance in files below ``home``: a shop is copied with it."""
    (home / "instance").mkdir(exist_ok=True)
    with calm_sqlite(), dg.DagsterInstance.local_temp(str(home / "instance")) as opened:
        yield opened


def surroundings(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a process, with an ordinary terminal's width."""
    return {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", **(extra or {})}


def cltv(
    *arguments: str, cwd: Path, environ: Mapping[str, str] | None = None, timeout: float = 400
) -> subprocess.CompletedProcess[str]:
    """Run the real executable to its end."""
    return subprocess.run(
        [CLTV, *arguments], cwd=cwd, env=surroundings(environ), capture_output=True, text=True, timeout=timeout
    )
