"""``cltv jars``: fetches the S3 jars once, so that no Spark session has to."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from cltv_assets.cli.terminal import PlainConsole
from cltv_assets.engines.java import ensure_java
from cltv_assets.engines.spark_jars import coordinates, excludes, folder_problem, installed_versions, spark_home
from cltv_assets.errors import CltvError
from cltv_assets.settings import Settings

#: Seconds for the whole download.
_TIMEOUT = 1800
_REMEDY = (
    "Fetch them where there is a network, or name your repository under spark.conf as "
    "spark.jars.ivySettings or spark.jars.repositories (a proxy: spark.driver.extraJavaOptions)."
)


def fetch_jars(settings: Settings, into: Path) -> None:
    """Put the jars that fit the installed Spark into a folder, and say what was put there.

    Spark's own resolver fetches them, so nothing but pyspark and Java is needed. Jars of
    another release that an earlier call left are removed.

    Parameters
    ----------
    settings : Settings
        These keys of ``spark.conf`` are used: ``spark.jars.ivySettings``, ``spark.jars.repositories`` and
        ``spark.driver.extraJavaOptions`` (a proxy).
    into : pathlib.Path
        The folder; made if it is not there.

    Raises
    ------
    ConfigError
        If pyspark or Java is missing.
    CltvError
        If the jars cannot be fetched, or the folder cannot be written to.
    """
    console = PlainConsole(soft_wrap=True)
    versions = installed_versions()
    into = into.expanduser().absolute()
    if into.is_dir() and folder_problem(into, versions) is None:
        console.print(f"{into} holds the jars for Spark {versions.spark} already; nothing was fetched.")
    else:
        ensure_java()
        console.print(f"Fetching {' and '.join(coordinates(versions))} with the AWS SDK, about 570 MB ...")
        for jar in _fetch(settings, into):
            console.print(f"  {jar.stat().st_size:>13,} bytes  {jar.name}")
        problem = folder_problem(into, versions)
        if problem is not None:
            raise CltvError(
                f"What was fetched does not serve Spark {versions.spark}: {problem}.",
                "Look at spark.jars.ivySettings and spark.jars.repositories, if spark.conf names them.",
            )
    console.print(f"In cltv.yaml:\n  spark:\n    jars: {into}")


def _fetch(settings: Settings, into: Path) -> list[Path]:
    """Resolve the coordinates and move the jars into ``into``; return them."""
    try:
        into.mkdir(parents=True, exist_ok=True)
        # Inside the folder: the jars are then moved by renaming, not copied.
        working = tempfile.TemporaryDirectory(prefix=".fetching-", dir=into)
    except OSError as error:
        raise CltvError(f"{into} cannot be written to: {error}.", "Name another folder.") from None
    with working as name:
        scratch = Path(name)
        _resolve(settings, scratch)
        fetched = sorted((scratch / "ivy" / "jars").glob("*.jar"))
        # Ivy puts the group before the name: org.apache.hadoop_hadoop-aws-3.4.1.jar.
        targets = {jar: into / jar.name.split("_", 1)[-1] for jar in fetched}
        for jar, target in targets.items():
            artefact = re.split(r"-\d", target.name)[0]
            for other in into.glob(f"{artefact}-*.jar"):
                if re.split(r"-\d", other.name)[0] == artefact:
                    other.unlink()
            jar.replace(target)
        return sorted(targets.values())


def _resolve(settings: Settings, scratch: Path) -> None:
    """Let Spark resolve the coordinates into ``scratch/ivy``; no Spark is started for it."""
    wishes = {
        key: value
        for key, value in settings.spark.conf.items()
        if key in ("spark.jars.ivySettings", "spark.jars.repositories", "spark.driver.extraJavaOptions")
    }
    wishes["spark.jars.ivy"] = str(scratch / "ivy")
    # spark-submit resolves before it runs the script, and the script does nothing.
    script = scratch / "nothing.py"
    script.write_text("")
    command = [str(spark_home() / "bin" / "spark-submit"), "--master", "local[1]"]
    command += ["--packages", ",".join(coordinates()), "--exclude-packages", ",".join(excludes([]))]
    for key, value in wishes.items():
        command += ["--conf", f"{key}={value}"]
    environment = os.environ | {"PYSPARK_PYTHON": sys.executable}
    # A variable that would add arguments of a session's own.
    environment.pop("PYSPARK_SUBMIT_ARGS", None)
    try:
        done = subprocess.run(  # noqa: S603 - Spark's own script
            [*command, str(script)],
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CltvError(f"The S3 jars could not be fetched: {error}.", _REMEDY) from None
    if done.returncode:
        raise CltvError(f"The S3 jars could not be fetched: {_reason(done.stdout + done.stderr)}.", _REMEDY)


def _reason(output: str) -> str:
    """Return the lines of the resolver's long report that say what failed."""
    # "Host X not found." also appears for repositories that were not needed in the end.
    lines = [line.strip(" :\t") for line in output.splitlines()]
    telling = [line for line in lines if re.search(r"#.*: not found$|download failed", line)]
    telling = telling or [line for line in lines if "Exception in thread" in line]
    hosts = [line for line in lines if re.match(r"Host \S+ not found|Server access error", line)]
    chosen = list(dict.fromkeys(telling + hosts)) or [line for line in lines if line][-3:]
    return "; ".join(line[:200].rstrip(". ") for line in chosen[:3])
