"""Help, and the commands that read a lake: ``export`` and ``summary``."""

from __future__ import annotations

import csv
import datetime as dt
import os
import re
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from cltv_assets import __version__
from cltv_assets.cli import summary
from cltv_assets.cli.terminal import open_console
from cltv_assets.months import Month
from cltv_assets.tables.holdout_evaluation.columns import HOLDOUT_EVALUATION
from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.e2e.ran import Ran
from cltv_assets_tests.e2e.reading import rows_of
from cltv_assets_tests.e2e.running import cltv, values_in

COMMANDS = (
    "init",
    "run",
    "preprocess",
    "model",
    "status",
    "export",
    "doctor",
    "summary",
    "scenario",
    "demo",
    "version",
)
OPTIONS = {
    "run": ("--config", "--from", "--to", "--select"),
    "preprocess": ("--config", "--from", "--to"),
    "model": ("--config", "--from", "--to"),
    "export": ("--config", "--month", "--to"),
    "summary": ("--config", "--month"),
    "scenario": ("--config", "--month", "--discount-rate", "--margin", "--horizon", "--to"),
    "demo": ("--lake",),
}


@pytest.fixture
def config(ran: Ran, tmp_path: Path) -> Path:
    """Settings elsewhere that name the lake which has run."""
    path = tmp_path / "elsewhere.yaml"
    path.write_text(yaml.safe_dump(values_in(lake_uri=str(ran.lake))), encoding="utf-8")
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert code_of(command, "--help") == 0
    said = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert "Usage: cltv" in said
    for option in OPTIONS.get(command, ()):
        assert option in said


def test_the_executable_names_its_commands(tmp_path: Path) -> None:
    done = cltv("--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [command for command in COMMANDS if command not in done.stdout] == []
    assert not list(tmp_path.iterdir())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    for asked in ("version", "--version"):
        assert code_of(asked) == 0
        assert capsys.readouterr().out == f"{__version__}\n"


def test_export_equals_the_table(ran: Ran, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = sorted(rows_of(ran.lake, "cltv_predictions", "2011-03"), key=lambda row: str(row["customer_id"]))
    for name in ("out.parquet", "new folder/out.csv"):
        assert code_of("export", "--config", str(config), "--month", "2011-03", "--to", str(tmp_path / name)) == 0
        assert f"{len(expected)} predictions of 2011-03 written" in capsys.readouterr().out
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.schema.field("month").type == pa.date32()
    assert table.to_pylist() == expected
    with (tmp_path / "new folder/out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    # Floats are written with every digit: read back they are the same. What is null is empty.
    as_read = [
        {
            key: type(value)(rows[i][key]) if isinstance(value, float | int | str) else rows[i][key] or None
            for key, value in row.items()
        }
        for i, row in enumerate(expected)
    ]
    assert as_read == [row | {"month": row["month"].isoformat()} for row in expected]
    assert not list(tmp_path.rglob("*.tmp"))


def test_export_refuses_what_it_cannot_write(
    ran: Ran, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    target = tmp_path / "file" / "out.csv"
    assert code_of("export", "--config", str(config), "--month", "2011-03", "--to", str(target)) == 2
    assert capsys.readouterr().err.startswith("cltv: ")
    assert code_of("export", "--config", str(config), "--month", "2011-09", "--to", str(tmp_path / "out.csv")) == 4
    assert "2011-09" in capsys.readouterr().err


def test_export_over_an_old_file_replaces_it(
    ran: Ran, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.csv"
    target.write_text("old", encoding="utf-8")
    assert code_of("export", "--config", str(config), "--month", "2011-04", "--to", str(target)) == 0
    assert target.read_text(encoding="utf-8").count("\n") == len(rows_of(ran.lake, "cltv_predictions", "2011-04")) + 1


@pytest.mark.parametrize("month", ["2011-01", "2011-04"])
def test_summary_of_a_month(ran: Ran, config: Path, capsys: pytest.CaptureFixture[str], month: str) -> None:
    assert code_of("summary", "--config", str(config), "--month", month) == 0
    said = capsys.readouterr().out
    raw, cleaned, rejected = (
        len(rows_of(ran.lake, name)) for name in ("raw_transactions", "cleaned_transactions", "rejected_transactions")
    )
    assert f"{raw} lines in = {cleaned} cleaned + {rejected} rejected" in said
    best = max(rows_of(ran.lake, "cltv_predictions", month), key=lambda row: row["cltv_2m"])
    assert re.search(rf"{best['customer_id']} .*{best['cltv_2m']:,.2f}", said)
    totals = [row for row in rows_of(ran.lake, "segment_summary", month) if row["scheme"] == "all"]
    assert len(totals) == 2
    for row in totals:
        low, total, high = (f"{row[f'expected_value{end}']:,.0f}" for end in ("_low", "", "_high"))
        assert re.search(rf"all, {row['horizon_months']} months .* {total} +{low} to {high} ", said)
    reasons = [row["choice_reason"] for row in rows_of(ran.lake, "purchase_model", month) if row["role"] == "chosen"]
    assert " ".join(reasons[0].split()) in " ".join(said.split())
    assert "nan" not in said.lower().split()
    assert os.linesep.join(said.splitlines()[-5:]).count("Report") == 1
    # `make dev` is for the demo's lake, in a checkout.
    assert "dagster dev -m cltv_assets.definitions" in said
    assert "make dev" not in said


def test_scenarios_of_a_month(ran: Ran, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = {path: path.stat().st_mtime_ns for path in ran.lake.rglob("*")}
    asked = ("--discount-rate", "0.3", "--margin", "0.25", "--horizon", "2", "--horizon", "24")
    file = tmp_path / "out.csv"
    assert code_of("scenario", "--config", str(config), "--month", "2011-04", *asked, "--to", str(file)) == 0
    said = capsys.readouterr().out
    rate, margin = ran.settings.annual_discount_rate, ran.settings.gross_margin
    assert f"Configured: annual_discount_rate {rate:g}, gross_margin {margin:g}, horizons_months 1, 2." in said
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    base = {
        (row["configured"], row["horizon_months"]): row
        for row in rows
        if (row["scheme"], row["segment"]) == ("all", "all")
    }
    assert set(base) == {(configured, h) for configured in ("True", "False") for h in ("2", "24")}
    # By the configured ones it is what the tables have, with the same interval.
    (total,) = (
        row for row in rows_of(ran.lake, "segment_summary", "2011-04")
        if row["scheme"] == "all" and row["horizon_months"] == 2
    )  # fmt: skip
    for name in ("purchases", "value"):
        for end in ("", "_low", "_high"):
            wanted = total[f"expected_{name}{end}"]
            assert float(base["True", "2"][f"expected_{name}{end}"]) == pytest.approx(wanted, rel=1e-6, abs=0.01)
    predictions = rows_of(ran.lake, "cltv_predictions", "2011-04")
    value = sum(row["cltv_2m"] for row in predictions)
    assert float(base["True", "2"]["expected_value"]) == pytest.approx(value, rel=1e-9)
    # A quarter of the spend, discounted by more: less than a quarter of the spend's configured value.
    assert float(base["False", "24"]["expected_value"]) < 0.25 / margin * float(base["True", "24"]["expected_value"])
    for row in base.values():
        shown = (f"{float(row[f'expected_value{end}']):,.0f}" for end in ("", "_low", "_high"))
        said_of = (f"{float(row[name]):g}" for name in ("discount_rate", "gross_margin", "horizon_months"))
        pattern = "{} +{} +{} +all ".format(*map(re.escape, said_of))
        assert re.search(pattern + ".* {} +{} to {}".format(*shown), said)
    assert sum(row["segment"] == "champions" for row in rows) == 4
    assert {path: path.stat().st_mtime_ns for path in ran.lake.rglob("*")} == lake


def test_scenarios_refuse_what_they_cannot_read(
    ran: Ran, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("scenario", "--config", str(config), "--month", "2011-09") == 4
    assert "2011-09" in capsys.readouterr().err
    assert code_of("scenario", "--config", str(config), "--to", "out.txt") == 2
    assert ".csv" in capsys.readouterr().err
    for option, value in (("--discount-rate", "-0.1"), ("--margin", "40"), ("--horizon", "0"), ("--horizon", "61")):
        assert code_of("scenario", "--config", str(config), option, value) == 2
        assert option in capsys.readouterr().err


def test_summary_of_horizons_that_different_models_predicted(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = {"total_predicted": 110.0, "total_actual": 100.0, "relative_bias": 0.1, "mae": 0.5}
    rows = [
        {"origin_month": origin, "horizon_months": h, "target": target, "customers": 9}
        | {"model_name": name, "metric": metric, "value": value * h}
        for origin, h, model in ((dt.date(2011, 3, 1), 1, "mbg_nbd"), (dt.date(2011, 2, 1), 2, "bg_nbd"))
        for target in ("purchases", "revenue")
        for name in (f"{model}+gamma_gamma", "naive_rate")
        for metric, value in metrics.items()
    ]
    made = pa.Table.from_pylist(rows, schema=HOLDOUT_EVALUATION.arrow)
    reader = SimpleNamespace(engine=SimpleNamespace(collect=lambda table: table), month=lambda *_: made)
    summary.show_holdout(open_console(at_least=110), reader, Month.parse("2011-04"))
    said = capsys.readouterr().out
    assert re.search(r"2011-03-31, 1 months ahead +purchases +110 +100 +\+10.0%", said)
    assert re.search(r"2011-02-28, 2 months ahead +revenue +220 +200 +\+20.0%", said)


def test_doctor_of_a_lake_in_use(ran: Ran, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cltv.yaml"
    source = {"path": str(ran.settings.home / "shop")}
    path.write_text(yaml.safe_dump(values_in(lake_uri=str(ran.lake), source=source)), encoding="utf-8")
    assert code_of("doctor") == 0
    said = capsys.readouterr().out
    assert "4 files" in said
    assert "holds 4 of 4 months" in said
    assert "Nothing is wrong." in said
