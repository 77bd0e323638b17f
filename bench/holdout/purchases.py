"""A shop's purchase days, and what was known of them at the end of a month."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cltv_assets.models.arrays import IntArray
from cltv_assets.models.choosing.histories import DateArray, Fold, Histories


@dataclass(frozen=True, eq=False)
class PurchaseLog:
    """Purchases, one row a customer and day, ascending by customer and day.

    Parameters
    ----------
    customer : array of int64, shape (n,)
    day : array of datetime64[D], shape (n,)
    """

    customer: IntArray
    day: DateArray

    @classmethod
    def of(cls, customer: npt.NDArray[np.int64], day: DateArray) -> PurchaseLog:
        """Merge purchases of one customer on one day."""
        first = day.min()
        span = int((day.max() - first).astype(np.int64)) + 1
        keys = np.unique(customer * span + (day - first).astype(np.int64))
        return cls(keys // span, first + (keys % span).astype("timedelta64[D]"))

    def known(self, end: np.datetime64) -> tuple[IntArray, IntArray, DateArray, DateArray]:
        """Return the customers up to a day, with their purchase days so far, the first and the last of them."""
        seen = self.day <= end
        who, at, count = np.unique(self.customer[seen], return_index=True, return_counts=True)
        days = self.day[seen]
        return who, count.astype(np.int64), days[at], days[at + count - 1]

    def bought(self, who: IntArray, origin: np.datetime64, until: np.datetime64) -> IntArray:
        """Return the purchase days of customers after ``origin`` and up to ``until``, shape (len(who),)."""
        later = (self.day > origin) & (self.day <= until)
        return np.bincount(self.customer[later], minlength=int(self.customer.max()) + 1)[who].astype(np.int64)

    def fold(self, origin: np.datetime64, until: np.datetime64) -> Fold:
        """Return what was known at ``origin``, customers of equal history and outcome counted, and what they bought."""
        who, count, first, last = self.known(origin)
        begin = self.day.min()
        rows = np.stack(
            (
                count - 1,
                (first - begin).astype(np.int64),
                (last - begin).astype(np.int64),
                self.bought(who, origin, until),
            )
        )
        sizes = rows.max(axis=1) + 1
        keys, weights = np.unique(np.ravel_multi_index(tuple(rows), tuple(sizes)), return_counts=True)
        frequency, first_day, last_day, bought = np.unravel_index(keys, tuple(sizes))
        histories = Histories(
            frequency.astype(np.int64),
            begin + first_day.astype("timedelta64[D]"),
            begin + last_day.astype("timedelta64[D]"),
            weights.astype(np.float64),
            origin,
        )
        return Fold(histories, bought.astype(np.int64), until)

    def histories(self, end: np.datetime64) -> Histories:
        """Return the distinct histories up to a day."""
        return self.fold(end, end).histories


def last_day(month: np.datetime64, ahead: int = 0) -> np.datetime64:
    """Return the last day of the month so many months later."""
    return np.datetime64((month + ahead + 1).astype("datetime64[D]") - 1)
