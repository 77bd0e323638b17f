"""``cltv sql``: what it shows, and that it reads the lake's tables and nothing else."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from cltv_assets.cli.analysis import printing
from cltv_assets.cli.analysis.asking import asked
from cltv_assets.cli.analysis.published import published_tables
from cltv_assets.errors import QueryError
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.tables import lake_schemas
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.e2e.ran import Ran
from cltv_assets_tests.e2e.reading import rows_of
from cltv_assets_tests.e2e.running import cltv, values_in, write_config

Said = pytest.CaptureFixture[str]
#: Sets a colour, the window's title, and begins a sequence in one character; beside it Rich's markup.
HOSTILE = "\x1b[31mred\x1b]0;title\x07\x9b2J [bold]plain[/bold] [/]"
SPELLED = r"\x1b[31mred\x1b]0;title\x07\x9b2J [bold]plain[/bold] [/]"
AS_SQL = "'" + HOSTILE + "'"


@pytest.fixture
def config(ran: Ran, tmp_path: Path) -> Path:
    """Settings that name the lake which has run."""
    path = tmp_path / "elsewhere.yaml"
    path.write_text(yaml.safe_dump(values_in(lake_uri=str(ran.lake))), encoding="utf-8")
    return path


@pytest.fixture
def told(config: Path, capsys: Said) -> Callable[..., str]:
    """Run the command and return what it printed."""

    def run(*arguments: str) -> str:
        code = code_of("sql", "--config", str(config), *arguments)
        said = capsys.readouterr()
        assert (code, said.err) == (0, "")
        return said.out

    return run


@pytest.fixture
def refused(config: Path, capsys: Said) -> Callable[..., str]:
    """Run the command and return the one paragraph with which it ended."""

    def run(*arguments: str, code: int = 2) -> str:
        assert code_of("sql", "--config", str(config), *arguments) == code
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
        return said.err

    return run


def lake_files(lake: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in lake.rglob("*") if path.is_file()}


def test_every_table_and_its_newest_month_are_there(ran: Ran, told: Callable[..., str]) -> None:
    names = [schema.name for schema in lake_schemas((1, 2))]
    counts = " UNION ALL ".join(
        f"SELECT '{name}' AS name, count(*) AS n, max(month) AS newest FROM {prefix}{name}"
        for name in names
        for prefix in ("", "current_")
    )
    rows = json.loads(told(counts, "--format", "json"))
    assert len(rows) == 2 * len(names)
    for name in names:
        every, newest = ([row["n"] for row in rows if row["name"] == name]) if name != "refused_lines" else (0, 0)
        assert every == (len(rows_of(ran.lake, name)) if name != "refused_lines" else 0)
        assert newest == (len(rows_of(ran.lake, name, "2011-04")) if name != "refused_lines" else 0)
    assert {row["newest"] for row in rows} == {"2011-04-01", None}


def test_the_newest_month_may_have_no_rows(ran: Ran, tmp_path: Path, capsys: Said) -> None:
    shutil.copytree(ran.lake, tmp_path / "copy")
    table = Lake(str(tmp_path / "copy")).table(PURCHASE_DAYS)
    with table.begin(Month.parse("2011-05")) as staging:
        staged = staging.seal()
    table.publish(staged)
    path = write_config(tmp_path, lake_uri=str(tmp_path / "copy"), end_month="2011-05")
    question = (
        "SELECT (SELECT count(*) FROM current_purchase_days) AS now, (SELECT count(*) FROM purchase_days) AS ever, "
        "newest_month FROM lake_tables WHERE table_name = 'purchase_days'"
    )
    assert code_of("sql", question, "--format", "json", "--config", str(path)) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row == {"now": 0, "ever": len(rows_of(ran.lake, "purchase_days")), "newest_month": "2011-05-01"}


#: ``{file}`` is a file of the lake, ``{out}`` one that is not there.
FORBIDDEN = [
    "COPY (SELECT 1) TO '{out}'",
    "COPY (SELECT 1) TO '{file}' (FORMAT parquet, USE_TMP_FILE false)",
    # DuckDB says that these are a SELECT and an EXPLAIN.
    "WITH x AS (COPY (SELECT 1) TO '{file}' (FORMAT parquet, USE_TMP_FILE false)) SELECT * FROM x",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}' (FORMAT parquet, USE_TMP_FILE false)",
    "WITH x AS (INSERT INTO purchase_days SELECT * FROM purchase_days RETURNING *) SELECT * FROM x",
    "COPY (PIVOT purchase_days ON month USING count(*)) TO '{file}' (FORMAT parquet, USE_TMP_FILE false)",
    "CREATE TABLE mine AS PIVOT purchase_days ON month USING count(*)",
    "ATTACH '{out}' AS other",
    "ATTACH ':memory:' AS other",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM read_parquet('{file}')",
    "SELECT * FROM read_parquet('https://example.com/x.parquet')",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET threads = 1",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "SET VARIABLE x = 1",
    "PRAGMA enable_profiling",
    "CALL pragma_version()",
    "EXPORT DATABASE '{out}'",
    "CREATE TABLE mine (a INT)",
    "DROP VIEW purchase_days",
    "DELETE FROM purchase_days",
    "UPDATE purchase_days SET spend = 0",
    "SELECT 1; DROP VIEW purchase_days",
    "",
    "-- nothing but a comment",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_what_does_more_than_read_the_lake_is_refused(
    ran: Ran, tmp_path: Path, statement: str, refused: Callable[..., str]
) -> None:
    before = lake_files(ran.lake)
    file = next(name for name in before if "purchase_days" in name and name.endswith(".parquet"))
    (tmp_path / "q.sql").write_text(statement.format(file=file, out=tmp_path / "out"), encoding="utf-8")
    refused("-f", str(tmp_path / "q.sql"))
    assert lake_files(ran.lake) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere.yaml", "q.sql"]


def test_a_variable_of_this_program_is_no_table(ran: Ran) -> None:
    frame = pd.DataFrame({"a": [1]})
    lake = Lake(ran.settings.lake_root)
    with (
        pytest.raises(QueryError, match="frame does not exist"),
        asked("SELECT * FROM frame", published_tables(ran.settings, lake), lake.storage, "1GB"),
    ):
        pass
    assert len(frame) == 1


@pytest.mark.parametrize(
    "question",
    [
        "FROM purchase_days",
        "DESCRIBE purchase_days",
        "SUMMARIZE purchase_days",
        "SHOW TABLES",
        "EXPLAIN SELECT 1",
        "PIVOT purchase_days ON month USING sum(spend) GROUP BY order_count;",
        "WITH p AS (PIVOT purchase_days ON month USING sum(spend)) SELECT * FROM p -- done",
        "VALUES (1)",
    ],
)
def test_every_way_to_look_works(told: Callable[..., str], question: str) -> None:
    assert json.loads(told(question, "--format", "json"))


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (
            "SELECT *\nFROM purchase_dys",
            ("Line 2, column 6: ", "Did you mean purchase_days?", "rfm_summary, ", "lake_t"),
        ),
        (
            "SELECT p_alive,\n  cltv\nFROM current_cltv_predictions",
            ("Line 2, column 3: ", "cltv_2m", "value_segment, "),
        ),
        ("SELECT count(*) FORM purchase_days", ("Line 1, column ", "syntax error")),
        ("SELECT customer_id::INT FROM purchase_days", ("Line 1, column 19: ", "TRY_CAST")),
        ("SELECT nope(1)", ("Line 1, column 8: ", "nope does not exist")),
        ('SELECT * FROM "no\x1b[31m"', (r"no\x1b[31m",)),
        ("SELECT ?", ("Values were not provided",)),
    ],
)
def test_errors_name_the_place_and_what_there_is(
    tmp_path: Path, refused: Callable[..., str], question: str, said: tuple[str, ...]
) -> None:
    text = refused(question)
    assert text.startswith("cltv: ")
    assert "\x1b" not in text
    for part in said:
        assert part in text


def test_an_error_in_a_late_row_leaves_no_file(tmp_path: Path, refused: Callable[..., str]) -> None:
    late = "SELECT CASE WHEN i = 900000 THEN 'x' ELSE '1' END::INT AS n FROM range(1000000) t(i)"
    for name in ("out.csv", "out.parquet"):
        assert "Could not convert string 'x'" in refused(late, "--to", str(tmp_path / name))
    assert "Could not convert string 'x'" in refused(late)
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere.yaml"]


def test_a_file_of_the_lake_that_is_gone(ran: Ran, tmp_path: Path, capsys: Said) -> None:
    shutil.copytree(ran.lake, tmp_path / "copy")
    path = write_config(tmp_path, lake_uri=str(tmp_path / "copy"))
    next((tmp_path / "copy" / "purchase_days").glob("month=2011-02*/*.parquet")).unlink()
    assert code_of("sql", "SELECT sum(spend) FROM purchase_days", "--config", str(path)) == 4
    assert "is missing; its " in capsys.readouterr().err
    # The newest month has its file.
    assert code_of("sql", "SELECT sum(spend) FROM current_purchase_days", "--config", str(path)) == 0


def test_foreign_text_does_not_steer_the_terminal(told: Callable[..., str]) -> None:
    question = f'SELECT {AS_SQL} AS "[red]\x1b[1m", {AS_SQL} || chr(8238) AS other, [{AS_SQL}] AS list'
    table = told(question)
    assert "[red]\\x1b[1m" in table
    # A column is cut at sixty characters.
    assert f"\n{SPELLED}  {SPELLED}" in table
    assert "x\\u202ey" in told("SELECT 'x' || chr(8238) || 'y' AS text")
    assert not set(table) & set("\x1b\x07\x9b\u202e")
    as_json = told(question, "--format", "json")
    assert not set(as_json) & set("\x1b\x07\x9b\u202e")
    assert json.loads(as_json) == [{"[red]\x1b[1m": HOSTILE, "other": f"{HOSTILE}\u202e", "list": [HOSTILE]}]


def test_csv_is_faithful_in_a_file_and_visible_on_a_terminal(
    told: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = f"SELECT {AS_SQL} AS text, 1.5 AS n"
    told(question, "--to", str(tmp_path / "out.csv"))
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == f'"text","n"\n"{HOSTILE}",1.5\n'
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(printing.sys, "stdout", terminal)
    told(question, "--format", "csv")
    assert terminal.buffer.getvalue().decode() == f'"text","n"\n"{SPELLED}",1.5\n'  # type: ignore[attr-defined]


def test_the_printed_table(told: Callable[..., str]) -> None:
    question = (
        "SELECT i AS n, 2011 AS year, 0.5::DOUBLE AS p, 1234.5::DECIMAL(18, 4) AS money, 'é日' AS name, NULL AS x "
    )
    said = told(question + "FROM range(7) t(i) ORDER BY i", "--limit", "2")
    assert said.splitlines() == [
        "n  year       p    money  name  x",
        "─  ────  ──────  ───────  ────  ─",
        "0  2011  0.5000  1234.50  é日",
        "1  2011  0.5000  1234.50  é日",
        "7 rows, of which the first 2 are shown (--limit, or --to FILE for all)",
    ]
    assert told("SELECT 1 AS a, 2 AS a").splitlines() == ["a  a", "─  ─", "1  2", "1 row"]
    assert told("SELECT 1 AS a WHERE false").splitlines() == ["a", "─", "0 rows"]


def test_files_hold_all_rows(ran: Ran, told: Callable[..., str], tmp_path: Path) -> None:
    rows = rows_of(ran.lake, "purchase_days")
    question = "SELECT * FROM purchase_days ORDER BY customer_id, purchase_day"
    said = told(question, "--to", str(tmp_path / "new" / "out.parquet"), "--limit", "1")
    assert said == f"{len(rows)} rows written to {tmp_path}/new/out.parquet\n"
    expected = sorted(rows, key=lambda row: (row["customer_id"], row["purchase_day"]))
    assert pq.read_table(tmp_path / "new" / "out.parquet").to_pylist() == expected
    told(question, "--to", str(tmp_path / "out.csv"))
    read = pd.read_csv(tmp_path / "out.csv", dtype=str)
    assert list(read.customer_id) == [row["customer_id"] for row in expected]
    assert list(read.spend) == [str(row["spend"]) for row in expected]


def test_ways_to_give_the_question(
    ran: Ran, config: Path, tmp_path: Path, told: Callable[..., str], refused: Callable[..., str]
) -> None:
    (tmp_path / "q.sql").write_text("-- a comment\nSELECT 42 AS n;\n", encoding="utf-8")
    assert json.loads(told("-f", str(tmp_path / "q.sql"), "--format", "json")) == [{"n": 42}]
    done = cltv("sql", "-", "--config", str(config), "--format", "csv", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "There is no statement" in done.stderr
    for arguments, part in (
        ((), "must be one question"),
        (("SELECT 1", "-f", str(tmp_path / "q.sql")), "two questions"),
        (("-f", str(tmp_path / "none.sql")), "none.sql cannot be read"),
        (("SELECT 1", "--format", "xml"), "--format xml"),
        (("SELECT 1", "--to", "out.xlsx"), "out.xlsx"),
        (("SELECT [1] AS a", "--format", "csv"), "CSV: a"),
        (("SELECT [1] AS a", "--to", str(tmp_path / "out.csv")), "CSV: a"),
    ):
        assert part in refused(*arguments)


def test_from_standard_input(told: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 42 AS n"))
    assert json.loads(told("-", "--format", "json")) == [{"n": 42}]


def test_nothing_is_published_yet(tmp_path: Path, capsys: Said) -> None:
    write_config(tmp_path)
    for arguments in (("sql", "SELECT 1"), ("views",)):
        assert code_of(*arguments) == 4
        assert "cltv run" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["cltv.yaml"]
