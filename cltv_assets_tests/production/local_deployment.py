"""The services of ``deploy/compose.yaml`` as processes of this machine.

Commands, variables, the instance's configuration, the workspace and the proxy's template
are those of ``deploy/``: what Docker Compose makes of the file is read, and only what a
container would give (addresses, ports, mounted paths) is put in place.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cltv_assets_tests.cluster.radosgw import REGION, Radosgw
from cltv_assets_tests.cluster.server_process import (
    ServerError,
    ServerProcess,
    accepts_connections,
    free_port,
    wait_until,
)

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent

#: Services that run the image of deploy/Dockerfile.
DAGSTER_SERVICES = ("code", "daemon", "webserver", "viewer")


def compose_config() -> dict[str, Any]:
    """Return deploy/compose.yaml as Docker Compose understands it."""
    answer = subprocess.run(
        [BIN / "docker-compose", "-f", DEPLOY / "compose.yaml", "--profile", "store", "config", "--format", "json"],
        check=True,
        capture_output=True,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
    )
    config: dict[str, Any] = json.loads(answer.stdout)
    return config


def postgres_program(name: str) -> str:
    """Return the path of a program of PostgreSQL, which Debian keeps off the PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = str(debian[-1]) if debian else shutil.which(name)
    if found is None:
        raise ServerError(f"{name} is not installed: run .ci/install-production")
    return found


class LocalDeployment:
    """All services, on loopback ports, with files of their own.

    Parameters
    ----------
    folder : Path
        Fresh; holds secrets, settings, configuration and logs.
    store : Radosgw
        In place of the service ``store``.
    bucket : str
        For lake and logs. Made by the service ``setup``.
    settings : str
        Content of ``cltv.yaml``.
    """

    def __init__(self, folder: Path, store: Radosgw, bucket: str, settings: str) -> None:
        self.folder, self.store, self.bucket = folder, store, bucket
        self.services: dict[str, Any] = compose_config()["services"]
        self.secrets, self.config, self.home = folder / "secrets", folder / "config", folder / "home"
        self.proxy_state = folder / "proxy"
        for made in (folder, self.config, self.home, self.proxy_state, folder / "scratch"):
            made.mkdir(parents=True, exist_ok=True)
        # Everybody may enter it: PostgreSQL runs as another user where the tests run as root.
        self._database = Path(tempfile.mkdtemp(prefix="cltv-postgres-"))
        self.ports = {name: free_port() for name in ("postgres", *DAGSTER_SERVICES, "proxy", "health")}
        self.settings_file.write_text(settings)
        instance = (DEPLOY / "dagster-production.yaml").read_text()
        # Looks for runs that have ended, and at the queue, more often: the tests wait for it.
        for looks, often in (
            ("poll_interval_seconds: 30", "poll_interval_seconds: 5"),
            ("run_queue:", "run_queue:\n  dequeue_interval_seconds: 1"),
        ):
            assert looks in instance
            instance = instance.replace(looks, often)
        (self.home / "dagster.yaml").write_text(instance)
        (self.home / "workspace.yaml").write_bytes((DEPLOY / "workspace.yaml").read_bytes())
        shown = self._init()
        #: Login to password, as deploy/init showed them.
        self.passwords = {line.split()[1].rstrip(","): line.split()[-1] for line in shown if ", password " in line}
        #: Whose key the viewers' webserver has: in this store, somebody who may do nothing yet.
        self.viewers_keys = store.make_user(f"viewer-of-{folder.name}")
        for file, keys in ("store_credentials", store.owner), ("store_viewer_credentials", self.viewers_keys):
            (self.secrets / file).write_text(
                f"[default]\naws_access_key_id = {keys.access_key}\naws_secret_access_key = {keys.secret_key}\n"
            )
        # As this store's policies name a key's owner; the one of compose.yaml names the key.
        (self.secrets / "store_viewer_access_key").write_text(f"arn:aws:iam:::user/{self.viewers_keys.user}\n")
        self.processes: dict[str, ServerProcess] = {}

    # --- where things are --------------------------------------------------------------------

    @property
    def settings_file(self) -> Path:
        """The file that the code server reads."""
        return self.config / "cltv.yaml"

    @property
    def address(self) -> str:
        """Of the proxy."""
        return f"https://localhost:{self.ports['proxy']}"

    @property
    def certificate(self) -> str:
        """To trust."""
        return str(self.secrets / "tls.crt")

    @property
    def lake_uri(self) -> str:
        """Of the tables."""
        return f"s3://{self.bucket}/lake"

    def _init(self, *arguments: str) -> list[str]:
        surroundings = os.environ | {"CLTV_SECRETS_DIR": str(self.secrets), "CLTV_CONFIG_DIR": str(self.config)}
        answer = subprocess.run(
            [DEPLOY / "init", *arguments], check=True, capture_output=True, text=True, env=surroundings
        )
        return answer.stdout.splitlines()

    def environment(self, service: str) -> dict[str, str]:
        """Return a service's variables: compose.yaml's, with this machine's places."""
        places = {
            "DAGSTER_HOME": str(self.home),
            "DAGSTER_POSTGRES_HOST": "127.0.0.1",
            "DAGSTER_POSTGRES_PORT": str(self.ports["postgres"]),
            "DAGSTER_CODE_HOST": "127.0.0.1",
            "DAGSTER_CODE_PORT": str(self.ports["code"]),
            "CLTV_LOGS_BUCKET": self.bucket,
            "CLTV_LAKE_URI": self.lake_uri,
            "CLTV_CONFIG": str(self.settings_file),
            "AWS_ENDPOINT_URL_S3": self.store.endpoint_url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "TMPDIR": str(self.folder / "scratch"),
            # Nothing begins by itself: the tests say what runs.
            "CLTV_ENVIRONMENT": "development",
            "CLTV_PROXY_STATE": str(self.proxy_state),
            "CLTV_PROXY_LISTEN": f"127.0.0.1:{self.ports['proxy']}",
            "CLTV_PROXY_HEALTH_LISTEN": f"127.0.0.1:{self.ports['health']}",
            "CLTV_OPERATOR_ADDRESS": f"127.0.0.1:{self.ports['webserver']}",
            "CLTV_VIEWER_ADDRESS": f"127.0.0.1:{self.ports['viewer']}",
            # Never asked: the addresses are numbers.
            "CLTV_RESOLVER": "127.0.0.1",
            "CLTV_SECRETS": str(self.secrets),
        }
        declared: Mapping[str, str] = self.services[service].get("environment") or {}
        found = {
            name: places.get(name, value.replace("/run/secrets/", f"{self.secrets}/"))
            for name, value in declared.items()
        }
        base = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        base["PYTHONPATH"] = str(ROOT)
        return base | {"PATH": f"{BIN}:{DEPLOY}:{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"} | found

    def command(self, service: str) -> list[str]:
        """Return a service's command line: compose.yaml's, listening on a loopback port of its own."""
        return self.localised(service, self.services[service]["command"])

    def localised(self, service: str, command: list[str]) -> list[str]:
        """Return a command with this machine's address, port and paths of a service."""
        port = str(self.ports.get(service, ""))
        words = {"0.0.0.0": "127.0.0.1", "4000": port, "3000": port, "/tmp/nginx.conf": str(self._proxy_conf)}
        local = [words.get(word, word.replace(":3000/", f":{port}/")) for word in command]
        if service == "proxy" and os.geteuid() == 0:
            # The image runs nginx as a plain user. Here its workers must read the secrets of root.
            local = [f"{word} user root;" if word == "daemon off;" else word for word in local]
        return local

    # --- starting and ending -----------------------------------------------------------------

    def start_everything(self) -> None:
        """Start all services in the order of compose.yaml."""
        self.start_postgres()
        self.run_once("setup")
        self.run_once("store-rights")
        self.start("code")
        self.start("daemon")
        self.start("webserver")
        self.start("viewer")
        for name in ("webserver", "viewer"):
            self.wait_for(name)
        self.start("proxy")

    def start(self, service: str) -> None:
        """Start a service; the code server and the proxy are waited for."""
        if service == "postgres":
            self.start_postgres()
            return
        if service == "proxy":
            self._write_proxy_conf()
        # As the image's entrypoint does.
        command = ([] if service == "proxy" else ["with-secrets"]) + self.command(service)
        environment = self.environment(service)
        command[0] = shutil.which(command[0], path=environment["PATH"] + ":/usr/sbin") or command[0]
        folder = Path.cwd()
        os.chdir(self.home)
        try:
            self.processes[service] = ServerProcess(service, command, self.folder, environment)
        finally:
            os.chdir(folder)
        if service in ("code", "proxy"):
            self.wait_for(service)

    def wait_for(self, service: str) -> None:
        """Wait until a service answers."""
        process, port = self.processes[service], self.ports[service]
        if service in ("webserver", "viewer"):
            process.wait_until(lambda: _answers(f"http://127.0.0.1:{port}/server_info"), 90)
        elif service == "code":
            process.wait_until(lambda: _serves_grpc(port), 90)
        else:
            process.wait_until(lambda: accepts_connections(port), 30)

    def start_postgres(self) -> None:
        """Start PostgreSQL, with a fresh cluster the first time."""
        as_other = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        data, environment = self._database / "data", self.services["postgres"]["environment"]
        if not data.exists():
            # Its user cannot enter the folder of the secrets.
            password = self._database / "password"
            password.write_bytes((self.secrets / "postgres_password").read_bytes())
            if as_other:
                owner = pwd.getpwnam("postgres")
                for path in (self._database, password):
                    os.chown(path, owner.pw_uid, owner.pw_gid)
            create = [postgres_program("initdb"), "-D", str(data), "-U", environment["POSTGRES_USER"]]
            create += ["--pwfile", str(password), "--auth-local=trust", *environment["POSTGRES_INITDB_ARGS"].split()]
            subprocess.run([*as_other, *create], check=True, capture_output=True, cwd=self._database)
        command = list(self.services["postgres"]["command"])
        command[0] = postgres_program("postgres")
        command += ["-D", str(data), "-p", str(self.ports["postgres"]), "-h", "127.0.0.1", "-k", str(self._database)]
        # No power cut is being tested, and the disk is slow.
        command += ["-c", "fsync=off"]
        if as_other:
            # A change of user would forget who must take it along.
            as_other += ["--pdeathsig", "KILL", "--"]
        self.processes["postgres"] = ServerProcess("postgres", [*as_other, *command], self.folder)
        self.processes["postgres"].wait_until(self.postgres_answers, 60)
        made = self.in_postgres("psql", "-d", "postgres", "-tAc", "SELECT 1 FROM pg_database WHERE datname = 'dagster'")
        if not made.strip():
            self.in_postgres("createdb", environment["POSTGRES_DB"])

    def postgres_answers(self) -> bool:
        """Whether PostgreSQL takes queries."""
        address = ["-h", "127.0.0.1", "-p", str(self.ports["postgres"]), "-q"]
        return subprocess.run([postgres_program("pg_isready"), *address], check=False).returncode == 0

    def in_postgres(self, *command: str, stdin: Any = None) -> bytes:
        """Run a client program of PostgreSQL beside the server and return its output."""
        answer = subprocess.run(
            [postgres_program(command[0]), *command[1:]],
            env=os.environ
            | {"PGHOST": str(self._database), "PGPORT": str(self.ports["postgres"]), "PGUSER": "dagster"},
            stdin=stdin or subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if answer.returncode:
            raise ServerError(f"{' '.join(command)}: {answer.stderr.decode()[-1000:]}")
        return answer.stdout

    def run_once(
        self, service: str, command: list[str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[Any]:
        """Run a service's command, or another one in its place, to its end."""
        return subprocess.run(
            ["with-secrets", *self.localised(service, command or self.services[service]["command"])],
            env=self.environment(service),
            cwd=self.home,
            executable=DEPLOY / "with-secrets",
            **{"check": True, **options},
        )

    def run_bare(self, service: str, command: list[str], *, check: bool = True) -> int:
        """Run a command beside a service, without the image's entrypoint, and return its exit code."""
        answer = subprocess.run(
            self.localised(service, command), env=self.environment(service), cwd=self.home, capture_output=True
        )
        if check and answer.returncode:
            raise ServerError(f"{service}: {' '.join(command)}: {answer.stderr.decode()[-1000:]}")
        return answer.returncode

    def kill(self, service: str) -> None:
        """End a service and everything it started at once, as the end of its container does."""
        if service == "postgres":
            # Its own processes are in groups of their own; they end when they see that it is gone.
            children = _children(self.processes[service].pid)
            self.processes[service].kill()
            wait_until(lambda: not any(map(_alive, children)), 30, "PostgreSQL's processes are gone")
            return
        self.processes[service].kill()

    def run_processes(self) -> list[int]:
        """Return the processes of runs that the code server has."""
        group, found = self.processes["code"].pid, []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if (
                    b"multiprocessing.spawn" in (folder / "cmdline").read_bytes()
                    and os.getpgid(int(folder.name)) == group
                ):
                    found.append(int(folder.name))
            except OSError:  # it has just ended
                continue
        return found

    def stop(self, service: str) -> None:
        """Ask a service to end, as ``docker compose stop`` does."""
        self.processes[service].stop(20)

    def close(self) -> None:
        """End everything and remove the database."""
        for service in ("proxy", "viewer", "webserver", "daemon", "code"):
            if service in self.processes:
                self.processes[service].stop(5)
        if "postgres" in self.processes:
            # Fast shutdown: it does not wait for clients.
            os.kill(self.processes["postgres"].pid, signal.SIGINT)
            self.processes["postgres"].stop(20)
        shutil.rmtree(self._database, ignore_errors=True)

    # --- the proxy ---------------------------------------------------------------------------

    @property
    def _proxy_conf(self) -> Path:
        return self.proxy_state / "nginx.conf"

    def _write_proxy_conf(self) -> None:
        """Fill the template in as the image does: variables that exist, nothing else."""
        environment = self.environment("proxy")
        names = " ".join(f"${{{name}}}" for name in self.services["proxy"]["environment"])
        template = (DEPLOY / "nginx.conf.template").read_bytes()
        filled = subprocess.run(["envsubst", names], input=template, env=environment, check=True, capture_output=True)
        self._proxy_conf.write_bytes(filled.stdout)

    # --- for deploy/backup and deploy/restore --------------------------------------------------

    def compose_stand_in(self) -> str:
        """Return a command that does here what ``docker compose`` does for the scripts in deploy/."""
        state = {
            "environments": {name: self.environment(name) for name in ("code", "setup")},
            "setup": self.command("setup"),
            "home": str(self.home),
            "postgres": {"PGHOST": str(self._database), "PGPORT": str(self.ports["postgres"])},
        }
        file = self.folder / "compose_stand_in.json"
        file.write_text(json.dumps(state))
        return f"{sys.executable} -m cltv_assets_tests.production.compose_stand_in {file}"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _serves_grpc(port: int) -> bool:
    # What `dagster api grpc-health-check` asks, without its two seconds of imports.
    from dagster._grpc.client import DagsterGrpcClient

    return (
        accepts_connections(port) and DagsterGrpcClient(port=port, host="127.0.0.1").health_check_query() == "SERVING"
    )


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def _alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
