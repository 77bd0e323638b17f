"""Distinct values of a statistic, so that logs and gammas are taken once for each.

Half a million patterns have a few hundred distinct frequencies, ages and recencies.
Likelihoods evaluate transcendental functions on those and look the results up. That
makes an exact gradient cheap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cltv_assets.models.sufficient_statistics import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class TimeAxis:
    """Distinct times.

    Parameters
    ----------
    values : array of float64, shape (k,)
        Distinct times, ascending.
    index : array of int64, shape (n,)
        Position of each pattern's time in ``values``.
    """

    values: FloatArray
    index: IntArray

    @classmethod
    def of(cls, times: FloatArray) -> TimeAxis:
        """Build the axis of the given times."""
        values, index = np.unique(times, return_inverse=True)
        return cls(values, index.astype(np.int64))

    def total(self, amounts: FloatArray) -> FloatArray:
        """Sum ``amounts``, one for each pattern, by distinct time."""
        return _totals(self.index, amounts, len(self.values))


@dataclass(frozen=True, eq=False)
class CountAxis:
    """Distinct purchase counts, with running sums over purchases.

    Ratios such as Gamma(r+x)/Gamma(r) are products of x factors. Summing the logs of the
    factors keeps every digit where ``gammaln(r+x) - gammaln(r)`` cancels, as it does when
    a parameter runs away.

    Parameters
    ----------
    values : array of int64, shape (k,)
        Distinct counts, ascending.
    index : array of int64, shape (n,)
        Position of each pattern's count in ``values``.
    """

    values: IntArray
    index: IntArray

    @classmethod
    def of(cls, counts: IntArray) -> CountAxis:
        """Build the axis of the given counts."""
        values, index = np.unique(counts, return_inverse=True)
        return cls(values, index.astype(np.int64))

    def total(self, amounts: FloatArray) -> FloatArray:
        """Sum ``amounts``, one for each pattern, by distinct count."""
        return _totals(self.index, amounts, len(self.values))

    @property
    def steps(self) -> FloatArray:
        """0, 1, ..., largest count - 1."""
        return np.arange(int(self.values[-1]) if len(self.values) else 0, dtype=np.float64)

    def running(self, terms: FloatArray) -> FloatArray:
        """Return the sum of the first x of ``terms`` for each distinct count x."""
        return np.concatenate(([0.0], np.cumsum(terms)))[self.values]


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
    def of(cls, counts: IntArray, times: FloatArray) -> Pairs:
        """Find the distinct pairs of the given counts and times, shape (n,)."""
        axis = TimeAxis.of(times)
        keys, index = np.unique(counts * len(axis.values) + axis.index, return_inverse=True)
        distinct = np.divmod(keys, max(len(axis.values), 1))
        return cls(distinct[0].astype(np.float64), axis.values[distinct[1]], index.astype(np.int64))

    def total(self, amounts: FloatArray) -> FloatArray:
        """Sum ``amounts``, one for each pattern, by distinct pair."""
        return _totals(self.index, amounts, len(self.x))


def _totals(index: IntArray, amounts: FloatArray, size: int) -> FloatArray:
    return np.bincount(index, weights=amounts, minlength=size).astype(np.float64)
