"""Loading the code location costs nothing: no JVM, no connection, no lake, no source."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Runs in an interpreter of its own. An audit hook sees every process and socket,
# and the patched constructors every connection, whoever asks for one.
PROBE = """
import json, sys
seen = []
def hook(event, arguments):
    if event in ("subprocess.Popen", "os.exec", "os.posix_spawn"):
        # The standard library asks `file` and `uname` what machine this is.
        if str(arguments[0]).rpartition("/")[2] not in ("file", "uname"):
            seen.append(f"{event} {arguments[0]}")
    if event in ("os.fork", "socket.connect"):
        seen.append(event)
    if event == "open" and isinstance(arguments[0], str) and arguments[0].endswith((".csv", ".parquet", "_delta_log")):
        seen.append(f"open {arguments[0]}")
sys.addaudithook(hook)
import duckdb
def refuse(*_arguments, **_options):
    seen.append("duckdb.connect")
    raise AssertionError("a connection was opened")
duckdb.connect = refuse
import deltalake
deltalake.DeltaTable.__init__ = refuse
from cltv_assets.definitions import defs
found = defs()
keys = found.resolve_asset_graph().get_all_asset_keys()
found.resolve_job_def("cltv_month")
import cltv_assets.cli.status
# Webserver, daemon and every command wait for these imports; SciPy comes with the models that checks name.
wanted_later = ("pyspark", "py4j", "matplotlib", "lifetimes", "jinja2", "dagster_aws", "pandas")
heavy = [name for name in wanted_later if name in sys.modules]
print(json.dumps({"assets": len(keys), "seen": seen, "heavy": heavy}))
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "instance"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    lake = tmp_path / "lake"
    return {**os.environ, "DAGSTER_HOME": str(home), "CLTV_LAKE_URI": str(lake), "NO_COLOR": "1"}


def test_loading_opens_nothing_and_starts_nothing(tmp_path: Path, environ: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"assets": 19, "seen": [], "heavy": []}
    assert not (tmp_path / "lake").exists()
