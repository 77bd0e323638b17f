"""No query of the graph is too long for Spark to generate code for: interpreted, it would take ten times as long."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import pytest

from cltv_assets_tests.e2e.running import run, settings_in
from cltv_assets_tests.e2e.shop import deliver, lines_of_shop, months_of

#: Who says that code was generated, that it could not be compiled, and that a plan or an expression goes without.
LOGGERS = (
    "org.apache.spark.sql.catalyst.expressions.codegen.CodeGenerator",
    "org.apache.spark.sql.execution.WholeStageCodegenExec",
    "org.apache.spark.sql.catalyst.expressions",
)
FALLBACK = re.compile(r".*(?:grows beyond 64 KB|codegen (?:was )?disabled|[Ff]ailed to compile|falling back).*")


@contextlib.contextmanager
def log_of_code(session: Any) -> Iterator[Any]:
    """Collect what Spark says of generated code; the text is in the writer that is yielded."""
    log4j = session._jvm.org.apache.logging.log4j
    writer = session._jvm.java.io.StringWriter()
    appender = log4j.core.appender.WriterAppender.createAppender(None, None, writer, "of the test", False, True)
    appender.start()
    loggers = [log4j.LogManager.getLogger(name) for name in LOGGERS]
    levels = [logger.getLevel() for logger in loggers]
    for logger in loggers:
        logger.setAdditive(False)
        logger.addAppender(appender)
    # Last, because every new appender brings all levels back.
    for logger in loggers:
        logger.setLevel(log4j.Level.INFO)
    try:
        yield writer
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeAppender(appender)
            logger.setAdditive(True)
            logger.setLevel(level)


@pytest.fixture
def odd_shop(tmp_path, spark_settings):
    """A month of a shop with lines of every odd spelling, and the settings to run it on Spark."""
    months = months_of("2011-01", 1)
    lines = lines_of_shop(months, customers=30)
    for month, of_month in lines.items():
        day = month.first_day.strftime("%d/%m/%Y")
        of_month.append(("O1", "17850.0", f"{month.first_day} 9:5", " +1,000 ", "1,234.50"))
        of_month.append(("O2", " C001 ", f"{month.first_day}T10:00:00.5+01:00", "2", "1."))
        of_month.append(("O3", "C002", day, ".5", "2"))
    deliver(tmp_path / "shop", lines)
    changes = {"source": {"duplicates": "drop_exact"}, "end_month": "2011-01", "horizons_months": [1]}
    return settings_in(tmp_path, engine="spark", spark=spark_settings.spark.model_dump(), **changes), months


def test_spark_generates_code_for_every_query_of_the_graph(spark_lease, odd_shop):
    settings, months = odd_shop
    with log_of_code(spark_lease.session()) as log:
        results = run(settings, months)
    assert [result.errors for result in results] == [[]]
    assert "Code generated in" in log.toString()
    assert sorted(set(FALLBACK.findall(log.toString()))) == []
