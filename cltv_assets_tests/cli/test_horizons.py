"""A change of ``horizons_months``: what is refused, migrated, made again, and read of the months of before."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable

from cltv_assets.report.page import is_drawn
from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.e2e.ran import Ran
from cltv_assets_tests.e2e.reading import rows_of
from cltv_assets_tests.e2e.running import surroundings, write_config

TABLES = ("cltv_predictions", "customer_scores")
OLD, NEWEST = "2011-03", "2011-04"
Said = pytest.CaptureFixture[str]

#: `cltv migrate` in a process that is killed once one table is migrated.
KILLED = """\
import os, signal
from cltv_assets.cli import main, migrating

real, done = migrating.carry_out, []

def carry_out(lake, planned, possible):
    if done:
        os.kill(os.getpid(), signal.SIGKILL)
    real(lake, planned, possible)
    done.append(planned)

migrating.carry_out = carry_out
main(["migrate"])
"""


def changed(ran: Ran, home: Path, horizons: list[int]) -> Path:
    """Copy the lake, which was made for 1 and 2 months, and write settings with other horizons beside it."""
    shutil.copytree(ran.lake, home / "lake")
    shutil.copytree(Path(ran.settings.home or "") / "shop", home / "shop")
    return write_config(home, horizons_months=horizons)


@pytest.fixture(scope="module")
def migrated(ran: Ran, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The settings of a lake whose horizons became 2 and 3 months, and whose newest month was made again."""
    home = tmp_path_factory.mktemp("migrated")
    config = changed(ran, home, [2, 3])
    # Nothing of the source is needed for it.
    shutil.rmtree(home / "shop")
    with pytest.MonkeyPatch.context() as there:
        there.chdir(home)
        assert code_of("migrate") == 0
        assert code_of("model", "--from", NEWEST, "--to", NEWEST) == 0
    return config


def columns_of(lake: Path, table: str) -> set[str]:
    return {field.name for field in DeltaTable(lake / table).schema().fields}


def question(config: Path, capsys: Said, query: str) -> list[dict[str, object]]:
    capsys.readouterr()
    assert code_of("sql", "--config", str(config), "--format", "json", query) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def test_no_month_is_made_before_the_lake_is_migrated(ran: Ran, tmp_path: Path, capsys: Said) -> None:
    changed(ran, tmp_path, [2, 3])
    versions = {table: DeltaTable(tmp_path / "lake" / table).version() for table in TABLES}
    for command in (["run"], ["model"], ["doctor"]):
        assert code_of(*command) == 4, command
        said = "".join(capsys.readouterr())
        assert "was made for other horizons_months than these settings have (missing: expected_purchases_3m," in said
        assert "`cltv migrate --dry-run`" in said
    # What was made can be read meanwhile.
    assert code_of("summary") == 0
    assert "all, 1 months" in capsys.readouterr().out
    assert code_of("migrate", "--dry-run") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "kept; new columns for horizons of months: 3; no longer shows those for: 1" in said
    assert "4 months, 2011-01 to 2011-04, were made for other horizons_months" in said
    assert versions == {table: DeltaTable(tmp_path / "lake" / table).version() for table in TABLES}


def test_a_migration_that_is_killed_is_finished_by_the_same_command(ran: Ran, tmp_path: Path, capsys: Said) -> None:
    changed(ran, tmp_path, [2, 3])
    killed = subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, env=surroundings(), capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    lake = tmp_path / "lake"
    # One table is done, the other one as it was.
    assert "cltv_3m" in columns_of(lake, "cltv_predictions")
    assert "predicted_value_3m" not in columns_of(lake, "customer_scores")
    assert code_of("model") == 4
    assert "cltv migrate" in capsys.readouterr().err
    version = DeltaTable(lake / "cltv_predictions").version()
    assert code_of("migrate") == 0
    assert DeltaTable(lake / "cltv_predictions").version() == version
    assert {"predicted_value_3m", "expected_orders_3m"} <= columns_of(lake, "customer_scores")
    assert "expected_orders_1m" not in columns_of(lake, "customer_scores")
    assert code_of("migrate") == 0
    assert "there is nothing to migrate" in capsys.readouterr().out


def test_the_newest_month_has_the_new_horizons_and_adds_up(ran: Ran, migrated: Path) -> None:
    lake = migrated.parent / "lake"
    predicted = rows_of(lake, "cltv_predictions", NEWEST)
    before = {row["customer_id"]: row for row in rows_of(ran.lake, "cltv_predictions", NEWEST)}
    assert {row["customer_id"] for row in predicted} == set(before)
    for row in predicted:
        # Much the same models on the same history.
        assert row["expected_purchases_2m"] == pytest.approx(
            before[row["customer_id"]]["expected_purchases_2m"], rel=0.3
        )
        assert row["expected_purchases_2m"] <= row["expected_purchases_3m"]
    for row in rows_of(lake, "customer_scores", NEWEST):
        assert row["total_value"] == pytest.approx(row["historic_margin"] + row["predicted_value_3m"])
    totals = {row["horizon_months"]: row for row in rows_of(lake, "segment_summary", NEWEST) if row["scheme"] == "all"}
    assert set(totals) == {2, 3}
    for horizon, row in totals.items():
        assert row["expected_value"] == pytest.approx(sum(one[f"cltv_{horizon}m"] for one in predicted))
    # Of two months there are predictions to judge since before; of three months none has come true yet.
    judged = rows_of(lake, "holdout_evaluation", NEWEST)
    assert {(str(row["origin_month"]), row["horizon_months"]) for row in judged} == {("2011-02-01", 2)}
    assert {row["value"] for row in judged if row["metric"] == "total_predicted"} == {
        row["value"]
        for row in rows_of(ran.lake, "holdout_evaluation", NEWEST)
        if row["metric"] == "total_predicted" and row["horizon_months"] == 2
    }


def test_older_months_are_read_as_they_were_made(ran: Ran, migrated: Path, tmp_path: Path, capsys: Said) -> None:
    rows = rows_of(ran.lake, "cltv_predictions", OLD)
    config = ["--config", str(migrated)]
    for month, horizons in ((OLD, (1, 2)), (NEWEST, (2, 3))):
        assert code_of("summary", *config, "--month", month) == 0
        said = capsys.readouterr().out
        assert [f"all, {h} months" in said for h in (1, 2, 3)] == [h in horizons for h in (1, 2, 3)]
        assert f"The 10 most valuable customers, next {horizons[-1]} months" in said
        target = tmp_path / f"{month}.csv"
        assert code_of("export", *config, "--month", month, "--to", str(target)) == 0
        with target.open(encoding="utf-8", newline="") as file:
            header = next(csv.reader(file))
        assert [f"cltv_{h}m" in header for h in (1, 2, 3)] == [h in horizons for h in (1, 2, 3)]
        capsys.readouterr()
    asked = (
        "SELECT month, count(*) AS n, count(cltv_2m) AS two, count(cltv_3m) AS three FROM cltv_predictions GROUP BY 1"
    )
    found = {str(row["month"])[:7]: row for row in question(migrated, capsys, asked)}
    assert (found[OLD]["n"], found[OLD]["two"], found[OLD]["three"]) == (len(rows), len(rows), 0)
    assert found[NEWEST]["three"] == found[NEWEST]["n"] != 0


def test_the_report_of_an_older_month_is_made_again(migrated: Path, tmp_path: Path, capsys: Said) -> None:
    home = tmp_path / "copy"
    shutil.copytree(migrated.parent, home)
    report = home / "lake" / "cltv_report" / f"month={OLD}-01" / "report.html"
    assert not is_drawn(report.read_text(encoding="utf-8"))
    assert code_of("report", "--config", str(home / "cltv.yaml"), "--month", OLD, "--no-open") == 0
    assert capsys.readouterr().err == ""
    page = report.read_text(encoding="utf-8").replace("\xa0", " ")
    assert is_drawn(page)
    assert re.search(r"next 2\s+months", page)
    assert not re.search(r"next 3\s+months", page)


def test_forgetting_keeps_what_months_of_before_say_of_the_others(ran: Ran, migrated: Path, tmp_path: Path) -> None:
    home = tmp_path / "copy"
    shutil.copytree(migrated.parent, home)
    shutil.copytree(Path(ran.settings.home or "") / "shop", home / "shop")
    gone = rows_of(ran.lake, "cltv_predictions", OLD)[0]["customer_id"]
    config = str(home / "cltv.yaml")
    assert code_of("forget", gone, "--config", config, "--source-cleaned-later", "--yes") == 0
    # Set back, the horizons of before are there again, in every month that was made for them.
    write_config(home, horizons_months=[1, 2])
    assert code_of("migrate", "--config", config) == 0
    was = {row["customer_id"]: row for row in rows_of(ran.lake, "cltv_predictions", OLD)}
    now = {row["customer_id"]: row for row in rows_of(home / "lake", "cltv_predictions", OLD)}
    assert now == {customer: row for customer, row in was.items() if customer != gone}
    assert {row["cltv_1m"] for row in rows_of(home / "lake", "cltv_predictions", NEWEST)} == {None}
