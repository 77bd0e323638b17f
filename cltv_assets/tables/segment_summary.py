"""Totals of all customers and of each segment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cltv_assets.columns import Column, TableSchema
from cltv_assets.figures import wording
from cltv_assets.models.arrays import FloatArray, IntArray
from cltv_assets.months import DAYS_PER_UNIT
from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.common_checks import no_rows
from cltv_assets.tables.fitted_models import chosen_row
from cltv_assets.tables.group_totals import (
    GROUP_KEY,
    counted_for_totals,
    group_totals,
    in_order_for_totals,
    own_errors,
    segment_groups,
)
from cltv_assets.tables.highlights import Highlights
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.purchase_model.reading import (
    predicting_rows,
)
from cltv_assets.tables.quantiles import PURCHASES_POINT, exact_sum, fixed_point
from cltv_assets.tables.segment_movement import (
    TWO_MONTHS,
    customers_before,
    moves_between,
    predictions_of,
    table_of,
    two_months,
)
from cltv_assets.tables.segmentation import ALL, SCHEMES
from cltv_assets.tables.spend_model.columns import SPEND_MODEL
from cltv_assets.tables.table import CUSTOMER_ANALYTICS, ENGINE, PREDICTION, Input, Table


def _expected_total(what: str, meaning: str, unit: str) -> tuple[Column, ...]:
    money = what == "value"
    return (
        Column(f"expected_{what}", "float64", meaning, unit, nullable=money, signed=money),
        Column(
            f"expected_{what}_low",
            "float64",
            "Lower end of its 80 % interval: customers' chance, parameters' uncertainty and the model's own error.",
            unit,
            nullable=money,
            signed=money,
        ),
        Column(f"expected_{what}_high", "float64", "Upper end of that interval.", unit, nullable=money, signed=money),
    )


SEGMENT_SUMMARY = TableSchema(
    "segment_summary",
    "Each segment in total, now and as expected. All customers, the value tiers and the RFM segments: how many "
    "they are, and what they are expected to buy and be worth, with intervals.",
    ("scheme", "segment", "horizon_months"),
    (
        Column("scheme", "string", "'all' for the whole base, 'value' for value tiers, 'rfm' for RFM segments."),
        Column("segment", "string", "Name of the segment; 'all' for the whole base."),
        Column("horizon_months", "int64", "How far ahead.", "months"),
        Column("customers", "int64", "Customers in the segment.", "customers"),
        Column("share_of_customers", "float64", "Share of the base's customers.", "share"),
        *_expected_total("purchases", "Expected purchases of all its customers.", "purchase days"),
        *_expected_total(
            "value", "Expected discounted margin of all its customers; null where no spend model is fitted.", "currency"
        ),
        Column(
            "share_of_value",
            "float64",
            "Share of the base's expected value; 0 where that is not above 0, null where it is not known.",
            "share",
            nullable=True,
            signed=True,
        ),
        Column(
            "customers_before",
            "int64",
            "Customers in the segment a month before; null without that month.",
            "customers",
            nullable=True,
        ),
    ),
)


_Row = dict[str, Any]
_MONEY = ("expected_value", "expected_value_low", "expected_value_high")


def make(run: MonthRun) -> ir.Table:
    """Return ``segment_summary``; empty without predictions."""
    now, before = two_months(run)
    return table_of(run, SEGMENT_SUMMARY, _summary(run, now, moves_between(run, now, before)))


def _summary(run: MonthRun, now: ir.Table, moves: Sequence[_Row]) -> list[_Row]:
    """Return the rows of ``segment_summary``."""
    horizons = run.settings.horizons_months
    unit = DAYS_PER_UNIT[run.settings.time_unit]
    spend = chosen_row(run, SPEND_MODEL.name)
    money = spend["status"] != "not_fitted"
    now = counted_for_totals(now, spend, run.settings.gross_margin)
    groups = run.engine.collect(segment_groups(now, unit, horizons, run.settings.gross_margin))
    if not len(groups):
        return []
    sums = _sums(groups, horizons)
    groups = in_order_for_totals(groups, GROUP_KEY)
    totals = group_totals(run, groups)
    errors = own_errors(predicting_rows(run), spend)
    rows = []
    for scheme, segment, chosen in members(groups):
        before = customers_before(moves, f"from_{scheme}" if scheme != ALL else "from_value")
        count = sum(before.values()) if scheme == ALL else before.get(segment, 0)
        intervals = totals.intervals(chosen, *errors)
        rows += [
            {
                "scheme": scheme,
                "segment": segment,
                "horizon_months": h,
                "customers_before": count if before else None,
                **_expected(sums.get((scheme, segment), {}), h),
                **_interval_columns(intervals, i),
                **({} if money else dict.fromkeys(_MONEY)),
            }
            for i, h in enumerate(horizons)
        ]
    base = {row["horizon_months"]: row for row in rows if row["scheme"] == ALL}
    for row in rows:
        whole = base[row["horizon_months"]]
        row["share_of_customers"] = row["customers"] / whole["customers"]
        value = whole["expected_value"]
        row["share_of_value"] = None if value is None else row["expected_value"] / value if value > 0 else 0.0
    return rows


def members(groups: pa.Table) -> list[tuple[str, str, IntArray]]:
    """Return (scheme, segment, rows of its groups), with the whole base first; segments may be empty."""
    found = [(ALL, ALL, np.arange(len(groups)))]
    for scheme, (column, names) in SCHEMES.items():
        found += [(scheme, name, np.flatnonzero(pc.equal(groups[column], name))) for name in names]
    return found


def _sums(groups: pa.Table, horizons: Sequence[int]) -> dict[tuple[str, str], _Row]:
    """Add up the engine's sums by scheme and segment, as integers and decimals: segments sum to the base exactly."""
    # By Arrow: as NumPy's objects, a million decimals take a second for each column and segment.
    names = ["customers", *(f"{what}_{h}m" for h in horizons for what in ("purchases", "cltv"))]
    wanted = [(name, "sum") for name in names]
    whole = groups.group_by([]).aggregate(wanted).to_pylist()
    found = {(ALL, ALL): whole[0]}
    for scheme, (column, _) in SCHEMES.items():
        found |= {(scheme, row[column]): row for row in groups.group_by(column).aggregate(wanted).to_pylist()}
    return {key: {name: row[f"{name}_sum"] for name in names} for key, row in found.items()}


def _expected(sums: _Row, horizon: int) -> _Row:
    """Return the columns of a segment's sums; a segment without customers has none."""
    return {
        "customers": sums.get("customers", 0),
        "expected_purchases": sums.get(f"purchases_{horizon}m", 0) / PURCHASES_POINT,
        "expected_value": float(sums.get(f"cltv_{horizon}m", 0)),
    }


def _interval_columns(intervals: tuple[FloatArray, FloatArray], horizon_index: int) -> _Row:
    purchases, value = intervals
    found: _Row = {}
    for name, (low, high) in (
        ("expected_purchases", purchases[horizon_index]),
        ("expected_value", value[horizon_index]),
    ):
        found |= {f"{name}_low": float(low), f"{name}_high": float(high)}
    return found


#: Sums are computed as integers and decimals and stored as doubles.
_ROUNDING = 1e-9


def _measures_of_segments_add_up(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    found: dict[str, ir.Scalar] = {}
    predictions = predictions_of(run, 0)
    for h in run.settings.horizons_months:
        here = table.horizon_months == h
        for scheme in (ALL, *SCHEMES):
            where = here & (table.scheme == scheme)
            found[f"customers|{scheme}|{h}"] = table.customers.sum(where=where)
            found[f"purchases|{scheme}|{h}"] = table.expected_purchases.sum(where=where)
            found[f"value|{scheme}|{h}"] = table.expected_value.sum(where=where)
        purchases = fixed_point(predictions[f"expected_purchases_{h}m"], PURCHASES_POINT)
        found[f"customers|predictions|{h}"] = predictions.count().as_scalar()
        found[f"purchases|predictions|{h}"] = purchases.sum().cast("float64").as_scalar()
        found[f"value|predictions|{h}"] = exact_sum(predictions[f"cltv_{h}m"]).as_scalar()
    return found


@check(
    "Customers, purchases and value of each scheme's segments add up to the predictions.",
    measures=_measures_of_segments_add_up,
)
def segments_add_up(values: Values, run: MonthRun) -> Verdict:
    """Promise that the segments of each scheme sum to the base, and the base to the predictions."""
    points = {"customers": 1, "purchases": PURCHASES_POINT, "value": 1}
    wrong = []
    for what, point in points.items():
        for h in run.settings.horizons_months:
            predicted = values[f"{what}|predictions|{h}"]
            wanted = (predicted or 0) / point
            for scheme in (ALL, *SCHEMES):
                summed = values[f"{what}|{scheme}|{h}"]
                found = summed or 0
                # Unknown money adds up to unknown money, not to 0.
                made_up = what == "value" and (summed is None) != (predicted is None)
                if made_up or abs(found - wanted) > _ROUNDING * max(abs(wanted), 1.0):
                    wrong.append(f"{what} of '{scheme}', {h} months: {found:,.4f} for {wanted:,.4f}")
    customers = values[f"customers|predictions|{run.settings.horizons_months[0]}"]
    if wrong:
        return Verdict(False, f"Segments do not add up to the predictions: {'; '.join(wrong[:5])}.")
    return Verdict(True, f"Segments of each scheme add up to {customers:,} predictions.", {"customers": customers})


@no_rows("Low <= high, and no share exceeds 1.")
def intervals_ordered(table: ir.Table, run: MonthRun) -> ir.BooleanValue:
    """Promise that intervals are ordered and that no segment exceeds the base."""
    bad = table.share_of_customers > 1
    if run.settings.source.margin_column is None:
        # Where customers may bring losses, the others are worth more than all together.
        bad = bad | ~table.share_of_value.between(0, 1)
    for name in ("expected_purchases", "expected_value"):
        bad = bad | (table[f"{name}_low"] > table[f"{name}_high"])
    return bad


def month_highlights(run: MonthRun) -> Highlights:
    """Return the expected totals of the whole base with their intervals, by horizon."""
    currency = run.settings.currency
    table = run.inputs[SEGMENT_SUMMARY.name]
    rows = run.engine.collect(table.filter(table.scheme == ALL)).to_pylist()
    numbers: dict[str, object] = {}
    shown = []
    for row in sorted(rows, key=lambda row: int(row["horizon_months"])):
        h = row["horizon_months"]
        for end in ("", "_low", "_high"):
            if row[f"expected_value{end}"] is not None:
                numbers[f"expected_value_{h}m{end}_{currency}"] = round(row[f"expected_value{end}"], 2)
        ends = {what: [row[f"expected_{what}{end}"] for end in ("_low", "_high")] for what in ("purchases", "value")}
        line = {
            "next": wording.months(h),
            "purchases": wording.count(row["expected_purchases"]),
            "80% interval": " to ".join(map(wording.count, ends["purchases"])),
        }
        if row["expected_value"] is not None:
            line[f"value, {currency}"] = wording.amount(row["expected_value"])
            line["80% interval of value"] = " to ".join(map(wording.amount, ends["value"]))
        shown.append(line)
    says = (
        "All customers together: the purchases they are expected to make in the months to come, and what these are "
        f"expected to be worth, discounted margin in {currency}. Four of five outcomes lie within an 80% interval."
        if any(row["expected_value"] is not None for row in rows)
        else "All customers together: the purchases they are expected to make in the months to come. Four of five "
        "outcomes lie within the 80% interval."
    )
    return Highlights(numbers, {"totals": (shown, says)} if shown else {})


TABLE = Table(
    schema=SEGMENT_SUMMARY,
    inputs=lambda _settings: (TWO_MONTHS, Input(PURCHASE_MODEL.name), Input(SPEND_MODEL.name)),
    make=make,
    checks=(segments_add_up, intervals_ordered),
    highlights=month_highlights,
    group=PREDICTION,
    owner=CUSTOMER_ANALYTICS,
    kinds=(ENGINE, "deltalake"),
    renewed={2: "is made from the predictions"},
    half="model",
)
