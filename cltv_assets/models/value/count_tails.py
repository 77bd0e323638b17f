"""How many purchases a living customer makes: tails by frequency, at few ages and few counts.

Whoever is alive has a future that frequency and T tell, so all customers of one
frequency and age share these tails (``age_nodes`` says at which ages they are computed).
Large counts are taken in blocks, because hundreds of purchases spread over dozens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cltv_assets.models.estimation.statistics import FloatArray, IntArray
from cltv_assets.models.purchase.purchase_model import Parameters, Patterns, PurchaseModel

#: Counts beyond those that one customer in this many exceeds are left out.
NEGLIGIBLE = 1e-6

#: Blocks computed at once, before looking whether more are needed.
_AT_ONCE = 32

#: A tail is not followed beyond this many blocks: with p up to 8 it reaches a million purchases.
_MAX_BLOCKS = 4096


@dataclass(frozen=True, eq=False)
class CountTails:
    """P(at least m purchases | alive) of one frequency, by block of counts.

    Parameters
    ----------
    edges : array of int64, shape (B + 1,)
        Block i holds the counts ``edges[i]`` + 1 to ``edges[i + 1]``; an odd number of them.
    tails : array of float64, shape (K, H, B)
        At each age and horizon, at the middle of each block.
    """

    edges: IntArray
    tails: FloatArray

    def for_sums(self) -> FloatArray:
        """Return the tails to weigh a block's increment of a smooth function with, shape (K, H, B).

        Over a block of w counts around m, with A and the increments f of F both sloping, the
        sum of A(j) f(j) is (A + (w^2 - 1) / 24 A'') f w + w (w^2 - 1) / 12 A' f', all at m.
        The slope f' is a difference of neighbouring blocks, so that it becomes weights, too.
        """
        width = np.diff(self.edges).astype(np.float64)
        if len(width) < 3 or width[-1] == 1:
            return self.tails
        middle = (self.edges[:-1] + self.edges[1:] + 1) / 2.0
        reach = middle[2:] - middle[:-2]
        sides = np.diff(self.tails, axis=2) / np.diff(middle)
        corrected = self.tails.copy()
        corrected[:, :, 1:-1] += (width[1:-1] ** 2 - 1.0) / 12.0 * np.diff(sides, axis=2) / reach
        slope = (self.tails[:, :, 2:] - self.tails[:, :, :-2]) / reach
        sloping = slope * (width * (width**2 - 1.0))[1:-1] / 12.0 / reach
        corrected[:, :, 2:] += sloping / width[2:]
        corrected[:, :, :-2] -= sloping / width[:-2]
        return corrected

    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Return E[N | alive] and E[N^2 | alive], shape (K, H): sums of A(m) and of (2m - 1) A(m)."""
        lower, upper = self.edges[:-1].astype(np.float64), self.edges[1:].astype(np.float64)
        return self.tails @ (upper - lower), self.tails @ (upper**2 - lower**2)


def block_edges(blocks: int, p: float) -> IntArray:
    """Return the edges of the first ``blocks`` blocks.

    They are single counts at first and then as wide as what varies over them allows: counts
    have a standard deviation of at least sqrt(m), and m purchases of Gamma(p) values tell m
    to sqrt(m / p). Widths are 2 sqrt(m / s), rounded to odd, where s is at least 16 and 2 p.
    """
    singles = max(16, int(np.ceil(min(2.0 * p, 1e6))))
    level = np.arange(blocks) // singles
    return np.concatenate(([0], np.cumsum(2 * level + 1))).astype(np.int64)


def count_tails(
    model: PurchaseModel, parameters: Parameters, frequency: int, ages: FloatArray, horizons: FloatArray, p: float
) -> CountTails:
    """Compute the tails of one frequency at each age and horizon.

    Parameters
    ----------
    model : PurchaseModel
    parameters : mapping
    frequency : int
    ages : array of float64, shape (K,)
        T, in the time unit of the fit.
    horizons : array of float64, shape (H,)
        In the same unit.
    p : float
        Shape of the gamma distribution of purchase values, which limits the blocks.
    """
    T = np.repeat(ages, len(horizons))
    times = np.tile(horizons, len(ages))
    found: list[FloatArray] = []
    done = 0
    while done < _MAX_BLOCKS:
        edges = block_edges(done + _AT_ONCE, p)[done:]
        middles = (edges[:-1] + edges[1:] + 1) / 2.0
        n = len(T) * len(middles)
        # Recency says only whether a customer is alive: any will do.
        patterns = Patterns.unchecked(np.full(n, frequency), np.zeros(n), np.repeat(T, len(middles)))
        tails = model.at_least_given_alive(
            parameters, patterns, np.repeat(times, len(middles)), np.tile(middles, len(T))
        ).reshape(len(ages), len(horizons), len(middles))
        found.append(tails)
        done += _AT_ONCE
        if not (tails[:, :, -1] > NEGLIGIBLE).any():
            break
    tails = np.concatenate(found, axis=2)
    kept = 1 + int(np.flatnonzero((tails > NEGLIGIBLE).any(axis=(0, 1))).max(initial=0))
    return CountTails(block_edges(kept, p), tails[:, :, :kept])
