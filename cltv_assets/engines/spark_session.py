"""One Spark session in a process, made when first needed and stopped by its maker.

A Java process keeps the options it was started with. PySpark silently gives a second
session the first one's memory, jars and options, so a second, different configuration
is refused here. Nothing imports PySpark before a session is needed.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from cltv_assets.engines.spark_config import COMPILE_LONG_METHODS, PINNED, demanded, spark_config
from cltv_assets.engines.spark_faults import explain, is_sparks
from cltv_assets.errors import ConfigError
from cltv_assets.files.scratch import process_folder
from cltv_assets.settings import Settings

__all__ = ["SparkLease", "spark_config", "spark_session"]

#: Settings that take effect only when the Java process starts.
_OF_THE_JVM = ("spark.driver.memory", "spark.driver.extra", "spark.driver.defaultJava", "spark.jars", "spark.submit.")
_REACH_SECONDS = 10.0
_ONE_AT_A_TIME = "Run them in processes of their own, or give both the same spark settings."


@dataclass
class _Active:
    config: dict[str, str]
    session: Any
    ours: bool
    leases: int = 1


_lock = threading.RLock()
_active: _Active | None = None
#: What the running Java process was started with.
_launched: dict[str, str] = {}


class SparkLease:
    """A claim on the process's session: started at first use, stopped after the last claim's end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._held: _Active | None = None

    def session(self) -> Any:
        """Return the session, started when first asked for.

        Raises
        ------
        ConfigError
            If PySpark or Java is missing, Spark cannot be reached, or another
            configuration is active in this process.
        """
        with _lock:
            if self._held is None:
                self._held = _acquire(self._settings)
            return self._held.session

    def stop(self) -> None:
        """End the claim; the last one stops a session that was made here."""
        with _lock:
            held, self._held = self._held, None
            if held is not None:
                _release(held)


@contextmanager
def spark_session(settings: Settings) -> Iterator[SparkLease]:
    """Give a claim on the process's session for a ``with`` block."""
    lease = SparkLease(settings)
    try:
        yield lease
    finally:
        lease.stop()


def _acquire(settings: Settings) -> _Active:
    global _active
    _require_pyspark()
    config = spark_config(settings)
    if _active is not None and not _alive(_active.session):
        _active = None
    if _active is not None:
        differing = _differences(config, _active.config)
        if differing:
            raise ConfigError(
                f"Another Spark session with other settings ({', '.join(differing)}) is active in this process.",
                _ONE_AT_A_TIME,
            )
        _active.leases += 1
        return _active
    if "spark.remote" in config:
        _active = _Active(config, _remote(config, set(settings.spark.conf)), ours=True)
    else:
        _active = _classic(config, demanded(settings))
    return _active


def _release(held: _Active) -> None:
    global _active
    held.leases -= 1
    if held.leases:
        return
    if _active is held:
        _active = None
    if not held.ours:
        return
    held.session.stop()
    if "spark.remote" not in held.config:
        _forget_file_systems()


def _require_pyspark() -> None:
    try:
        import_module("ibis.backends.pyspark")
    except ImportError as error:
        raise ConfigError(
            f"engine: spark needs PySpark, and it is not complete here ({error}).",
            "Install it (pip install 'cltv-assets[spark]'), or set engine: duckdb.",
        ) from None


def _classic(config: dict[str, str], wanted: frozenset[str]) -> _Active:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    from cltv_assets.engines.java import ensure_java

    if SparkContext._active_spark_context is not None:
        return _adopt(SparkSession(SparkContext._active_spark_context), config, wanted)
    if os.environ.get("SPARK_REMOTE"):
        raise ConfigError(
            "SPARK_REMOTE is set, and cltv.yaml names no spark.remote.", "Unset it, or name the server as spark.remote."
        )
    ensure_java()
    master = config["spark.master"]
    _reachable(master, "spark.master")
    _fit_running_jvm(config)
    builder = SparkSession.builder
    if master.startswith("local"):
        # Of one machine only: the same path would be made on each machine of a cluster.
        builder = builder.config("spark.local.dir", str(process_folder()))
    for key, value in config.items():
        builder = builder.config(key, value)
    with _starting(f"spark.master {master}"):
        session = builder.getOrCreate()
    if master.startswith("local") and "PYSPARK_PYTHON" not in os.environ:
        # By default Spark starts whichever python3 is found first, which need not be the one with this package.
        session.sparkContext.pythonExec = sys.executable
    if not _launched:
        _launched.update(config)
    return _Active(config, session, ours=True)


def _remote(config: Mapping[str, str], own: set[str]) -> Any:
    url = config["spark.remote"]
    _reachable(url, "spark.remote")
    try:
        from pyspark.sql.connect.session import SparkSession
    except ImportError as error:
        raise ConfigError(
            f"spark.remote needs the client of Spark Connect ({error}).", "pip install 'cltv-assets[spark]'."
        ) from None
    with _starting(f"spark.remote {re.sub(';.*', '', url)}"):
        session = SparkSession.builder.remote(url).create()
        for key, value in config.items():
            if key != "spark.remote":
                _set(session, key, value, own)
    return session


def _set(session: Any, key: str, value: str, own: set[str]) -> None:
    """Set one setting of a session on a server, which may not take all of them."""
    if session.conf.isModifiable(key):
        session.conf.set(key, value)
    elif key in own or key in PINNED:
        there = session.conf.get(key, None)
        if there is None or there.lower() != value.lower():
            raise ConfigError(
                f"The Spark Connect server has {key} = {there}, and a session cannot change it; '{value}' is needed.",
                "Start the server with it, or remove it from spark.conf.",
            )


def _adopt(foreign: Any, config: dict[str, str], wanted: frozenset[str]) -> _Active:
    """Use the context of a session that others opened; their session stays as it is."""
    session = foreign.newSession()
    differing = []
    for key, value in config.items():
        if session.conf.isModifiable(key):
            session.conf.set(key, value)
        elif (key in wanted or key in PINNED or key.startswith("spark.jars")) and session.conf.get(key, None) != value:
            differing.append(key)
    if differing:
        raise ConfigError(
            f"A Spark session that was opened elsewhere in this process has other settings ({', '.join(differing)}).",
            "Open it with these, stop it before the run, or remove them from spark.conf in cltv.yaml.",
        )
    return _Active(config, session, ours=False)


def _fit_running_jvm(config: Mapping[str, str]) -> None:
    """Refuse what a Java process that already runs cannot take; make it forget the rest."""
    from pyspark import SparkContext

    if SparkContext._gateway is None:
        _launched.clear()
        return
    system = SparkContext._jvm.java.lang.System
    properties = system.getProperties()
    known = _launched or {key: properties[key] for key in properties if key.startswith("spark.")}
    differing = _differences(_jvm_part(config), _jvm_part(known))
    if differing:
        raise ConfigError(
            f"Spark's Java process already runs in this process, with other settings ({', '.join(differing)}).",
            f"They only take effect when it starts. {_ONE_AT_A_TIME}",
        )
    # They became properties of the Java process, and every later context would read them.
    for key in set(known) - set(config):
        system.clearProperty(key)


def _jvm_part(config: Mapping[str, str]) -> dict[str, str]:
    # A process that others started runs without the default option as well, only slower.
    part = {k: value for k, value in config.items() if k.startswith(_OF_THE_JVM) and value != COMPILE_LONG_METHODS}
    # These masters change what is on the class path.
    kind = re.match(r"yarn|k8s", config.get("spark.master", ""))
    return part | {"spark.master": kind[0] if kind else ""}


def _differences(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    # Names only: a value may be a secret.
    return sorted(key for key in set(one) | set(other) if one.get(key) != other.get(key))


def _alive(session: Any) -> bool:
    if hasattr(session, "is_stopped"):
        return not session.is_stopped
    return session._sc._jsc is not None


def _forget_file_systems() -> None:
    """Close Hadoop's file systems: they are kept by bucket, with the keys that they were opened with."""
    from pyspark import SparkContext

    if SparkContext._jvm is not None:
        with suppress(Exception):
            SparkContext._jvm.org.apache.hadoop.fs.FileSystem.closeAll()


def _reachable(url: str, setting: str) -> None:
    """Refuse a host that does not answer, because Spark itself would try for minutes."""
    if not url.startswith(("spark://", "sc://")):
        return
    hosts = re.sub(r"^\w+://|[/;].*$", "", url).split(",")
    reasons = []
    for host in hosts:
        name, _, port = host.rpartition(":") if re.search(r":\d+$", host) else (host, "", "")
        try:
            with socket.create_connection(
                (name.strip("[]"), int(port or (7077, 15002)[url[1] == "c"])), _REACH_SECONDS
            ):
                return
        except OSError as error:
            reasons.append(f"{host}: {error.strerror or error}")
    raise ConfigError(
        f"{setting} {re.sub(';.*', '', url)} cannot be reached ({'; '.join(reasons)}).",
        f"Start it, or mend {setting} in cltv.yaml.",
    )


@contextmanager
def _starting(what: str) -> Iterator[None]:
    """Say what Spark's refusal means, and leave other errors as they are."""
    try:
        yield
    except Exception as error:
        if not is_sparks(error):
            raise
        told = explain(error)
        reason = told.problem if told is not None else " ".join(str(error).split())[:300]
        raise ConfigError(
            f"No Spark session could be made with {what}: {reason}",
            "Look at the spark section of cltv.yaml and at Spark's own log above.",
        ) from error
