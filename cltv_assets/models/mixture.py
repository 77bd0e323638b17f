"""Purchase models that predict together: the mixture of their predictions by fixed weights.

Whatever is a probability or an expectation of a customer's is the weighted mean of the models': P(alive), expected
purchases and P(N >= m). Quantiles and variances are those of the mixture, not means of the models'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cltv_assets.models.arrays import FloatArray
from cltv_assets.models.estimation.fits import PurchaseFit
from cltv_assets.models.purchase.registry import PurchaseModel, at_least, model_named
from cltv_assets.models.sufficient_statistics import Parameters, Patterns


@dataclass(frozen=True, eq=False)
class Component:
    """One model of a mixture: its ``weight``, ``model`` and ``parameters``."""

    weight: float
    model: PurchaseModel
    parameters: Parameters


@dataclass(frozen=True, eq=False)
class Mixture:
    """Fitted models on one clock, with weights.

    Parameters
    ----------
    fits : sequence of PurchaseFit
        That with the largest weight first.
    weights : sequence of float
        Positive, with the sum 1.

    Raises
    ------
    ModelError
        If one of the models was not fitted.
    """

    fits: Sequence[PurchaseFit]
    weights: Sequence[float]

    @classmethod
    def of(cls, fit: PurchaseFit | Mixture) -> Mixture:
        """Return a single model as a mixture."""
        return fit if isinstance(fit, Mixture) else cls((fit,), (1.0,))

    @property
    def leading(self) -> PurchaseFit:
        """The fit with the largest weight."""
        return self.fits[0]

    @property
    def name(self) -> str:
        """The models' names with a plus between them, as in the tables."""
        return "+".join(fit.model_name for fit in self.fits)

    @property
    def components(self) -> list[Component]:
        """The models with their parameters."""
        return [
            Component(weight, model_named(fit.model_name), fit.usable_parameters())
            for weight, fit in zip(self.weights, self.fits, strict=True)
        ]

    def p_alive(self, patterns: Patterns) -> FloatArray:
        """Return the probability that the customer still buys at all, shape (n,)."""
        return _sum([one.weight * one.model.p_alive(one.parameters, patterns) for one in self.components])

    def expected_purchases(self, patterns: Patterns, horizons: FloatArray) -> FloatArray:
        """Return the expected purchases in the time t after the observation end, shape (n, H)."""
        return _sum(
            [one.weight * one.model.expected_purchases(one.parameters, patterns, horizons) for one in self.components]
        )

    def at_least(self, patterns: Patterns, horizons: FloatArray, counts: FloatArray) -> FloatArray:
        """Return P(purchases in the next t >= m), m >= 1; t and m paired with the patterns, shape (n,)."""
        return _sum(
            [one.weight * at_least(one.model, one.parameters, patterns, horizons, counts) for one in self.components]
        )


def _sum(parts: Sequence[FloatArray]) -> FloatArray:
    """Return the sum of arrays; one alone is returned as it is."""
    return parts[0] if len(parts) == 1 else np.asarray(np.sum(parts, axis=0), dtype=np.float64)
