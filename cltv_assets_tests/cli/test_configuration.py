"""Whose settings a command takes: those of the demo never without a word."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cltv_assets.dagster_defs.build import MONTH_JOB, build_definitions
from cltv_assets.dagster_defs.io_managers import lake_io_manager
from cltv_assets.settings import Settings
from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.e2e.running import settings_in, values_in, write_config

DEMO = "No cltv.yaml here: these are the settings of the demo (CDNOW). `cltv init` makes a cltv.yaml for your own data."


@pytest.mark.parametrize("command", ["run", "preprocess", "model"])
def test_nothing_is_made_without_settings(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # An environment's name says nothing about whose data are meant.
    monkeypatch.setenv("CLTV_ENVIRONMENT", "test")
    assert code_of(command) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "No cltv.yaml here" in said.err
    assert "`cltv init`" in said.err
    assert "`cltv demo`" in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [("status",), ("summary",), ("export", "--to", "x.csv"), ("sql", "SELECT 1")])
def test_what_reads_says_whose_settings_these_are(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code_of(*command)
    said = capsys.readouterr().err
    assert said.count(DEMO) == 1


def test_given_settings_are_taken_without_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(tmp_path / "elsewhere")
    for arguments in (["--config", str(config)], []):
        code_of("status", *arguments)
        assert "demo" not in capsys.readouterr().err
        monkeypatch.setenv("CLTV_CONFIG", str(config))
    monkeypatch.delenv("CLTV_CONFIG")
    # A variable alone is a setting, too.
    monkeypatch.setenv("CLTV_SOURCE", yaml.safe_dump(values_in()["source"], default_flow_style=True))
    code_of("status")
    assert "demo" not in capsys.readouterr().err


def test_settings_without_a_source_take_the_demos_transactions_with_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cltv.yaml").write_text("currency: GBP\n")
    code_of("status")
    assert "No source is configured: the transactions are the demo's (CDNOW)." in capsys.readouterr().err


def test_an_environments_file_alone_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cltv.test.yaml").write_text(yaml.safe_dump(values_in()))
    monkeypatch.setenv("CLTV_ENVIRONMENT", "test")
    code_of("status")
    assert "demo" not in capsys.readouterr().err


def test_the_ui_shows_whose_settings_these_are(tmp_path: Path) -> None:
    own = settings_in(tmp_path)
    for settings, says in ((Settings(), True), (own, False)):
        job = build_definitions(settings).resolve_job_def(MONTH_JOB)
        for text in (job.description, lake_io_manager(settings).__doc__):
            assert ("settings of the demo (CDNOW)" in str(text)) is says
            assert len(str(text)) > 30


def test_the_demo_ends_with_its_warnings_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("demo", "--lake", str(tmp_path / "lake"), "--to", "1997-01") == 0
    said = capsys.readouterr()
    assert "demo (CDNOW)" not in said.err
    assert said.out.count("Warnings (they block nothing):") == 1
    summed, _, warned = said.out.partition("Warnings (they block nothing):")
    assert "Export: " in summed
    assert "cltv_predictions." in warned or "purchase_model." in warned
