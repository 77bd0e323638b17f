"""When customers buy next: the probability of an order within some days, and the median day of the next one.

A model gives P(purchases in the next t >= 1). Over the models that predict together, and over the ways to read a
history, it is the weighted sum, as all probabilities of `models.mixture`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cltv_assets.models.arrays import FloatArray, IntArray
from cltv_assets.models.distinct import Distinct
from cltv_assets.models.mixture import Component, Mixture
from cltv_assets.models.purchase.living import Living, mixed
from cltv_assets.models.sufficient_statistics import Patterns

#: Patterns worked on at once, so that a shop of any size needs the same memory.
_BLOCK = 65_536


@dataclass(frozen=True, eq=False)
class History:
    """One way to read patterns.

    Parameters
    ----------
    mixture : Mixture
        The models that predict them if they are read this way.
    patterns : Patterns
        n of them, in the models' time unit.
    probability : array of float64, shape (n,)
        That this way is right; those of all ways add up to 1.
    """

    mixture: Mixture
    patterns: Patterns
    probability: FloatArray

    def take(self, rows: IntArray) -> History:
        """Return some of the patterns."""
        return History(self.mixture, self.patterns.take(rows), self.probability[rows])


@dataclass(frozen=True, eq=False)
class NextOrders:
    """When patterns buy next.

    Parameters
    ----------
    p_alive : array of float64, shape (n,)
        Probability that the customer still buys at all.
    within : array of float64, shape (n, D)
        Probability of at least one order within each of the given days.
    median_day : array of int64, shape (n,)
        The first day, counted from the observation end, by which at least half of customers like this have ordered,
        given that they are alive at the observation end; -1 where that is later than the last day looked at.
    """

    p_alive: FloatArray
    within: FloatArray
    median_day: IntArray


def next_orders(histories: Sequence[History], times: FloatArray, days: Sequence[int]) -> NextOrders:
    """Return when patterns buy next.

    Parameters
    ----------
    histories : sequence of History
        The ways to read the same n patterns.
    times : array of float64, shape (L,)
        The time from the observation end to the end of each of the next L days, in the models' unit and on their
        clock; rising.
    days : sequence of int
        Days, each 1 to L, for ``within``.
    """
    n = len(histories[0].patterns)
    found = [
        _next_orders([history.take(np.arange(first, min(first + _BLOCK, n))) for history in histories], times, days)
        for first in range(0, n, _BLOCK)
    ]
    if not found:
        return NextOrders(np.zeros(0), np.zeros((0, len(days))), np.zeros(0, dtype=np.int64))
    return NextOrders(
        np.concatenate([one.p_alive for one in found]),
        np.concatenate([one.within for one in found]),
        np.concatenate([one.median_day for one in found]),
    )


def _next_orders(histories: Sequence[History], times: FloatArray, days: Sequence[int]) -> NextOrders:
    n, last = len(histories[0].patterns), len(times)
    parts = [_Part(component, history) for history in histories for component in history.mixture.components]
    alive = np.sum([part.alive for part in parts], axis=0)

    def ordered(rows: IntArray, by: IntArray) -> FloatArray:
        """Return P(at least one order) of the rows by the end of the days ``by``."""
        return np.asarray(np.sum([part.ordered(rows, by, times) for part in parts], axis=0), dtype=np.float64)

    everyone = np.arange(n)
    # Nobody orders who is not alive; sums of the models' terms may differ in the last digit.
    within = [np.minimum(ordered(everyone, np.full(n, day)), alive) for day in days]
    # Always: by the end of the day `before` fewer than half have ordered, and by the end of `by` at least half.
    rows = np.flatnonzero(ordered(everyone, np.full(n, last)) >= alive / 2.0)
    before, by = np.zeros(len(rows), dtype=np.int64), np.full(len(rows), last)
    while (by - before > 1).any():
        middle = (before + by) // 2
        half = ordered(rows, np.maximum(middle, 1)) >= alive[rows] / 2.0
        before, by = np.where(half, before, middle), np.where(half, np.maximum(middle, 1), by)
    median = np.full(n, -1, dtype=np.int64)
    median[rows] = by
    return NextOrders(alive, np.stack(within, axis=1) if within else np.zeros((n, 0)), median)


class _Part:
    """What one model adds to the probabilities of patterns that are read one way."""

    def __init__(self, component: Component, history: History) -> None:
        self._model, self._parameters = component.model, component.parameters
        share = component.weight * history.probability
        self.alive = share * self._model.p_alive(self._parameters, history.patterns)
        # There are far fewer states of the living than patterns.
        self._living = Living.of(self._model, self._parameters, history.patterns)

    def ordered(self, rows: IntArray, days: IntArray, times: FloatArray) -> FloatArray:
        living = self._living
        index = living.index[rows]
        keys = Distinct.whole((index * (len(times) + 1) + days[:, None]).ravel())
        state, day = np.divmod(keys.values, len(times) + 1)
        chance = self._model.at_least_given_alive(
            self._parameters, living.states.take(state), times[day - 1], np.ones(len(day))
        )
        weights = None if living.weights is None else living.weights[rows]
        return self.alive[rows] * mixed(chance[keys.index].reshape(index.shape), weights)
