"""What deploy/ holds is loaded and checked here, so that it cannot rot."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.instance.config import ConcurrencyConfig, PoolGranularity

DEPLOY = Path(__file__).parents[1] / "deploy"
BIN = Path(sys.executable).parent
SCRIPTS = ("backup", "init", "restore", "with-secrets")


def settings_of(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dg.DagsterInstance:
    """Open an instance with a configuration of deploy/, without its database."""
    settings = yaml.safe_load((DEPLOY / name).read_text())
    for elsewhere in ("storage", "compute_logs"):
        settings.pop(elsewhere, None)
    (folder / "dagster.yaml").write_text(yaml.safe_dump(settings))
    return dg.DagsterInstance.from_config(str(folder))


@pytest.mark.parametrize("name", ["dagster.yaml", "dagster-production.yaml"])
def test_the_instance_configuration_is_what_it_says(tmp_path, monkeypatch, name):
    with settings_of(name, tmp_path, monkeypatch) as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_start_timeout_seconds == 300
        assert instance.run_monitoring_max_resume_run_attempts == 0
        assert instance.get_settings("run_monitoring")["free_slots_after_run_end_seconds"]
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries >= 1
        assert instance.run_retries_retry_on_asset_or_op_failure is False
        assert instance.freshness_enabled
        concurrency: ConcurrencyConfig = instance.get_concurrency_config()
        assert concurrency.pool_config.pool_granularity == PoolGranularity.RUN
        assert concurrency.pool_config.default_pool_limit == 1
        assert concurrency.run_queue_config is not None
        assert concurrency.run_queue_config.max_concurrent_runs == 2
        for kind in InstigatorType.SENSOR, InstigatorType.SCHEDULE, InstigatorType.AUTO_MATERIALIZE:
            # No tick is kept for ever.
            assert all(days > 0 for days in instance.get_tick_retention_settings(kind).values())


def test_production_waits_for_a_code_server_that_is_being_started(tmp_path, monkeypatch):
    with settings_of("dagster-production.yaml", tmp_path, monkeypatch) as instance:
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        # Longer than a code server takes to start.
        assert queue.max_user_code_failure_retries * queue.user_code_failure_retry_delay >= 120
        assert instance.get_settings("run_monitoring")["max_runtime_seconds"] == 24 * 60 * 60


def test_the_instance_with_logs_on_s3_differs_in_nothing_else():
    plain, on_s3 = (yaml.safe_load((DEPLOY / name).read_text()) for name in ("dagster.yaml", "dagster-s3.yaml"))
    assert on_s3.pop("compute_logs")["class"] == "S3ComputeLogManager"
    assert on_s3 == plain


# --- compose.yaml and its images -------------------------------------------------------------


def composed(**variables: str) -> dict[str, Any]:
    """Return compose.yaml as Docker Compose understands it; it fails where the file is wrong."""
    answer = subprocess.run(
        [BIN / "docker-compose", "-f", DEPLOY / "compose.yaml", "--profile", "store", "config"],
        env={"PATH": os.environ["PATH"], "HOME": str(Path.home())} | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert "variable is not set" not in answer.stderr
    config: dict[str, Any] = yaml.safe_load(answer.stdout)
    return config


def test_every_service_restarts_is_watched_and_keeps_its_logs_small():
    for name, service in composed()["services"].items():
        assert service["restart"] == ("no" if name == "setup" else "unless-stopped")
        assert service["logging"]["options"]["max-size"]
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert not service.get("privileged")
        if name != "setup":
            assert service["healthcheck"]["test"]


def test_nobody_can_change_what_runs():
    for name, service in composed()["services"].items():
        if "cltv-assets" in service["image"]:
            assert service["read_only"] is True, name
            assert [place.split(":")[0] for place in service["tmpfs"]] == ["/tmp"], name


def test_images_are_pinned_by_digest():
    images = [
        service["image"] for name, service in composed()["services"].items() if "cltv-assets" not in service["image"]
    ]
    images += re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert len(images) == 4
    for image in images:
        assert re.fullmatch(r"[\w./-]+:v?\d[\w.-]+@sha256:[0-9a-f]{64}", image), image


def test_secrets_are_files_and_no_values():
    config = composed(CLTV_SECRETS_DIR="/somewhere")
    for secret in config["secrets"].values():
        assert secret["file"].startswith("/somewhere/")
    for service in config["services"].values():
        for name, value in service.get("environment", {}).items():
            secret = re.search("PASSWORD|SECRET_|TOKEN|WEBHOOK|CREDENTIALS", name)
            assert not secret or value.startswith("/run/secrets/"), name


def test_only_the_proxy_is_reached_from_outside():
    config = composed()
    assert [name for name, service in config["services"].items() if service.get("ports")] == ["proxy"]
    assert config["services"]["proxy"]["ports"][0]["host_ip"] == "127.0.0.1"
    assert config["networks"]["inside"]["internal"] is True
    for name in ("postgres", "store", "webserver", "viewer"):
        assert list(config["services"][name]["networks"]) == ["inside"]


def test_the_dockerfile_has_no_findings():
    found = subprocess.run([BIN / "hadolint", DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
    stages = re.findall(r"^FROM .* AS (\S+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert {"embedded", "spark"} <= set(stages)
    assert re.search(r"^USER 10001$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("lock", ["requirements-production.lock", "requirements-production-spark.lock"])
def test_the_images_locks_agree_with_what_is_tested(lock):
    def pins(name: str) -> dict[str, str]:
        text = (DEPLOY.parent / name).read_text()
        return dict(re.findall(r"^([\w.-]+(?:\[[\w,-]+\])?)==([^\s;]+)", text, re.MULTILINE))

    tested, image = pins("requirements-all.lock"), pins(lock)
    assert image.items() <= tested.items()
    assert {"dagster-postgres", "dagster-aws", "deltalake"} <= set(image)
    assert ("pyspark" in " ".join(image)) == ("spark" in lock)
    # Nothing for development reaches the image.
    assert not {"pytest", "mypy", "hypothesis"} & set(image)


def test_the_scripts_have_no_findings():
    found = subprocess.run(
        [BIN / "shellcheck", *(DEPLOY / name for name in SCRIPTS)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout
    for name in SCRIPTS:
        assert os.access(DEPLOY / name, os.X_OK)


def test_every_variable_is_documented():
    documented = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", (DEPLOY / "README.md").read_text()))
    named: set[str] = set()
    for service in composed()["services"].values():
        named |= set(service.get("environment", {}))
    for name in ("compose.yaml", "nginx.conf.template", "backup", "restore", "init"):
        named |= set(re.findall(r"\$\{([A-Z][A-Z0-9_]+)", (DEPLOY / name).read_text()))
    for name in ("dagster-production.yaml", "dagster-s3.yaml", "workspace.yaml"):
        named |= set(re.findall(r"\{env: (\w+)\}", (DEPLOY / name).read_text()))
    named -= {"BASH_SOURCE"}
    assert named <= documented, named - documented
    assert documented <= named | {"DAGSTER_POSTGRES_PASSWORD", "COMPOSE_PROFILES", "CLTV_COMPOSE"}, documented - named


# --- secrets ---------------------------------------------------------------------------------


@pytest.fixture
def init(tmp_path):
    def run(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        surroundings = os.environ | {
            "CLTV_SECRETS_DIR": str(tmp_path / "secrets"),
            "CLTV_CONFIG_DIR": str(tmp_path / "config"),
        }
        return subprocess.run(
            [DEPLOY / "init", *arguments], env=surroundings, capture_output=True, text=True, check=check
        )

    return run


def test_init_makes_secrets_once(init, tmp_path):
    first = init()
    files = {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()}
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    # Containers read them as users of their own.
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in (tmp_path / "secrets").iterdir())
    assert set(files) >= {Path(secret["file"]).name for secret in composed()["secrets"].values()}
    passwords = re.findall(r"password (\w{32})$", first.stdout, re.MULTILINE)
    assert len(set(passwords)) == 2
    assert not any(password.encode() in content for password in passwords for content in files.values())
    assert (tmp_path / "config/cltv.yaml").is_file()

    assert init().stdout == ""
    assert {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()} == files


def test_init_adds_renews_and_removes_logins(init, tmp_path):
    init()
    passwords, operators = tmp_path / "secrets/passwords", tmp_path / "secrets/operators"

    def logins() -> list[str]:
        return [line.split(":")[0] for line in passwords.read_text().splitlines()]

    init("operator", "second-one")
    assert logins() == ["operator", "viewer", "second-one"]
    assert operators.read_text() == '"~^operator$" operator;\n"~^second-one$" operator;\n'
    # An operator who becomes a viewer is no operator any more.
    before = passwords.read_text()
    init("viewer", "operator")
    assert logins() == ["viewer", "second-one", "operator"]
    assert passwords.read_text().splitlines()[-1] not in before
    assert operators.read_text() == '"~^second-one$" operator;\n'
    init("remove", "second-one")
    assert logins() == ["viewer", "operator"]
    assert operators.read_text() == ""


@pytest.mark.parametrize("name", ["a.*", "A", "", "a:b", 'x$" operator', "1st", "a\nb"])
def test_init_refuses_names_that_mean_something_to_the_proxy(init, tmp_path, name):
    init()
    before = (tmp_path / "secrets/operators").read_bytes()
    assert init("operator", name, check=False).returncode == 2
    assert (tmp_path / "secrets/operators").read_bytes() == before


def test_a_command_gets_its_secrets_from_files(tmp_path):
    password, nothing = tmp_path / "password", tmp_path / "nothing"
    password.write_text("of the test\n")
    nothing.write_text("")
    shown = subprocess.run(
        [DEPLOY / "with-secrets", shutil.which("env")],
        env={"DAGSTER_POSTGRES_PASSWORD_FILE": str(password), "CLTV_WEBHOOK_URL_FILE": str(nothing), "PATH": "/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "DAGSTER_POSTGRES_PASSWORD=of the test\n" in shown
    # An empty file is no address, and the package takes no setting of this name.
    assert "CLTV_WEBHOOK_URL" not in shown
