"""Settings by environment: which file wins, and what is said of a value's origin."""

from __future__ import annotations

from pathlib import Path

import pytest

from cltv_assets.cli import main
from cltv_assets.errors import ConfigError
from cltv_assets.settings import Settings
from cltv_assets.settings.file import load_settings, settings_files

BASE = """\
source:
  kind: csv
  path: data/*.csv
  columns: {customer_id: Client, transacted_at: Date, amount: Total}
start_month: 2024-01
end_month: 2024-06
currency: GBP
horizons_months: [3, 6]
checks:
  volume_change: 0.7
  holdout_bias: 0.4
"""


@pytest.fixture(autouse=True)
def base() -> None:
    Path("cltv.yaml").write_text(BASE)


def layer(text: str, environment: str = "production") -> None:
    Path(f"cltv.{environment}.yaml").write_text(text)


def of(environment: str, **variables: str) -> Settings:
    return load_settings(environ={"CLTV_ENVIRONMENT": environment, **variables})


def refusal(environment: str, **variables: str) -> str:
    with pytest.raises(ConfigError) as caught:
        of(environment, **variables)
    return str(caught.value)


def test_an_environments_file_is_laid_over_the_base_key_by_key() -> None:
    layer("lake_uri: s3://bucket/cltv\nchecks: {volume_change: 0.2}\nhorizons_months: [12]\n")
    settings = of("production")
    assert (settings.environment, settings.lake_uri, settings.currency) == ("production", "s3://bucket/cltv", "GBP")
    # Mappings are merged, lists are replaced.
    assert (settings.checks.volume_change, settings.checks.holdout_bias) == (0.2, 0.4)
    assert settings.horizons_months == (12,)
    for other in ("development", "test"):
        settings = of(other)
        assert (settings.environment, settings.lake_uri, settings.checks.volume_change) == (other, "./lake", 0.7)


def test_variables_count_more_than_files_and_files_more_than_defaults() -> None:
    layer("currency: EUR\nrefunds: drop\n")
    settings = of("production", CLTV_CURRENCY="CHF")
    assert (settings.currency, settings.refunds, settings.time_zone) == ("CHF", "drop", "UTC")


def test_null_takes_back_what_the_base_says() -> None:
    layer("end_month: null\nchecks: {volume_change: null}\nsegments: {top: null}\n")
    settings = of("production")
    assert settings.segments == Settings().segments
    assert settings.end_month is None
    assert settings.checks.volume_change == Settings().checks.volume_change
    assert settings.checks.holdout_bias == 0.4


def test_the_environment_may_stand_in_the_base_file_and_the_variable_counts_more() -> None:
    Path("cltv.yaml").write_text(BASE + "environment: production\n")
    layer("currency: EUR\n")
    layer("currency: CHF\n", "test")
    assert load_settings(environ={}).currency == "EUR"
    assert of("test").currency == "CHF"
    assert of("test").environment == "test"
    assert of("development").currency == "GBP"


def test_relative_paths_start_from_the_files_folder(tmp_path: Path) -> None:
    layer("lake_uri: production-lake\n")
    (tmp_path / "elsewhere").mkdir()
    settings = load_settings(tmp_path / "cltv.yaml", {"CLTV_ENVIRONMENT": "production"})
    assert settings.lake_root == str(tmp_path / "production-lake")


def test_the_environments_file_is_named_for_the_base_file() -> None:
    Path("shop.yaml").write_text(BASE)
    Path("shop.production.yaml").write_text("currency: EUR\n")
    layer("currency: CHF\n")
    settings = load_settings("shop.yaml", {"CLTV_ENVIRONMENT": "production"})
    assert settings.currency == "EUR"
    assert settings_files("shop.yaml", "production") == [Path("shop.yaml"), Path("shop.production.yaml")]
    assert settings_files("shop.yaml", "test") == [Path("shop.yaml")]


def test_an_environments_file_alone_changes_the_demo() -> None:
    Path("cltv.yaml").unlink()
    layer("lake_uri: other\n", "development")
    settings = load_settings(environ={})
    assert (settings.source.kind, settings.lake_root) == ("cdnow", str(Path.cwd() / "other"))


def test_errors_name_the_file_and_line_that_a_value_came_from() -> None:
    layer("refunds: net\ncurrency: pounds\nchecks:\n  volume_change: -1\n  reject_shar: 1\n")
    said = refusal("production")
    assert "cltv.production.yaml, line 2: currency" in said
    assert "cltv.production.yaml, line 4: checks.volume_change" in said
    assert "cltv.production.yaml, line 5: unknown key 'checks.reject_shar'; did you mean 'reject_share'?" in said
    # What a lower layer said is not to blame.
    assert "cltv.yaml, line" not in said
    said = refusal("production", CLTV_CURRENCY="euros")
    assert "variable CLTV_CURRENCY: currency" in said
    assert "line 2" not in said
    Path("cltv.yaml").write_text(BASE.replace("0.4", "-4"))
    layer("currency: EUR\nchecks: {volume_change: 0.2}\n")
    assert "cltv.yaml, line 11: checks.holdout_bias" in refusal("production")


@pytest.mark.parametrize(
    ("name", "meant"), [("prod", "production"), ("Production", "production"), ("dev", "development"), ("tset", "test")]
)
def test_an_unknown_environment_suggests_the_right_one(name: str, meant: str) -> None:
    said = refusal(name)
    assert f"variable CLTV_ENVIRONMENT: there is no such environment; did you mean '{meant}'?" in said
    assert "development, test, production" in said
    Path("cltv.yaml").write_text(f"environment: {name}\n" + BASE)
    with pytest.raises(ConfigError, match=rf"cltv\.yaml, line 1: there is no environment '{name}'"):
        load_settings(environ={})


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("cltv.prod.yaml", "cltv.production.yaml"),
        ("cltv.prodution.yaml", "cltv.production.yaml"),
        ("cltv.local.yaml", "cltv.development.yaml"),
        ("cltv.production.yml", "cltv.production.yaml"),
    ],
)
def test_a_file_that_was_meant_for_an_environment_and_is_not_read_is_refused(name: str, right: str) -> None:
    Path(name).write_text("currency: EUR\n")
    said = refusal("production")
    assert f"{name} is read for no environment" in said
    assert f"Rename it to {right}" in said


@pytest.mark.parametrize("name", ["cltv.example.yaml", "cltv.yaml.bak", "other.prod.yaml", "cltv.backup-2024.yaml"])
def test_other_files_beside_it_are_left_alone(name: str) -> None:
    Path(name).write_text("currency: EUR\n")
    assert of("production").currency == "GBP"


def test_an_environments_file_cannot_name_another_environment() -> None:
    layer("environment: test\n")
    said = refusal("production")
    assert "cltv.production.yaml, line 1: environment is 'test'" in said
    layer("environment: production\n")
    assert of("production").environment == "production"


def test_every_command_takes_the_environment_as_an_option(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    layer("currency: pounds\n")
    monkeypatch.setenv("CLTV_ENVIRONMENT", "test")
    for option in (["--environment", "production"], ["--environment=production"]):
        with pytest.raises(SystemExit) as stopped:
            main(["status", *option])
        assert stopped.value.code == 2
        assert "cltv.production.yaml, line 1" in capsys.readouterr().err
    # The option was for that command alone.
    assert load_settings().environment == "test"
    for wrong in (["--environment"], ["--environment", "--config"], ["--environment", "stage"]):
        with pytest.raises(SystemExit) as stopped:
            main(["status", *wrong])
        assert stopped.value.code == 2
        assert "development, test, production" in capsys.readouterr().err
