"""``cltv views``: the file, as any DuckDB client opens it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from cltv_assets.lake import Lake
from cltv_assets.tables import lake_schemas
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.e2e.ran import Ran
from cltv_assets_tests.e2e.reading import OPTIONAL, rows_of
from cltv_assets_tests.e2e.running import write_config

LAKE = "month=2010-01-01/customer_id=above/an analyst's [lake]"
Said = pytest.CaptureFixture[str]


@pytest.fixture
def config(ran: Ran, tmp_path: Path) -> Path:
    """Settings of a copy of the lake that has run; its folder needs quoting, and those above look like partitions."""
    lake = tmp_path / LAKE
    shutil.copytree(ran.lake, lake)
    return write_config(tmp_path, lake_uri=str(lake))


def in_another_process(file: Path, query: str) -> str:
    """Ask plain DuckDB, without this package."""
    program = "import duckdb, sys; print(duckdb.connect(sys.argv[1], read_only=True).sql(sys.argv[2]).fetchall())"
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(file), query], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_plain_duckdb_reads_every_table(ran: Ran, config: Path, tmp_path: Path, capsys: Said) -> None:
    assert code_of("views", "--to", "analysis.duckdb", "--config", str(config)) == 0
    assert "19 tables to 2011-04" in capsys.readouterr().out
    file = tmp_path / "analysis.duckdb"
    for schema in lake_schemas((1, 2)):
        month = "strftime(max(month), '%Y-%m')"
        found = [
            in_another_process(file, f"SELECT count(*), {month} FROM {prefix}{schema.name}")
            for prefix in ("", "current_")
        ]
        if schema.name == "refused_lines" or schema.name in OPTIONAL:
            assert found == ["[(0, None)]"] * 2
            continue
        counts = [len(rows_of(ran.lake, schema.name, month)) for month in (None, "2011-04")]
        assert found == [f"[({count}, '2011-04')]" for count in counts]
    # As other programs see it: types, comments, the partition's column.
    about = "SELECT data_type, comment FROM duckdb_columns() WHERE table_name = 'purchase_days' AND column_name = "
    assert in_another_process(file, f"{about}'month'") == "[('DATE', 'The partition: first day of the month.')]"
    spend = PURCHASE_DAYS.column("spend")
    assert in_another_process(file, f"{about}'spend'") == f"[('DECIMAL(18,4)', '{spend.meaning} (currency)')]"


def test_the_file_shows_one_state_until_it_is_written_again(ran: Ran, config: Path, tmp_path: Path) -> None:
    file = tmp_path / "analysis.duckdb"
    count = "SELECT count(*) FROM purchase_days"
    assert code_of("views", "--config", str(config), "--to", str(file)) == 0
    before = in_another_process(file, count)
    with duckdb.connect(str(file), read_only=True) as open_meanwhile:
        table = Lake(str(tmp_path / LAKE)).table(PURCHASE_DAYS)
        with table.begin(table.months()[-1]) as staging:
            staged = staging.seal()
        table.publish(staged)
        assert in_another_process(file, count) == before
        # Replaced by a rename: who has the old one open keeps it.
        assert code_of("views", "--config", str(config), "--to", str(file)) == 0
        assert str(open_meanwhile.sql(count).fetchall()) == before
    left = len(rows_of(ran.lake, "purchase_days")) - len(rows_of(ran.lake, "purchase_days", "2011-04"))
    assert in_another_process(file, count) == f"[({left},)]"
    assert in_another_process(file, "SELECT count(*) FROM current_purchase_days") == "[(0,)]"
    assert not [path.name for path in tmp_path.iterdir() if ".tmp" in path.name or ".wal" in path.name]


def test_what_is_not_its_own_is_not_replaced(config: Path, tmp_path: Path, capsys: Said) -> None:
    with duckdb.connect(str(tmp_path / "mine.duckdb")) as connection:
        connection.execute("CREATE TABLE precious AS SELECT 1 AS a")
    (tmp_path / "notes.txt").write_text("precious", encoding="utf-8")
    for name, said in (
        ("mine.duckdb", "did not write"),
        ("notes.txt", "cannot be opened"),
        ("s3://bucket/x.duckdb", "is an address"),
        ("notes.txt/x.duckdb", "cannot be written"),
    ):
        assert code_of("views", "--config", str(config), "--to", name) == 2
        assert said in capsys.readouterr().err
    assert in_another_process(tmp_path / "mine.duckdb", "FROM precious") == "[(1,)]"
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "precious"


def test_nobody_sees_half_a_file(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert code_of("views", "--config", str(config)) == 0
    before = Path("analysis.duckdb").read_bytes()
    # Reached only after all views are there.
    monkeypatch.setattr("cltv_assets.cli.analysis.views_file.catalogue", lambda _tables: 1 / 0)
    assert code_of("views", "--config", str(config)) == 70
    assert Path("analysis.duckdb").read_bytes() == before
    assert not [path.name for path in tmp_path.iterdir() if ".tmp" in path.name]
