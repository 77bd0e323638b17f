"""Spark as Dagster knows it: one session a run, started at first use and stopped at the run's end.

Built on dagster-pyspark's lazy resource. That one never stops a session, and gives
a later run with other settings the first one; here the session is a claim on the
process's only one, and other settings are refused (see ``engines.spark_session``).
Import this module only where ``engine`` is ``spark``: the embedded installation has
no PySpark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import dagster as dg
from pydantic import PrivateAttr

from cltv_assets.engines.spark_session import SparkLease, spark_config
from cltv_assets.errors import ConfigError
from cltv_assets.settings import Settings

try:
    from dagster_pyspark import LazyPySparkResource
except ModuleNotFoundError:
    raise ConfigError(
        "engine: spark needs the extra spark.", "Install it (pip install 'cltv-assets[spark]'), or set engine: duckdb."
    ) from None

#: What Spark itself hides in its pages.
_SECRET = re.compile(r"secret|password|token|access[.]?key", re.IGNORECASE)


class SparkResource(LazyPySparkResource):  # type: ignore[misc] # skipped by mypy, as the embedded installation lacks it
    """The run's Spark session: ``spark_session``, started when first read. Make it with ``of``."""

    _lease: SparkLease = PrivateAttr()

    @classmethod
    def of(cls, settings: Settings) -> SparkResource:
        """Return the resource for ``settings``; nothing is started.

        Raises
        ------
        ConfigError
            If ``spark.conf`` holds what would change the numbers.
        """
        # A Connect address may end in a token.
        shown = {k: re.sub(";.*", "", v) for k, v in spark_config(settings).items() if not _SECRET.search(k)}
        made = cls(spark_config=shown)
        made._lease = SparkLease(settings)
        return made

    def _init_session(self) -> None:
        self._spark_session = self._lease.session()

    def stop(self) -> None:
        """Give the session back; whoever has it last stops it."""
        self._spark_session = None
        self._lease.stop()


def spark_resource(settings: Settings) -> dg.ResourceDefinition:
    """Return the resource that gives each run its session.

    Parameters
    ----------
    settings : Settings
    """
    where = re.sub(";.*", "", settings.spark.remote or settings.spark.master or "local[*]")

    @dg.resource(description=f"Spark at {where}, started when a step first needs it.")
    def spark(_context: dg.InitResourceContext) -> Iterator[SparkResource]:
        made = SparkResource.of(settings)
        try:
            yield made
        finally:
            made.stop()

    return spark
