"""Purchase histories with their dates, so that any clock can measure them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cltv_assets.models.choosing.operational_time import DateArray, OperationalTime
from cltv_assets.models.estimation.statistics import FloatArray, IntArray, PurchaseStatistics
from cltv_assets.models.purchase.purchase_model import Patterns


@dataclass(frozen=True, eq=False)
class Histories:
    """Distinct purchase histories up to one day.

    Parameters
    ----------
    frequency : array of int64, shape (n,)
        Repeat purchase days.
    first, last : arrays of datetime64[D], shape (n,)
        First and last purchase day.
    weights : array of float64, shape (n,)
        Customers of this history.
    end : datetime64[D]
        Last day of the observation.
    """

    frequency: IntArray
    first: DateArray
    last: DateArray
    weights: FloatArray
    end: np.datetime64

    def statistics(self, clock: OperationalTime) -> PurchaseStatistics:
        """Return what the likelihoods see of the histories, by ``clock``."""
        return PurchaseStatistics(
            self.frequency, self._recency(clock), clock.elapsed(self.first, self.end), self.weights
        )

    def patterns(self, clock: OperationalTime) -> Patterns:
        """Return the histories to predict from, by ``clock``."""
        return Patterns(self.frequency, self._recency(clock), clock.elapsed(self.first, self.end))

    @property
    def repeat_customers(self) -> int:
        """Customers with a repeat purchase."""
        return round(float(self.weights[self.frequency > 0].sum()))

    @property
    def first_day(self) -> np.datetime64:
        """The first purchase of anybody."""
        return np.datetime64(self.first.min())

    def cohorts(self) -> tuple[DateArray, FloatArray]:
        """Return the days of first purchases, ascending, and the customers of each."""
        days, index = np.unique(self.first, return_inverse=True)
        return days, np.bincount(index, weights=self.weights).astype(np.float64)

    def _recency(self, clock: OperationalTime) -> FloatArray:
        return clock.elapsed(self.first, self.last)


@dataclass(frozen=True, eq=False)
class Fold:
    """A holdout inside the history: histories up to an origin, and what was bought after it.

    Parameters
    ----------
    histories : Histories
        Up to the origin, ``histories.end``.
    bought : array of int64, shape (n,)
        Purchase days of each history's customers from the origin up to ``until``.
    until : datetime64[D]
        Last day of the holdout.
    """

    histories: Histories
    bought: IntArray
    until: np.datetime64

    @property
    def actual(self) -> float:
        """Purchase days of all customers in the holdout."""
        return float((self.histories.weights * self.bought).sum())


def dates(values: npt.ArrayLike) -> DateArray:
    """Return days as numpy holds them."""
    return np.asarray(values, dtype="datetime64[D]")
