"""What the future of a customer who is alive depends on: how far along the next purchase is, and T.

Where purchases come by chance, the time since the last one tells whether a customer is alive, and nothing about
when a living one buys next. Where they come more regularly, a purchase is taken to need k steps, each of which
comes by chance (`models.purchase.regular`). Then the steps done so far and T say all. The time since the last
purchase says how many of the k steps are probably done, so a customer is a mixture of at most k states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cltv_assets.models.arrays import FloatArray, IntArray
from cltv_assets.models.distinct import Distinct, Pairs
from cltv_assets.models.sufficient_statistics import Parameters, Patterns


class HasProgress(Protocol):
    """A purchase model, as far as states go."""

    def progress(self, parameters: Parameters, patterns: Patterns) -> tuple[IntArray, FloatArray] | None:
        """Return steps, shape (n, P), and their probabilities given alive; None where purchases come by chance."""


@dataclass(frozen=True, eq=False)
class Living:
    """The states of customers, given that they are alive.

    Parameters
    ----------
    states : Patterns
        K distinct states: ``frequency`` counts the steps done, ``recency`` is 0 and says nothing.
    index : array of int64, shape (n, P)
        The states that each customer may be in.
    weights : array of float64, shape (n, P), or None
        With what probability; None where P is 1.
    """

    states: Patterns
    index: IntArray
    weights: FloatArray | None

    @classmethod
    def of(cls, model: HasProgress, parameters: Parameters, patterns: Patterns) -> Living:
        """Find the distinct states of the given customers: there are far fewer of these than patterns."""
        found = model.progress(parameters, patterns)
        steps = patterns.frequency[:, None] if found is None else found[0]
        n, P = steps.shape
        ages = Distinct.of(patterns.T)
        ages = ages if P == 1 else Distinct(ages.values, np.repeat(ages.index, P))
        pairs = Pairs.of(steps.ravel(), ages)
        states = Patterns.unchecked(pairs.x, np.zeros(len(pairs.x)), pairs.ages)
        return cls(states, pairs.index.reshape(n, P), None if found is None else found[1])

    def mean(self, values: npt.NDArray[Any]) -> FloatArray:
        """Return the customers' means of what their states have, from shape (K, ...) to (n, ...)."""
        return mixed(values[self.index], self.weights)


def mixed(values: npt.NDArray[Any], weights: FloatArray | None) -> FloatArray:
    """Return the weighted sum over the second axis of ``values``, shape (n, P, ...)."""
    if weights is None:
        return np.asarray(values[:, 0], dtype=np.float64)
    return np.asarray(np.einsum("np,np...->n...", weights, values), dtype=np.float64)
