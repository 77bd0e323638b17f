"""A file goes, is cut short or emptied: what was published of it stays until somebody says that it is meant."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.e2e.reading import contents, differences, rows_of
from cltv_assets_tests.e2e.running import write_config
from cltv_assets_tests.e2e.shop import deliver, lines_of_shop, months_of

JAN, FEB, MAR = months_of("2011-01", 3)
#: From the delivered lines to the summary that every prediction is made from.
FIRST_HALF = "raw_transactions,cleaned_transactions,rejected_transactions,purchase_days,repeat_customers,rfm_summary"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with a file for each of three months, all made. Tests must not touch it."""
    home = tmp_path_factory.mktemp("made")
    deliver(home / "shop", lines_of_shop([JAN, FEB, MAR], customers=30))
    config = write_config(home, end_month="2011-03")
    assert code_of("run", "--config", str(config), "--select", FIRST_HALF) == 0
    return home


@pytest.fixture
def shop(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that shop, as the current folder."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*more: str) -> int:
    return code_of("run", "--from", "2011-02", "--select", FIRST_HALF, *more)


def test_a_file_that_is_gone_keeps_its_month_until_the_loss_is_accepted(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, lake, before = shop / "shop/2011-02.csv", shop / "lake", contents(shop / "lake")
    had = len(rows_of(lake, "raw_transactions", "2011-02"))
    shutil.move(file, shop / "away.csv")
    assert run() == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "1 of 2 months failed" in said
    expected = (
        f"raw_transactions.nothing_lost: {had} of {had} published lines of 2011-02 are not delivered any more: "
        f"2011-02.csv is gone (had {had} lines)."
    )
    assert re.search(
        rf"2011-02 is not published; readers keep what they had: 2011-02 as of .*? stays\. {re.escape(expected)}", said
    )
    # Not as lines that have come and that a run would take.
    assert f"The source has fewer lines of earlier months than are published: 2011-02 -{had}." in said
    assert "To take them" not in said
    # March was made again, from the February that is still there.
    assert differences(before, contents(lake)) == []
    assert code_of("status", "--month", "2011-02") == 1
    found = " ".join(capsys.readouterr().out.split())
    assert expected in found
    assert "A run would refuse that." in found

    command = "cltv run --from 2011-02 --accept-loss 2011-02"
    assert command in said
    assert code_of(*command.split()[1:], "--select", FIRST_HALF) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"2011-02 raw_transactions.nothing_lost: {expected.partition(': ')[2]} The loss is accepted." in said
    assert rows_of(lake, "raw_transactions", "2011-02") == []
    assert rows_of(lake, "refused_lines") == []
    changed = differences(before, contents(lake))
    assert {entry.rpartition(" ")[2] for entry in changed} == {"2011-02", "2011-03"}

    shutil.move(shop / "away.csv", file)
    assert run() == 0
    assert "nothing_lost" not in capsys.readouterr().out
    assert differences(before, contents(lake)) == []


def test_amounts_that_are_gone_keep_their_month_until_the_loss_is_accepted(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A delivery with as many lines as before, of which the half that makes it readable is accepted by `preprocess`."""
    file, before = shop / "shop/2011-02.csv", contents(shop / "lake")
    whole = file.read_text(encoding="utf-8")
    header, *lines = whole.splitlines()
    file.write_text("\n".join([header, *(f"{line.rpartition(',')[0]},0.01" for line in lines), ""]), encoding="utf-8")
    assert run() == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "raw_transactions.nothing_lost: Published lines of 2011-02 were delivered again with far less value" in said
    assert re.search(
        rf"2011-02\.csv \(of {len(lines)} lines \d+ changed, worth [\d,.]+ before and [\d.]+ now without", said
    )
    assert differences(before, contents(shop / "lake")) == []

    months = ("--from", "2011-02", "--to", "2011-02")
    assert code_of("preprocess", *months, "--accept-loss", "2011-03") == 2
    assert "--accept-loss names 2011-03" in capsys.readouterr().err
    assert code_of("preprocess", *months) == 1
    assert code_of("preprocess", *months, "--accept-loss", "2011-02") == 0
    assert "The loss is accepted." in " ".join(capsys.readouterr().out.split())
    assert {row["unit_price"] for row in rows_of(shop / "lake", "raw_transactions", "2011-02")} == {"0.01", None}

    # More value is no loss.
    file.write_text(whole, encoding="utf-8")
    assert run() == 0
    assert differences(before, contents(shop / "lake")) == []


def test_a_correction_of_a_few_lines_and_refunds_booked_later_need_nobody(shop: Path) -> None:
    file, before = shop / "shop/2011-02.csv", contents(shop / "lake")
    header, *lines = file.read_text(encoding="utf-8").splitlines()
    invoice, customer, time, *_ = lines[0].split(",")
    lines[0] = ",".join((invoice, customer, time, "1", "0.01"))
    back = [",".join((f"R{line}", "-1", price)) for line, _, price in (one.rsplit(",", 2) for one in lines[1:20])]
    file.write_text("\n".join([header, *lines, *back, ""]), encoding="utf-8")
    assert run() == 0
    assert differences(before, contents(shop / "lake")) != []


@pytest.mark.parametrize(
    ("share", "code", "said"),
    [
        pytest.param(0.5, 1, "raw_transactions.nothing_lost", id="half of it"),
        pytest.param(0.0, 1, "2011-02.csv has no line left", id="its header alone"),
        pytest.param(None, 1, "2011-02.csv has no line left", id="no byte of it"),
        pytest.param(0.95, 0, "2 months done", id="nearly all of it"),
    ],
)
def test_a_file_that_is_cut_short(
    shop: Path, share: float | None, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file, before = shop / "shop/2011-02.csv", contents(shop / "lake")
    header, *lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    left = [] if share is None else [header, *lines[: round(share * len(lines))]]
    file.write_text("".join(left), encoding="utf-8")
    assert run() == code
    found = capsys.readouterr()
    assert said in " ".join((found.out + found.err).split())
    # No other month stops for it.
    assert "2011-03 done" in found.out
    assert bool(differences(before, contents(shop / "lake"))) is (code == 0)


def test_an_empty_file_that_had_no_lines_is_named_and_stops_nothing(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(shop / "lake")
    (shop / "shop/new.csv").write_bytes(b"")
    named = "empty, without even a header: new.csv"
    for command, code in (("run", 0), ("status", 1), ("doctor", 0)):
        assert (run() if command == "run" else code_of(command)) == code
        assert named in " ".join(capsys.readouterr().out.split()).replace("Empty", "empty")
    assert differences(before, contents(shop / "lake")) == []
    # What had lines is told apart from what is gone.
    (shop / "shop/2011-02.csv").write_bytes(b"")
    (shop / "shop/2011-03.csv").unlink()
    assert code_of("status") == 1
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(
        r"2011-02 source changed: 2011-02\.csv has none of its \d+ lines any more\. A run would refuse that\.",
        said,
    )
    assert re.search(r"2011-03 source changed: 2011-03\.csv is gone, with \d+ lines", said)


def test_what_may_be_lost_is_named_exactly(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(shop / "lake")
    assert run("--accept-loss", "2011-01") == 2
    assert "--accept-loss names 2011-01, and the run is of 2011-02 to 2011-03." in capsys.readouterr().err
    assert code_of("run", "--select", "rfm_summary", "--accept-loss", "2011-02") == 2
    assert "raw_transactions, which --select leaves out" in capsys.readouterr().err
    # Of another month nothing is accepted.
    (shop / "shop/2011-02.csv").unlink()
    assert run("--accept-loss", "2011-03") == 1
    assert differences(before, contents(shop / "lake")) == []
