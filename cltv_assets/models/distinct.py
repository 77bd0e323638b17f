"""Distinct values of a statistic, so that logs and gammas are taken once for each.

Half a million patterns have a few hundred distinct frequencies, ages and recencies.
Likelihoods evaluate transcendental functions on those and look the results up. That
makes an exact gradient cheap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from cltv_assets.models.arrays import BoolArray, FloatArray, IntArray

Values = TypeVar("Values", FloatArray, IntArray)


@dataclass(frozen=True, eq=False)
class Distinct(Generic[Values]):
    """Distinct times or purchase counts.

    Parameters
    ----------
    values : array, shape (k,)
        Distinct values, ascending.
    index : array of int64, shape (n,)
        Position of each pattern's value in ``values``.
    """

    values: Values
    index: IntArray

    @classmethod
    def of(cls, values: Values) -> Distinct[Values]:
        """Find the distinct ones of the given values, one for each pattern."""
        distinct, index = np.unique(values, return_inverse=True)
        return cls(distinct, index.astype(np.int64))

    @staticmethod
    def whole(numbers: IntArray) -> Distinct[IntArray]:
        """Find the distinct ones of whole numbers that are not negative."""
        # Where the numbers are dense, marking them is thirty times as fast as sorting them.
        if int(numbers.max(initial=0)) > 16 * len(numbers):
            return Distinct.of(numbers)
        seen = np.zeros(int(numbers.max(initial=-1)) + 1, dtype=np.bool_)
        seen[numbers] = True
        return Distinct(np.flatnonzero(seen), (np.cumsum(seen) - 1)[numbers])

    def at(self, rows: BoolArray) -> Distinct[Values]:
        """Return the distinct values of some of the patterns."""
        used = Distinct.whole(self.index[rows])
        return Distinct(self.values[used.values], used.index)

    def total(self, amounts: FloatArray) -> FloatArray:
        """Sum ``amounts``, one for each pattern, by distinct value."""
        return np.bincount(self.index, weights=amounts, minlength=len(self.values)).astype(np.float64)

    @property
    def steps(self) -> FloatArray:
        """Return 0, 1, ..., largest count - 1."""
        return np.arange(int(self.values[-1]) if len(self.values) else 0, dtype=np.float64)

    def running(self, terms: FloatArray) -> FloatArray:
        """Return the sum of the first x of ``terms`` for each distinct count x.

        Ratios such as Gamma(r+x)/Gamma(r) are products of x factors. Summing the logs of the
        factors keeps every digit where ``gammaln(r+x) - gammaln(r)`` cancels, as it does when
        a parameter runs away.
        """
        return np.asarray(np.concatenate(([0.0], np.cumsum(terms)))[self.values], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Distinct pairs of count and time.

    Parameters
    ----------
    x, ages : arrays of float64, shape (k,)
        Count and time of each pair.
    index : array of int64, shape (n,)
        Position of each pattern's pair.
    """

    x: FloatArray
    ages: FloatArray
    index: IntArray

    @classmethod
    def of(cls, counts: IntArray, at: Distinct[FloatArray]) -> Pairs:
        """Find the distinct pairs of the given counts, shape (n,), and the times of the same patterns."""
        keys = Distinct.whole(counts * len(at.values) + at.index)
        distinct = np.divmod(keys.values, max(len(at.values), 1))
        return cls(distinct[0].astype(np.float64), at.values[distinct[1]], keys.index)

    def total(self, amounts: FloatArray) -> FloatArray:
        """Sum ``amounts``, one for each pattern, by distinct pair."""
        return np.bincount(self.index, weights=amounts, minlength=len(self.x)).astype(np.float64)
