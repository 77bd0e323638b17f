"""The Dagster resource for Spark: one session for each run, started at first use, stopped at the run's end.

Built on dagster-pyspark's lazy resource, which never stops a session and gives a later run with
other settings the first run's session. Here a run leases the process's only session, and other
settings are refused (see ``engines.spark_session``).
Import this module only if ``engine`` is ``spark``: the embedded installation has
no PySpark.
"""

from __future__ import annotations

import re
from typing import ClassVar

import dagster as dg
from pydantic import PrivateAttr

from cltv_assets.dagster_defs.resources.binding import bound
from cltv_assets.engines.spark_session import SparkLease, spark_config
from cltv_assets.errors import ConfigError
from cltv_assets.settings import Settings

try:
    from dagster_pyspark import LazyPySparkResource
except ModuleNotFoundError:
    raise ConfigError(
        "engine: spark needs the extra spark.", "Install it (pip install 'cltv-assets[spark]'), or set engine: duckdb."
    ) from None

#: In names of settings whose values Spark itself hides in its pages; in values, such as a database's URL.
_SECRET = re.compile(r"secret|password|token|credential|access[.]?key|://[^/@]*@", re.IGNORECASE)


class SparkResource(LazyPySparkResource):  # type: ignore[misc] # skipped by mypy, as the embedded installation lacks it
    """The run's Spark session: ``spark_session``, started when first read. `spark_resource` makes it."""

    settings: ClassVar[Settings]
    _lease: SparkLease = PrivateAttr()

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 - Dagster's
        """Claim the process's session; nothing is started yet."""
        self._lease = SparkLease(self.settings)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 - Dagster's
        """Give the session back; the last one to do so stops it."""
        self._spark_session = None
        self._lease.stop()

    def _init_session(self) -> None:
        self._spark_session = self._lease.session()


def spark_resource(settings: Settings) -> SparkResource:
    """Return the resource that gives each run its session; nothing is started.

    Raises
    ------
    ConfigError
        If ``spark.conf`` has a setting that would change the numbers.
    """
    # A Connect address may end in a token.
    named = {k: re.sub(";.*", "", v) if k == "spark.remote" else v for k, v in spark_config(settings).items()}
    shown = {k: v for k, v in named.items() if not _SECRET.search(k) and not _SECRET.search(v)}
    return bound(SparkResource, settings=settings)(spark_config=shown)
