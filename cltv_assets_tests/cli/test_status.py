"""``cltv status``: nothing that is wrong, and nothing that cannot be known, looks as if all were well."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from cltv_assets.cli.runner import run_months
from cltv_assets.cli.status.months import MonthStatus, _cause
from cltv_assets.dagster_defs.build import build_definitions
from cltv_assets.dagster_defs.failures import FailedMonths
from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets.settings import Settings
from cltv_assets.sources import TransactionSource
from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.e2e.running import settings_in, write_config
from cltv_assets_tests.e2e.shop import deliver, lines_of_shop, months_of

JAN, FEB = months_of("2011-01", 2)
Status = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with two months, run in an instance beside it."""
    home = tmp_path_factory.mktemp("made")
    deliver(home / "shop", lines_of_shop([JAN, FEB], customers=40))
    _run(settings_in(home, end_month="2011-02"))
    write_config(home, end_month="2011-02")
    return home


def _run(settings: Settings) -> None:
    with open_instance(settings) as instance:
        assert [result.errors for result in run_months(settings, [JAN, FEB], instance)] == [[], []]


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A copy of that shop to spoil; the current folder is another one."""
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def status(home: Path, capsys: pytest.CaptureFixture[str]) -> Status:
    """Show the status of the copy; return the exit code and what was printed."""

    def show(*more: str) -> tuple[int, str]:
        capsys.readouterr()
        code = code_of("status", "--config", str(home / "cltv.yaml"), *more)
        said = capsys.readouterr()
        assert said.err == ""
        return code, said.out

    return show


def january(home: Path) -> Path:
    return home / "shop" / "2011-01.csv"


def test_all_is_well_and_stays_so_when_a_file_is_only_touched(home: Path, status: Status) -> None:
    assert status()[0] == 0
    os.utime(january(home), (1_500_000_000, 1_500_000_000))
    code, said = status()
    assert code == 0
    assert "All 2 months are in order." in said
    assert len(re.findall(r"complete", said)) == 2


def _without_folder(home: Path) -> str:
    (home / "shop").rename(home / "elsewhere")
    return "shop"


def _with_another_column(home: Path) -> str:
    january(home).write_text(january(home).read_text().replace("price", "cost_price", 1))
    return "'price'"


def _with_other_settings(home: Path) -> str:
    # The files are as they were when they were landed.
    config = home / "cltv.yaml"
    config.write_text(config.read_text().replace("unit_price: price", "unit_price: netto"))
    return "'netto'"


def _with_rubbish(home: Path) -> str:
    january(home).write_bytes(b"\x00\xff\xfe\x01" * 500)
    return "2011-01.csv"


@pytest.mark.parametrize("spoil", [_without_folder, _with_another_column, _with_other_settings, _with_rubbish])
def test_a_source_that_cannot_be_read_is_unknown(spoil: Callable[[Path], str], home: Path, status: Status) -> None:
    named = spoil(home)
    code, said = status()
    assert code == 3
    (line,) = [line for line in said.splitlines() if line.startswith("source: unknown, because ")]
    assert named in line
    assert "in order" not in said
    assert "It cannot be known whether all is well" in said


def test_what_nobody_foresaw_is_shown_too(status: Status, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_source: TransactionSource) -> None:
        raise RuntimeError("a library's own words")

    monkeypatch.setattr(TransactionSource, "list_files", broken)
    code, said = status()
    assert code == 3
    assert "source: unknown, because RuntimeError: a library's own words" in said


def test_a_corrected_file_with_as_many_lines_is_a_change(home: Path, status: Status) -> None:
    text = january(home).read_text()
    price = re.search(r",(\d)\.\d\d$", text, re.MULTILINE)
    assert price is not None
    at = price.start(1)
    january(home).write_text(text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :])
    os.utime(january(home), (1_500_000_000, 1_500_000_000))
    code, said = status()
    assert code == 1
    assert re.search(r"^ *2011-01 +source changed ", said, re.MULTILINE)
    assert re.search(r"^2011-01 source changed: 2011-01.csv has other content, in \d+ lines as before$", said, re.M)
    # February is made from January: the command makes it again too, and is typed as this one was.
    config = home / "cltv.yaml"
    assert f"1 of 2 months needs a run: cltv run --from 2011-01 --to 2011-02 --config {config}\n" in said


def test_new_and_vanished_files_are_named(home: Path, status: Status) -> None:
    deliver(home / "shop", {FEB: [("L1", "C888", "2011-01-20 12:00:00", "3", "7.00")]}, "late.csv")
    code, said = status()
    assert code == 1
    assert "2011-01 source changed: late.csv is new, with 1 lines" in said
    assert re.search(r"^ *2011-01 .* \+1 *$", said, re.MULTILINE)
    (home / "shop/late.csv").unlink()
    (home / "shop/2011-02.csv").unlink()
    code, said = status("--month", "2011-02")
    assert code == 1
    # A run would be refused, so none is proposed.
    found = re.search(r"^2011-02 source changed: 2011-02.csv is gone, with \d+ lines. (.*)$", said, re.MULTILINE)
    assert found is not None
    again = f"cltv run --from 2011-02 --accept-loss 2011-02 --config {home / 'cltv.yaml'}"
    assert found[1] == f"A run would refuse that. Bring the lines back; if the loss is meant: {again}"
    assert "need" not in said


def test_a_file_that_cannot_be_read_hides_none_that_is_gone(home: Path, status: Status) -> None:
    _with_another_column(home)
    (home / "shop/2011-02.csv").unlink()
    code, said = status()
    assert code == 3
    (line,) = [line for line in said.splitlines() if line.startswith("source: unknown, because ")]
    assert "'price'" in line
    assert "Besides, files whose lines are published are gone: 2011-02.csv." in line


def test_what_a_run_would_refuse_again_is_not_to_be_run() -> None:
    raw = "raw_transactions"
    assert MonthStatus(changed="gone", refused=[raw]).to_make == {raw}
    lost = MonthStatus(changed="gone", lost=True, refused=[raw], stale=["rfm_summary"])
    assert lost.to_make == {"rfm_summary"}
    assert not lost.in_order


def test_files_that_are_not_read_are_named(home: Path, status: Status) -> None:
    (home / "shop/2011-03.xlsx").write_bytes(b"PK")
    code, said = status()
    assert (code, "source: not read, because of ending or place: 2011-03.xlsx" in said) == (0, True)


def test_a_month_alone_says_all_its_warnings(status: Status) -> None:
    _, said = status()
    (row,) = [line.split() for line in said.splitlines() if line.strip().startswith("2011-02 ")]
    code, said = status("--month", "2011-02")
    warnings = re.findall(r"^2011-02 \w+\.\w+: \w.*$", said, re.MULTILINE)
    assert code == 0
    assert len(warnings) == int(row[3]) > 0


def test_a_run_of_dagster_s_own_that_also_looks_at_on_time_refuses_no_month(home: Path, status: Status) -> None:
    write_config(home, end_month="2011-03")
    settings = settings_in(home, end_month="2011-03")
    job = build_definitions(settings).resolve_implicit_global_asset_job_def()
    with open_instance(settings) as instance:
        asked = job.execute_in_process(
            instance=instance, partition_key="2011-01", asset_selection=[dg.AssetKey("segment_movement")]
        )
    (on_time,) = (found for found in asked.get_asset_check_evaluations() if found.check_name == "on_time")
    assert not on_time.passed
    code, said = status()
    assert code == 1
    assert len(re.findall(r"^ *2011-0[12] +complete ", said, re.MULTILINE)) == 2
    assert "1 of 3 months needs a run: cltv run --from 2011-03 --to 2011-03" in said


def test_another_instance_knows_nothing_of_the_months(home: Path, status: Status, tmp_path: Path) -> None:
    (home / ".dagster").rename(tmp_path / "away")
    code, said = status()
    assert code == 3
    assert "history: unknown of 2 months from 2011-01 to 2011-02" in said
    assert str(home / ".dagster") in said


@pytest.mark.slow
def test_only_other_rows_make_later_months_stale(home: Path, status: Status) -> None:
    config = str(home / "cltv.yaml")
    once_more = ("run", "--config", config, "--to", "2011-01")
    assert code_of(*once_more) == 0
    code, said = status()
    assert (code, "All 2 months are in order." in said) == (0, True)
    deliver(home / "shop", {JAN: [("L1", "C888", "2011-01-20 12:00:00", "3", "7.00")]}, "late.csv")
    assert code_of(*once_more) == 0
    code, said = status()
    assert code == 1
    assert re.search(r"^ *2011-01 +complete ", said, re.MULTILINE)
    assert re.search(r"^ *2011-02 +stale: \d+ assets from ", said, re.MULTILINE)
    assert f"cltv run --from 2011-02 --to 2011-02 --config {config}" in said


def test_a_step_that_broke_off_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deliver(tmp_path / "shop", lines_of_shop([JAN, FEB], customers=15))
    write_config(tmp_path, end_month="2011-02")
    assert code_of("preprocess", "--from", "2011-02") == 1
    capsys.readouterr()
    assert code_of("status") == 1
    said = capsys.readouterr().out
    assert re.search(r"^2011-02 rfm_summary: Table purchase_days .* has no data for 2011-01", said, re.MULTILINE)
    assert "2011-02 rfm_summary is not published anew; there is no earlier 2011-02" in said
    assert "2 of 2 months need a run: cltv run --from 2011-01 --to 2011-02\n" in said


def test_a_run_of_many_months_names_the_cause_of_each() -> None:
    failed = FailedMonths()
    failed.add(["cleaned_transactions", "rejected_transactions"], JAN, "Too many lines were rejected.")
    failed.add(["purchase_days"], JAN, "")
    failed.add(["purchase_model"], FEB, "The search did not converge.")
    causes = [f"cltv_report: {failed.sentence(2)}"]
    both = ["cleaned_transactions", "rejected_transactions"]
    assert _cause(causes, "both", both, JAN) == "Too many lines were rejected."
    assert _cause(causes, "purchase_model", ["purchase_model"], FEB) == "The search did not converge."
    assert _cause(causes, "purchase_days", ["purchase_days"], JAN) == ""
    assert _cause(causes, "cltv_report", ["cltv_report"], JAN) == ""
