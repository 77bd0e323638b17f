"""What was spent in a month to win new customers."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa

from cltv_assets.columns import MONEY, Column, TableSchema
from cltv_assets.errors import SourceError
from cltv_assets.files.object_store import ObjectStore
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import storage_of
from cltv_assets.sources.cost_file import CostLine, read_costs
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.common_checks import no_rows
from cltv_assets.tables.highlights import Highlights
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.segmentation import ALL
from cltv_assets.tables.table import DATA_PLATFORM, INGESTION, Input, Table

ACQUISITION_COSTS = TableSchema(
    "acquisition_costs",
    "What was spent in the month to win customers. In all, and for each value of acquisition_costs.attribute. "
    "Empty without acquisition_costs.path, and for a month of which the file has no line.",
    ("attribute", "attribute_value"),
    (
        Column("attribute", "string", "'all', or the attribute of the settings."),
        Column("attribute_value", "string", "Its value as the file has it; 'all' for the sum."),
        Column("spend", MONEY, "What was spent; less than 0 where more was credited.", "currency"),
        Column(
            "new_customers_reported",
            "int64",
            "New customers as the file has them; null where a line of the sum has none.",
            "customers",
            nullable=True,
        ),
    ),
)


def make(run: MonthRun) -> ir.Table:
    """Return what the file has for the month."""
    rows: list[dict[str, Any]] = []
    if run.settings.acquisition_costs.path is not None:
        lines = lines_now(run.settings, run.source.objects)
        rows = rows_of(lines, run.month, run.settings.acquisition_costs.attribute)
        run.notes["lines"] = len(lines)
        run.notes["lines_before_first_month"] = sum(line.month < run.settings.first_month for line in lines)
    return run.engine.from_arrow(pa.Table.from_pylist(rows, schema=ACQUISITION_COSTS.arrow))


def lines_now(settings: Settings, objects: ObjectStore | None) -> list[CostLine]:
    """Return the lines of the file that the settings name.

    Raises
    ------
    SourceError
        If it cannot be read.
    """
    costs = settings.acquisition_costs
    assert costs.path is not None
    storage, path = storage_of(settings.absolute(costs.path), objects)
    return read_costs(storage, path, costs)


def rows_of(lines: Sequence[CostLine], month: Month, attribute: str | None) -> list[dict[str, Any]]:
    """Add up the lines of a month: each value of the attribute, and all."""
    own = [line for line in lines if line.month == month]
    groups: dict[tuple[str, str], list[CostLine]] = {(ALL, ALL): own} if own else {}
    if attribute is not None:
        for line in own:
            groups.setdefault((attribute, str(line.value)), []).append(line)
    rows = []
    for (name, value), group in sorted(groups.items()):
        spend = sum((line.spend for line in group), Decimal(0))
        if abs(spend) >= Decimal(10) ** 14:
            raise SourceError(f"acquisition_costs: {spend:,} were spent in {month}.", "Look for a wrong amount.")
        counts = [line.new_customers for line in group]
        rows.append(
            {
                "attribute": name,
                "attribute_value": value,
                "spend": spend,
                "new_customers_reported": None if None in counts else sum(count or 0 for count in counts),
            }
        )
    return rows


@no_rows(
    "No month has a spend below 0.", "Credits of a month exceed its costs: see whether they are booked in it.", False
)
def spend_positive(table: ir.Table, _run: MonthRun) -> ir.BooleanValue:
    """Warn of credits that exceed costs: nobody is won at a price below 0."""
    return table.spend < 0


def month_highlights(run: MonthRun) -> Highlights:
    """Return what was spent, in all and by value."""
    table = run.inputs[ACQUISITION_COSTS.name]
    rows = run.engine.collect(table.order_by("attribute", "attribute_value")).to_pylist()
    whole = {f"spend_{run.settings.currency}": float(row["spend"]) for row in rows if row["attribute"] == ALL}
    shown = [{**row, "spend": float(row["spend"])} for row in rows if row["attribute"] != ALL]
    currency, by = run.settings.currency, run.settings.acquisition_costs.attribute
    says = (
        f"What was spent in the month to win customers, in {currency}, by {by}, and the new customers that the file "
        "reports, if it does."
    )
    return Highlights(dict(whole), {"by_value": (shown, says)} if shown else {})


TABLE = Table(
    schema=ACQUISITION_COSTS,
    # Nothing of it is read. But whatever starts a month starts at the raw lines, and costs are part of the month.
    inputs=lambda _settings: (Input(RAW_TRANSACTIONS.name),),
    make=make,
    checks=(spend_positive,),
    highlights=month_highlights,
    group=INGESTION,
    owner=DATA_PLATFORM,
    kinds=("csv", "deltalake"),
    half="model",
)
