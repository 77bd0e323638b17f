"""Which tests of this folder run: those on Spark with --engines=spark, those on servers with --cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

NEEDS_SPARK = tuple(
    f"test_{name}.py" for name in ("generated_code", "landing_on_spark", "on_spark", "query_on_spark", "sessions")
)
NEEDS_SERVERS = ("test_on_servers.py",)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    # Not collected, rather than skipped: the embedded installation has no PySpark.
    without_spark = "spark" not in config.getoption("--engines").split(",")
    unwanted = (without_spark and collection_path.name in NEEDS_SPARK) or (
        not config.getoption("--cluster") and collection_path.name in NEEDS_SERVERS
    )
    return True if unwanted else None
