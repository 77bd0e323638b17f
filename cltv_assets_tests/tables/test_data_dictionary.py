"""The one declaration of columns, and the dictionary made from it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from cltv_assets.columns import Column, TableSchema
from cltv_assets.tables import all_schemas
from cltv_assets.tables.data_dictionary import dictionary, main

ROOT = Path(__file__).parents[2]


def test_the_written_dictionary_is_up_to_date():
    assert (ROOT / "docs/data_dictionary.md").read_text() == dictionary()


def test_a_stale_dictionary_is_noticed(tmp_path, capsys):
    path = tmp_path / "d.md"
    path.write_text(dictionary().replace("customer", "client", 1))
    assert main(["--check", str(path)]) == 1
    assert "make format" in capsys.readouterr().err
    assert main([str(path)]) == 0
    assert main(["--check", str(path)]) == 0


@pytest.mark.parametrize("table", all_schemas([3, 6, 12]), ids=lambda table: table.name)
def test_every_column_says_what_it_means(table):
    assert table.description.endswith(".")
    assert table.grain
    for column in table.columns:
        assert column.meaning.endswith("."), column.name
    assert table.delta.names == [*table.column_names, "month"]
    assert not table.delta.field("month").nullable
    assert "month" not in table.arrow.names


def test_money_is_decimal_in_every_table():
    for table in all_schemas([3]):
        for name in ("amount", "spend", "refunds", "total_spend", "repeat_spend", "total_refunds"):
            if name in table.column_names and table.name not in ("raw_transactions", "rejected_transactions"):
                assert pa.types.is_decimal(table.arrow.field(name).type), (table.name, name)


def test_an_unknown_type_or_grain_is_refused():
    with pytest.raises(ValueError, match="float32"):
        Column("x", "float32", "No.")
    with pytest.raises(ValueError, match="unknown columns"):
        TableSchema("t", "T.", ("y",), (Column("x", "int64", "X."),))
