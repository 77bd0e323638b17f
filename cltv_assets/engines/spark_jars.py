"""The jars that Spark needs for ``s3://``, tied to the Spark that is installed.

The pip package of Spark holds no S3 client. ``hadoop-aws`` must be of the very
release of Hadoop that Spark brings, and it brings the AWS SDK along (570 MB);
``spark-hadoop-cloud`` holds the classes that commit parquet without renaming.
Delta's jars are not among them: files become part of a table through delta-rs.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from cltv_assets.errors import ConfigError
from cltv_assets.files.object_store import uses_s3
from cltv_assets.settings import Settings

#: spark-hadoop-cloud for each minor release of Spark. Maven Central has none for the newest
#: patches of 4.0; the two small classes in it are the same in all of them.
_CLOUD_RELEASES = {"4.0": "4.0.2"}

#: What spark-hadoop-cloud asks for beside hadoop-aws: other clouds (one of their artefacts cannot be
#: resolved), and what Spark holds already.
_EXCLUDES = (
    "org.apache.hadoop:hadoop-cloud-storage",
    "org.apache.hadoop:hadoop-client-runtime",
    "org.apache.hadoop:hadoop-azure",
    "com.google.cloud.bigdataoss:gcs-connector",
    "joda-time:joda-time",
    "com.fasterxml.jackson.core:jackson-databind",
    "com.fasterxml.jackson.core:jackson-annotations",
    "com.fasterxml.jackson.dataformat:jackson-dataformat-cbor",
    "org.apache.httpcomponents:httpclient",
    "org.apache.httpcomponents:httpcore",
    "org.eclipse.jetty:jetty-util",
    "org.eclipse.jetty:jetty-util-ajax",
    "com.squareup.okhttp3:okhttp",
    "com.squareup.okio:okio",
)


@dataclass(frozen=True)
class SparkVersions:
    """The releases that an installation of Spark is made of."""

    spark: str
    scala: str
    hadoop: str


def spark_home() -> Path:
    """Return the installation that a classic session will start: ``SPARK_HOME``, else pyspark's own."""
    named = os.environ.get("SPARK_HOME")
    if named:
        return Path(named)
    try:
        import pyspark
    except ImportError:
        raise ConfigError(
            "engine: spark needs pyspark, and it is not installed.", "Run pip install 'cltv-assets[spark,s3]'."
        ) from None
    return Path(pyspark.__file__).parent


def installed_versions(home: Path | None = None) -> SparkVersions:
    """Read the releases of Spark, Scala and Hadoop off the jars' names in ``home``, by default ``spark_home()``."""
    jars = (home or spark_home()) / "jars"
    spark = _first(jars, r"spark-core_(\d+\.\d+)-(.+)\.jar")
    hadoop = _first(jars, r"hadoop-client-api-(.+)\.jar")
    if spark is None or hadoop is None:
        raise ConfigError(
            f"{jars} holds no {'spark-core' if spark is None else 'hadoop-client-api'}, "
            "so it is not known which S3 jars fit.",
            "Unset SPARK_HOME, or name the jars that fit as spark.jars or spark.jars.packages under spark.conf.",
        )
    return SparkVersions(spark=spark[2], scala=spark[1], hadoop=hadoop[1])


def _first(folder: Path, pattern: str) -> re.Match[str] | None:
    names = sorted(path.name for path in folder.glob("*.jar"))
    return next((match for name in names if (match := re.fullmatch(pattern, name))), None)


def _wanted(versions: SparkVersions) -> dict[str, str]:
    """Return Maven coordinates without a release, and the release of each."""
    minor = ".".join(versions.spark.split(".")[:2])
    return {
        "org.apache.hadoop:hadoop-aws": versions.hadoop,
        f"org.apache.spark:spark-hadoop-cloud_{versions.scala}": _CLOUD_RELEASES.get(minor, versions.spark),
    }


def coordinates(versions: SparkVersions | None = None) -> list[str]:
    """Return what to fetch for the installed Spark, as Maven coordinates; the AWS SDK comes with the first."""
    return [f"{name}:{release}" for name, release in _wanted(versions or installed_versions()).items()]


def excludes(packages: list[str]) -> list[str]:
    """Return what must not be fetched along, except what ``packages`` names."""
    asked = {_module(package) for package in packages}
    return [module for module in _EXCLUDES if module not in asked]


def folder_problem(folder: Path, versions: SparkVersions) -> str | None:
    """Say what is wrong with a folder of jars, or ``None`` when it serves this Spark.

    It holds jars under Maven's own names, such as ``hadoop-aws-3.4.1.jar``.
    """
    if not folder.is_dir():
        return f"{folder} is no folder"
    names = sorted(path.name for path in folder.glob("*.jar"))
    problems: list[str] = []
    # Any release of the SDK that came with hadoop-aws will do.
    wanted = {module.split(":")[1]: release for module, release in _wanted(versions).items()} | {"bundle": ""}
    for artefact, release in wanted.items():
        held = [name for name in names if re.fullmatch(rf"{re.escape(artefact)}-\d.*\.jar", name)]
        shown = f"{artefact}-{release}.jar" if release else f"the AWS SDK ({artefact}-2.*.jar)"
        others = [name for name in held if release and name != shown]
        if others:
            problems.append(f"{', '.join(others)} where {shown} is needed")
        elif not held:
            problems.append(f"{shown} is missing")
        elif len(held) > 1:
            problems.append(f"{' and '.join(held)} exclude each other")
    return f"{folder}: {'; '.join(problems)}" if problems else None


def jar_conf(settings: Settings) -> dict[str, str]:
    """Return the Spark settings that bring the S3 jars; lay them over ``spark.conf``.

    What ``spark.conf`` says about jars and packages is part of the result. Nothing is
    added when nothing lies on S3, when a Spark Connect server brings its own, or when
    ``spark.conf`` or the Spark installation holds a hadoop-aws already.

    ``spark.jars`` names a prepared folder; without it Spark fetches the jars itself when
    its session starts.

    Raises
    ------
    ConfigError
        If the folder lacks jars or holds those of another release.
    """
    if settings.spark.remote or not uses_s3(settings):
        return {}
    given = settings.spark.conf
    own_jars = _listed(given.get("spark.jars", ""))
    if settings.spark.jars is None:
        if any(Path(jar).name.startswith("hadoop-aws") for jar in own_jars) or _brought_along():
            return {}
        return _package_conf(given)
    folder = Path(os.path.normpath(settings.home / Path(settings.spark.jars).expanduser()))
    versions = installed_versions()
    problem = folder_problem(folder, versions)
    if problem is not None:
        raise ConfigError(
            f"spark.jars does not serve Spark {versions.spark} with Hadoop {versions.hadoop}: {problem}.",
            f"Run cltv jars --into {settings.spark.jars}, or leave spark.jars out: then Spark fetches them itself.",
        )
    jars = sorted(str(path) for path in folder.glob("*.jar"))
    if re.fullmatch(r"local(\[.*\])?", settings.spark.master or "local"):
        # In one process the class path will do. Listed as spark.jars, Spark would copy all of them for each session.
        own = given.get("spark.driver.extraClassPath")
        return {"spark.driver.extraClassPath": os.pathsep.join(([own] if own else []) + [str(folder / "*")])}
    return {"spark.jars": ",".join(own_jars + [jar for jar in jars if jar not in own_jars])}


def _package_conf(given: dict[str, str]) -> dict[str, str]:
    own = _listed(given.get("spark.jars.packages", ""))
    named = {_module(package) for package in own}
    # A release that the user names wins over ours.
    packages = own + [package for package in coordinates() if _module(package) not in named]
    left_out = _listed(given.get("spark.jars.excludes", ""))
    left_out += [module for module in excludes(own) if module not in left_out]
    return {"spark.jars.packages": ",".join(packages), "spark.jars.excludes": ",".join(left_out)}


def _brought_along() -> bool:
    """Tell whether the installation, a distribution's perhaps, holds a hadoop-aws of its own."""
    return _first(spark_home() / "jars", r"hadoop-aws-.+\.jar") is not None


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _module(package: str) -> str:
    """Return ``group:artefact`` of a Maven coordinate."""
    return ":".join(package.split(":")[:2])
