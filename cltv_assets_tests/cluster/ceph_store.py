"""A Ceph cluster as small as can be: one monitor, and one store that keeps its objects in memory.

Everything listens on the loopback interface, on ports and with keys of the run.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import Self

from cltv_assets_tests.cluster.server_process import ServerError, ServerProcess, accepts_connections, free_port

#: Programs and the Debian package of each.
PROGRAMS = {
    "radosgw": "radosgw",
    "radosgw-admin": "radosgw",
    "ceph-mon": "ceph-mon",
    "ceph-osd": "ceph-osd",
    "ceph": "ceph-common",
    "ceph-authtool": "ceph-common",
    "monmaptool": "ceph-common",
}
_STORE_BYTES = 3 << 30
_START_SECONDS = 60
_EVERYTHING = "allow *"
_RIGHTS = {
    "mon.": {"mon": _EVERYTHING},
    "client.admin": {"mon": _EVERYTHING, "osd": _EVERYTHING, "mgr": _EVERYTHING},
    "client.rgw": {"mon": "allow rw", "osd": "allow rwx"},
    "osd.0": {"mon": "allow profile osd", "osd": _EVERYTHING},
}

#: Without tcp_nodelay, the end of every answer would wait 40 ms for the client's acknowledgement of its beginning.
_CONFIGURATION = """\
[global]
fsid = {fsid}
mon initial members = a
mon host = v2:127.0.0.1:{mon_v2}/0,v1:127.0.0.1:{mon_v1}/0
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
keyring = {home}/keyring
run dir = {home}
admin socket = {home}/$name.$pid.asok
log file = {logs}/$name.log
crash dir = {home}
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 2
osd pool default pgp num = 2
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail warn = 0
mon data avail crit = 0
mon max pg per osd = 1000
[mon]
mon data = {home}/mon
mon cluster log file = {logs}/ceph-cluster.log
[osd]
osd data = {home}/osd
osd objectstore = memstore
osd crush update on start = false
memstore device bytes = {store_bytes}
[client]
rgw frontends = beast endpoint=127.0.0.1:{gateway_port} tcp_nodelay=1
rgw dns name = localhost
rgw data = {home}/rgw
rgw thread pool size = 64
rgw run sync thread = false
rgw sts key = {sts_key}
rgw s3 auth use sts = true
"""


class CephStore:
    """A monitor and a store, as a context manager; their data ends with it.

    Parameters
    ----------
    logs : Path
        Folder that keeps the servers' logs.
    gateway_port : int
        Where the gateway, which reads the same configuration, is to listen.
    """

    def __init__(self, logs: Path, gateway_port: int) -> None:
        self._logs = logs
        self._gateway_port = gateway_port
        self._servers: list[ServerProcess] = []
        self._home = Path()

    def __enter__(self) -> Self:
        missing = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
        if missing:
            raise ServerError(f"not installed: {', '.join(missing)}; run .ci/install-servers")
        # Not pytest's folder: a Unix socket's path may have 107 characters only.
        self._home = Path(tempfile.mkdtemp(prefix="cltv-ceph-"))
        try:
            self._start_all()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the servers and delete their data."""
        while self._servers:
            self._servers.pop().kill()  # what they hold is thrown away: nothing to end in order
        if self._home.name:
            shutil.rmtree(self._home, ignore_errors=True)

    def start(self, name: str, *command: str) -> ServerProcess:
        """Start one of Ceph's servers on this configuration; whoever calls this ends it."""
        return ServerProcess(name, [*command, "-c", self._configuration], self._logs)

    def call(self, *command: str) -> str:
        """Run one of Ceph's tools on this configuration and return what it prints.

        Raises
        ------
        ServerError
            If it fails.
        """
        return _run(*command, "-c", self._configuration)

    @property
    def _configuration(self) -> str:
        return str(self._home / "ceph.conf")

    def _start_all(self) -> None:
        fsid, disk = str(uuid.uuid4()), str(uuid.uuid4())
        mon_v1, mon_v2 = free_port(), free_port()
        for folder in ("mon", "osd", "rgw"):
            (self._home / folder).mkdir()
        Path(self._configuration).touch(mode=0o600)
        Path(self._configuration).write_text(
            _CONFIGURATION.format(
                fsid=fsid,
                mon_v1=mon_v1,
                mon_v2=mon_v2,
                home=self._home,
                logs=self._logs,
                store_bytes=_STORE_BYTES,
                gateway_port=self._gateway_port,
                sts_key=secrets.token_hex(8),
            )
        )
        keyring = self._make_keyring()
        monmap = str(self._home / "monmap")
        addresses = f"[v2:127.0.0.1:{mon_v2},v1:127.0.0.1:{mon_v1}]"
        _run("monmaptool", "--create", "--clobber", "--addv", "a", addresses, "--fsid", fsid, monmap)

        self.call("ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap, "--keyring", keyring)
        self._servers.append(self.start("ceph-mon", "ceph-mon", "-i", "a", "-f"))
        self._servers[-1].wait_until(lambda: accepts_connections(mon_v2), _START_SECONDS)

        self.call("ceph", "osd", "new", disk)
        self.call("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk, "--keyring", keyring)
        self.call("ceph", "osd", "crush", "add", "osd.0", "1.0", "host=localhost", "root=default")
        self._servers.append(self.start("ceph-osd", "ceph-osd", "-i", "0", "-f"))
        self._servers[-1].wait_until(lambda: " 1 up" in self.call("ceph", "osd", "stat"), _START_SECONDS)

    def _make_keyring(self) -> str:
        keyring = str(self._home / "keyring")
        create = ["--create-keyring"]
        for name, rights in _RIGHTS.items():
            caps = [part for service, right in rights.items() for part in ("--cap", service, right)]
            _run("ceph-authtool", *create, keyring, "--gen-key", "-n", name, *caps)
            create = []
        return keyring


def _run(*command: str) -> str:
    # `ceph` is a Python program with libraries of its own, which ours must not cover.
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    if answer.returncode:
        raise ServerError(f"{' '.join(command[:2])} ended with {answer.returncode}: {answer.stderr[-800:]}")
    return answer.stdout
