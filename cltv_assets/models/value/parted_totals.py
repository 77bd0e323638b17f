"""Totals over groups of customers that have parameters of their own.

A group's log parameters err with what all groups share and by themselves; see `models.groups.grouped.Group`. So the
variance of a total by the parameters is (sum of A' s)' C (sum of A' s) + the sum of s' V s over groups, s being the
derivative of the group's part of the total by its log parameters, A its loading, V its own covariance and C that of
what is shared. The spend model's parameters are the same for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag

from cltv_assets.models.arrays import FloatArray, IntArray
from cltv_assets.models.value.totals import Sums, Totals


@dataclass(frozen=True, eq=False)
class Part:
    """The totals of one group's customers.

    Parameters
    ----------
    totals : Totals
        Over n of the entries of a whole.
    places : array of int64, shape (n,)
        Where these are in the whole.
    loading : array of float64, shape (P, S)
    own : array of float64, shape (P, P)
    shared : array of float64, shape (S, S)
        The same for all parts of a whole.
    """

    totals: Totals
    places: IntArray
    loading: FloatArray
    own: FloatArray
    shared: FloatArray


@dataclass(frozen=True, eq=False)
class PartedSums:
    """One quantity's sums over parts of customers: what `Sums` is for customers who are all alike."""

    parts: Sequence[tuple[Sums, Part]]

    def moments(self, rows: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return mean, variance and losses of the total over ``rows`` of the whole, shape (H,) each."""
        found = []
        slopes: list[FloatArray] = []
        chosen = np.zeros(sum(len(part.places) for _, part in self.parts), dtype=np.bool_)
        chosen[rows] = True
        for sums, part in self.parts:
            mine = np.flatnonzero(chosen[part.places])
            mean, variance, losses = sums.moments(mine, with_parameters=False)
            slope = np.array([by_parameter[mine].sum(axis=0) for by_parameter in sums.gradient]).reshape(-1, len(mean))
            known = len(part.own)
            # After the parameters of purchases come those of spend.
            spend = np.eye(len(slope) - known)
            own = block_diag(part.own, np.zeros_like(spend))
            found.append((mean, variance + np.einsum("ph,pq,qh->h", slope, own, slope), losses))
            slopes.append(block_diag(part.loading, spend).T @ slope)
        sums, part = self.parts[0]
        covariance = block_diag(part.shared, sums.covariance[len(part.own) :, len(part.own) :])
        slope = np.sum(slopes, axis=0)
        mean, variance, losses = (np.sum(each, axis=0) for each in zip(*found, strict=True))
        return mean, variance + np.einsum("ph,pq,qh->h", slope, covariance, slope), losses


@dataclass(frozen=True, eq=False)
class PartedTotals:
    """The sums of purchases and of their value."""

    purchases: PartedSums
    value: PartedSums


def parted(parts: Sequence[Part]) -> PartedTotals:
    """Return the totals of a whole that is made of parts; every entry is in one of them."""
    return PartedTotals(
        PartedSums([(each.totals.purchases, each) for each in parts]),
        PartedSums([(each.totals.value, each) for each in parts]),
    )
