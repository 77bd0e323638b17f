"""Spark's own servers, started by ``spark-class``: the pip package has no start scripts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cltv_assets.engines.java import ensure_java
from cltv_assets.engines.spark_jars import spark_home
from cltv_assets_tests.cluster.server_process import ServerProcess

#: Keeps every port on the loopback interface.
HOST = "127.0.0.1"
#: The tests' tables have few rows, and their Java processes live shortly. Java's better compiler and its parallel
#: garbage collector would take half of the tests' time.
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


def start_spark_class(
    name: str, arguments: Sequence[str], logs: Path, scratch: Path, memory: str = "384m"
) -> ServerProcess:
    """Start a class of Spark's as a server.

    Parameters
    ----------
    name : str
        Names the log file.
    arguments : sequence of str
        The class and what it is given.
    logs, scratch : Path
        Folders for output and for Spark's temporary files.
    memory : str
        Of the server itself; what a worker runs for others has memory of its own.
    """
    home = spark_home()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "PYSPARK_"))}
    environment |= {
        "JAVA_HOME": str(ensure_java()),
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": HOST,
        "SPARK_LOCAL_DIRS": str(scratch),
        "SPARK_DAEMON_MEMORY": memory,
        "SPARK_DAEMON_JAVA_OPTS": JAVA_OPTIONS,
    }
    return ServerProcess(name, [str(home / "bin" / "spark-class"), *arguments], logs, environment)
