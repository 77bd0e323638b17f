"""A lake whose files and logs are damaged: the damage is named, and the advised commands mend it."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake import DeltaTable

from cltv_assets.cli.damage import damage_lines
from cltv_assets.cli.reading import open_lake
from cltv_assets.cli.runner import run_months
from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets.months import Month
from cltv_assets.settings import Settings, load_settings
from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.conftest import SHOP_COLUMNS
from cltv_assets_tests.e2e.reading import REPORT, TABLES, contents, differences, rows_of
from cltv_assets_tests.e2e.running import surroundings, write_config
from cltv_assets_tests.e2e.shop import HEADER, deliver, lines_of_shop, months_of

MONTHS = months_of("2011-01", 2)
FIRST, LAST = MONTHS
Said = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``cltv.yaml``, deliveries, an instance and a lake; in the last month every table has rows."""
    home = tmp_path_factory.mktemp("made")
    by_month = lines_of_shop(MONTHS, customers=60)
    lines = {month: [(*line, "mail" if "1" in line[1] else "web") for line in some] for month, some in by_month.items()}
    deliver(home / "shop", lines, header=(*HEADER, "channel"))
    costs = [f"{month},{channel},{i}00.00\n" for i, month in enumerate(MONTHS, 1) for channel in ("mail", "web")]
    (home / "costs.csv").write_text("month,channel,spend\n" + "".join(costs))
    write_config(
        home,
        end_month=LAST.key,
        horizons_months=[1],
        source={"kind": "csv", "path": "shop", "columns": {**SHOP_COLUMNS, "attributes": ["channel"]}},
        acquisition_costs={
            "path": "costs.csv",
            "attribute": "channel",
            "columns": {"month": "month", "spend": "spend", "value": "channel"},
        },
    )
    settings = load_settings(home / "cltv.yaml")
    with open_instance(settings) as instance:
        assert [result.errors for result in run_months(settings, MONTHS, instance)] == [[]] * 2
    assert {name for name, month in contents(home / "lake") if month == LAST.key} >= set(TABLES)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A copy of it, in which the test stands."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def settings(home: Path) -> Settings:
    return load_settings(home / "cltv.yaml")


def file_of(home: Path, table: str, month: Month = LAST) -> Path:
    """Return the one file of a month that the table's newest version names."""
    named = DeltaTable(str(home / "lake" / table)).file_uris()
    (only,) = [uri for uri in named if f"month={month.first_day}" in uri]
    return Path(only)


def delete(home: Path, table: str) -> None:
    file_of(home, table).unlink()


def truncate(home: Path, table: str) -> None:
    content = file_of(home, table).read_bytes()
    file_of(home, table).write_bytes(content[: len(content) // 2])


def empty(home: Path, table: str) -> None:
    file_of(home, table).write_bytes(b"")


def flip(home: Path, table: str) -> None:
    content = bytearray(file_of(home, table).read_bytes())
    # Behind the magic bytes: in the pages of the first column.
    content[8:40] = bytes(byte ^ 0xFF for byte in content[8:40])
    file_of(home, table).write_bytes(bytes(content))


def replace_by_another_month(home: Path, table: str) -> None:
    """Put the first month's rows in place; where it has none, a file of another table."""
    others = sorted((home / "lake" / table).glob(f"month={FIRST.first_day}/*.parquet"))
    shutil.copy(others[0] if others else file_of(home, "raw_transactions", FIRST), file_of(home, table))


def newest_entry(home: Path, table: str) -> Path:
    return max((home / "lake" / table / "_delta_log").glob("*.json"))


def garble(home: Path, table: str) -> None:
    newest_entry(home, table).write_bytes(b'\x00{"add":')


def lose(home: Path, table: str) -> None:
    newest_entry(home, table).unlink()


#: What each kind of damage to a file is called, and whether only its bytes show it.
FILES: dict[Callable[[Path, str], None], tuple[str, bool]] = {
    delete: (r"is missing", False),
    truncate: (r"has [\d,]+ bytes instead of [\d,]+", False),
    empty: (r"is empty, instead of [\d,]+ bytes", False),
    flip: (r"has other bytes than were published", True),
    replace_by_another_month: (r"has [\d,]+ bytes instead of [\d,]+|has other bytes than were published", True),
}


def advised(said: str) -> list[list[str]]:
    """Return the arguments of the commands that a message advises."""
    return [found.split() for found in re.findall(r"To make it again: cltv (.*)", said)]


def assert_mended(made: Path, home: Path, capsys: Said) -> None:
    assert differences(contents(made / "lake"), contents(home / "lake")) == []
    capsys.readouterr()
    assert code_of("verify") == 0, capsys.readouterr().out
    assert code_of("doctor") == 0, capsys.readouterr().out


@pytest.mark.parametrize("damage", FILES)
def test_each_damaged_file_is_named_with_its_month_and_command(
    home: Path, capsys: Said, damage: Callable[[Path, str], None]
) -> None:
    words, bytes_only = FILES[damage]
    before = {table: file_of(home, table).read_bytes() for table in TABLES}
    for table in TABLES:
        path = file_of(home, table)
        damage(home, table)
        assert code_of("verify", "--table", table) == 1
        said = capsys.readouterr().out
        assert re.search(rf"Table {table}, month {LAST}: the file {re.escape(str(path))} ({words}); its ", said), said
        ((*_, last),) = advised(said)
        made_with = "cleaned_transactions" if table == "rejected_transactions" else table
        assert last == (LAST.key if table == "raw_transactions" else f"{made_with}+")
        assert code_of("verify", "--table", table, "--month", FIRST.key) == 0
        path.write_bytes(before[table])
    capsys.readouterr()
    if not bytes_only:
        damage(home, "spend_model")
        assert code_of("status") == 1
        said = capsys.readouterr().out
        assert advised(said)[0][-1] == "spend_model+", said
        assert "in order" not in said
        assert code_of("doctor") == 4
        said = capsys.readouterr().out
        assert "failed  files: Table spend_model, month 2011-02" in said
        assert "Nothing is wrong" not in said


@pytest.mark.parametrize("first", [0, 2])
def test_a_month_of_which_every_file_is_damaged_is_made_again(made: Path, home: Path, capsys: Said, first: int) -> None:
    kinds = list(FILES)
    for number, table in enumerate(TABLES, first):
        kinds[number % len(kinds)](home, table)
    assert code_of("verify") == 1
    commands = advised(capsys.readouterr().out)
    assert commands == [["run", "--from", LAST.key, "--to", LAST.key]]
    assert code_of(*commands[0]) == 0, capsys.readouterr().out
    assert_mended(made, home, capsys)


def test_a_table_is_made_again_from_what_is_kept_without_the_source(made: Path, home: Path, capsys: Said) -> None:
    shutil.rmtree(home / "shop")
    for table in ("purchase_days", "cltv_predictions"):
        delete(home, table)
    # Of a source that is not there nothing can be known.
    assert code_of("status") == 3
    (command,) = advised(capsys.readouterr().out)
    assert command[-2:] == ["--select", "purchase_days+"]
    assert code_of(*command) == 0, capsys.readouterr().out
    assert differences(contents(made / "lake"), contents(home / "lake")) == []
    assert code_of("verify") == 0


READING = {
    "summary": ("summary",),
    "forget": ("forget", "C001", "--dry-run"),
    "export": ("export", "--to", "rows.csv"),
    "sql": ("sql", "SELECT sum(expected_purchases_1m), max(customer_id) FROM current_cltv_predictions"),
    "scenario": ("scenario",),
}


@pytest.mark.parametrize("damage", [delete, truncate, empty, flip], ids=lambda one: one.__name__)
@pytest.mark.parametrize("command", READING)
def test_commands_that_read_a_damaged_file_say_so(
    home: Path, capsys: Said, command: str, damage: Callable[[Path, str], None]
) -> None:
    path = file_of(home, "cltv_predictions")
    damage(home, "cltv_predictions")
    assert code_of(*READING[command]) == 4
    said = capsys.readouterr().err
    assert f"Table cltv_predictions, month {LAST}: the file {path} " in said
    assert f"run cltv run --from {LAST} --to {LAST} --select cltv_predictions+" in said


def test_a_damaged_report_says_so(home: Path, capsys: Said) -> None:
    path = home / "lake" / REPORT / f"month={LAST.first_day}" / "report.html"
    path.write_bytes(path.read_bytes()[:100] + b"\xff\xfe")
    assert code_of("report", "--no-open") == 4
    assert f"cltv run --from {LAST} --to {LAST} --select cltv_report" in capsys.readouterr().err


def test_a_step_that_reads_a_damaged_file_says_so(home: Path, capsys: Said) -> None:
    flip(home, "purchase_days")
    assert code_of("run", "--from", LAST.key, "--select", "rfm_summary") == 1
    said = capsys.readouterr().out
    assert f"Table purchase_days, month {LAST}: the file " in said
    assert f"cltv run --from {LAST} --to {LAST} --select purchase_days+" in said


#: ``cltv``, whose process is killed right after the first commit of a month, before Dagster hears of it.
KILLED = """
import os, signal, sys
from cltv_assets.cli import main
from cltv_assets.lake import LakeTable
LakeTable.rows = lambda _self: os.kill(os.getpid(), signal.SIGKILL)
main(sys.argv[1:])
"""


def test_a_kill_between_commit_and_record_is_told(home: Path, settings: Settings, capsys: Said) -> None:
    with (home / "shop" / f"{LAST}.csv").open("a") as file:
        file.write(f"I99999,C001,{LAST}-03 10:00:00,1,5.00,mail\n")
    run = [sys.executable, "-c", KILLED, "run", "--from", LAST.key]
    killed = subprocess.run(run, cwd=home, env=surroundings(), capture_output=True, timeout=240)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert lines_in(home, "raw_transactions") == lines_in(home, "cleaned_transactions", "rejected_transactions") + 1
    told = f"raw_transactions of {LAST} was published, and Dagster has no record of it: a run was killed between"
    assert code_of("doctor") == 4
    assert f"failed  records: {told}" in capsys.readouterr().out
    assert code_of("status") == 1
    said = capsys.readouterr().out
    assert told in said
    assert "in order" not in said
    (command,) = advised(said)
    assert code_of(*command) == 0, capsys.readouterr().out
    assert lines_in(home, "raw_transactions") == lines_in(home, "cleaned_transactions", "rejected_transactions")
    assert code_of("status") == 0, capsys.readouterr().out
    assert lines_about(settings) == []


def lines_in(home: Path, *tables: str) -> int:
    return sum(len(rows_of(home / "lake", table, LAST.key)) for table in tables)


def test_a_garbled_entry_of_each_log_is_explained_and_repaired(made: Path, home: Path, capsys: Said) -> None:
    for table in TABLES:
        garble(home, table)
        for command in ("status", "doctor", "summary", "verify"):
            if table == "spend_model" or command == "status":
                assert code_of(command) == 4
                said = "".join(capsys.readouterr())
                assert re.search(r"The log of table raw_transactions .*\.json is no whole JSON\. Run cltv repair", said)
    assert code_of("repair") == 0
    said = capsys.readouterr().out
    for table in TABLES:
        assert re.search(rf"{table}: entry \d+\.json is no whole JSON\. Version \d+ stands; \d+\.json moved", said)
        assert list((home / "lake" / table / "_damaged_log").iterdir())
    (command,) = advised(said)
    assert command == ["run", "--from", LAST.key, "--to", LAST.key]
    assert code_of(*command) == 0, capsys.readouterr().out
    assert_mended(made, home, capsys)
    assert code_of("repair") == 0
    assert "nothing to repair" in capsys.readouterr().out


def test_a_lost_entry_of_each_log_is_noticed_by_dagster_s_record(
    made: Path, home: Path, settings: Settings, capsys: Said
) -> None:
    assert lines_about(settings) == []
    for table in TABLES:
        lose(home, table)
        lost = f"Dagster recorded publication 1 of {table} of {LAST}, and the table has none"
        assert any(line.startswith(lost) for line in lines_about(settings))
    assert code_of("status") == 1
    (command,) = advised(capsys.readouterr().out)
    assert code_of(*command) == 0, capsys.readouterr().out
    assert_mended(made, home, capsys)


def test_a_lost_entry_in_the_middle(made: Path, home: Path, capsys: Said) -> None:
    (home / "lake" / "rfm_summary" / "_delta_log" / f"{1:020}.json").unlink()
    assert code_of("status") == 4
    assert "entry 00000000000000000001.json is missing, and 1 later one stands on it" in capsys.readouterr().err
    assert code_of("repair") == 0
    commands = advised(capsys.readouterr().out)
    assert commands == [["run", "--from", FIRST.key, "--to", LAST.key, "--select", "rfm_summary+"]]
    assert code_of(*commands[0]) == 0, capsys.readouterr().out
    assert_mended(made, home, capsys)


def lines_about(settings: Settings) -> list[str]:
    with open_instance(settings) as instance:
        return damage_lines(settings, open_lake(settings), instance)
