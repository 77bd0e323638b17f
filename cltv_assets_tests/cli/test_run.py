"""The real ``cltv``: runs months, in one process or two, repairs, and says what happened."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import dagster as dg
import pytest

from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.e2e.ran import Ran
from cltv_assets_tests.e2e.reading import contents, differences, rows_of
from cltv_assets_tests.e2e.running import cltv, write_config
from cltv_assets_tests.e2e.shop import deliver, lines_of_shop, months_of

JAN, FEB = months_of("2011-01", 2)
FIRST_HALF = "raw_transactions,cleaned_transactions,rejected_transactions,purchase_days"


def test_two_processes_make_what_one_makes(ran: Ran, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(ran.settings.home / "shop", tmp_path / "shop")
    write_config(tmp_path)
    done = cltv("run", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"4 months done in \d+ s\.", done.stdout)
    assert re.findall(r"(2011-0\d) done .*\[(\d)/4\]", done.stdout) == [(f"2011-0{n}", str(n)) for n in range(1, 5)]
    assert differences(contents(ran.lake), contents(tmp_path / "lake")) == []

    # Without DAGSTER_HOME the instance lies beside the settings. Each half of a month is a run there.
    with dg.DagsterInstance.from_config(str(tmp_path / ".dagster")) as instance:
        runs = instance.get_runs()
        months = [run.tags.get("dagster/partition") for run in runs if run.job_name == "cltv_month"]
        assert sorted(months) == sorted(2 * [m.key for m in ran.months])
        # At the end one run looks whether all months are there.
        assert [run.job_name for run in runs if run.job_name != "cltv_month"] == ["cltv_on_time"]
        assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
        for name in ("raw_transactions", "cltv_report"):
            assert instance.get_materialized_partitions(dg.AssetKey(name)) == {m.key for m in ran.months}

    # The other commands find the same instance and lake.
    assert code_of("status") == 0
    assert "All 4 months are in order." in capsys.readouterr().out
    assert code_of("summary") == 0
    assert f"{len(rows_of(ran.lake, 'raw_transactions')):,} lines in" in capsys.readouterr().out


def test_a_failed_check_and_its_repair(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1, the reason, the old month for readers; the same command repairs; an instance elsewhere."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "elsewhere"))
    lines = lines_of_shop([JAN, FEB], customers=30)
    deliver(tmp_path / "shop", lines)
    write_config(tmp_path, end_month="2011-02")
    assert code_of("run", "--select", FIRST_HALF) == 0
    before = contents(tmp_path / "lake")
    # More than half of January, and less than half of all: of these no run would begin.
    broken = [(f"B{i}", "", "2011-01-05 10:00:00", "1", "5.00") for i in range(len(lines[JAN]) + 10)]
    deliver(tmp_path / "shop", {JAN: broken}, "second.csv")
    capsys.readouterr()

    command = ("run", "--to", "2011-01", "--select", FIRST_HALF)
    assert code_of(*command) == 1
    said = capsys.readouterr()
    assert "2011-01 failed" in said.out
    assert "rejected_transactions.reject_share" in said.out
    assert "1 of 1 month failed" in said.out
    assert "Traceback" not in said.out + said.err
    assert differences(before, contents(tmp_path / "lake")) == ["raw_transactions 2011-01"]
    assert code_of("status") == 1
    assert "rejected_transactions.reject_share" in capsys.readouterr().out

    (tmp_path / "shop/second.csv").unlink()
    assert code_of(*command) == 0
    assert differences(before, contents(tmp_path / "lake")) == []
    assert (tmp_path / "elsewhere/dagster.yaml").exists()
    assert not (tmp_path / ".dagster").exists()
    capsys.readouterr()
    code_of("status")
    assert "reject_share" not in capsys.readouterr().out


def test_status_shows_what_is_missing_stale_and_late(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = lines_of_shop([JAN, FEB], customers=30)
    deliver(tmp_path / "shop", lines)
    write_config(tmp_path, end_month="2011-02")
    assert code_of("status") == 1
    assert "2 of 2 months need a run: cltv run --from 2011-01 --to 2011-02" in capsys.readouterr().out

    assert code_of("preprocess") == 0
    capsys.readouterr()
    assert code_of("status") == 1
    assert "13 assets from acquisition_costs on" in capsys.readouterr().out

    # A line of January in a later file.
    deliver(tmp_path / "shop", {FEB: [("L1", "C888", "2011-01-20 12:00:00", "3", "7.00")]}, "late-{month}.csv")
    assert code_of("status") == 1
    assert re.search(r"^ *2011-01 .* \+1 *$", capsys.readouterr().out, re.MULTILINE)

    assert code_of("preprocess", "--to", "2011-01") == 0
    capsys.readouterr()
    assert code_of("status") == 1
    shown = capsys.readouterr().out
    assert "+1" not in shown
    # February's customers were counted before January had the line.
    (february,) = [line for line in shown.splitlines() if line.strip().startswith("2011-02")]
    assert "missing" in february or "stale" in february
    assert code_of("preprocess", "--from", "2011-02") == 0
    assert rows_of(tmp_path / "lake", "rfm_summary", "2011-02")
    assert "C888" in {row["customer_id"] for row in rows_of(tmp_path / "lake", "rfm_summary", "2011-02")}


def test_select_runs_what_it_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deliver(tmp_path / "shop", lines_of_shop([JAN], customers=15))
    write_config(tmp_path, end_month="2011-01")
    assert code_of("run", "--select", "raw_transactions, cleaned_transactions,rejected_transactions") == 0
    assert sorted(path.name for path in (tmp_path / "lake").iterdir()) == [
        "cleaned_transactions",
        "raw_transactions",
        "rejected_transactions",
    ]
    capsys.readouterr()
    # Two assets of one step are made together: naming one names both.
    shutil.rmtree(tmp_path / "lake/rejected_transactions")
    assert code_of("run", "--select", "cleaned_transactions") == 0
    assert rows_of(tmp_path / "lake", "rejected_transactions")
    # What comes after: everything downstream of the days, nothing upstream of them.
    assert code_of("run", "--select", "purchase_days+") == 0
    assert {name for name, _ in contents(tmp_path / "lake")} >= {"purchase_days", "rfm_summary", "cltv_report"}


def test_warnings_of_all_months_are_listed_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    months = months_of("2011-01", 4)
    counts = dict(zip(months, (40, 4, 40, 0), strict=True))
    for month, count in counts.items():
        lines = [(f"{month}-{n}", f"C{n % 7}", f"{month}-{n % 27 + 1:02} 10:00:00", "1", "5.00") for n in range(count)]
        deliver(tmp_path / "shop", {month: lines}, f"{month}.csv")
    write_config(tmp_path, end_month="2011-04")
    assert code_of("run", "--select", "raw_transactions") == 0
    said = capsys.readouterr().out
    lines = said[said.index("Warnings (they block nothing):") :].splitlines()[1:-1]
    assert len(lines) == 2
    assert lines[0].startswith("  2011-02, 2011-03, 2011-04 raw_transactions.usual_volume; of 2011-04: 0 rows against")
    assert lines[1].startswith("  2011-04 raw_transactions.month_has_lines: No line at all is dated in 2011-04")


def test_a_run_stops_where_the_doctor_would(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deliver(tmp_path / "shop", {JAN: [("1", "C1", "25/01/2011", "1", "5.00")] * 30})
    write_config(tmp_path, end_month="2011-02")
    assert code_of("doctor") == 3
    (finding,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("failed")]
    assert "Set source.timestamp_format: '%d/%m/%Y'" in finding
    assert code_of("run") == 3
    said = capsys.readouterr()
    assert finding.partition("source: ")[2] in said.out + said.err
    # Before the first run is launched; and months that need no source can be run all the same.
    assert not (tmp_path / "lake/raw_transactions").exists()
    assert "2011-01 failed" not in said.out
    assert code_of("run", "--select", "purchase_days") == 1
