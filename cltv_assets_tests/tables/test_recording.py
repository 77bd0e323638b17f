"""What of a table's rows may be recorded: nothing of one customer, and no line as delivered."""

from __future__ import annotations

import pytest

from cltv_assets.dagster_defs.failures import faults_as_failures
from cltv_assets.errors import SourceError
from cltv_assets.tables import lake_schemas
from cltv_assets.tables.recording import places, recordable, recordable_rows

#: Columns that are about a line or a finding, and hold nothing of a customer.
HARMLESS = {"source_file", "source_line", "reason", "table_name", "check_name", "sample", "lines", "rows"}


def test_of_tables_of_customers_and_lines_only_places_and_reasons_are_recorded() -> None:
    schemas = {schema.name: schema for schema in lake_schemas([3, 12])}
    of_customers = {name for name, one in schemas.items() if {"customer_id", "source_line"} & set(one.column_names)}
    assert {"raw_transactions", "rfm_summary", "cltv_predictions", "customer_scores", "refused_lines"} <= of_customers
    for name, schema in schemas.items():
        told = recordable(schema.column_names)
        assert set(told) <= HARMLESS if name in of_customers else told == list(schema.column_names), name


def test_rows_lose_the_rest() -> None:
    row = {"source_file": "a.csv", "source_line": 3, "text": "C-secret", "column": "amount", "customer_id": "C-secret"}
    assert recordable_rows([row]) == [{"source_file": "a.csv", "source_line": 3, "column": "amount"}]
    assert places([row, row]) == " See a.csv line 3 (amount)."
    assert recordable_rows([{"customer_id": "C-secret", "spend": 5}]) == []
    assert places([{"customer_id": "C-secret"}]) == ""
    assert recordable_rows([{"segment": "top", "value": 5}]) == [{"segment": "top", "value": 5}]


def test_what_an_error_quotes_is_not_recorded() -> None:
    error = SourceError("a.csv is odd; see line 3.", "Mend it.", quoted="Line 3 reads 'C-secret'.")
    assert str(error) == "a.csv is odd; see line 3. Line 3 reads 'C-secret'. Mend it."
    with pytest.raises(Exception, match=r"a\.csv is odd") as failed, faults_as_failures():
        raise error
    assert failed.value.description == "a.csv is odd; see line 3. Mend it."  # type: ignore[attr-defined]
    # Dagster records causes with their messages.
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__
