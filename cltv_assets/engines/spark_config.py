"""Settings of a Spark session: defaults, the user's own on top, and how it reaches a bucket."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from cltv_assets.engines.spark_jars import jar_conf
from cltv_assets.errors import ConfigError
from cltv_assets.files.object_store import S3, ObjectStore, is_s3
from cltv_assets.settings import Settings

#: Settings that the numbers depend on. A user may repeat these but not change them.
PINNED: dict[str, str] = {
    # Wall-clock times are cast to instants with the session's offset.
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    # Without this, an overflow or a bad cast gives a null instead of an error.
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
    # A missing or broken file must stop the step; it must not make the table smaller.
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.files.ignoreCorruptFiles": "false",
}

#: Families of settings that restore the results of older Spark releases.
_REFUSED_PREFIXES = ("spark.sql.legacy.",)

#: Defaults that the user may change.
DEFAULTS: dict[str, str] = {
    "spark.sql.adaptive.enabled": "true",
    # Small data gets few tasks, because most queries of a month are tiny and a task costs more than its rows.
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
}

#: Java leaves methods of more than 8,000 bytes to its interpreter for good, and those that Spark generates for wide
#: tables are longer. A user's own options stand in extraJavaOptions and are added to these.
COMPILE_LONG_METHODS = "-XX:-DontCompileHugeMethods"

#: Defaults that only a session started here accepts, not one on a Connect server.
STATIC_DEFAULTS: dict[str, str] = {
    "spark.driver.defaultJavaOptions": COMPILE_LONG_METHODS,
    "spark.executor.defaultJavaOptions": COMPILE_LONG_METHODS,
    # A run of the graph generates more classes than the 100 that Spark keeps, and the next month needs most of them.
    "spark.sql.codegen.cache.maxEntries": "1000",
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

#: Files are uploaded in parts that only the job's end completes: S3 has no rename, and Spark's
#: ordinary committer copies every byte once more and may leave half a folder.
MAGIC_COMMITTER: dict[str, str] = {
    "spark.sql.sources.commitProtocolClass": "org.apache.spark.internal.io.cloud.PathOutputCommitProtocol",
    "spark.sql.parquet.output.committer.class": "org.apache.spark.internal.io.cloud.BindingParquetOutputCommitter",
}
#: The committer is looked up without the bucket's name: given by bucket, the ordinary one was used.
_CHOSEN: dict[str, str] = {
    "mapreduce.outputcommitter.factory.scheme.s3a": "org.apache.hadoop.fs.s3a.commit.S3ACommitterFactory",
    "fs.s3a.committer.name": "magic",
    "fs.s3a.committer.magic.enabled": "true",
}

_SIMPLE = "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider"
_TEMPORARY = "org.apache.hadoop.fs.s3a.TemporaryAWSCredentialsProvider"


def spark_config(settings: Settings) -> dict[str, str]:
    """Return all settings that the session is made with. No credentials of S3 are among them.

    ``spark.master`` is there, or ``spark.remote`` for a Spark Connect server.

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
                f"spark.conf sets {key} so that the numbers would change; it has to be '{pinned}'.",
                "Remove it from spark.conf in cltv.yaml.",
            )
        if key.startswith(_REFUSED_PREFIXES):
            raise ConfigError(
                f"spark.conf sets {key}: settings of that family bring back older rules that change the numbers.",
                "Remove it from spark.conf in cltv.yaml.",
            )


def s3a_conf(objects: ObjectStore, bucket: str) -> dict[str, str]:
    """Return the ``fs.s3a.…`` settings of one bucket. They hold secrets: never log them.

    They are given to the session at run time, so that they stand in no run config, no log
    and no process list. A Spark Connect server gets none: it has its own.
    """
    own = {"endpoint.region": objects.region}
    if objects.endpoint_url:
        own |= {
            "endpoint": objects.endpoint_url,
            "path.style.access": "true",
            "connection.ssl.enabled": str(urlsplit(objects.endpoint_url).scheme == "https").lower(),
        }
    now = objects.credentials()
    own |= {"access.key": now.access_key_id, "secret.key": now.secret_access_key}
    own["aws.credentials.provider"] = _TEMPORARY if now.session_token else _SIMPLE
    if now.session_token:
        own["session.token"] = now.session_token
    named = {f"fs.s3a.bucket.{bucket}.{key}": value for key, value in own.items()}
    return named | _CHOSEN


def spark_path(path: str) -> str:
    """Return ``path`` as Spark takes it: ``s3a://`` for S3, ``file://`` for a local absolute one.

    Spark would look for a bare path on the cluster's default file system.
    """
    if is_s3(path):
        return "s3a://" + path.removeprefix(S3)
    return path if "://" in path else f"file://{path}"


def literal_path(path: str) -> str:
    """Return ``path`` escaped for Spark, whose readers treat every path as a pattern."""
    return re.sub(r"([\\{}\[\]*?])", r"\\\1", spark_path(path))
