"""A Spark Connect server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from cltv_assets_tests.cluster.server_process import ServerProcess, accepts_connections, free_port
from cltv_assets_tests.cluster.spark_programs import HOST, start_spark_class

_START_SECONDS = 90
_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"


class ConnectServer:
    """The server, as a context manager.

    Parameters
    ----------
    logs, scratch : Path
        Folders for logs and for temporary files.
    conf : mapping, optional
        Spark's settings, such as jars and S3's keys. They go through a file that
        only this user can read, never through the command line.
    """

    def __init__(self, logs: Path, scratch: Path, conf: Mapping[str, str] | None = None) -> None:
        self._logs, self._scratch = logs, scratch
        self._port = free_port()
        self._conf = {
            "spark.master": "local[2]",
            "spark.driver.host": HOST,
            "spark.driver.bindAddress": HOST,
            "spark.ui.enabled": "false",
            "spark.sql.shuffle.partitions": "2",
            "spark.connect.grpc.binding.address": HOST,
            "spark.connect.grpc.binding.port": str(self._port),
        } | dict(conf or {})
        self._server: ServerProcess | None = None

    @property
    def url(self) -> str:
        """What ``spark.remote`` is to be."""
        return f"sc://{HOST}:{self._port}"

    def __enter__(self) -> Self:
        properties = self._scratch / f"connect-{self._port}.properties"
        properties.touch(mode=0o600)
        properties.write_text("".join(f"{key}={value}\n" for key, value in self._conf.items()))
        submit = ["org.apache.spark.deploy.SparkSubmit", "--properties-file", str(properties), "--class", _CLASS]
        # Spark counts this server among the ones that have a setting of their own for it, above spark.driver.memory.
        self._server = start_spark_class(
            "spark-connect", [*submit, "spark-internal"], self._logs, self._scratch, memory="1g"
        )
        try:
            self._server.wait_until(lambda: accepts_connections(self._port), _START_SECONDS)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the server and what it started."""
        if self._server is not None:
            self._server.kill()
            self._server = None
