"""One customer goes from every month of a table; everything else stays."""

from __future__ import annotations

import io
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cltv_assets.columns import Column, TableSchema
from cltv_assets.errors import ConcurrentPublishError
from cltv_assets.lake import Lake, LakeTable
from cltv_assets.lake.erasing import erase, holdings, names_customer
from cltv_assets.lake.spellings import Spellings
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.sources.meaning import fold
from cltv_assets_tests.lake.place import Place
from cltv_assets_tests.lake.table_under_test import FEB, JAN, MAR, ORDERS, ROWS, publish, read, rows_of, stage

FOLDED = partial(fold, folding=("trim", "nfc", "casefold"))
#: Nothing else in a lake looks like it.
ZEBRA = "zebra-Ω-77"
MARKED = ZEBRA.encode()


def publish_with_zebra(table: LakeTable, month: object, where: tuple[int, ...]) -> pa.Table:
    """Publish a month of two files in which some rows are the customer's; return the month."""
    rows = rows_of(month, 1)  # type: ignore[arg-type]
    ids = [ZEBRA if i in where else name for i, name in enumerate(rows["customer_id"].to_pylist())]
    rows = rows.set_column(0, "customer_id", pa.array(ids, pa.string())).cast(ORDERS.arrow)
    staging = table.begin(month)  # type: ignore[arg-type]
    for part in (rows.slice(0, ROWS // 2), rows.slice(ROWS // 2)):
        pq.write_table(part, table._storage.path(staging.new_file()), filesystem=table._storage.filesystem)
    table.publish(staging.seal())
    return rows


def holding_bytes(place: Place, root: str) -> set[str]:
    """Return the files whose bytes, or whose values once decoded, name the customer."""
    found = set()
    for file in place.files_below(root):
        content = place.read(file)
        named = MARKED in content
        if file.endswith(".parquet"):
            named = named or ZEBRA in str(pq.read_table(io.BytesIO(content)).to_pydict())
        if named:
            found.add(file)
    return found


def test_rows_go_from_every_month_and_the_others_stay_as_they_were(place: Place, lake: Lake, table: LakeTable) -> None:
    january = publish_with_zebra(table, JAN, (3, 40, 41))
    publish(table, FEB, 2)
    publish_with_zebra(table, MAR, (0,))
    untouched = table.files([FEB])
    found = holdings(lake, [ORDERS], Spellings(ZEBRA))
    assert [(one.month, one.rows) for one in found] == [(JAN, 3), (MAR, 1)]
    assert len(holding_bytes(place, table.uri)) == 3, "the search must see what is there"
    for one in found:
        erase(lake, one, Spellings(ZEBRA))
    assert holdings(lake, [ORDERS], Spellings(ZEBRA)) == []
    kept = [row for row in january.to_pylist() if row["customer_id"] != ZEBRA]
    assert read(table, JAN).to_pylist() == kept, "same rows, same order"
    assert read(table, MAR).num_rows == ROWS - 1
    assert table.row_counts([JAN, FEB, MAR]) == {JAN: ROWS - 3, FEB: ROWS, MAR: ROWS - 1}
    assert table.files([FEB]) == untouched
    table.vacuum(0)
    assert holding_bytes(place, table.uri) == set()


def test_a_month_of_that_customer_alone_becomes_an_empty_one(place: Place, lake: Lake, table: LakeTable) -> None:
    publish_with_zebra(table, JAN, tuple(range(ROWS)))
    for one in holdings(lake, [ORDERS], Spellings(ZEBRA)):
        erase(lake, one, Spellings(ZEBRA))
    assert table.published([JAN]) == {JAN}
    assert table.row_counts([JAN]) == {JAN: 0}
    table.vacuum(0)
    assert holding_bytes(place, table.uri) == set()


def test_no_bound_of_a_column_reaches_the_log(place: Place, lake: Lake, table: LakeTable) -> None:
    # Enough commits for a checkpoint, in which bounds would stand as well.
    for _ in range(21):
        publish_with_zebra(table, JAN, (5,))
    log = f"{table.uri}/_delta_log"
    assert any("checkpoint" in name for name in place.names(log))
    assert holding_bytes(place, log) == set()


def test_whoever_writes_the_month_meanwhile_fails(place: Place, lake: Lake, table: LakeTable) -> None:
    publish_with_zebra(table, JAN, (5,))
    running = stage(table, JAN, 9)
    erase(lake, holdings(lake, [ORDERS], Spellings(ZEBRA))[0], Spellings(ZEBRA))
    with pytest.raises(ConcurrentPublishError):
        table.publish(running)
    assert holdings(lake, [ORDERS], Spellings(ZEBRA)) == []


def test_what_broke_off_is_finished_by_doing_it_again(place: Place, lake: Lake, table: LakeTable) -> None:
    publish_with_zebra(table, JAN, (5,))
    publish_with_zebra(table, FEB, (6,))
    # And here the process is killed, after writing a file.
    erase(lake, holdings(lake, [ORDERS], Spellings(ZEBRA))[0], Spellings(ZEBRA))
    leftover = table.begin(FEB)
    place.write_rows(leftover.new_file(), rows_of(FEB, 1))
    for one in holdings(lake, [ORDERS], Spellings(ZEBRA)):
        erase(lake, one, Spellings(ZEBRA))
    table.vacuum(0)
    assert holding_bytes(place, table.uri) == set()
    assert read(table, FEB).num_rows == ROWS - 1


def test_tables_without_customers_are_left_out(lake: Lake) -> None:
    figures = TableSchema("figures", "No customer in it.", ("n",), (Column("n", "int64", "A number."),))
    assert holdings(lake, [figures], Spellings(ZEBRA)) == []


@pytest.mark.parametrize(
    ("customer", "delivered", "text", "expected"),
    [
        ("17850", "17850", None, True),
        ("17850", " 17850\t", None, True),
        ("17850", "17850.0", None, True),
        ("17850", "178500", None, False),
        ("17850", "17850.5", None, False),
        ("17850", None, None, False),
        ("17850", None, "A1;17850;2024-01-01;1;2;3", True),
        ("17850", None, "A1;178501;2024-01-01", False),
        ("a+b (c)", "a+b (c)", None, True),
        ("a+b (c)", None, "x|a+b (c)|y", True),
        ("a+b", "aab", None, False),
        ('the "x"', None, 'A1,"the ""x""",2024', True),
        ("zebra", "Zebra", None, False),
        ("Zoë", None, r'{"customer":"Zo\u00eb"}', True),
        ("Zoë", None, r'{"customer":"Zo\u00EB"}', True),
        ('the "ö"', None, r'{"customer":"the \"ö\""}', True),
        ("17850", None, "A1;17850.0;2024-01-01;1;2;3", True),
        ("of two lines", None, "A1,of two lines,5", True),
        ("of\ntwo", None, 'A1,"of\r\ntwo",5', True),
        ("zoë", None, "A1,ZOE\u0308,5", True),
    ],
)
def test_what_names_a_customer(customer: str, delivered: str | None, text: str | None, expected: bool) -> None:
    schema = RAW_TRANSACTIONS.arrow
    values = {"customer_id": delivered, "source_text": text, "source_file": "f", "source_line": 1}
    batch = pa.RecordBatch.from_pylist([values], schema=schema)
    assert names_customer(batch, Spellings(customer, FOLDED)).to_pylist() == [expected]
