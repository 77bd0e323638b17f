"""Every table of the lake, a module or a small folder for each. No Dagster here.

``TABLES`` is the one list, in the order of the graph. To add a table, write its module
(``table.py`` says what a `Table` holds) and add it here; ARCHITECTURE.md shows how.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cltv_assets.columns import TableSchema
from cltv_assets.tables import (
    acquisition_costs,
    acquisition_payback,
    cleaned_and_rejected,
    cltv_predictions,
    cohort_value,
    customer_attributes,
    customer_scores,
    holdout_evaluation,
    new_customer_value,
    purchase_days,
    purchase_model,
    raw_transactions,
    repeat_customers,
    rfm_summary,
    segment_movement,
    segment_summary,
    spend_model,
)
from cltv_assets.tables.check import Check
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.refused_lines import REFUSED_LINES
from cltv_assets.tables.table import Half, Made, Table

TABLES: tuple[Table, ...] = (
    raw_transactions.TABLE,
    acquisition_costs.TABLE,
    cleaned_and_rejected.CLEANED,
    cleaned_and_rejected.REJECTED,
    purchase_days.TABLE,
    repeat_customers.TABLE,
    rfm_summary.TABLE,
    customer_attributes.TABLE,
    purchase_model.TABLE,
    spend_model.TABLE,
    cltv_predictions.TABLE,
    segment_summary.TABLE,
    segment_movement.TABLE,
    cohort_value.TABLE,
    acquisition_payback.TABLE,
    new_customer_value.TABLE,
    customer_scores.TABLE,
    holdout_evaluation.TABLE,
)


def all_schemas(horizons_months: Sequence[int]) -> tuple[TableSchema, ...]:
    """Return every table's columns, in the order of the graph, for the configured horizons."""
    return tuple(table.schema_for(horizons_months) for table in TABLES)


def lake_schemas(horizons_months: Sequence[int]) -> tuple[TableSchema, ...]:
    """Return every table that the lake keeps: those of the graph, and why months were refused."""
    return (*all_schemas(horizons_months), REFUSED_LINES)


def checks_of(horizons_months: Sequence[int]) -> dict[str, tuple[Check, ...]]:
    """Return every table's checks by its name, for the configured horizons."""
    return {table.name: table.checks_for(horizons_months) for table in TABLES}


def tables_of_half(half: Half) -> tuple[Table, ...]:
    """Return the tables that ``cltv preprocess`` or ``cltv model`` makes, in the order of the graph."""
    return tuple(table for table in TABLES if table.half == half)


def steps() -> list[tuple[Table, ...]]:
    """Return the tables by the step that makes them, in the order of the graph; the one with ``make`` is first."""
    return [
        (table, *(other for other in TABLES if other.made_with == table.name))
        for table in TABLES
        if not table.made_with
    ]


def made_by(table: Table, run: MonthRun) -> Mapping[str, Made]:
    """Make one month of a step: the table with ``make`` and those made with it, by name."""
    assert table.make is not None
    made = table.make(run)
    return made if isinstance(made, Mapping) else {table.name: made}
