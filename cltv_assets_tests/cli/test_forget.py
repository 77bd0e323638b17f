"""``cltv forget``, ``vacuum`` and ``adopt`` on months that have run."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from cltv_assets.cli import forgetting
from cltv_assets.cli.history import forget_free_pages, shown_in_history
from cltv_assets.cli.runner import run_months
from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets.lake.spellings import Spellings
from cltv_assets.months import Month
from cltv_assets.settings import Settings, load_settings
from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.e2e.reading import contents
from cltv_assets_tests.e2e.running import surroundings, write_config
from cltv_assets_tests.e2e.shop import HEADER, deliver, lines_of_shop, months_of

#: With what HTML, JSON and CSV each write in a way of their own.
ZEBRA = 'ZEBRA-77 & "Söhne"'
MARK = b"ZEBRA-77"
#: Stands on the customer's lines in a column that no setting uses.
NOTE = "leave it with the Lion family"
MONTHS = months_of("2011-01", 2)
#: A command that stops, as by Ctrl-Z, when a month of one table is written and checked, right before it is committed.
STOPPED = """
import os, signal, sys
from cltv_assets.cli import main
from cltv_assets.lake import commit
try_to_commit = commit._try
def stop_and_try(table, staged, *rest):
    if staged.schema.name == "segment_movement":
        os.kill(os.getpid(), signal.SIGSTOP)
    return try_to_commit(table, staged, *rest)
commit._try = stop_and_try
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two months of a shop whose best customer, who is in rejected lines too, has an unmistakable id."""
    home = tmp_path_factory.mktemp("made")
    lines = {
        month: [
            (line[0], ZEBRA, line[2], line[3], "90.00" if line[4].replace(".", "").isdecimal() else line[4], *line[5:])
            if line[1].strip() == "C001"
            else line
            for line in some
        ]
        for month, some in lines_of_shop(MONTHS).items()
    }
    for month, some in lines.items():
        some += [(f"Z{day}", ZEBRA, f"{month}-{day:02} 10:00:00", "1", f"{90 + day}.00") for day in range(3, 28, 3)]
    noted = {
        month: [(*line, NOTE if line[1] == ZEBRA else "") if len(line) == len(HEADER) else line for line in some]
        for month, some in lines.items()
    }
    deliver(home / "shop", noted, header=(*HEADER, "note"))
    settings = load_settings(write_config(home, end_month="2011-02"))
    with pytest.MonkeyPatch.context() as surroundings:
        surroundings.setenv("DAGSTER_HOME", str(home / ".dagster"))
        with open_instance(settings) as instance:
            results = run_months(settings, MONTHS, instance)
    assert [result.errors for result in results] == [[], []]
    return home


@pytest.fixture
def shop(made: Path, tmp_path: Path) -> Path:
    """Return the settings of a copy of these months, with its own lake, source and instance."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "cltv.yaml"


def clean_source(folder: Path) -> None:
    for file in folder.glob("*.csv"):
        with file.open(newline="", encoding="utf-8") as opened:
            rows = [row for row in csv.reader(opened) if ZEBRA not in row]
        with file.open("w", newline="", encoding="utf-8") as opened:
            csv.writer(opened).writerows(rows)


def naming(root: Path, mark: bytes = MARK) -> set[str]:
    """Return the files below a folder that name the customer: their bytes, or values that are packed in them."""
    found = set()
    for file in root.rglob("*"):
        if not file.is_file():
            continue
        content = file.read_bytes()
        named = mark in content
        if file.suffix == ".parquet":
            named = named or mark.decode() in str(pq.read_table(io.BytesIO(content)).to_pydict())
        if named:
            found.add(str(file.relative_to(root)))
    return found


def rows_of(settings: Settings, table: str, month: Month) -> list[dict[str, object]]:
    held = DeltaTable(f"{settings.lake_root}/{table}").to_pyarrow_table(filters=[("month", "=", month.first_day)])
    return [row for row in held.to_pylist() if row.get("customer_id") != ZEBRA]


def test_a_customer_goes_from_everything(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = load_settings(shop)
    before = {month: rows_of(settings, "cltv_predictions", month) for month in MONTHS}
    named = naming(tmp_path / "lake") | naming(tmp_path / ".dagster")
    for part in ("raw_", "cleaned_", "rejected_", "purchase_days", "rfm_", "cltv_predictions", "report.html"):
        assert any(part in name for name in named), f"the search must see {part}"
    # Dagster keeps nothing of a single customer, and nothing that no setting uses.
    assert not naming(tmp_path / ".dagster")
    noted = naming(tmp_path / "lake", NOTE.encode())
    assert noted
    assert all("raw_transactions" in name for name in noted)
    assert not naming(tmp_path / ".dagster", NOTE.encode())

    capsys.readouterr()
    assert code_of("forget", ZEBRA, "--config", str(shop), "--yes") == 3
    said = capsys.readouterr()
    assert "2011-01.csv" in said.err
    assert "Nothing is erased yet" in said.err
    assert naming(tmp_path / "lake") | naming(tmp_path / ".dagster") == named

    assert code_of("forget", ZEBRA, "--config", str(shop), "--dry-run") == 0
    said = capsys.readouterr()
    assert "cltv_predictions: 2 rows in 2 months, 2011-01 to 2011-02" in said.out
    assert naming(tmp_path / "lake") | naming(tmp_path / ".dagster") == named

    clean_source(tmp_path / "shop")
    assert code_of("forget", ZEBRA, "--config", str(shop), "--yes") == 0
    assert "Models stay as they are" in capsys.readouterr().out
    assert naming(tmp_path) == naming(tmp_path, NOTE.encode()) == set()
    assert {month: rows_of(settings, "cltv_predictions", month) for month in MONTHS} == before
    # Nothing became unmade or late, and Dagster still reads its own events.
    assert code_of("status", "--config", str(shop)) == 0, capsys.readouterr().out
    assert code_of("forget", ZEBRA, "--config", str(shop), "--yes") == 0
    assert "tables: no row of the customer" in capsys.readouterr().out


def test_a_crash_is_finished_by_the_next_try(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("forget", ZEBRA, "--config", str(shop), "--yes", "--source-cleaned-later")

    def crash(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(forgetting, "delete_unread", crash)
        assert code_of(*command) == 130
    assert naming(tmp_path / "lake"), "replaced files are still there"
    assert code_of(*command) == 0
    assert naming(tmp_path / "lake") | naming(tmp_path / ".dagster") == set()
    assert naming(tmp_path / "shop"), "the source is its owner's to clean"


def test_a_run_that_goes_on_afterwards(shop: Path, tmp_path: Path) -> None:
    clean_source(tmp_path / "shop")
    command = ["run", "--to", "2011-02", "--from", "2011-02", "--select", "segment_movement", "--config", str(shop)]
    run = subprocess.Popen(
        [sys.executable, "-c", STOPPED, *command],
        env=surroundings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        os.waitid(os.P_PID, run.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert run.poll() is None, run.communicate()[0]
        assert code_of("forget", ZEBRA, "--config", str(shop), "--yes") == 0
    finally:
        run.send_signal(signal.SIGCONT)
        said, _ = run.communicate(timeout=120)
    assert run.returncode != 0
    assert "A customer was erased while this run was making month 2011-02 of table segment_movement" in " ".join(
        said.split()
    )
    assert naming(tmp_path / "lake") | naming(tmp_path / ".dagster") == set()
    # With nothing of ours: no log may name a file that is gone.
    assert all(rows for (name, _), rows in contents(tmp_path / "lake").items() if name == "segment_movement")


def test_events_keep_everything_but_the_rows(shop: Path, tmp_path: Path) -> None:
    index = tmp_path / ".dagster" / "history" / "runs" / "index.db"

    def events() -> list[tuple[object, ...]]:
        with sqlite3.connect(index) as database:
            return database.execute("SELECT * FROM event_logs ORDER BY id").fetchall()

    before = events()
    assert code_of("forget", ZEBRA, "--config", str(shop), "--yes", "--source-cleaned-later") == 0
    assert events() == before


def test_an_empty_id_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("forget", "  ") == 2
    assert "id is empty" in capsys.readouterr().err


def test_vacuum_spares_what_is_young(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = load_settings(shop)
    with open_instance(settings) as instance:
        run_months(settings, MONTHS[:1], instance, ["cleaned_transactions"])
    capsys.readouterr()
    assert code_of("vacuum", "--config", str(shop)) == 0
    assert capsys.readouterr().out.startswith("0 files deleted")


def test_a_lake_is_one_graph_s_until_it_is_handed_over(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shop.read_text()
    shop.write_text(text + "asset_prefix: acme\n")
    assert code_of("run", "--config", str(shop)) == 4
    said = capsys.readouterr().err
    assert "belongs to the graph without a prefix, not to the graph 'acme'" in said
    assert "cltv adopt" in said
    assert code_of("adopt", "--config", str(shop)) == 0
    assert "18 tables" in capsys.readouterr().out
    assert code_of("summary", "--config", str(shop)) == 0
    shop.write_text(text)
    assert code_of("summary", "--config", str(shop)) == 4
    assert "set asset_prefix: acme" in capsys.readouterr().err


def test_one_database_for_all_events_and_another_graph_s_customer() -> None:
    # As on Postgres: no file for each run.
    table = f"| customer_id | spend |\n| --- | --- |\n| {ZEBRA} | 5 |\n| C002 | 6 |"
    ours, others = dg.AssetKey(["acme", "purchase_days"]), dg.AssetKey(["bolt", "purchase_days"])
    with dg.DagsterInstance.ephemeral() as instance:
        for key in (ours, others):
            shown = {"preview": dg.MetadataValue.md(table), "note": ZEBRA, "rows": 2}
            instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata=shown, partition="2011-01"))

        def preview(key: dg.AssetKey) -> str:
            event = instance.get_latest_materialization_event(key)
            assert event is not None
            assert event.asset_materialization is not None
            assert event.asset_materialization.metadata["rows"].value == 2
            return str(event.asset_materialization.metadata["preview"].value)

        assert shown_in_history(instance, {ours}, Spellings(ZEBRA)) == 2, "the event, and the copy beside the asset"
        assert preview(ours) == table
        assert shown_in_history(instance, {ours}, Spellings(ZEBRA), remove=True) == 2
        assert preview(ours) == "| customer_id | spend |\n| --- | --- |\n| C002 | 6 |"
        assert preview(others) == table
        assert shown_in_history(instance, {ours}, Spellings("C00")) == 0
        assert shown_in_history(instance, {ours}, Spellings("C002")) == 2


def test_a_line_that_could_not_be_split_names_the_customer_as_csv_does() -> None:
    key, quoted = dg.AssetKey("raw_transactions"), ZEBRA.replace('"', '""')
    # Markdown has a blank for the line feed of a quoted line break; its carriage return stays.
    lines = [f'| 1,"{quoted}",5,"a\r b | 5 |', f'| 2;"{quoted}";5 | 6 |', "| 3,C002,5,a\r b | 7 |"]
    shown = {"preview": dg.MetadataValue.md("\n".join(["| source_text | source_line |", "| --- | --- |", *lines]))}
    with dg.DagsterInstance.ephemeral() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata=shown, partition="2011-01"))
        assert shown_in_history(instance, {key}, Spellings(ZEBRA), remove=True) == 2
        assert shown_in_history(instance, {key}, Spellings(ZEBRA)) == 0
        event = instance.get_latest_materialization_event(key)
    assert event is not None
    assert event.asset_materialization is not None
    assert str(event.asset_materialization.metadata["preview"].value).split("\n")[2:] == lines[2:]


def test_what_a_database_file_keeps_of_deleted_rows_goes(tmp_path: Path) -> None:
    file = tmp_path / "run.db"
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as database:
        # Some builds of SQLite wipe by themselves.
        database.execute("PRAGMA secure_delete = OFF")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE event_logs (event TEXT)")
        database.execute("INSERT INTO event_logs VALUES (?)", (ZEBRA * 100,))
        database.execute("UPDATE event_logs SET event = 'x'")
    # The daemon or the webserver has it open: else SQLite folds the log back by itself.
    with contextlib.closing(sqlite3.connect(file)) as other:
        other.execute("SELECT * FROM event_logs").fetchall()
        assert naming(tmp_path) == {"run.db"}
        forget_free_pages(str(file))
        assert naming(tmp_path) == set()


def test_temporary_files_of_ended_processes_go_and_those_of_others_are_told_of(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clean_source(tmp_path / "shop")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    working = (
        "import sys\n"
        "from cltv_assets.files.scratch import ScratchFolder, kept_folder\n"
        "scratch = ScratchFolder('landing')\n"
        "for folder in (scratch.path, kept_folder()): (folder / 'lines').write_text('ZEBRA-77')\n"
        "print('there', flush=True); sys.stdin.read(); import os; os._exit(9)"
    )
    # Its folder stays, as that of a killed one does.
    ended = subprocess.run([sys.executable, "-c", working], input="", capture_output=True, text=True, check=False)
    assert ended.returncode == 9, ended.stderr
    left = naming(temporary)
    assert left
    with subprocess.Popen(
        [sys.executable, "-c", working], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "there\n"
        theirs = {name for name in naming(temporary) - left if "kept-" not in name}
        assert theirs
        assert code_of("forget", ZEBRA, "--yes", "--config", str(shop)) == 0
        assert naming(temporary) == theirs
        assert "Other processes of this package run here (1)" in capsys.readouterr().out
        other.communicate()
    assert code_of("forget", ZEBRA, "--yes", "--config", str(shop)) == 0
    assert naming(temporary) == set()
    assert "Other processes" not in capsys.readouterr().out
