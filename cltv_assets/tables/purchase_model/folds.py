"""Holdouts inside the history: what was known at some earlier month ends, and what was bought next.

A month's candidate models are refitted on what was known at earlier month ends and compared with the purchases up to
three months later. Origins are a month apart, so that next month's holdouts are nearly the same ones. All of this lies
within the month's history, so later data never influence the choice of a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from cltv_assets.models.choosing.weighing import HOLDOUTS, MONTHS
from cltv_assets.months import Month

#: The longest length of a holdout in months.
MAX_LENGTH = 3

#: Months of history that an origin needs, its own month included.
MIN_HISTORY = 3


@dataclass(frozen=True)
class Window:
    """A holdout: known up to the end of ``origin``, bought up to the end of ``last``."""

    origin: Month
    last: Month


def windows(first: Month, month: Month, shortest_horizon: int) -> list[Window]:
    """Return the holdouts that fit between the first purchases and a month, newest first.

    Parameters
    ----------
    first : Month
        Month of the first purchase.
    month : Month
        The month whose models are fitted: the newest holdout ends with it.
    shortest_horizon : int
        The shortest horizon of the predictions, in months. Holdouts are as long, but at
        most three months.
    """
    length = min(shortest_horizon, MAX_LENGTH)
    # As far back as the holdouts of the earliest month whose weights count.
    number = (HOLDOUTS - 1) * length + MONTHS
    found = [Window(month.shift(-length - k), month.shift(-k)) for k in range(number)]
    return [window for window in found if window.origin >= first.shift(MIN_HISTORY - 1)]


def in_a_row(periods: Sequence[Window]) -> list[Window]:
    """Return those of `windows` that do not overlap, the newest first."""
    found: list[Window] = []
    for period in periods:
        if not found or period.last <= found[-1].origin:
            found.append(period)
    return found


#: The text of ``purchase_days.attributes`` of the first purchase day; empty without one.
FIRST_ATTRIBUTES = "first_attributes"
#: Digits of a day, which stand before the text while that of the first one is looked for.
_DAY = len("2024-01-31")


def customers_by_fold(days: ir.Table, month: Month, folds: Sequence[Window], *, attributes: bool = False) -> ir.Table:
    """Summarise each customer at every origin, in one pass over the purchase days.

    Parameters
    ----------
    days : ibis table
        ``purchase_days``; rows after ``month`` are ignored.
    month : Month
        The month whose models are fitted.
    folds : sequence of Window
        The holdouts; their order numbers them.
    attributes : bool
        Whether `FIRST_ATTRIBUTES` is wanted, too.

    Returns
    -------
    ibis table
        ``first_purchase`` and for fold k ``days_k`` (purchase days up to the origin),
        ``last_k`` (the last of them), ``bought_k`` (purchase days in the holdout).
    """
    history = days.filter((days.purchase_day <= month.last_day) & (days.order_count > 0))
    day = history.purchase_day
    columns: dict[str, ir.Scalar] = {"first_purchase": day.min()}
    if attributes:
        dated = day.cast("string") + history.attributes.fill_null("")
        columns[FIRST_ATTRIBUTES] = dated.min().substr(_DAY)
    # Holdouts begin and end in the same months, so that there are fewer counts than twice the folds.
    for end in {end: None for fold in folds for end in (fold.origin, fold.last)}:
        # Not a sum of ones: counting takes half the time.
        columns[f"until_{end.key}"] = history.count(where=day <= end.last_day)
    for k, fold in enumerate(folds):
        columns[f"last_{k}"] = day.max(where=day <= fold.origin.last_day)
    each = history.group_by("customer_id").aggregate(**columns)
    # Narrow, because all customers are held.
    found: dict[str, ir.Value] = {name: each[name] for name in ("first_purchase", FIRST_ATTRIBUTES) if name in columns}
    for k, fold in enumerate(folds):
        known, later = each[f"until_{fold.origin.key}"], each[f"until_{fold.last.key}"]
        found |= {
            f"days_{k}": known.cast("int32"),
            f"last_{k}": each[f"last_{k}"],
            f"bought_{k}": (later - known).cast("int32"),
        }
    return each.select(**found)


def fold_groups(customers: ir.Table, folds: int, by: Sequence[str] = ()) -> ir.Table:
    """Count customers by fold, history at its origin and purchases in its holdout, and by the columns ``by``.

    Returns
    -------
    ibis table
        ``fold, frequency, first_purchase, last_purchase, bought``, the columns ``by``, ``customers``.
    """
    parts = []
    for k in range(folds):
        known = customers.filter(customers[f"days_{k}"] > 0)
        rows = known.select(
            fold=ibis.literal(k, "int64"),
            frequency=known[f"days_{k}"] - 1,
            first_purchase=known.first_purchase,
            last_purchase=known[f"last_{k}"],
            bought=known[f"bought_{k}"],
            **{name: known[name] for name in by},
        )
        parts.append(rows.group_by(*FOLD_KEY, *by).aggregate(customers=rows.count()))
    return parts[0] if len(parts) == 1 else ibis.union(*parts)


#: Columns that identify a group.
FOLD_KEY = ("fold", "frequency", "first_purchase", "last_purchase", "bought")


def purchases_by_month(days: ir.Table, month: Month) -> ir.Table:
    """Count purchase days of all customers by calendar month, up to ``month``: ``year, month_of_year, purchases``."""
    history = days.filter((days.purchase_day <= month.last_day) & (days.order_count > 0))
    rows = history.select(year=history.purchase_day.year(), month_of_year=history.purchase_day.month())
    return rows.group_by("year", "month_of_year").aggregate(purchases=rows.count())
