"""What every purchase model offers, and the models by name: fits and predictions know no model by itself."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from cltv_assets.errors import ModelError
from cltv_assets.models.arrays import FloatArray, IntArray
from cltv_assets.models.purchase.beta_geometric import BgNbd, MbgNbd
from cltv_assets.models.purchase.living import mixed
from cltv_assets.models.purchase.nbd import Nbd
from cltv_assets.models.purchase.pareto_nbd import ParetoNbd
from cltv_assets.models.purchase.regular import SHAPES, BgCnbd, MbgCnbd
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

    @property
    def k(self) -> int:
        """Steps that a purchase takes, each of which comes by chance: 1 unless purchases are regular."""

    def likelihood(self, statistics: PurchaseStatistics) -> Objective:
        """Return the log-likelihood of ``statistics`` and its gradient, over log parameters.

        A factor that no parameter enters may be left out: see `intervals_log_density`.
        """

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

    def progress(self, parameters: Parameters, patterns: Patterns) -> tuple[IntArray, FloatArray] | None:
        """Return the steps that customers may have done, shape (n, P), and their probabilities given alive.

        None where k is 1: the steps done are the repeat purchases.
        """

    def expected_purchases(self, parameters: Parameters, patterns: Patterns, horizons: FloatArray) -> FloatArray:
        """Return the expected purchases in the time t after the observation end, shape (n, H)."""

    def expected_given_alive(self, parameters: Parameters, states: Patterns, horizons: FloatArray) -> FloatArray:
        """Return the expected purchases of living customers, shape (n, H); ``states`` are those of `Living`."""

    def at_least_given_alive(
        self, parameters: Parameters, patterns: Patterns, horizons: FloatArray, counts: FloatArray
    ) -> FloatArray:
        """Return P(purchases in the next t >= m | alive at T), m >= 1; t and m paired with the patterns, shape (n,).

        The patterns are states of `Living`: the future of a customer who is alive depends on T and the steps done,
        which ``frequency`` counts. Recency tells whether one is alive, and how many steps are probably done.
        """


#: A new model needs an entry here, columns for its parameters in the table ``purchase_model`` and,
#: to be used, a place in ``PREFERENCE`` in ``models/choosing/candidates.py``.
PURCHASE_MODELS: dict[str, PurchaseModel] = {model.name: model for model in (BgNbd(), MbgNbd(), ParetoNbd(), Nbd())}

#: Those of regular purchases, for each k.
REGULAR_MODELS: dict[str, PurchaseModel] = {model.name: model for k in SHAPES for model in (BgCnbd(k), MbgCnbd(k))}


def model_named(name: str) -> PurchaseModel:
    """Return the purchase model of that name.

    Raises
    ------
    ModelError
        If there is none.
    """
    found = PURCHASE_MODELS.get(name) or REGULAR_MODELS.get(name)
    if found is None:
        raise ModelError(
            f"There is no purchase model '{name}'.",
            f"Use one of {', '.join(PURCHASE_MODELS)}, or bg_cnbd_k and mbg_cnbd_k with a k of "
            f"{', '.join(map(str, SHAPES))}.",
        )
    return found


def at_least(
    model: PurchaseModel, parameters: Parameters, patterns: Patterns, horizons: FloatArray, counts: FloatArray
) -> FloatArray:
    """Return P(purchases in the next t >= m), m >= 1; t and m paired with the patterns, shape (n,)."""
    found = model.progress(parameters, patterns)
    steps, weights = (patterns.frequency[:, None], None) if found is None else found
    given_alive = [
        model.at_least_given_alive(parameters, Patterns.unchecked(each, patterns.recency, patterns.T), horizons, counts)
        for each in steps.T
    ]
    alive = model.p_alive(parameters, patterns)
    return np.asarray(alive * mixed(np.stack(given_alive, axis=1), weights), dtype=np.float64)


def intervals_log_density(k: int, intervals: int, sum_of_logs: float) -> float:
    """Return the factor of single intervals that the likelihood leaves out, in nats; 0 for k = 1.

    Parameters
    ----------
    k : int
        Steps of a purchase.
    intervals : int
        How many there are: repeat purchases.
    sum_of_logs : float
        Of their lengths, in the models' time unit: with k, all that the likelihood sees of single intervals.
    """
    return (k - 1.0) * sum_of_logs - intervals * math.lgamma(k)
