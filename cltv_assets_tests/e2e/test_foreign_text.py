"""What others chose (ids, file names, values) goes to everything that shows it, and nothing obeys it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import dagster as dg
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from cltv_assets.cli.runner import run_months
from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets.foreign import visible
from cltv_assets.settings import load_settings
from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.e2e.hostile import MONTH, SETTINGS, attacks, deliver_hostile
from cltv_assets_tests.e2e.running import write_config

URL = "http://track.example"
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
#: What tables and paragraphs are made of, and our own pictures, whose sources are looked at.
PLAIN = {"inline", "text", "text_special", "softbreak", "image"} | {
    f"{part}_{end}"
    for part in ("paragraph", "table", "thead", "tbody", "tr", "th", "td", "em")
    for end in ("open", "close")
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a shop of which a month has run."""
    home = tmp_path_factory.mktemp("hostile")
    deliver_hostile(home / "shop", URL)
    settings = load_settings(write_config(home, **SETTINGS))
    with pytest.MonkeyPatch.context() as surroundings:
        surroundings.setenv("DAGSTER_HOME", str(home / ".dagster"))
        with open_instance(settings) as instance:
            (result,) = run_months(settings, [MONTH], instance)
    assert result.errors == []
    return home


@pytest.fixture
def shop(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return that folder; commands find its settings and its instance."""
    monkeypatch.chdir(made)
    monkeypatch.setenv("DAGSTER_HOME", str(made / ".dagster"))
    return made


def tokens_of(text: str) -> Iterator[Token]:
    for token in MARKDOWN.parse(text):
        yield token
        yield from token.children or ()


def test_the_ui_renders_nothing_of_it(shop: Path) -> None:
    texts: list[str] = []
    with open_instance(load_settings(shop / "cltv.yaml")) as instance:
        for run in instance.get_runs():
            for entry in instance.all_logs(run.run_id):
                event = entry.dagster_event
                if event is None:
                    continue
                if event.is_step_materialization:
                    found = event.step_materialization_data.materialization.metadata
                elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                    found = event.asset_check_evaluation_data.metadata
                    # Shown as Markdown, too.
                    texts.append(event.asset_check_evaluation_data.description or "")
                else:
                    continue
                texts += [value.md_str for value in found.values() if isinstance(value, dg.MarkdownMetadataValue)]
    shown = " ".join(texts)
    assert "track.example" in shown, "values and file names are shown"
    assert "m.png" in shown
    assert "f.png" in shown
    for text in texts:
        for token in tokens_of(text):
            assert token.type in PLAIN, (token, text)
            if token.type == "image":
                assert str(token.attrs["src"]).startswith("data:image/png;base64,"), text
        assert text.isprintable() or "\u202e" not in text


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def test_the_report_shows_it_as_text(shop: Path) -> None:
    page = (shop / f"lake/cltv_report/month={MONTH}-01/report.html").read_text(encoding="utf-8")
    assert "track.example" in page
    elements = _Elements()
    elements.feed(page)
    assert not elements.names & {"script", "img", "iframe"}
    assert not [one for one in elements.attributes if one[0].startswith("on") or "track.example" in one[1]]
    assert "49" not in page.partition("{{ 7 * 7 }}")[2][:20]


@pytest.mark.parametrize(
    "command",
    [
        ("summary",),
        ("status", "--month", MONTH.key),
        ("doctor",),
        ("forget", "[/]", "--dry-run"),
        ("forget", "\x1b[2J\x1b[Hgone", "--dry-run"),
        ("run", "--select", "cleaned_transactions"),
        ("sql", "SELECT customer_id, p_alive FROM cltv_predictions ORDER BY cltv_2m DESC"),
    ],
    ids=lambda command: command[0],
)
def test_a_terminal_obeys_none_of_it(shop: Path, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code = code_of(*command)
    said = capsys.readouterr()
    assert code == 0, said
    for text in (said.out, said.err):
        assert [one for one in text if not one.isprintable() and one not in "\n\u00a0\u202f"] == []
    if command[0] in ("summary", "sql"):
        for text in ("[/]", "[link=http://track.example/k]k[/link] [red]r", "of two\nlines", "\u202egnp.exe"):
            assert visible(text) in said.out
    if command[0] == "forget":
        assert "![f](http:" in said.out


def test_an_exported_file_holds_no_formula(shop: Path, tmp_path: Path) -> None:
    assert code_of("export", "--to", str(tmp_path / "out.csv")) == 0
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        ids = [row["customer_id"] for row in csv.DictReader(file)]
    assert not [text for text in ids if text.startswith(("=", "+", "-", "@", "\t", "\r"))]
    # Nothing else is changed but what the cleaning trims.
    assert {text.strip() for text in attacks(URL)} <= {text.removeprefix("'") for text in ids}


def test_settings_and_errors_obey_none_of_it(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text in attacks(URL):
        assert code_of("sql", f'SELECT * FROM "{text}"') == 2
        assert code_of("run", "--select", text) == 2
        assert code_of("summary", "--config", str(tmp_path / text.replace("/", "_"))) == 2
        said = capsys.readouterr()
        assert "\x1b" not in said.out + said.err
        assert "\u202e" not in said.out + said.err
