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


def settings_of(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dg.DagsterInstance:
    """Open an instance with a configuration of deploy/, without its database."""
    settings = yaml.safe_load((DEPLOY / name).read_text())
    for elsewhere in ("storage", "compute_logs"):
        settings.pop(elsewhere, None)
    (folder / "dagster.yaml").write_text(yaml.safe_dump(settings))
    return dg.DagsterInstance.from_config(str(folder))


@pytest.mark.parametrize("name", ["dagster.yaml", "dagster-production.yaml"])
def test_dagster_takes_the_instance_configuration(tmp_path, monkeypatch, name):
    with settings_of(name, tmp_path, monkeypatch) as instance:
        assert not instance.telemetry_enabled
        assert instance.run_monitoring_enabled
        assert instance.get_settings("run_monitoring")["free_slots_after_run_end_seconds"]
        # A run that failed by itself is not made again; one whose process has ended is.
        assert instance.run_retries_enabled
        assert instance.run_retries_retry_on_asset_or_op_failure is False
        # One run at a time writes a table.
        concurrency: ConcurrencyConfig = instance.get_concurrency_config()
        assert concurrency.pool_config.pool_granularity == PoolGranularity.RUN
        assert concurrency.pool_config.default_pool_limit == 1
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
