"""Old names work for a release, and say so."""

from __future__ import annotations

import importlib
import re
import warnings
from pathlib import Path

import pytest

from cltv_assets import __version__
from cltv_assets.cli import main
from cltv_assets.errors import ConfigError
from cltv_assets.settings import deprecations, load_settings
from cltv_assets.settings.deprecations import MOVED_NAMES, RENAMED_COMMANDS, RENAMED_SETTINGS, CltvDeprecation, Renamed

#: As if settings and a command had been renamed.
OLD_SETTING = Renamed("automation.patience", "automation.overdue_after", "0.2.0", "0.3.0")
OLD_SECTION = Renamed("limits", "checks", "0.2.0", "0.3.0")
OLD_COMMAND = Renamed("states", "version", "0.2.0", "0.3.0")


@pytest.fixture
def renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deprecations, "RENAMED_SETTINGS", (OLD_SETTING, OLD_SECTION))
    monkeypatch.setattr(deprecations, "RENAMED_COMMANDS", (OLD_COMMAND,))


def test_a_setting_is_read_under_its_old_name_with_a_warning(renamed: None) -> None:
    Path("cltv.yaml").write_text("currency: GBP\nautomation:\n  patience: 3d\nlimits:\n  volume_change: 0.2\n")
    with pytest.warns(CltvDeprecation) as told:
        found = load_settings(environ={})
    assert found.automation.overdue_after.days == 3
    assert found.checks.volume_change == 0.2
    assert [str(one.message) for one in told] == [
        "cltv.yaml, line 3: 'automation.patience' is called 'automation.overdue_after' since 0.2.0; "
        "the old name works until 0.3.0.",
        "cltv.yaml, line 4: 'limits' is called 'checks' since 0.2.0; the old name works until 0.3.0.",
    ]


def test_a_variable_works_under_its_old_name_too(renamed: None) -> None:
    with pytest.warns(CltvDeprecation, match="variable CLTV_AUTOMATION__PATIENCE: 'automation.patience'"):
        assert load_settings(environ={"CLTV_AUTOMATION__PATIENCE": "2d"}).automation.overdue_after.days == 2


def test_errors_still_name_the_line_of_the_old_name(renamed: None) -> None:
    Path("cltv.yaml").write_text("automation:\n  patience: soon\nlimits:\n  volume_change: -1\n")
    with pytest.warns(CltvDeprecation), pytest.raises(ConfigError) as caught:
        load_settings(environ={})
    assert "line 2: automation.overdue_after" in str(caught.value)
    assert "line 4: checks.volume_change" in str(caught.value)


def test_both_names_at_once_are_refused(renamed: None) -> None:
    Path("cltv.yaml").write_text("automation: {patience: 3d, overdue_after: 2d}\n")
    with pytest.raises(
        ConfigError, match=r"line 1: 'automation\.patience' and 'automation\.overdue_after' are the same"
    ):
        load_settings(environ={})


def test_the_command_line_says_it_once_on_stderr(renamed: None, capsys: pytest.CaptureFixture[str]) -> None:
    Path("cltv.yaml").write_text("limits: {volume_change: 0.2}\nlake_uri: /proc/nope\n")
    with pytest.raises(SystemExit):
        main(["run"])
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if "deprecated" in line] == [
        "cltv: deprecated: cltv.yaml, line 1: 'limits' is called 'checks' since 0.2.0; the old name works until 0.3.0."
    ]


def test_a_command_works_under_its_old_name(renamed: None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["states"])
    said = capsys.readouterr()
    assert stopped.value.code in (0, None)
    assert said.out == f"{__version__}\n"
    assert "'states' is called 'version'" in said.err


@pytest.mark.parametrize("entry", MOVED_NAMES, ids=lambda entry: entry.old)
def test_moved_names_are_still_found_where_they_were(entry: Renamed) -> None:
    (old_place, _, name), (new_place, _, new_name) = entry.old.rpartition("."), entry.new.rpartition(".")
    old = importlib.import_module(old_place)
    with pytest.warns(CltvDeprecation, match=re.escape(entry.old)):
        assert getattr(old, name) is getattr(importlib.import_module(new_place), new_name)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = old.nonsense


def test_nothing_of_today_warns() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_settings(environ={})


def test_names_whose_time_is_over_are_taken_away() -> None:
    def number(release: str) -> tuple[int, ...]:
        return tuple(int(part) for part in release.split("."))

    for entry in (*RENAMED_SETTINGS, *RENAMED_COMMANDS, *MOVED_NAMES):
        assert number(entry.since) < number(entry.gone), entry
        assert number(__version__) < number(entry.gone), f"{entry.old}: take the old name away, and this entry"
