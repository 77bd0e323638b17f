"""What a user can do wrong: the documented exit code, one paragraph on stderr, no traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cltv_assets.cli import main
from cltv_assets.errors import ConfigError
from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.conftest import SHOP_COLUMNS
from cltv_assets_tests.e2e.running import write_config
from cltv_assets_tests.e2e.shop import deliver, lines_of_shop, months_of

JAN = months_of("2011-01", 1)[0]
Said = pytest.CaptureFixture[str]


def one_paragraph(said: Said) -> str:
    text = said.readouterr().err
    assert text.startswith("cltv: ")
    assert text.count("\n") == 1
    assert "Traceback" not in text
    return text


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    deliver(tmp_path / "shop", lines_of_shop([JAN], customers=20))
    write_config(tmp_path, end_month="2011-01")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "named", "remedy"),
    [
        (("run", "--from", "January"), "'January' is not a month", "YYYY-MM"),
        (("run", "--from", "2011-13"), "'2011-13' is not a month", "YYYY-MM"),
        (("run", "--to", "2012-01"), "2011-01 to 2012-01", "end_month"),
        (("run", "--from", "2010-12"), "2010-12", "start_month"),
        (("run", "--select", "rfm_sumary"), "rfm_sumary", "rfm_summary"),
        (("run", "--select", ""), "--select", "asset"),
        (("run", "--select", "rfm_summary,nonsense"), "nonsense", "Choose among"),
        (("run", "--config", "nowhere.yaml"), "nowhere.yaml does not exist", "path"),
        (("summary", "--config", "nowhere.yaml"), "nowhere.yaml does not exist", "path"),
        (("status", "--config", "nowhere.yaml"), "nowhere.yaml does not exist", "path"),
        (("preprocess", "--from", "2011-1"), "'2011-1' is not a month", "YYYY-MM"),
        (("model", "--to", "nope"), "'nope' is not a month", "YYYY-MM"),
        (("summary", "--month", "nope"), "'nope' is not a month", "YYYY-MM"),
        (("export", "--month", "nope", "--to", "out.csv"), "'nope' is not a month", "YYYY-MM"),
        (("export", "--month", "2011-01", "--to", "out.xlsx"), "out.xlsx", ".parquet"),
        (("demo",), "would write into", "--lake"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_wrong_commands(shop: Path, capsys: Said, arguments: tuple[str, ...], named: str, remedy: str) -> None:
    assert code_of(*arguments) == 2
    text = one_paragraph(capsys)
    assert named in text
    assert remedy in text


@pytest.mark.parametrize("arguments", [("run", "--nonsense"), ("nonsense",), ("export",)], ids=" ".join)
def test_wrong_usage(shop: Path, capsys: Said, arguments: tuple[str, ...]) -> None:
    assert code_of(*arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_from_after_to(tmp_path: Path, capsys: Said) -> None:
    write_config(tmp_path)
    assert code_of("run", "--from", "2011-03", "--to", "2011-02") == 2
    assert "Swap --from and --to" in one_paragraph(capsys)


def test_wrong_settings(tmp_path: Path, capsys: Said) -> None:
    write_config(tmp_path, currncy="EUR")
    for command in ("run", "status"):
        assert code_of(command) == 2
        text = one_paragraph(capsys)
        assert "cltv.yaml, line" in text
        assert "'currncy'; did you mean 'currency'?" in text
    assert code_of("doctor") == 2


@pytest.mark.parametrize("command", ["summary", "export"])
def test_nothing_published_yet(shop: Path, capsys: Said, command: str) -> None:
    more = ("--month", "2011-01", "--to", "out.csv") if command == "export" else ()
    assert code_of(command, *more) == 4
    assert "cltv run" in one_paragraph(capsys)
    assert not Path("out.csv").exists()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"path": "shop/*.tsv"}, "matches no file"),
        ({"path": "nowhere"}, "matches no file"),
        ({"columns": SHOP_COLUMNS | {"customer_id": "client"}}, "client"),
    ],
    ids=["a glob that matches nothing", "a missing folder", "a missing column"],
)
def test_a_wrong_source(shop: Path, capsys: Said, changes: dict[str, object], named: str) -> None:
    write_config(shop, end_month="2011-01", source=changes)
    assert code_of("doctor") == 3
    said = capsys.readouterr().out
    assert named in said
    assert "Traceback" not in said
    # Before the first month is tried.
    assert code_of("run") == 3
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    assert named in said.err
    assert "2011-01 failed" not in said.out
    assert not (shop / "lake/raw_transactions").exists()
    assert not (shop / "lake/cleaned_transactions").exists()


@pytest.mark.parametrize("where", ["file", "missing link", "/proc/nope"])
def test_a_lake_that_cannot_be_written(shop: Path, capsys: Said, where: str) -> None:
    # Root may write anywhere that permissions protect; these places nobody can.
    if where == "file":
        (shop / "lake").write_text("not a folder", encoding="utf-8")
    elif where == "missing link":
        (shop / "lake").symlink_to(shop / "nowhere")
    write_config(shop, end_month="2011-01", **({"lake_uri": where} if where.startswith("/") else {}))
    assert code_of("doctor") == 4
    assert "lake" in capsys.readouterr().out
    assert code_of("run") == 4
    assert "lake" in one_paragraph(capsys)


def test_dagster_home_that_cannot_be_made(shop: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop / "taken").write_text("", encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(shop / "taken"))
    assert code_of("run") == 2
    assert "DAGSTER_HOME" in one_paragraph(capsys)


def test_a_lake_of_a_newer_version_is_refused(shop: Path, capsys: Said) -> None:
    assert code_of("run", "--select", "raw_transactions") == 0
    capsys.readouterr()
    log = shop / "lake/raw_transactions/_delta_log/00000000000000000000.json"
    entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    for entry in entries:
        if "metaData" in entry:
            entry["metaData"]["configuration"]["cltv_assets.formatVersion"] = "99"
    log.write_text("\n".join(map(json.dumps, entries)) + "\n", encoding="utf-8")
    before = sorted(path.name for path in (shop / "lake").rglob("*"))
    assert code_of("status") == 4
    text = one_paragraph(capsys)
    assert "format version 99" in text
    assert "upgrade cltv_assets" in text
    assert code_of("doctor") == 4
    assert "format version 99" in capsys.readouterr().out
    assert code_of("run") == 4
    assert "format version 99" in one_paragraph(capsys)
    assert sorted(path.name for path in (shop / "lake").rglob("*")) == before


def test_the_traceback_on_request_only(tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    write_config(tmp_path, nonsense=1)
    assert code_of("status") == 2
    assert "nonsense" in one_paragraph(capsys)
    with pytest.raises(ConfigError, match="nonsense"):
        main(["--debug", "status"])
    monkeypatch.setenv("CLTV_DEBUG", "1")
    with pytest.raises(ConfigError, match="nonsense"):
        main(["status"])


def test_an_unforeseen_fault_says_how_to_see_more(shop: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cltv_assets.settings.file.read_settings_file", lambda _path: 1 / 0)
    assert code_of("status") == 70
    assert "Add --debug" in one_paragraph(capsys)
