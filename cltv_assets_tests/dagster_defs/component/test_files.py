"""A component's file as the command line reads it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cltv_assets.dagster_defs.instance import dagster_home
from cltv_assets.dagster_defs.templates import load_settings
from cltv_assets.errors import ConfigError
from cltv_assets.settings.component_file import prefix_for
from cltv_assets_tests.settings.canary import assert_hides

MINIMAL = "type: cltv_assets.CltvComponent\nattributes:\n  end_month: 1997-03\n"


def written(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "defs.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("folder", "prefix"), [("acme", "acme"), ("new-shop", "new_shop"), ("7up", "_7up"), ("café", "caf_")]
)
def test_the_folder_names_the_graph(tmp_path: Path, folder: str, prefix: str) -> None:
    settings = load_settings(written(tmp_path / folder, MINIMAL))
    assert settings.asset_prefix == prefix == prefix_for(tmp_path / folder)


def test_a_prefix_that_is_given_counts(tmp_path: Path) -> None:
    assert load_settings(written(tmp_path / "acme", MINIMAL + "  asset_prefix: other\n")).asset_prefix == "other"


def test_relative_paths_start_from_the_file_and_variables_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLTV_LAKE_URI", "/elsewhere")
    settings = load_settings(written(tmp_path / "acme", MINIMAL + "  lake_uri: lake\n"))
    assert settings.lake_root == str(tmp_path / "acme" / "lake")


def test_templates_are_rendered_and_other_text_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_LAKE", "s3://bucket/acme")
    (tmp_path / "pyproject.toml").touch()
    settings = load_settings(
        written(
            tmp_path / "src" / "acme",
            """\
type: cltv_assets.CltvComponent
attributes:
  lake_uri: "{{ env.ACME_LAKE }}"
  start_month: 2024-01
  source:
    kind: csv
    path: "{{ context.project_root }}/data/{month}/*.csv"
    columns: {customer_id: c, transacted_at: t, amount: a, transaction_id: i}
    cancellation_prefix: '7'
""",
        )
    )
    assert settings.lake_root == "s3://bucket/acme"
    assert settings.source_path == str(tmp_path / "data" / "{month}" / "*.csv")
    # Rendered, it would be read as a number.
    assert settings.source.cancellation_prefix == "7"


def test_a_variable_that_is_not_set(tmp_path: Path) -> None:
    file = written(tmp_path / "acme", MINIMAL + '  lake_uri: "{{ env.NOT_SET_ANYWHERE }}"\n')
    with pytest.raises(ConfigError, match=r"defs.yaml, line 4: lake_uri: .*NOT_SET_ANYWHERE .* is not set"):
        load_settings(file)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        # Dagster would make these `None/lake` and `/lake`.
        ("{{ env.NOT_SET_ANYWHERE }}/lake", "the variable NOT_SET_ANYWHERE is not set"),
        ("{{ base }}/lake", "'base' is no variable of Dagster's, and the project of this file"),
        ("{{ env('NOT_SET_ANYWHERE') }}/lake", "the variable NOT_SET_ANYWHERE is not set"),
        ("{{ context.load_component('bolt').lake }}", "it ends with UndefinedError"),
        ("{{ env.SECRET_OF_ACME", "it is no template"),
        # What a function was given stands in its error.
        ("{{ datetime.datetime.fromisoformat(env.SECRET_OF_ACME) }}", "it ends with ValueError"),
    ],
)
def test_a_template_that_cannot_be_rendered_is_never_taken_for_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str, said: str
) -> None:
    monkeypatch.setenv("SECRET_OF_ACME", "CANARY-7391")
    file = written(tmp_path / "acme", MINIMAL + f"  lake_uri: {json.dumps(template)}\n")
    with pytest.raises(ConfigError) as refused:
        load_settings(file)
    assert str(refused.value).startswith(f"{file}, line 4: lake_uri: {template} cannot be rendered: {said}")
    assert_hides("CANARY-7391", refused.value)


def test_conditions_and_defaults_are_templates_too(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + '  lake_uri: "{% if env.NOT_SET_ANYWHERE %}a{% else %}b{% endif %}"\n  currency: "{{ env.NO or \'GBP\' }}"\n'
    )
    settings = load_settings(written(tmp_path / "acme", text))
    assert settings.lake_root == str(tmp_path / "acme" / "b")
    assert settings.currency == "GBP"


def test_what_a_template_became_is_in_no_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_ACME", "ftp://u:CANARY-7391@host")
    for key in ("lake_uri", "currency", "end_month", "horizons_months", "engine"):
        file = written(
            tmp_path / "acme", f"type: c.CltvComponent\nattributes:\n  {key}: '{{{{ env.SECRET_OF_ACME }}}}'\n"
        )
        with pytest.raises(ConfigError, match=key) as refused:
            load_settings(file)
        assert_hides("CANARY-7391", refused.value)


def test_a_component_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no component of type cltv_assets.CltvComponent"):
        load_settings(written(tmp_path, "type: dagster.DefsFolderComponent\n"))


def test_one_of_several_documents(tmp_path: Path) -> None:
    text = "type: other.Thing\nattributes: {lake_uri: no}\n---\n" + MINIMAL + "  currency: EUR\n"
    assert load_settings(written(tmp_path / "acme", text)).currency == "EUR"
    with pytest.raises(ConfigError, match="holds 2 components"):
        load_settings(written(tmp_path / "acme", MINIMAL + "---\n" + MINIMAL))


def test_the_command_line_s_instance_lies_beside_the_project(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    settings = load_settings(written(tmp_path / "src" / "defs" / "acme", MINIMAL))
    assert dagster_home(settings) == tmp_path / ".dagster"
