"""Counts customers by their segments a month ago and now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from cltv_assets.columns import Column, TableSchema
from cltv_assets.figures.svg import png
from cltv_assets.figures.value import movement_figure
from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.highlights import Highlights
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.quantiles import decimal_sum
from cltv_assets.tables.segmentation import GONE, NEW, SCHEMES, VALUE_SEGMENTS, month_rows
from cltv_assets.tables.table import CUSTOMER_ANALYTICS, ENGINE, PREDICTION, Input, Table

SEGMENT_MOVEMENT = TableSchema(
    "segment_movement",
    "Who rose and fell between segments, who is new. Customers by the segment they were in a month before and "
    "are in now.",
    ("scheme", "from_segment", "to_segment"),
    (
        Column("scheme", "string", "'value' for value tiers, 'rfm' for RFM segments."),
        Column("from_segment", "string", "Segment a month before; 'new' for customers without a prediction then."),
        Column("to_segment", "string", "Segment now; 'gone' for customers without a prediction now."),
        Column("customers", "int64", "Customers who made this move.", "customers"),
        *(
            Column(
                name,
                "float64",
                f"Their expected value {when}, longest horizon; null where no spend model was fitted then.",
                "currency",
                nullable=True,
                signed=True,
            )
            for name, when in (("value_before", "a month before"), ("value_now", "now"))
        ),
    ),
)


#: This month's predictions and those of the month before; both may be missing.
TWO_MONTHS = Input("cltv_predictions", 1, 0, holes=True)


_Row = dict[str, Any]


def make(run: MonthRun) -> ir.Table:
    """Return ``segment_movement``; empty without predictions of this month or of the month before."""
    moves = moves_between(run, *two_months(run))
    # Without the month before, nobody can be recognised as new.
    return table_of(run, SEGMENT_MOVEMENT, _movement_rows(moves) if customers_before(moves, "from_value") else [])


def two_months(run: MonthRun) -> tuple[ir.Table, ir.Table]:
    """Return the predictions of this month and of the one before."""
    predictions = run.inputs[TWO_MONTHS.table]
    now, before = run.month.first_day, run.month.shift(-1).first_day
    return month_rows(predictions, now), month_rows(predictions, before)


def table_of(run: MonthRun, schema: TableSchema, rows: Sequence[_Row]) -> ir.Table:
    """Return rows as a table with the columns of ``schema``."""
    return run.engine.from_arrow(pa.Table.from_pylist(list(rows), schema=schema.arrow))


def moves_between(run: MonthRun, now: ir.Table, before: ir.Table) -> list[_Row]:
    """Count customers by their segments of both schemes and months."""
    rows = run.engine.collect(movement(now, before, run.settings.horizons_months[-1])).to_pylist()
    # A fixed order makes a re-run equal.
    return sorted(rows, key=lambda row: (row["from_value"], row["from_rfm"], row["to_value"], row["to_rfm"]))


def customers_before(moves: Sequence[_Row], column: str) -> dict[str, int]:
    """Count last month's customers by segment; empty without that month."""
    found: dict[str, int] = {}
    for row in moves:
        if row[column] != NEW:
            found[row[column]] = found.get(row[column], 0) + row["customers"]
    return found


def _movement_rows(moves: Sequence[_Row]) -> list[_Row]:
    """Return the rows of ``segment_movement``, each scheme in the order of its segments."""
    rows = []
    # Where the spend model is not fitted, what new or gone customers are worth is not known either.
    known = {name: all(move[name] is not None for move in moves) for name in ("value_before", "value_now")}
    for scheme, (_, names) in SCHEMES.items():
        sums: dict[tuple[str, str], list[int]] = {}
        for move in moves:
            total = sums.setdefault((move[f"from_{scheme}"], move[f"to_{scheme}"]), [0, 0, 0])
            for i, name in enumerate(("customers", "value_before", "value_now")):
                total[i] += move[name] or 0
        order = {name: i for i, name in enumerate((*names, NEW, GONE))}
        for (old, new), total in sorted(sums.items(), key=lambda item: (order[item[0][0]], order[item[0][1]])):
            rows.append(
                {
                    "scheme": scheme,
                    "from_segment": old,
                    "to_segment": new,
                    "customers": total[0],
                    "value_before": float(total[1]) if known["value_before"] else None,
                    "value_now": float(total[2]) if known["value_now"] else None,
                }
            )
    return rows


def movement(now: ir.Table, before: ir.Table, horizon: int) -> ir.Table:
    """Count customers by their segments of two months.

    Parameters
    ----------
    now, before : ibis table
        ``cltv_predictions`` of two months.
    horizon : int
        The horizon, in months, whose values are summed.

    Returns
    -------
    ibis table
        ``from_value, from_rfm, to_value, to_rfm`` (`NEW` and `GONE` for a month without a
        prediction), ``customers``, and ``value_before``, ``value_now``, exact decimals, null
        for customers whose predictions have no money.
    """
    value = f"cltv_{horizon}m"
    left = now.select(
        "customer_id",
        to_value="value_segment",
        to_rfm="rfm_segment",
        value_now=now[value],
    )
    right = before.select(
        id_before="customer_id",
        from_value="value_segment",
        from_rfm="rfm_segment",
        value_before=before[value],
    )
    both = left.outer_join(right, left.customer_id == right.id_before)
    rows = both.select(
        from_value=both.from_value.fill_null(NEW),
        from_rfm=both.from_rfm.fill_null(NEW),
        to_value=both.to_value.fill_null(GONE),
        to_rfm=both.to_rfm.fill_null(GONE),
        # Who has no prediction is worth nothing; who has one without money may be worth anything.
        value_now=ibis.ifelse(both.customer_id.isnull(), 0.0, both.value_now),
        value_before=ibis.ifelse(both.id_before.isnull(), 0.0, both.value_before),
    )
    return rows.group_by("from_value", "from_rfm", "to_value", "to_rfm").aggregate(
        customers=rows.count(),
        value_before=decimal_sum(rows.value_before),
        value_now=decimal_sum(rows.value_now),
    )


def _measures_of_everyone_moved(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    found: dict[str, ir.Scalar] = {}
    for scheme in SCHEMES:
        here = table.scheme == scheme
        found[f"now|{scheme}"] = table.customers.sum(where=here & (table.to_segment != GONE))
        found[f"before|{scheme}"] = table.customers.sum(where=here & (table.from_segment != NEW))
    found["now"] = predictions_of(run, 0).count().as_scalar()
    found["before"] = predictions_of(run, 1).count().as_scalar()
    return found


@check("Every customer of both months stands in one row of each scheme.", measures=_measures_of_everyone_moved)
def everyone_moved(values: Values, _run: MonthRun) -> Verdict:
    """Promise that the rows count each customer of this month and of the one before exactly once."""
    now, before = values["now"], values["before"]
    if not before:
        rows = sum(values[f"now|{scheme}"] or 0 for scheme in SCHEMES)
        return Verdict(rows == 0, "No predictions a month before, so no movement is shown.")
    wrong = [
        f"'{scheme}' has {values[f'{end}|{scheme}'] or 0:,} of {wanted:,} customers {end}"
        for scheme in SCHEMES
        for end, wanted in (("now", now), ("before", before))
        if (values[f"{end}|{scheme}"] or 0) != wanted
    ]
    facts = {"customers": now, "customers_before": before}
    if wrong:
        return Verdict(False, f"Customers are missing or doubled: {'; '.join(wrong)}.", facts)
    return Verdict(True, f"{before:,} customers a month before, {now:,} now: each once.", facts)


def predictions_of(run: MonthRun, months_back: int) -> ir.Table:
    """Return the predictions of the month that lies ``months_back`` before this one."""
    table = run.inputs[TWO_MONTHS.table]
    return month_rows(table, run.month.shift(-months_back).first_day)


@dataclass(frozen=True)
class Move:
    """Customers who share the segment they were in a month ago and the one they are in now; values may be unknown."""

    scheme: str
    before: str
    now: str
    customers: int
    value_before: float | None
    value_now: float | None


@dataclass(frozen=True)
class Movement:
    """How customers moved between value tiers in a month, in five numbers."""

    rose: int
    fell: int
    stayed: int
    new: int
    gone: int


@dataclass(frozen=True)
class Moves:
    """The month's rows.

    Parameters
    ----------
    rows : tuple of Move
        Ordered by scheme, the largest first; each has at least one customer.
    """

    rows: tuple[Move, ...]

    @property
    def compared(self) -> bool:
        """Whether there was a month before to compare with."""
        return any(move.before != NEW for move in self.rows)

    @property
    def tiers(self) -> Movement | None:
        """Movement between value tiers in five numbers; None without a month before."""
        if not self.compared:
            return None
        counted = {"rose": 0, "fell": 0, "stayed": 0, "new": 0, "gone": 0}
        for move in self.rows:
            if move.scheme == "value":
                counted[direction(move)] += move.customers
        return Movement(**counted)

    @property
    def into_tiers(self) -> dict[str, dict[str, int]]:
        """Each value tier's current customers by how they came to it, the top tier first."""
        shown = [move for move in self.rows if move.scheme == "value" and move.now != GONE]
        counted: dict[str, dict[str, int]] = {}
        for move in sorted(shown, key=lambda one: (tier_place(one.now), one.now)):
            tier = counted.setdefault(move.now, {})
            tier[direction(move)] = tier.get(direction(move), 0) + move.customers
        return counted


def direction(move: Move) -> str:
    """Return the direction of a move between value tiers: rose, fell, stayed, new or gone."""
    if move.before == NEW:
        return "new"
    if move.now == GONE:
        return "gone"
    before, now = tier_place(move.before), tier_place(move.now)
    return "stayed" if before == now else ("rose" if now < before else "fell")


def tier_place(name: str) -> int:
    """Return a value tier's rank; 0 is the top."""
    return VALUE_SEGMENTS.index(name) if name in VALUE_SEGMENTS else len(VALUE_SEGMENTS)


def moves_of(rows: Sequence[Mapping[str, Any]]) -> Moves:
    """Arrange rows of ``segment_movement``."""
    found = [
        Move(
            row["scheme"],
            row["from_segment"],
            row["to_segment"],
            row["customers"],
            row["value_before"],
            row["value_now"],
        )
        for row in rows
        if row["customers"]
    ]
    return Moves(tuple(sorted(found, key=lambda one: (one.scheme, -one.customers, one.before, one.now))))


def month_highlights(run: MonthRun) -> Highlights:
    """Return who rose and who fell, and where each value tier's customers came from."""
    moves = moves_of(run.engine.collect(run.inputs[SEGMENT_MOVEMENT.name]).to_pylist())
    moved = moves.tiers
    if moved is None:
        return Highlights({"compared": "no month before to compare with"})
    numbers: dict[str, object] = dict(vars(moved))
    if not moved.rose + moved.fell + moved.stayed + moved.new:
        return Highlights(numbers)
    says = (
        "Each bar is all customers of a value tier at the month's end; its parts say how many were in it a month "
        "before, rose or fell into it, or are new."
    )
    return Highlights(numbers, {}, {"movement": (lambda: png(movement_figure(moves.into_tiers)), says)})


TABLE = Table(
    schema=SEGMENT_MOVEMENT,
    # Not one step with segment_summary: ARCHITECTURE.md, "Two tables of one step".
    inputs=lambda _settings: (TWO_MONTHS,),
    make=make,
    checks=(everyone_moved,),
    highlights=month_highlights,
    group=PREDICTION,
    owner=CUSTOMER_ANALYTICS,
    kinds=(ENGINE, "deltalake"),
    renewed={2: "is made from the predictions"},
    half="model",
)
