"""The image's steps run in their order, and what they make runs as compose.yaml runs it."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import yaml

from cltv_assets.dagster_defs.build import build_definitions
from cltv_assets.settings import Settings
from cltv_assets_tests.delivery.image import ROOT, Image, RunInImage
from cltv_assets_tests.kubernetes.rendered import manifests, pods, values
from cltv_assets_tests.test_deploy import composed

#: The services of the image that stay, in the order of their dependencies.
SERVICES = ("code", "daemon", "webserver", "viewer")
PROBE = Path(__file__).with_name("services_probe.py")


def test_the_package_runs_as_a_user_without_rights_on_a_read_only_root(run_in: RunInImage):
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", run_in("cltv", "version"))
    shown = run_in("sh", "-c", "id -u; grep ^CapBnd /proc/self/status; touch /opt/dagster/x 2>&1 || true")
    assert shown.splitlines()[:2] == ["10001", "CapBnd:\t0000000000000000"]
    assert "Read-only file system" in shown


def test_the_services_of_compose_become_healthy_and_make_a_month(run_in: RunInImage, tmp_path: Path):
    services = {name: service for name, service in composed()["services"].items() if name in SERVICES}
    for service in services.values():
        assert service["read_only"] is True
        assert service["tmpfs"][0].startswith("/tmp:")
    # All in one container, so that they find each other on loopback; the second webserver would want the same port.
    probed = {
        name: {"command": services[name]["command"], "healthcheck": services[name]["healthcheck"]["test"]}
        for name in ("code", "webserver", "daemon")
    }
    instance = yaml.safe_load((ROOT / "deploy/dagster-production.yaml").read_text())
    # There is neither PostgreSQL nor S3 here; `make test-production` has both.
    instance["storage"] = {"sqlite": {"base_dir": "/scratch/instance"}}
    instance["compute_logs"] = {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    }
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(instance))
    (tmp_path / "password").write_text("of the test\n")
    (tmp_path / "cltv.yaml").write_text("{}\n")
    variables = services["code"]["environment"] | {
        "DAGSTER_CODE_HOST": "127.0.0.1",
        # Nothing may begin by itself while this looks.
        "CLTV_ENVIRONMENT": "development",
        "CLTV_LAKE_URI": "/scratch/lake",
    }
    variables.pop("CLTV_WEBHOOK_URL_FILE")
    files = {
        "/opt/dagster/dagster.yaml": tmp_path / "dagster.yaml",
        "/opt/dagster/workspace.yaml": ROOT / "deploy/workspace.yaml",
        "/run/secrets/postgres_password": tmp_path / "password",
        "/config/cltv.yaml": tmp_path / "cltv.yaml",
        "/probe.py": PROBE,
    }
    command = ("python", "/probe.py", json.dumps(probed), "raw_transactions", "1997-01")
    said = json.loads(run_in(*command, variables=variables, files=files))
    (location,) = said["loaded"]["workspaceOrError"]["locationEntries"]
    assert location["locationOrLoadError"]["__typename"] == "RepositoryLocation", location
    expected = build_definitions(Settings()).resolve_asset_graph().get_all_asset_keys()
    assert len(said["loaded"]["assetNodes"]) == len(expected)
    assert said["launched"]["launchPartitionBackfill"]["__typename"] == "LaunchBackfillSuccess", said["launched"]
    # The run is a process of the code server, where $DAGSTER_HOME cannot be written.
    assert said["runs"] == ["SUCCESS"]


def test_the_code_server_of_kubernetes_needs_no_instance(run_in: RunInImage, tmp_path: Path):
    (container,) = pods(values())["cltv-assets"]["spec"]["containers"]
    # The chart mounts no dagster.yaml there: the daemon sends what a run needs along.
    code = {"command": container["args"], "healthcheck": ["CMD", *container["livenessProbe"]["exec"]["command"]]}
    (tmp_path / "cltv.yaml").write_text("{}\n")
    environment = manifests()["ConfigMap", "cltv-environment"]["data"]
    files = {"/config/cltv.yaml": tmp_path / "cltv.yaml", "/probe.py": PROBE}
    command = ("python", "/probe.py", json.dumps({"code": code}), "", "")
    assert run_in(*command, variables=environment, files=files).endswith("healthy\n")


def test_no_library_lacks_another(run_in: RunInImage):
    command = "find /opt/venv -name '*.so*' -type f -print0 | xargs -0 -n 50 -P 2 ldd 2> /dev/null || true"
    shown = run_in("sh", "-c", command)
    assert shown.count("libc.so.6") > 100
    missing = set(re.findall(r"(\S+) => not found", shown))
    # Some are found only by what loads them: those that the same wheel brings.
    brought = set(run_in("find", "/opt/venv", "-path", "*.libs/*", "-printf", "%f\n").split())
    assert missing <= brought, missing - brought


def test_nobody_can_change_what_runs(image: Image):
    for path in image.added:
        state = (image.root / path[1:]).lstat()
        own = path.startswith(("/opt/dagster", "/scratch", "/home/cltv"))
        assert own or state.st_uid == 0, path
        if stat.S_ISLNK(state.st_mode):
            continue
        assert not state.st_mode & stat.S_IWOTH, path
        assert not state.st_mode & (stat.S_ISUID | stat.S_ISGID), path
        # The user that runs is none that these files know.
        assert not path.startswith(("/opt/venv", "/usr/local")) or state.st_mode & stat.S_IROTH, path


def test_the_image_holds_what_runs_and_nothing_else(image: Image):
    paths = set(image.added)
    packages = "/opt/venv/lib/python3.11/site-packages"
    assert f"{packages}/cltv_assets/definitions.py" in paths
    assert f"{packages}/cltv_assets/py.typed" in paths
    for absent in (f"{packages}/cltv_assets_tests", f"{packages}/pip", f"{packages}/pytest", "/build"):
        assert absent not in paths
    unwanted = r"/\.cache/|requirements[\w-]*\.lock$|/\.git(/|$)|/\.env$|/pip\.conf$"
    assert not [path for path in paths if re.search(unwanted, path)]
    # Bytecode is there: a process starts in half the time, and could not write it.
    assert f"{packages}/cltv_assets/__pycache__/definitions.cpython-311.pyc" in paths
    outside = {path for path in paths if not path.startswith(("/opt", "/scratch", "/home/cltv", "/etc/", "/var/"))}
    assert outside <= {"/usr/local/bin/with-secrets"}
    size = sum(state.st_size for path in paths if stat.S_ISREG((state := (image.root / path[1:]).lstat()).st_mode))
    assert size < 1.15e9


def test_the_image_says_what_it_is(image: Image):
    assert image.config["Entrypoint"] == ["with-secrets"]
    assert image.config["User"] == "10001"
    prefix = "org.opencontainers.image."
    assert image.config["Labels"][f"{prefix}version"] == "1.2.3"
    assert image.config["Labels"][f"{prefix}revision"] == "of-the-test"
    # What let pip reach an index while it was built belongs to the machine that built it.
    assert not [name for name in image.config["Env"] if re.match(".*(INDEX|CERT|PROXY|TOKEN|PASSWORD).*=", name)]
