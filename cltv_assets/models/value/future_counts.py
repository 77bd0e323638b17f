"""How many purchases a living customer makes: tails of counts by frequency, at few ages and few counts.

The future of a living customer depends on the state (`Living`): steps done and T. It is smooth in T. For each
number of steps, the frequency where purchases come by chance, it is computed at Chebyshev nodes and interpolated to
all ages (Trefethen, 2013, Approximation Theory and Approximation Practice, chapters 5 and 8: the error falls
geometrically with the number of nodes). Customers who buy regularly are mixtures of states, and the weights of
their states are multiplied by those of the nodes. Large counts are taken in blocks, because hundreds of purchases
spread over dozens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cltv_assets.models.arrays import FloatArray, IntArray
from cltv_assets.models.purchase.registry import PurchaseModel
from cltv_assets.models.sufficient_statistics import Parameters, Patterns

#: Ages at which a frequency is computed; fewer distinct ones are taken as they are.
NODES = 16

#: Counts beyond those that one customer in this many exceeds are left out.
NEGLIGIBLE = 1e-6

#: Blocks computed at once, before deciding whether more are needed.
_AT_ONCE = 32

#: A tail is not followed beyond this many blocks: with p up to 8 it reaches a million purchases.
_MAX_BLOCKS = 4096


@dataclass(frozen=True, eq=False)
class FrequencyGroup:
    """The customers of one frequency, and the ages at which their future is computed.

    Parameters
    ----------
    frequency : int
        The frequency.
    rows : array of int64, shape (n,)
        Their rows in what the grid was made from.
    steps : array of int64, shape (K,)
        Steps done to compute at.
    nodes : array of float64, shape (K,)
        Ages to compute at.
    weights : array of float64, shape (A, K)
        Row i gives the value at the i-th distinct age, or of the i-th customer, from those at the nodes.
    at : array of int64, shape (n,)
        Row of the weights that each customer has.
    first : int
        Position of the first node among all of the grid's.
    """

    frequency: int
    rows: IntArray
    steps: IntArray
    nodes: FloatArray
    weights: FloatArray
    at: IntArray
    first: int


@dataclass(frozen=True, eq=False)
class AgeGrid:
    """The nodes of many frequencies, in one order.

    Parameters
    ----------
    groups : list of FrequencyGroup
        By rising frequency.
    states : Patterns
        The nodes, as `Living` has them.
    place : array of int64, shape (n,)
        Row that each customer has in what `interpolate` returns.
    scale : float
        What the nodes were chosen with.
    """

    groups: list[FrequencyGroup]
    states: Patterns
    place: IntArray
    scale: float

    @classmethod
    def of(cls, model: PurchaseModel, parameters: Parameters, patterns: Patterns, scale: float) -> AgeGrid:
        """Choose the nodes of customers; ``scale`` is the time over which tails change at age 0."""
        frequency, T, progress = patterns.frequency, patterns.T, model.progress(parameters, patterns)
        order = np.lexsort((T, frequency))
        frequencies, begins = np.unique(frequency[order], return_index=True)
        groups: list[FrequencyGroup] = []
        first = known = 0
        place = np.zeros(len(T), dtype=np.int64)
        for x, rows in zip(frequencies.tolist(), np.split(order, begins[1:]), strict=False):
            ages, at = np.unique(T[rows], return_inverse=True)
            nodes, weights = _nodes(ages, scale)
            steps = np.full(len(nodes), x)
            if progress is not None:
                steps = np.repeat(progress[0][rows[0]], len(nodes))
                nodes = np.tile(nodes, progress[0].shape[1])
                weights = (progress[1][rows][:, :, None] * weights[at][:, None, :]).reshape(len(rows), -1)
                at = np.arange(len(rows))
            groups.append(FrequencyGroup(x, rows, steps, nodes, weights, at, first))
            first += len(nodes)
            place[rows] = known + at
            known += len(weights)
        empty = [np.zeros(0)]
        steps, nodes = (
            np.concatenate([getattr(group, name) for group in groups] or empty) for name in ("steps", "nodes")
        )
        return cls(groups, Patterns.unchecked(steps, np.zeros(len(steps)), nodes), place, scale)

    def interpolate(self, values: FloatArray) -> FloatArray:
        """Return for the rows of all weights, shape (A, H), what the nodes have, shape (N, H)."""
        parts = [group.weights @ values[group.first : group.first + len(group.nodes)] for group in self.groups]
        return np.concatenate(parts or [values])


def _nodes(ages: FloatArray, scale: float) -> tuple[FloatArray, FloatArray]:
    """Return nodes for distinct, ascending ages, and the weights that lead from them to the ages.

    Nodes are Chebyshev's in ln(scale + T), because T enters the models as alpha + T.
    """
    if len(ages) <= NODES:
        return ages, np.eye(len(ages))
    begin, end = np.log(scale + ages[0]), np.log(scale + ages[-1])
    places = -np.cos(np.pi * np.arange(NODES) / (NODES - 1))
    nodes = np.exp(begin + (end - begin) * (places + 1.0) / 2.0) - scale
    nodes[0], nodes[-1] = ages[0], ages[-1]
    wanted = 2.0 * (np.log(scale + ages) - begin) / (end - begin) - 1.0
    # Barycentric formula of the second kind (Berrut and Trefethen, 2004, SIAM Review 46(3), eq. 4.2 and 5.4).
    signs = (-1.0) ** np.arange(NODES)
    signs[[0, -1]] /= 2.0
    distance = wanted[:, None] - places[None, :]
    hit = np.abs(distance) < 1e-14
    terms = signs / np.where(hit, 1.0, distance)
    weights = terms / terms.sum(axis=1, keepdims=True)
    exact = hit.any(axis=1)
    weights[exact] = hit[exact]
    return np.maximum(nodes, 0.0), weights


@dataclass(frozen=True, eq=False)
class CountTails:
    """P(at least m purchases | alive, steps done) of one frequency, by block of counts.

    Parameters
    ----------
    edges : array of int64, shape (B + 1,)
        Block i holds the counts ``edges[i]`` + 1 to ``edges[i + 1]``; an odd number of them.
    tails : array of float64, shape (K, H, B)
        At each node and horizon, at the middle of each block.
    """

    edges: IntArray
    tails: FloatArray

    def for_sums(self) -> FloatArray:
        """Return the tails to weigh a block's increment of a smooth function with, shape (K, H, B).

        Over a block of w counts around m, with A and the increments f of F both sloping, the
        sum of A(j) f(j) is (A + (w^2 - 1) / 24 A'') f w + w (w^2 - 1) / 12 A' f', all at m.
        The slope f' is a difference of neighbouring blocks, so it becomes weights, too.
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

    Blocks are single counts at first and then as wide as accuracy allows: counts have a
    standard deviation of at least sqrt(m), and the value of m purchases of Gamma(p) varies as m
    does by sqrt(m / p). Widths are 2 sqrt(m / s), rounded to odd, where s is at least 16 and 2 p.
    """
    singles = max(16, int(np.ceil(min(2.0 * p, 1e6))))
    level = np.arange(blocks) // singles
    return np.concatenate(([0], np.cumsum(2 * level + 1))).astype(np.int64)


def count_tails(
    model: PurchaseModel, parameters: Parameters, steps: IntArray, ages: FloatArray, horizons: FloatArray, p: float
) -> CountTails:
    """Compute the tails of one frequency at each node and horizon.

    Parameters
    ----------
    model, parameters : PurchaseModel, mapping
        The purchase model and its parameters.
    steps : array of int64, shape (K,)
        Steps done so far: repeat purchases where these come by chance.
    ages : array of float64, shape (K,)
        T, in the time unit of the fit.
    horizons : array of float64, shape (H,)
        In the same unit.
    p : float
        Shape of the gamma distribution of purchase values, which limits the blocks.
    """
    progress, T = np.repeat(steps, len(horizons)), np.repeat(ages, len(horizons))
    times = np.tile(horizons, len(ages))
    found: list[FloatArray] = []
    done = 0
    while done < _MAX_BLOCKS:
        edges = block_edges(done + _AT_ONCE, p)[done:]
        middles = (edges[:-1] + edges[1:] + 1) / 2.0
        n = len(T) * len(middles)
        patterns = Patterns.unchecked(np.repeat(progress, len(middles)), np.zeros(n), np.repeat(T, len(middles)))
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
