"""What is expected of cohorts: the predictions' sums, and intervals of the cohorts' totals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from cltv_assets.models.arrays import FloatArray, IntArray
from cltv_assets.months import DAYS_PER_UNIT
from cltv_assets.tables.cltv_predictions.scoring import priced
from cltv_assets.tables.cohort_value.realised import COHORT_KEY, by_attribute
from cltv_assets.tables.fitted_models import chosen_row
from cltv_assets.tables.group_totals import MONEY_WEIGHTS, group_totals, in_order_for_totals, own_errors
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.patterns import MODEL_GROUP
from cltv_assets.tables.purchase_model.reading import predicting_rows
from cltv_assets.tables.quantiles import PURCHASES_POINT, decimal_sum, exact_sum, fixed_point
from cltv_assets.tables.spend_model.columns import SPEND_MODEL

#: What the customers of a row of `predicted_groups` have in common.
GROUP_KEY = ("attribute", "attribute_value", "age_days", "frequency", "recency_days", MODEL_GROUP)
#: Sums of a cohort's money, as the columns of `predicted_groups` begin.
SUMS = ("spend", "margin", "cltv")
#: Beginnings of the columns with the weights of revenue and of margin.
REVENUE, MARGIN = "revenue_", "margin_"

#: Name, value and month number of a cohort.
Cohort = tuple[str, str, int]


@dataclass(frozen=True, eq=False)
class Expected:
    """What is expected of a cohort up to each of H horizons.

    Parameters
    ----------
    purchases : sequence of float, length H
        Purchase days.
    revenue, margin, value : sequence of Decimal or None, length H
        Spend, margin and discounted margin; None where no spend model is fitted.
    purchases_ends, revenue_ends, margin_ends : array of float64, shape (H, 2)
        Their 80 % intervals. Those of money mean nothing where money is None.
    """

    purchases: Sequence[float]
    revenue: Sequence[Decimal | None]
    margin: Sequence[Decimal | None]
    value: Sequence[Decimal | None]
    purchases_ends: FloatArray
    revenue_ends: FloatArray
    margin_ends: FloatArray


def predicted_groups(
    predictions: ir.Table,
    days_per_unit: int,
    horizons: Sequence[int],
    gross_margin: float,
    attributes: ir.Table | None = None,
    *,
    own_margins: bool = True,
) -> ir.Table:
    """Sum predictions by attribute and pattern: all that cohorts' totals and their intervals need.

    Parameters
    ----------
    predictions : ibis table
        ``cltv_predictions`` of one month, as `priced` returns them.
    days_per_unit : int
        Days in the unit of ``recency`` and ``T``.
    horizons : sequence of int
        Horizons, in months.
    gross_margin : float
        For predictions without a margin.
    attributes : ibis table or None
        As in `by_attribute`.
    own_margins : bool
        Whether customers' margins differ, so that the sums of margins need weights of their own.

    Returns
    -------
    ibis table
        `GROUP_KEY`; ``customers``; the sums of `MoneyWeights` with ``revenue_`` before their names, and those of
        margin with ``margin_``; ``purchases_{h}m``, integers in fixed point, and ``spend_{h}m``, ``margin_{h}m`` and
        ``cltv_{h}m``, decimals, null where money is not known.
    """
    share = predictions.gross_margin.fill_null(gross_margin)
    columns: dict[str, ir.Value] = {}
    for h in horizons:
        purchases = predictions[f"expected_purchases_{h}m"]
        spend = predictions[f"expected_spend_{h}m"].fill_null(purchases * predictions.expected_order_value)
        columns[f"purchases_{h}m"] = fixed_point(purchases, PURCHASES_POINT)
        columns |= {f"spend_{h}m": spend, f"margin_{h}m": spend * share, f"cltv_{h}m": predictions[f"cltv_{h}m"]}
    rows = predictions.select(
        "customer_id",
        "frequency",
        "monetary_value",
        "price",
        MODEL_GROUP,
        # Floats are bad keys. For a fixed observation end these days stand for the dates.
        age_days=fixed_point(predictions["T"] * days_per_unit, 1),
        recency_days=fixed_point(predictions.recency * days_per_unit, 1),
        earned=predictions.price * share,
        **columns,
    )
    rows = by_attribute(rows, attributes)
    sums: dict[str, ir.Scalar] = {"customers": rows.count()}
    for before, own in ((REVENUE, rows.price), *(((MARGIN, rows.earned),) if own_margins else ())):
        spent = own * rows.monetary_value
        sums |= {
            f"{before}margins": exact_sum(own, 9),
            f"{before}values": exact_sum(spent),
            f"{before}margin_squares": exact_sum(own * own, 9),
            f"{before}margin_values": exact_sum(own * spent),
            f"{before}value_squares": exact_sum(spent * spent),
        }
    for h in horizons:
        sums[f"purchases_{h}m"] = rows[f"purchases_{h}m"].sum().cast("int64")
        sums |= {f"{name}_{h}m": decimal_sum(rows[f"{name}_{h}m"]) for name in SUMS}
    return rows.group_by(*GROUP_KEY).aggregate(**sums)


def expected_of_cohorts(run: MonthRun, attributes: ir.Table | None = None) -> Mapping[Cohort, Expected]:
    """Return what is expected of each cohort with a prediction; nothing in a month without predictions.

    Parameters
    ----------
    run : MonthRun
        With ``cltv_predictions``, ``purchase_model`` and ``spend_model`` among its inputs.
    attributes : ibis table or None
        As in `by_attribute`.
    """
    settings, spend = run.settings, chosen_row(run, SPEND_MODEL.name)
    horizons, own_margins = settings.horizons_months, settings.source.margin_column is not None
    groups = run.engine.collect(
        predicted_groups(
            priced(run.inputs["cltv_predictions"], spend),
            DAYS_PER_UNIT[settings.time_unit],
            horizons,
            settings.gross_margin,
            attributes,
            own_margins=own_margins,
        )
    )
    if not len(groups):
        return {}
    groups = groups.append_column("cohort", pa.array(_cohorts(run, groups)))
    sums = _sums(groups, horizons)
    weights = [before + name for before in (REVENUE, *([MARGIN] if own_margins else [])) for name in MONEY_WEIGHTS]
    groups = in_order_for_totals(groups, (*GROUP_KEY, "cohort"), weights)
    revenue = group_totals(run, _weighed(groups, REVENUE), discounted=False)
    margin = group_totals(run, _weighed(groups, MARGIN), discounted=False) if own_margins else None
    errors = own_errors(predicting_rows(run), spend)
    found = {}
    for key, chosen in _members(groups).items():
        row = sums[key]
        purchases_ends, revenue_ends = revenue.intervals(chosen, *errors)
        if margin is None:
            # All customers have one margin, so that of the total is as wide as that of revenue.
            margin_ends = revenue_ends * np.array([_share(row, h) for h in horizons])[:, None]
        else:
            margin_ends = margin.intervals(chosen, *errors)[1]
        found[key] = Expected(
            purchases=[row[f"purchases_{h}m"] / PURCHASES_POINT for h in horizons],
            revenue=[row[f"spend_{h}m"] for h in horizons],
            margin=[row[f"margin_{h}m"] for h in horizons],
            value=[row[f"cltv_{h}m"] for h in horizons],
            purchases_ends=purchases_ends,
            revenue_ends=revenue_ends,
            margin_ends=margin_ends,
        )
    return found


def _share(row: Mapping[str, Any], horizon: int) -> float:
    """Return the share of a cohort's expected revenue that is margin; 0 where no money is known."""
    spend = row[f"spend_{horizon}m"]
    return float(row[f"margin_{horizon}m"] / spend) if spend else 0.0


def _cohorts(run: MonthRun, groups: pa.Table) -> IntArray:
    """Return the month number of each group's first purchase."""
    first = np.datetime64(run.month.last_day, "D") - groups["age_days"].to_numpy().astype("timedelta64[D]")
    # NumPy counts months from 1970.
    return np.asarray(first.astype("datetime64[M]").astype(np.int64) + 1970 * 12)


def _weighed(groups: pa.Table, before: str) -> pa.Table:
    """Return groups with the weights that have ``before`` in front of their names as those of the totals."""
    names = {before + name: name for name in MONEY_WEIGHTS}
    kept = ["frequency", "age_days", "recency_days", MODEL_GROUP, "customers", *names]
    return groups.select(kept).rename_columns([names.get(name, name) for name in kept])


def _sums(groups: pa.Table, horizons: Sequence[int]) -> dict[Cohort, dict[str, Any]]:
    """Add up the engine's sums by cohort, as integers and decimals, so that cohorts sum to the base exactly."""
    names = [f"{name}_{h}m" for h in horizons for name in ("purchases", *SUMS)]
    summed = groups.group_by(list(COHORT_KEY)).aggregate([(name, "sum") for name in names])
    return {
        (row["attribute"], row["attribute_value"], row["cohort"]): {name: row[f"{name}_sum"] for name in names}
        for row in summed.to_pylist()
    }


def _members(groups: pa.Table) -> dict[Cohort, IntArray]:
    """Return the rows of each cohort's groups."""
    numbered = groups.select(list(COHORT_KEY)).append_column("row", pa.array(np.arange(len(groups))))
    listed = numbered.group_by(list(COHORT_KEY)).aggregate([("row", "list")])
    return {
        (attribute, value, cohort): np.sort(np.array(rows, dtype=np.int64))
        for attribute, value, cohort, rows in zip(
            *(listed[name].to_pylist() for name in (*COHORT_KEY, "row_list")), strict=True
        )
    }
