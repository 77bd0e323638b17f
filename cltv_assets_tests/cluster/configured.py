"""Settings for each engine on each storage of the test servers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cltv_assets.settings import Settings
from cltv_assets_tests.cluster.spark_programs import HOST, JAVA_OPTIONS

#: Small data on a small machine.
_CONF = {
    "spark.driver.host": HOST,
    "spark.driver.bindAddress": HOST,
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": JAVA_OPTIONS,
    "spark.sql.shuffle.partitions": "2",
}
_ON_CLUSTER = {
    "spark.executor.memory": "1g",
    "spark.executor.cores": "1",
    "spark.cores.max": "2",
    "spark.executor.extraJavaOptions": JAVA_OPTIONS,
}
_SERVER_S_OWN = {"spark.sql.shuffle.partitions": "2"}


class Configured:
    """Makes settings; equal ones but for engine and storage.

    Parameters
    ----------
    fixture : callable
        Returns a fixture by name, started if it is not yet.
    folder : Path
        For local lakes.
    """

    def __init__(self, fixture: Callable[[str], Any], folder: Path) -> None:
        self._fixture = fixture
        self._folder = folder

    def __call__(self, engine: str, storage: str, **changes: Any) -> Settings:
        """Return settings; ``changes`` are laid over them, by the names of ``Settings``.

        Parameters
        ----------
        engine : {'duckdb', 'spark', 'cluster', 'connect'}
        storage : {'local', 's3'}
        """
        values = {"home": self._folder, **self._engine(engine, storage == "s3"), **self._storage(storage, engine)}
        return Settings.model_validate(values | changes)

    def _engine(self, engine: str, s3: bool) -> dict[str, Any]:
        if engine == "duckdb":
            return {"engine": "duckdb"}
        if engine == "connect":
            url = self._fixture("s3_connect_url" if s3 else "connect_url")
            return {"engine": "spark", "spark": {"remote": url, "conf": _SERVER_S_OWN}}
        if engine not in {"spark", "cluster"}:
            raise ValueError(f"no engine '{engine}'")
        cluster = engine == "cluster"
        spark: dict[str, Any] = {"master": "local[2]", "conf": _CONF}
        if cluster:
            spark = {"master": self._fixture("spark_cluster").master_url, "conf": _CONF | _ON_CLUSTER}
        if s3:
            spark["jars"] = str(self._fixture("spark_jars"))
        return {"engine": "spark", "spark": spark}

    def _storage(self, storage: str, engine: str) -> dict[str, Any]:
        if storage == "local":
            return {"lake_uri": str(self._folder / f"lake-{engine}")}
        if storage != "s3":
            raise ValueError(f"no storage '{storage}'")
        self._fixture("s3_environment")
        endpoint = self._fixture("s3_proxy").endpoint_url
        s3 = {"endpoint_url": endpoint, "region": "us-east-1"}
        return {"lake_uri": f"s3://{self._fixture('bucket')}/lake-{engine}", "s3": s3}
