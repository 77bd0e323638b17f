"""``cltv report``: from a month to its page in the browser."""

from __future__ import annotations

import shutil
import webbrowser
from pathlib import Path

import pytest

from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.cli.test_reading import config
from cltv_assets_tests.e2e.ran import Ran
from cltv_assets_tests.e2e.running import write_config

__all__ = ["config"]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect what a browser would have been told to open."""
    told: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: told.append(address) is None)
    return told


def test_the_newest_report_opens(ran: Ran, config: Path, opened: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("report", "--config", str(config)) == 0
    page = ran.lake / "cltv_report" / "month=2011-04-01" / "report.html"
    assert capsys.readouterr().out.strip() == str(page)
    assert opened == [page.as_uri()]


def test_a_named_report_is_only_shown_where_it_lies(
    ran: Ran, config: Path, opened: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("report", "--config", str(config), "--month", "2011-04", "--no-open") == 0
    assert capsys.readouterr().out.strip().endswith("cltv_report/month=2011-04-01/report.html")
    assert opened == []


def test_a_report_without_pictures_is_drawn_when_it_is_asked_for(
    ran: Ran, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = shutil.copytree(ran.lake, tmp_path / "lake")
    config = write_config(tmp_path, lake_uri=str(lake), end_month="2011-04")
    page = lake / "cltv_report" / "month=2011-03-01" / "report.html"
    without = page.read_text(encoding="utf-8")
    assert "<svg" not in without
    for _ in range(2):
        assert code_of("report", "--config", str(config), "--month", "2011-03", "--no-open") == 0
        assert capsys.readouterr().out.strip() == str(page)
    drawn = page.read_text(encoding="utf-8")
    assert drawn.count("<svg") > 3
    assert "cltv report --month" not in drawn
    # The second time there was nothing left to draw.
    assert len(list((tmp_path / ".dagster").glob("history/runs/*.db"))) == 2


def test_without_a_browser_it_says_what_to_do(
    ran: Ran, config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _address: False)
    assert code_of("report", "--config", str(config)) == 0
    assert "There is no browser here." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("month", "code", "said"), [("2011-4", 2, "2011-4"), ("2012-01", 4, "cltv run --from 2012-01 --to 2012-01")]
)
def test_a_month_without_report_is_refused(
    ran: Ran, config: Path, opened: list[str], capsys: pytest.CaptureFixture[str], month: str, code: int, said: str
) -> None:
    assert code_of("report", "--config", str(config), "--month", month) == code
    assert said in capsys.readouterr().err
    assert opened == []


def test_an_empty_lake_is_said_to_be_empty(
    tmp_path: Path, opened: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("report", "--config", str(write_config(tmp_path))) == 4
    assert "There is no report under" in capsys.readouterr().err
