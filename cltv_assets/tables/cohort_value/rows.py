"""The rows of ``cohort_value``, from the engine's sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa

from cltv_assets.months import Month
from cltv_assets.tables.cohort_value.columns import COHORT_VALUE, NO_PURCHASE, PREDICTED, REALISED
from cltv_assets.tables.cohort_value.predicted import Cohort, Expected, expected_of_cohorts
from cltv_assets.tables.cohort_value.realised import customer_months, first_day, number_of, realised_sums
from cltv_assets.tables.customer_attributes import attributes_of
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.rfm_summary import RFM_SUMMARY

_Row = dict[str, Any]

#: Of a month of age in which nobody of a cohort did anything.
_NOTHING: Mapping[str, Any] = {"active": 0, "orders": 0, "purchases": 0, "revenue": Decimal(0), "margin": Decimal(0)}


def make(run: MonthRun) -> ir.Table:
    """Return ``cohort_value``: all cohorts at all ages, and what is expected of them where there are predictions."""
    return run.engine.from_arrow(pa.Table.from_pylist(cohort_rows(run, attributes_of(run)), schema=COHORT_VALUE.arrow))


def cohort_rows(run: MonthRun, attributes: ir.Table | None = None) -> list[_Row]:
    """Return the rows of ``cohort_value``.

    Parameters
    ----------
    run : MonthRun
        With the inputs of the table.
    attributes : ibis table or None
        ``customer_id, attribute, value``: one row for each customer and attribute.
    """
    each = customer_months(
        run.inputs[PURCHASE_DAYS.name], run.inputs[RFM_SUMMARY.name], run.month, run.settings.gross_margin
    )
    if attributes is not None:
        each = run.engine.cache(each)
    sums = run.engine.collect(realised_sums(each, attributes)).to_pylist()
    money = not run.settings.source.counted
    return rows_of(sums, expected_of_cohorts(run, attributes), run.month, run.settings.horizons_months, money=money)


def rows_of(
    sums: Sequence[Mapping[str, Any]],
    expected: Mapping[Cohort, Expected],
    month: Month,
    horizons: Sequence[int],
    *,
    money: bool = True,
) -> list[_Row]:
    """Arrange sums as rows: each cohort at every age up to ``month``, then at each horizon.

    Parameters
    ----------
    sums : sequence of mapping
        Rows of `realised_sums`.
    expected : mapping of Cohort to Expected
        What is expected of cohorts; those that are not there have no predicted rows.
    month : Month
        The last one observed.
    horizons : sequence of int
        Months ahead.
    money : bool
        Whether the source has amounts.
    """
    by_cohort: dict[tuple[str, str, int | None], dict[int, Mapping[str, Any]]] = {}
    for row in sums:
        key = row["attribute"], row["attribute_value"], row["cohort"]
        by_cohort.setdefault(key, {})[row["age"]] = row
    rows = []
    # Those without a purchase come after the cohorts.
    for key in sorted(by_cohort, key=lambda key: (key[0], key[1], key[2] is None, key[2] or 0)):
        attribute, value, cohort = key
        if cohort is None:
            found = [_without_purchase(by_cohort[key][0])]
        else:
            found = _realised(by_cohort[key], number_of(month) - cohort, first_day(cohort), money)
            if (attribute, value, cohort) in expected:
                found += _predicted(found[-1], expected[attribute, value, cohort], horizons)
        rows += [{"attribute": attribute, "attribute_value": value, **row} for row in found]
    return rows


def _realised(ages: Mapping[int, Mapping[str, Any]], now: int, cohort: object, money: bool) -> list[_Row]:
    """Return a row for each age up to ``now``."""
    # Everyone bought something in the month of the first purchase.
    customers = ages[0]["active"] if 0 in ages else 0
    rows: list[_Row] = []
    purchases = 0
    cumulative = {"revenue": Decimal(0), "margin": Decimal(0)}
    for age in range(now + 1):
        row = ages.get(age, _NOTHING)
        purchases += row["purchases"]
        made: _Row = {
            "cohort": cohort,
            "age_months": age,
            "kind": REALISED,
            "customers": customers,
            "active_customers": row["active"],
            "retention": row["active"] / customers if customers else None,
            "orders": row["orders"],
            "purchases": row["purchases"],
            "cumulative_purchases": float(purchases),
        }
        if money:
            for name in cumulative:
                cumulative[name] += row[name]
                made |= {name: row[name], f"cumulative_{name}": cumulative[name]}
            made["cumulative_value_per_customer"] = float(cumulative["margin"] / customers) if customers else None
        rows.append(made)
    return rows


def _without_purchase(row: Mapping[str, Any]) -> _Row:
    """Return the row of customers who have bought nothing: their refunds are in no cohort."""
    made = {name: row[name] for name in ("revenue", "margin")}
    return {
        "age_months": 0,
        "kind": NO_PURCHASE,
        "customers": 0,
        "active_customers": 0,
        "orders": row["orders"],
        "purchases": row["purchases"],
        "cumulative_purchases": float(row["purchases"]),
        **made,
        **{f"cumulative_{name}": amount for name, amount in made.items()},
    }


def _predicted(now: _Row, expected: Expected, horizons: Sequence[int]) -> list[_Row]:
    """Return a row for each horizon, which goes on from the cohort's last realised row."""
    rows = []
    for i, h in enumerate(horizons):
        low, high = (float(end) for end in expected.purchases_ends[i])
        so_far = now["cumulative_purchases"]
        row: _Row = {
            "cohort": now["cohort"],
            "age_months": now["age_months"] + h,
            "kind": PREDICTED,
            "horizon_months": h,
            "customers": now["customers"],
            "expected_purchases": expected.purchases[i],
            "expected_purchases_low": low,
            "expected_purchases_high": high,
            "cumulative_purchases": so_far + expected.purchases[i],
            "cumulative_purchases_low": so_far + low,
            "cumulative_purchases_high": so_far + high,
        }
        if expected.revenue[i] is not None:
            row["expected_value"] = expected.value[i]
            row |= _money("revenue", now, expected.revenue[i], expected.revenue_ends[i])
            row |= _money("margin", now, expected.margin[i], expected.margin_ends[i])
            if now["customers"]:
                row |= {
                    f"cumulative_value_per_customer{end}": float(row[f"cumulative_margin{end}"]) / now["customers"]
                    for end in ("", "_low", "_high")
                    if row.get(f"cumulative_margin{end}") is not None
                }
        rows.append(row)
    return rows


def _money(name: str, now: _Row, expected: Decimal | None, ends: Sequence[float]) -> _Row:
    """Return the columns of expected revenue or margin, and of it with what came so far."""
    so_far = now.get(f"cumulative_{name}")
    row: _Row = {f"expected_{name}": expected}
    row |= {f"expected_{name}_{end}": float(amount) for end, amount in zip(("low", "high"), ends, strict=True)}
    if so_far is None or expected is None:
        return row
    row[f"cumulative_{name}"] = so_far + expected
    return row | {f"cumulative_{name}_{end}": float(so_far) + row[f"expected_{name}_{end}"] for end in ("low", "high")}
