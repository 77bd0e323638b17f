"""``cltv export``: which rows and columns, harmless texts, and a database file."""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from cltv_assets.cli.whole_file import write_whole
from cltv_assets.settings import Settings
from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.cli.export_contract import CUSTOMERS, Ask, ExportContract, export
from cltv_assets_tests.e2e.ran import Ran
from cltv_assets_tests.e2e.reading import rows_of
from cltv_assets_tests.e2e.running import values_in

Said = pytest.CaptureFixture[str]


@pytest.fixture
def config(ran: Ran, tmp_path: Path) -> str:
    """Settings elsewhere that name the lake which has run."""
    path = tmp_path / "elsewhere.yaml"
    path.write_text(yaml.safe_dump(values_in(lake_uri=str(ran.lake))), encoding="utf-8")
    return str(path)


def test_the_newest_scores_of_some_segments_and_columns(ran: Ran, config: str, tmp_path: Path, capsys: Said) -> None:
    scores = rows_of(ran.lake, "customer_scores", "2011-04")
    rfm, tier = scores[0]["rfm_segment"], scores[0]["value_segment"]
    other = next(row["rfm_segment"] for row in scores if row["rfm_segment"] != rfm)
    for number, (segments, wanted) in enumerate(
        [
            ([rfm], lambda row: row["rfm_segment"] == rfm),
            ([rfm, other], lambda row: row["rfm_segment"] in (rfm, other)),
            # A customer is in one of each kind.
            ([rfm, other, tier], lambda row: row["rfm_segment"] in (rfm, other) and row["value_segment"] == tier),
        ]
    ):
        to = tmp_path / f"{number}.parquet"
        chosen = [part for name in segments for part in ("--segment", name)]
        columns = "p_order_30d, customer_id,month"
        command = ("export", "--config", config, "--table", "customer_scores", "--to", str(to), "--columns", columns)
        assert code_of(*command, *chosen) == 0
        expected = sorted((row["customer_id"], row["p_order_30d"]) for row in scores if wanted(row))
        assert f"{len(expected)} rows of customer_scores of 2011-04 written" in capsys.readouterr().out
        table = pq.read_table(to)
        assert table.column_names == ["p_order_30d", "customer_id", "month"]
        assert list(zip(table["customer_id"].to_pylist(), table["p_order_30d"].to_pylist(), strict=True)) == expected
        assert 0 < len(expected) < len(scores)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--table", "customer_score"), "did you mean 'customer_scores'"),
        (("--segment", "at-risk"), "did you mean 'at risk'?"),
        (("--segment", "best"), "There are top, high, middle, low, champions, loyal"),
        (("--segment", "top", "--table", "rfm_summary"), "rfm_summary has no segments"),
        (("--columns", "customer_id,p_aliv"), "'p_aliv'; did you mean 'p_alive'"),
        (("--columns", "p_alive,p_alive"), "a column twice"),
        (("--delete-missing",), "--delete-missing is for databases"),
        (("--to", "postgresql://me:secret@host/crm"), "holds a password"),
        (("--to", "mysql://me@host/crm?password=secret"), "holds a password"),
        (("--to", "postgresql://me@host"), "names no database"),
        (("--to", "postgresql://me@host:port/crm"), "cannot be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_wrong_options(config: str, tmp_path: Path, capsys: Said, arguments: tuple[str, ...], says: str) -> None:
    to = () if "--to" in arguments else ("--to", str(tmp_path / "out.csv"))
    assert code_of("export", "--config", config, *to, *arguments) == 2
    said = capsys.readouterr().err
    assert says in said
    assert "secret" not in said
    assert not (tmp_path / "out.csv").exists()


TEXTS = ["=1+1", "+49", "-12", "@SUM(A1)", "\tx", "\rx", "'=1", "''-1", "plain", "a=b", "'s-Hertogenbosch", "", None]


def written(tmp_path: Path, name: str, *, raw_text: bool) -> tuple[list[str], int]:
    ids = pa.array(TEXTS, pa.string())
    table = pa.table(
        {"customer_id": ids, "value_change": pa.array([-1.5] * len(ids)), "day": [dt.date(2011, 1, 1)] * len(ids)}
    )
    rows, changed = write_whole(table.to_batches(4), table.schema, Settings(), str(tmp_path / name), raw_text=raw_text)
    assert rows == len(ids)
    if name.endswith(".parquet"):
        assert pq.read_table(tmp_path / name).equals(table)
        return TEXTS, changed
    with (tmp_path / name).open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    # Numbers are no texts: a negative one stays one.
    assert {row["value_change"] for row in found} == {"-1.5"}
    return [row["customer_id"] for row in found], changed


def test_texts_that_a_spreadsheet_would_compute_get_an_apostrophe_that_can_be_taken_away(tmp_path: Path) -> None:
    found, changed = written(tmp_path, "out.csv", raw_text=False)
    assert changed == 8
    for text, made in zip(TEXTS, found, strict=True):
        assert made[:1] not in tuple("=+-@\t\r")
        # Whatever looks like one made harmless was one: taking the apostrophe away gives every text back.
        harmless = made.lstrip("'")[:1] in tuple("=+-@\t\r") and made.startswith("'")
        assert (made[1:] if harmless else made) == (text or "")
    assert written(tmp_path, "raw.csv", raw_text=True) == ([text or "" for text in TEXTS], 0)
    written(tmp_path, "out.parquet", raw_text=False)


def test_the_command_says_how_many_texts_it_changed(tmp_path: Path, config: str, ran: Ran, capsys: Said) -> None:
    command = ("export", "--config", config, "--to", str(tmp_path / "out.csv"))
    assert code_of(*command) == 0
    # This shop has no such ids, and nothing is said of them.
    assert "apostrophe" not in capsys.readouterr().out


class TestDuckDBFile(ExportContract):
    @pytest.fixture
    def target(self, tmp_path: Path) -> str:
        return str(tmp_path / "crm.duckdb")

    @pytest.fixture
    def ask(self, target: str) -> Ask:
        def ask(sql: str) -> list[tuple]:
            with duckdb.connect(target) as connection:
                return connection.execute(sql).fetchall()

        return ask


def test_a_month_goes_into_a_database_and_the_next_one_changes_it(
    ran: Ran, config: str, tmp_path: Path, capsys: Said
) -> None:
    to = tmp_path / "crm.duckdb"
    command = ("export", "--config", config, "--table", "customer_scores", "--to", str(to))
    march, april = (
        {row["customer_id"]: row for row in rows_of(ran.lake, "customer_scores", month)}
        for month in ("2011-03", "2011-04")
    )
    assert code_of(*command, "--month", "2011-03") == 0
    assert f"{len(march)} inserted, 0 changed, 0 the same, 0 others left" in capsys.readouterr().out
    assert code_of(*command) == 0
    assert f"{len(april.keys() - march.keys())} inserted" in capsys.readouterr().out
    with duckdb.connect(to) as connection:
        found = connection.sql("SELECT * FROM customer_scores").to_arrow_table().to_pylist()
    wanted = {
        name: {key: value for key, value in row.items() if key != "month"} for name, row in (march | april).items()
    }
    assert {row["customer_id"]: row for row in found} == wanted
    # The same month again writes nothing: what does not change from month to month has no month beside it.
    assert code_of(*command) == 0
    assert f"0 inserted, 0 changed, {len(april)} the same" in capsys.readouterr().out
    # Only the customers of a segment stay.
    assert code_of(*command, "--segment", "champions", "--columns", "p_alive", "--delete-missing") == 0
    champions = {name for name, row in april.items() if row["rfm_segment"] == "champions"}
    with duckdb.connect(to) as connection:
        assert {
            name for (name,) in connection.execute("SELECT customer_id FROM customer_scores").fetchall()
        } == champions


def test_a_locked_file_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "x.duckdb").write_text("no database")
    with pytest.raises(Exception, match="refuses") as caught:
        export(str(tmp_path / "x.duckdb"), CUSTOMERS)
    assert "Nothing was written" in str(caught.value)
