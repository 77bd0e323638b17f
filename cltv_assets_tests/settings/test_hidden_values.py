"""What the environment holds is in no error: whoever puts a password into the wrong variable reads its name only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from cltv_assets.errors import ConfigError
from cltv_assets.settings import Settings, load_settings
from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.settings.canary import assert_hides

CANARY = "CANARY-7391"
#: Texts that YAML reads as a text, a list, a mapping, one with a key twice, an object; and two with more around it.
WRONG = (
    CANARY,
    f"[{CANARY}, {CANARY}]",
    f"{{{CANARY}: {{{CANARY}: {CANARY}}}}}",
    f"{{{CANARY}: 1, {CANARY}: 2}}",
    f"!{CANARY}",
    f"!!python/name:{CANARY}",
    f"postgresql://user:{CANARY}@host/shop",
    f"{CANARY} and 'quotes' \\ {{",
    "x" * 1_500 + CANARY,
)


def variables(model: type[BaseModel] = Settings, above: str = "CLTV") -> Iterator[str]:
    """Yield the variable of every setting and section, and of a setting that there is not."""
    for name, field in model.model_fields.items():
        variable = f"{above}_{name.upper()}"
        yield variable
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from variables(field.annotation, f"{variable}_")
    yield f"{above}_NO_SETTING"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=range(len(WRONG)))
def test_a_wrong_value_of_each_variable(wrong: str) -> None:
    refused: dict[str, ConfigError] = {}
    for variable in [*variables(), "CLTV_ENVIRONMENT", "CLTV_CONFIG"]:
        if variable == "CLTV_HOME":
            continue
        try:
            load_settings(environ={variable: wrong})
        except ConfigError as error:
            refused[variable] = error
    for variable, error in refused.items():
        # A rule between settings names the section only.
        assert variable in str(error) or variable.split("_")[1].lower() in str(error)
        assert_hides(CANARY, error)
    # The others take any text.
    assert {"CLTV_CURRENCY", "CLTV_ENGINE", "CLTV_SOURCE", "CLTV_SOURCE__KIND", "CLTV_ENVIRONMENT"} <= set(refused)
    assert len(refused) > 80


def test_rules_between_settings() -> None:
    """Values that are right by themselves, and not together."""
    source = {"CLTV_SOURCE__KIND": "csv", "CLTV_SOURCE__PATH": CANARY, "CLTV_START_MONTH": "2024-01"}
    columns = "{customer_id: c, transacted_at: t, amount: a, attributes: [z]}"
    for more in (
        {"CLTV_LAKE_URI": f"ftp://{CANARY}"},
        {"CLTV_TIME_ZONE": CANARY},
        {"CLTV_START_MONTH": "2024-01", "CLTV_END_MONTH": "2023-11"},
        {"CLTV_ACQUISITION_COSTS__ATTRIBUTE": CANARY},
        {"CLTV_CUSTOMERS__PATH": CANARY, "CLTV_CUSTOMERS__ATTRIBUTES": "[z]"},
        {"CLTV_CUSTOMERS__PATH": "c.csv", "CLTV_CUSTOMERS__ATTRIBUTES": f"[{CANARY}, {CANARY}]"},
        source | {"CLTV_SOURCE__COLUMNS": columns, "CLTV_SOURCE__FILL_DOWN": f"[{CANARY}]"},
        source | {"CLTV_SOURCE__COLUMNS": columns, "CLTV_SOURCE__LATEST_ATTRIBUTES": f"[{CANARY}]"},
        source | {"CLTV_SOURCE__COLUMNS": columns.replace("[z]", f"['{CANARY}\"']")},
        source | {"CLTV_SOURCE__PATHS": f"{{{CANARY}: x}}", "CLTV_SOURCE__QUERY": CANARY},
    ):
        with pytest.raises(ConfigError) as refused:
            load_settings(environ=more)
        assert_hides(CANARY, refused.value)
        assert "2023-11" not in str(refused.value)


@pytest.mark.parametrize(
    "given",
    [
        {"lake_uri": f"s3://AKIA:{CANARY}@bucket/lake"},
        {"lake_uri": f"s3://AKIA:ab/{CANARY}@bucket/lake"},
        {"lake_uri": f"file://u:{CANARY}@host/lake"},
        {"s3": {"endpoint_url": f"https://u:{CANARY}@host"}},
        {"customers": {"path": f"s3://u:{CANARY}@b/c.csv", "attributes": ["z"]}},
        {"acquisition_costs": {"path": f"s3://u:{CANARY}@b/c.csv", "columns": {"month": "m", "spend": "s"}}},
        {"spark": {"remote": f"sc://u:{CANARY}@host"}},
        # The key itself in place of the variable that holds it.
        {"s3": {"access_key_id_variable": "A", "secret_access_key_variable": f"{CANARY}/+"}},
    ],
)
def test_addresses_with_credentials_are_refused(given: dict[str, object]) -> None:
    """They would stand in metadata, logs and errors; the first error would be the last place to show one."""
    Path("cltv.yaml").write_text(json.dumps(given))
    with pytest.raises(ConfigError, match=r"holds a password|takes the name of an environment") as refused:
        load_settings(environ={})
    assert_hides(CANARY, refused.value)


def test_an_at_sign_is_no_password() -> None:
    for address in ("s3://bucket:80/a@b", "/data/a:b@c", "file:///a:b@c", "s3://bucket/x:y@z"):
        assert load_settings(environ={"CLTV_LAKE_URI": address}).lake_uri == address


def test_a_credential_in_a_wrong_place_of_a_file_is_not_shown_either() -> None:
    Path("cltv.yaml").write_text(f"currency: postgresql://u:{CANARY}@host/db\n")
    with pytest.raises(ConfigError, match=r"got 'postgresql://…@host/db'") as refused:
        load_settings(environ={})
    assert_hides(CANARY, refused.value)


def test_of_a_file_the_value_is_shown() -> None:
    Path("cltv.yaml").write_text("currency: pounds\n")
    with pytest.raises(ConfigError, match=r"currency: .* \(got 'pounds'\)"):
        load_settings(environ={})


@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_commands_print_none(
    debug: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLTV_CURRENCY", CANARY)
    for command in ("status", "doctor", "run", "sql", "verify"):
        try:
            code = code_of(command, *(["select 1"] if command == "sql" else []), *debug)
            assert code == 2, command
        except ConfigError as error:
            assert debug
            assert_hides(CANARY, error)
        told = capfd.readouterr()
        assert CANARY not in told.out + told.err
        assert debug or "CLTV_CURRENCY" in told.out + told.err, command
