"""Customers by repeat purchases, counted and as the model has them."""

from __future__ import annotations

from dataclasses import dataclass

from cltv_assets.report.facts.model_view import ModelView, dates
from cltv_assets.report.facts.population import CustomerCounts
from cltv_assets.tables.month_run import MonthRun

#: Repeat purchases counted one by one; the last class takes the rest.
LAST_CLASS = 7


@dataclass(frozen=True)
class Histogram:
    """Customers by repeat purchases, counted and as the model has it.

    Parameters
    ----------
    actual : tuple of int
        Customers with 0, 1, … repeat purchases, the last class with that many or more.
    expected : tuple of float or None
        The same of the model; ``None`` where it is not fitted.
    """

    actual: tuple[int, ...]
    expected: tuple[float, ...] | None


def histogram(run: MonthRun, view: ModelView | None, counts: CustomerCounts) -> Histogram:
    """Count customers by repeat purchases, and let the model do the same.

    The model's count is exact: the sum of P(X(T) = n) over the customers' ages, from
    the same tail probabilities as the prediction intervals, seen from a customer's
    first day (x = 0, T = 0). A truncated fit speaks of customers who came back, so its
    probabilities are those given X(T) >= 1.
    """
    actual = [counts.by_frequency.get(n, 0) for n in range(LAST_CLASS)]
    actual.append(sum(n for frequency, n in counts.by_frequency.items() if frequency >= LAST_CLASS))
    if view is None:
        return Histogram(tuple(actual), None)
    import numpy as np

    from cltv_assets.models.purchase.purchase_model import Patterns, at_least
    from cltv_assets.models.purchase.registry import purchase_model

    customers = np.array(list(counts.by_first_day.values()), dtype=np.float64)
    age = np.zeros(0)
    if len(customers):
        age = view.clock.elapsed(dates(list(counts.by_first_day)), dates([run.month.last_day]))
    # Who came on the last day has had no time: certainly none.
    had_time = age > 0
    ages, weights = age[had_time], customers[had_time]
    n, classes = len(ages), np.arange(1, LAST_CLASS + 1, dtype=np.float64)
    newcomers = Patterns(np.zeros(n * LAST_CLASS, dtype=np.int64), *(np.zeros(n * LAST_CLASS) for _ in range(2)))
    model = purchase_model(view.fit.model_name)
    tail = at_least(
        model, view.fit.usable_parameters(), newcomers, np.repeat(ages, LAST_CLASS), np.tile(classes, n)
    ).reshape(n, LAST_CLASS)
    if view.truncated:
        # A probability of nil to come back would be divided by itself.
        tail = tail / np.maximum(tail[:, :1], np.finfo(float).tiny)
    or_more = np.concatenate(([customers.sum()], weights @ tail))
    return Histogram(tuple(actual), tuple(float(v) for v in or_more - np.append(or_more[1:], 0.0)))
