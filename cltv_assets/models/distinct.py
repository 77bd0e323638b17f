"""Distinct values of a statistic, so that logs and gammas are taken once for each.

Half a million patterns have a few hundred distinct frequencies, ages and recencies.
Likelihoods evaluate transcendental functions on those and look the results up. That
makes an exact gradient cheap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from cltv_assets.models.sufficient_statistics import FloatArray, IntArray

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
    def of(cls, counts: IntArray, times: FloatArray) -> Pairs:
        """Find the distinct pairs of the given counts and times, shape (n,)."""
        at = Distinct.of(times)
        keys, index = np.unique(counts * len(at.values) + at.index, return_inverse=True)
        distinct = np.divmod(keys, max(len(at.values), 1))
        return cls(distinct[0].astype(np.float64), at.values[distinct[1]], index.astype(np.int64))

    def total(self, amounts: FloatArray) -> FloatArray:
        """Sum ``amounts``, one for each pattern, by distinct pair."""
        return np.bincount(self.index, weights=amounts, minlength=len(self.x)).astype(np.float64)
