"""What every purchase model offers, and the models by name: fits and predictions know no model by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from cltv_assets.errors import ModelError
from cltv_assets.models.arrays import FloatArray
from cltv_assets.models.purchase.beta_geometric import BgNbd, MbgNbd
from cltv_assets.models.purchase.nbd import Nbd
from cltv_assets.models.purchase.pareto_nbd import ParetoNbd
from cltv_assets.models.sufficient_statistics import Objective, Parameters, Patterns, PurchaseStatistics


class PurchaseModel(Protocol):
    """A buy-till-you-die model, or its null model.

    Implementations are stateless. Times are in the time unit of the statistics that
    the parameters were fitted to.
    """

    @property
    def name(self) -> str:
        """The model's name in the tables."""

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of the likelihood's argument."""

    @property
    def time_parameters(self) -> frozenset[str]:
        """Parameters measured in the time unit; the others have no unit."""

    @property
    def together(self) -> tuple[tuple[str, ...], ...]:
        """Parameters that run away together, the leading one first; see `maximise`."""

    def likelihood(self, statistics: PurchaseStatistics) -> Objective:
        """Return the log-likelihood of ``statistics`` and its gradient, over log parameters."""

    def log_at_least(self, log_parameters: FloatArray, ages: FloatArray, count: int) -> tuple[FloatArray, FloatArray]:
        """Return ln P(``count`` repeat purchases or more within T) for each positive T of ``ages``, and its gradient.

        ``count`` is 1 or more. The shapes are (n,) and, by log parameters, (n, k).
        """

    def starts(self, purchase_rate: float) -> list[Parameters]:
        """Return parameters to start from, given the repeat purchases of a customer in a unit of time."""

    def boundary_reason(self, parameters: Parameters, unidentified: frozenset[str]) -> str:
        """Say in plain words what it means that these parameters run away."""

    def p_alive(self, parameters: Parameters, patterns: Patterns) -> FloatArray:
        """Return the probability that the customer still buys at all, shape (n,)."""

    def expected_purchases(self, parameters: Parameters, patterns: Patterns, horizons: FloatArray) -> FloatArray:
        """Return the expected purchases in the time t after the observation end, shape (n, H)."""

    def at_least_given_alive(
        self, parameters: Parameters, patterns: Patterns, horizons: FloatArray, counts: FloatArray
    ) -> FloatArray:
        """Return P(purchases in the next t >= m | alive at T), m >= 1; t and m paired with the patterns, shape (n,).

        The future of a customer who is alive depends on frequency and T. Recency tells only whether one is alive.
        """


#: A new model needs an entry here, columns for its parameters in the table ``purchase_model`` and,
#: to be used, a place in ``PREFERENCE`` in ``models/choosing/candidates.py``.
PURCHASE_MODELS: Mapping[str, PurchaseModel] = {model.name: model for model in (BgNbd(), MbgNbd(), ParetoNbd(), Nbd())}


def model_named(name: str) -> PurchaseModel:
    """Return the purchase model of that name.

    Raises
    ------
    ModelError
        If there is none.
    """
    if name not in PURCHASE_MODELS:
        raise ModelError(f"There is no purchase model '{name}'.", f"Use one of {', '.join(PURCHASE_MODELS)}.")
    return PURCHASE_MODELS[name]


def at_least(
    model: PurchaseModel, parameters: Parameters, patterns: Patterns, horizons: FloatArray, counts: FloatArray
) -> FloatArray:
    """Return P(purchases in the next t >= m), m >= 1; t and m paired with the patterns, shape (n,)."""
    given_alive = model.at_least_given_alive(parameters, patterns, horizons, counts)
    return np.asarray(model.p_alive(parameters, patterns) * given_alive, dtype=np.float64)
