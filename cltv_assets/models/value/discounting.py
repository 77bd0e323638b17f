"""Discounting over the calendar's own months, by compounding.

An annual rate i makes a payment in d days worth (1 + i)^-(d / 365.25) today.
A month's purchases are taken at its middle; months have the days they have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cltv_assets.errors import ModelError
from cltv_assets.models.arrays import FloatArray, IntArray
from cltv_assets.months import Month

#: Mean length of a year, leap years included.
DAYS_PER_YEAR = 365.25


@dataclass(frozen=True, eq=False)
class DiscountCurve:
    """The months after an observation end.

    Parameters
    ----------
    days : array of int64, shape (K,)
        Days from the observation end to the end of each following month.
    factors : array of float64, shape (K,)
        What one unit of currency in the month's middle is worth at the observation end.
    """

    days: IntArray
    factors: FloatArray

    def times(self, growth: FloatArray) -> DiscountCurve:
        """Return the curve of payments that grow by ``growth``, shape (K,), one factor for each month."""
        return DiscountCurve(self.days, self.factors * growth)


def discount_factors(annual_rate: float, month: Month, months_ahead: int) -> DiscountCurve:
    """Return days and factors of the ``months_ahead`` months that follow ``month``.

    ``annual_rate`` is effective and compounded: 0.1 is ten percent. The month's last day is the observation end.

    Raises
    ------
    ModelError
        If the rate is negative or not finite, or no month lies ahead.
    """
    if not (np.isfinite(annual_rate) and annual_rate >= 0):
        raise ModelError(
            f"The annual discount rate {annual_rate} is not a number of at least 0.",
            "Set annual_discount_rate in cltv.yaml, for example 0.1 for ten percent.",
        )
    if months_ahead < 1:
        raise ModelError(f"{months_ahead} months ahead leave nothing to discount.", "Look one month ahead or more.")
    days = np.array([month.days_to_end_of(k) for k in range(1, months_ahead + 1)], dtype=np.int64)
    middles = (np.concatenate(([0], days[:-1])) + days) / 2.0
    return DiscountCurve(days, (1.0 + annual_rate) ** (-middles / DAYS_PER_YEAR))


def discounted_purchases(cumulative: npt.ArrayLike, curve: DiscountCurve, horizons_months: Sequence[int]) -> FloatArray:
    """Return discounted expected purchases up to each horizon, shape (n, H).

    Parameters
    ----------
    cumulative : array-like, shape (n, K)
        Expected purchases from the observation end up to each month end of ``curve``.
    curve : DiscountCurve
        Of K months.
    horizons_months : sequence of int
        Horizons in months, each between 1 and K.

    Raises
    ------
    ModelError
        If shapes differ or a horizon lies beyond the curve.
    """
    totals = np.asarray(cumulative, dtype=np.float64)
    months = len(curve.factors)
    if totals.ndim != 2 or totals.shape[1] != months:
        raise ModelError(
            f"Expectations of shape {totals.shape} do not match {months} months.",
            "Predict at each month end of the discount curve.",
        )
    if any(not 1 <= h <= months for h in horizons_months):
        raise ModelError(
            f"The horizons {list(horizons_months)} do not lie within 1 and {months} months.",
            "Make the discount curve as long as the longest horizon.",
        )
    monthly = np.diff(totals, axis=1, prepend=0.0)
    present = np.cumsum(monthly * curve.factors, axis=1)
    return np.asarray(present[:, [h - 1 for h in horizons_months]], dtype=np.float64)
