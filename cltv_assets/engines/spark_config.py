"""What a Spark session is told: defaults for these tables, and the user's own settings on top."""

from __future__ import annotations

from cltv_assets.errors import ConfigError
from cltv_assets.settings import Settings

#: What the numbers depend on. A user's setting may repeat these and not change them.
PINNED: dict[str, str] = {
    # Wall-clock times are cast to instants with the session's offset.
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    # Without it an overflow or a bad cast is a null, not an error.
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "false",
    "spark.sql.parser.escapedStringLiterals": "false",
    "spark.sql.ansi.doubleQuotedIdentifiers": "false",
    "spark.sql.decimalOperations.allowPrecisionLoss": "true",
    # The types that Delta declares and every reader knows; and old dates as they are, in one calendar.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.writeLegacyFormat": "false",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    # A file that is gone or broken must stop the step, never make the table smaller.
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.files.ignoreCorruptFiles": "false",
}

#: Families of settings that bring old answers back.
_REFUSED_PREFIXES = ("spark.sql.legacy.",)

#: Defaults that may be changed at will.
DEFAULTS: dict[str, str] = {
    "spark.sql.adaptive.enabled": "true",
    # Small data gets few tasks: most queries of a month are tiny, and a task costs more than its rows.
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
}

#: Defaults that only a session of one's own can take, not one on a Connect server.
STATIC_DEFAULTS: dict[str, str] = {
    "spark.app.name": "cltv_assets",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    # Nothing here is a Hive table; opening Hive's metastore would leave a database in the current folder.
    "spark.sql.catalogImplementation": "in-memory",
}
#: With the data of one machine, 200 partitions are 200 scheduled tasks for a few rows each.
_LOCAL_DEFAULTS = {"spark.sql.shuffle.partitions": "16", "spark.driver.memory": "2g"}

_MASTER, _REMOTE = "spark.master", "spark.remote"


def spark_config(settings: Settings) -> dict[str, str]:
    """Return all settings that the session is made with. No credentials of S3 are among them.

    Parameters
    ----------
    settings : Settings

    Returns
    -------
    dict of str to str
        With ``spark.master``, or ``spark.remote`` for a Spark Connect server.

    Raises
    ------
    ConfigError
        If ``spark.conf`` holds a setting that would change the numbers.
    """
    own = settings.spark.conf
    _refuse(own)
    if settings.spark.remote:
        return {_REMOTE: settings.spark.remote} | DEFAULTS | own | PINNED
    master = settings.spark.master or "local[*]"
    config = {_MASTER: master} | STATIC_DEFAULTS | DEFAULTS
    if master.startswith("local"):
        config |= _LOCAL_DEFAULTS
    from cltv_assets.engines.spark_jars import jar_conf

    # The jars come last: jar_conf has merged those that spark.conf names.
    return config | own | PINNED | jar_conf(settings)


def demanded(settings: Settings) -> frozenset[str]:
    """Return the names of what the user asked for, which a session opened by others must have too."""
    named = {_MASTER} if settings.spark.master else set()
    return frozenset(named | set(settings.spark.conf))


def _refuse(own: dict[str, str]) -> None:
    for key, value in own.items():
        if key in (_MASTER, _REMOTE):
            raise ConfigError(
                f"spark.conf names {key}.", f"Set it as spark.{key.removeprefix('spark.')} beside conf, in cltv.yaml."
            )
        pinned = PINNED.get(key)
        if pinned is not None and value.strip().lower() != pinned.lower():
            raise ConfigError(
                f"spark.conf sets {key} to '{value}', which would change the numbers; it has to be '{pinned}'.",
                "Remove it from spark.conf in cltv.yaml.",
            )
        if key.startswith(_REFUSED_PREFIXES):
            raise ConfigError(
                f"spark.conf sets {key}: settings of that family bring back older rules that change the numbers.",
                "Remove it from spark.conf in cltv.yaml.",
            )
