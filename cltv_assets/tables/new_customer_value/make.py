"""Makes the table: what new customers are worth now, and what was said so of those of before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa

from cltv_assets.months import Month
from cltv_assets.tables.customer_attributes import attributes_of
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.new_customer_value.cohorts import Cohort, of_month, outcomes
from cltv_assets.tables.new_customer_value.columns import NEW_CUSTOMER_VALUE
from cltv_assets.tables.new_customer_value.estimate import estimates
from cltv_assets.tables.new_customer_value.known import known_at
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.rfm_summary import RFM_SUMMARY

_Row = dict[str, Any]
#: attribute, value, horizon.
_Key = tuple[str, str, int]


def make(run: MonthRun) -> ir.Table:
    """Return ``new_customer_value`` of all customers."""
    return run.engine.from_arrow(
        pa.Table.from_pylist(rows_of(run, attributes_of(run)), schema=NEW_CUSTOMER_VALUE.arrow)
    )


def rows_of(run: MonthRun, attributes: ir.Table | None = None) -> list[_Row]:
    """Return the month's rows.

    Parameters
    ----------
    run : MonthRun
        Its inputs hold the month and the earlier ones that horizons began with.
    attributes : ibis table or None
        What is known of customers: ``customer_id, attribute, value``, long form, with the column ``month`` where months
        differ. A value with enough new customers gets rows of its own.
    """
    known = known_at(run, run.month, attributes)
    if known is None:
        return []
    rows = estimates(known)
    then = _holdouts(run, attributes)
    for row in rows:
        row |= then.get(_key(row), {})
    return rows


def _key(row: Mapping[str, Any]) -> _Key:
    return row["attribute"], row["attribute_value"], row["horizon_months"]


def _holdouts(run: MonthRun, attributes: ir.Table | None) -> dict[_Key, _Row]:
    """Return the columns of the holdout: earlier predictions are made again from the models of their months.

    Nothing that was not known then enters them, and they do not depend on whether this table was made then.
    """
    predicted: dict[int, dict[_Key, _Row]] = {}
    for h in run.settings.horizons_months:
        origin = run.month.shift(-h)
        known = known_at(run, origin, attributes) if origin >= run.settings.first_month else None
        if known is not None:
            predicted[h] = {_key(row): row for row in estimates(known) if row["horizon_months"] == h}
    if not predicted:
        return {}
    cohorts = [
        Cohort(origin, h, acquired)
        for h in predicted
        for origin in [run.month.shift(-h)]
        for acquired in (origin, origin.shift(-h))
    ]
    rfm = of_month(run.inputs[RFM_SUMMARY.name], run.month)
    came = run.engine.collect(outcomes(cohorts, rfm, run.inputs[PURCHASE_DAYS.name], attributes, run.settings))
    brought: dict[tuple[Month, _Key], _Row] = {}
    for row in came.to_pylist():
        cohort = cohorts[row["cohort"]]
        brought[cohort.acquired, (row["attribute"], row["attribute_value"], cohort.months)] = row
    found: dict[_Key, _Row] = {}
    for h, rows in predicted.items():
        origin = run.month.shift(-h)
        for key, said in rows.items():
            actual, before = brought.get((origin, key)), brought.get((origin.shift(-h), key))
            found[key] = _holdout(said, actual, before)
    return found


def _holdout(said: Mapping[str, Any], actual: Mapping[str, Any] | None, before: Mapping[str, Any] | None) -> _Row:
    """Put what was said beside what the cohort, and the one as long before it, then brought on average."""
    if actual is None or not actual["customers"]:
        return {"holdout_customers": 0}
    return {
        "holdout_customers": actual["customers"],
        "holdout_predicted_orders": said["expected_orders"],
        "holdout_actual_orders": 1.0 + actual["purchases"] / actual["customers"],
        "holdout_predicted_value": said.get("expected_value"),
        "holdout_actual_value": _brought(said, actual),
        "holdout_naive_value": _brought(said, before),
    }


def _brought(said: Mapping[str, Any], cohort: Mapping[str, Any] | None) -> float | None:
    """Return the margin that a customer of a cohort brought, at the margin of the prediction; None without amounts."""
    if cohort is None or not cohort["customers"] or cohort["spend"] is None or said["gross_margin"] is None:
        return None
    return float(said["gross_margin"] * cohort["spend"] / cohort["customers"])
