"""What pictures of a purchase model need: the model with its clock, and customers by repeat purchases."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt

from cltv_assets.models.choosing.histories import OperationalTime
from cltv_assets.models.mixture import Mixture
from cltv_assets.models.sufficient_statistics import Patterns
from cltv_assets.settings import Settings
from cltv_assets.tables.fitted_rows import FittedModel
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_model.reading import mixture_of, operational_time, predicting
from cltv_assets.tables.rfm_summary import RFM_SUMMARY

#: Repeat purchases counted one by one; the last class takes the rest.
LAST_CLASS = 7


@dataclass(frozen=True, eq=False)
class ModelView:
    """Purchase models that predict together.

    Parameters
    ----------
    mixture : Mixture
        The fitted parameters, with weights.
    clock : OperationalTime
        Measures recency, T and horizons.
    truncated : bool
        Whether it describes only customers who bought often enough to be in a filtered extract.
    """

    mixture: Mixture
    clock: OperationalTime
    truncated: bool


def model_view(models: Sequence[FittedModel], settings: Settings) -> ModelView | None:
    """Return a month's models that predict, the chosen one first; ``None`` where it is not fitted."""
    rows = predicting([one.row for one in models])
    if not rows or rows[0]["status"] == "not_fitted":
        return None
    return ModelView(mixture_of(rows), operational_time(rows[0], settings), bool(rows[0]["truncated"]))


def dates(days: Sequence[dt.date]) -> npt.NDArray[np.datetime64]:
    """Return days as the array that the clock takes."""
    return np.array(days, dtype="datetime64[D]")


@dataclass(frozen=True)
class CustomerCounts:
    """Numbers of customers, grouped as the models' pictures need them.

    Parameters
    ----------
    by_frequency : dict of int to int
        Customers by number of repeat purchases.
    by_first_day : dict of date to int
        Customers by first purchase day.
    """

    by_frequency: dict[int, int]
    by_first_day: dict[dt.date, int]

    @property
    def customers(self) -> int:
        """Number of all customers."""
        return sum(self.by_frequency.values())

    @property
    def repeat_customers(self) -> int:
        """Number of customers with a repeat purchase."""
        return sum(n for frequency, n in self.by_frequency.items() if frequency > 0)


def customer_counts(run: MonthRun) -> CustomerCounts:
    """Count the month's customers in the engine."""
    rfm = run.inputs[RFM_SUMMARY.name]
    return CustomerCounts(_counts(run, rfm, "frequency"), _counts(run, rfm, "first_purchase"))


def _counts(run: MonthRun, table: ir.Table, column: str) -> dict[Any, int]:
    counted = table.group_by(column).aggregate(n=table.count())
    return dict(sorted((row[column], row["n"]) for row in run.engine.collect(counted).to_pylist()))


@dataclass(frozen=True)
class Histogram:
    """Customers by number of repeat purchases, actual and expected.

    Parameters
    ----------
    actual : tuple of int
        Customers with 0, 1, … repeat purchases, the last class with that many or more.
    expected : tuple of float or None
        The same by the model; ``None`` where it is not fitted.
    """

    actual: tuple[int, ...]
    expected: tuple[float, ...] | None


def histogram(run: MonthRun, view: ModelView | None, counts: CustomerCounts) -> Histogram:
    """Count customers by repeat purchases, and compute the counts that the model expects.

    The model's count is exact. It sums P(X(T) = n) over the customers' ages, from the
    same tail probabilities as the prediction intervals, seen from a customer's first
    day (x = 0, T = 0). A truncated fit describes only customers who bought often enough, so its
    probabilities are conditional on X(T) >= k, and exceptions with fewer are in no class of the model's.
    """
    actual = [counts.by_frequency.get(n, 0) for n in range(LAST_CLASS)]
    actual.append(sum(n for frequency, n in counts.by_frequency.items() if frequency >= LAST_CLASS))
    if view is None:
        return Histogram(tuple(actual), None)
    customers = np.array(list(counts.by_first_day.values()), dtype=np.float64)
    customers *= 1.0 - (view.mixture.leading.left_out or 0) / max(customers.sum(), 1.0)
    age = np.zeros(0)
    if len(customers):
        age = view.clock.elapsed(dates(list(counts.by_first_day)), dates([run.month.last_day]))
    # Customers who first came on the last day had no time for a repeat purchase.
    had_time = age > 0
    ages, weights = age[had_time], customers[had_time]
    n = len(ages)
    classes = np.maximum(np.arange(1, LAST_CLASS + 1, dtype=np.float64), view.mixture.leading.bound)
    newcomers = Patterns(np.zeros(n * LAST_CLASS, dtype=np.int64), *(np.zeros(n * LAST_CLASS) for _ in range(2)))
    tail = view.mixture.at_least(newcomers, np.repeat(ages, LAST_CLASS), np.tile(classes, n)).reshape(n, LAST_CLASS)
    if view.truncated:
        # With zero probability to be in the extract, the condition would divide zero by zero.
        tail = tail / np.maximum(tail[:, :1], np.finfo(float).tiny)
    or_more = np.concatenate(([customers.sum()], weights @ tail))
    return Histogram(tuple(actual), tuple(float(v) for v in or_more - np.append(or_more[1:], 0.0)))
