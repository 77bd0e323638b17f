"""From predictions to totals of the base and its segments, and who moved between them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from cltv_assets.models.sufficient_statistics import FloatArray, IntArray
from cltv_assets.models.value.discounting import discount_factors
from cltv_assets.models.value.totals import CustomerGroups, Totals, model_error, totals_of
from cltv_assets.schemas import (
    PURCHASE_MODEL,
    SEGMENT_MOVEMENT,
    SEGMENT_SUMMARY,
    SPEND_MODEL,
    TableSchema,
    cltv_predictions,
)
from cltv_assets.steps.fit import operational_time, purchase_fit
from cltv_assets.steps.month_run import MonthRun
from cltv_assets.steps.predict import chosen_model
from cltv_assets.transforms import segments
from cltv_assets.transforms.customers import DAYS_PER_UNIT

_Row = dict[str, Any]


def make_summary(run: MonthRun) -> ir.Table:
    """Return ``segment_summary``; empty without predictions."""
    now, before = _months(run)
    return _table(run, SEGMENT_SUMMARY, _summary(run, now, _moves(run, now, before)))


def make_movement(run: MonthRun) -> ir.Table:
    """Return ``segment_movement``; empty without predictions of this month or of the month before."""
    moves = _moves(run, *_months(run))
    # Without the month before nobody is known to be new.
    return _table(run, SEGMENT_MOVEMENT, _movement_rows(moves) if _customers_before(moves, "from_value") else [])


def _months(run: MonthRun) -> tuple[ir.Table, ir.Table]:
    """Return the predictions of this month and of the one before."""
    predictions = run.inputs[cltv_predictions(run.settings.horizons_months).name]
    now, before = run.month.first_day, run.month.shift(-1).first_day
    return segments.month_rows(predictions, now), segments.month_rows(predictions, before)


def _table(run: MonthRun, schema: TableSchema, rows: Sequence[_Row]) -> ir.Table:
    return run.engine.from_arrow(pa.Table.from_pylist(list(rows), schema=schema.arrow))


def _moves(run: MonthRun, now: ir.Table, before: ir.Table) -> list[_Row]:
    """Count customers by their segments of both schemes and months."""
    rows = run.engine.collect(segments.movement(now, before, run.settings.horizons_months[-1])).to_pylist()
    # A fixed order, so that a re-run is equal.
    return sorted(rows, key=lambda row: (row["from_value"], row["from_rfm"], row["to_value"], row["to_rfm"]))


def _customers_before(moves: Sequence[_Row], column: str) -> dict[str, int]:
    """Count last month's customers by segment; empty without that month."""
    found: dict[str, int] = {}
    for row in moves:
        if row[column] != segments.NEW:
            found[row[column]] = found.get(row[column], 0) + row["customers"]
    return found


def _movement_rows(moves: Sequence[_Row]) -> list[_Row]:
    """Return the rows of ``segment_movement``, each scheme in the order of its segments."""
    rows = []
    for scheme, (_, names) in segments.SCHEMES.items():
        sums: dict[tuple[str, str], list[int]] = {}
        for move in moves:
            total = sums.setdefault((move[f"from_{scheme}"], move[f"to_{scheme}"]), [0, 0, 0])
            for i, name in enumerate(("customers", "value_before", "value_now")):
                total[i] += move[name]
        order = {name: i for i, name in enumerate((*names, segments.NEW, segments.GONE))}
        for (old, new), total in sorted(sums.items(), key=lambda item: (order[item[0][0]], order[item[0][1]])):
            rows.append(
                {
                    "scheme": scheme,
                    "from_segment": old,
                    "to_segment": new,
                    "customers": total[0],
                    "value_before": total[1] / segments.MONEY_POINT,
                    "value_now": total[2] / segments.MONEY_POINT,
                }
            )
    return rows


def _summary(run: MonthRun, now: ir.Table, moves: Sequence[_Row]) -> list[_Row]:
    """Return the rows of ``segment_summary``."""
    horizons = run.settings.horizons_months
    unit = DAYS_PER_UNIT[run.settings.time_unit]
    groups = run.engine.collect(segments.segment_groups(now, unit, horizons))
    if not len(groups):
        return []
    # Sums of floats depend on their order; a fixed one makes a re-run equal.
    groups = groups.sort_by([(key, "ascending") for key in segments.GROUP_KEY])
    totals = group_totals(run, groups)
    purchase = chosen_model(run, PURCHASE_MODEL.name)
    error = model_error(purchase["holdout_total_error"], purchase["holdout_folds"])
    rows = []
    for scheme, segment, chosen in _members(groups):
        before = _customers_before(moves, f"from_{scheme}" if scheme != segments.ALL else "from_value")
        count = sum(before.values()) if scheme == segments.ALL else before.get(segment, 0)
        rows += [
            {
                "scheme": scheme,
                "segment": segment,
                "horizon_months": h,
                "customers_before": count if before else None,
                **_sums(groups, chosen, h),
                **_interval_columns(totals.intervals(chosen, error), i),
            }
            for i, h in enumerate(horizons)
        ]
    base = {row["horizon_months"]: row for row in rows if row["scheme"] == segments.ALL}
    for row in rows:
        whole = base[row["horizon_months"]]
        row["share_of_customers"] = row["customers"] / whole["customers"]
        row["share_of_value"] = row["expected_value"] / whole["expected_value"] if whole["expected_value"] else 0.0
    return rows


def _members(groups: pa.Table) -> list[tuple[str, str, IntArray]]:
    """Return (scheme, segment, rows of its groups), the whole base first; segments may be empty."""
    found = [(segments.ALL, segments.ALL, np.arange(len(groups)))]
    for scheme, (column, names) in segments.SCHEMES.items():
        values = np.asarray(groups[column].to_pylist())
        found += [(scheme, name, np.flatnonzero(values == name)) for name in names]
    return found


def _sums(groups: pa.Table, chosen: IntArray, horizon: int) -> _Row:
    """Sum what the engine summed by group: integers, so that segments add up to the base exactly."""

    def total(name: str) -> int:
        return int(groups[name].to_numpy()[chosen].sum())

    return {
        "customers": total("customers"),
        "expected_purchases": total(f"purchases_{horizon}m") / segments.PURCHASES_POINT,
        "expected_value": total(f"cltv_{horizon}m") / segments.MONEY_POINT,
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


def group_totals(run: MonthRun, groups: pa.Table) -> Totals:
    """Return the expectations and variances of ``segment_groups``, by the month's models.

    Parameters
    ----------
    run : MonthRun
        With ``purchase_model`` and ``spend_model`` among its inputs.
    groups : pyarrow.Table
        Rows of ``transforms.segments.segment_groups``.
    """
    purchase, spend = chosen_model(run, PURCHASE_MODEL.name), chosen_model(run, SPEND_MODEL.name)
    horizons = run.settings.horizons_months
    curve = discount_factors(run.settings.annual_discount_rate, run.month, horizons[-1])
    clock = operational_time(purchase, run.settings)
    end = np.datetime64(run.month.last_day, "D")
    first = end - _days(groups, "age_days")
    return totals_of(
        purchase_fit(purchase),
        {name: spend[name] for name in ("p", "q", "v")},
        CustomerGroups(
            frequency=groups["frequency"].to_numpy(),
            recency=clock.elapsed(first, first + _days(groups, "recency_days")),
            T=clock.elapsed(first, end),
            customers=_floats(groups, "customers"),
            value_sum=_floats(groups, "value_sum") / segments.MONEY_POINT,
            value_squares=_floats(groups, "value_squares"),
        ),
        clock.elapsed(end, end + curve.days.astype("timedelta64[D]")),
        curve.factors * run.settings.gross_margin,
        horizons,
        json.loads(spend["log_covariance"]) if spend["log_covariance"] else None,
    )


def _days(groups: pa.Table, name: str) -> np.ndarray[Any, np.dtype[np.timedelta64]]:
    return np.asarray(groups[name].to_numpy(), dtype="timedelta64[D]")


def _floats(groups: pa.Table, name: str) -> FloatArray:
    return np.asarray(groups[name].to_numpy(), dtype=np.float64)
