"""What every purchase model offers, so that fits and predictions know no model by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cltv_assets.models.estimation.curvature import Objective
from cltv_assets.models.estimation.statistics import FloatArray, IntArray, PurchaseStatistics, check_pattern, columns

#: Parameter values by name.
Parameters = Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Patterns:
    """Customers' histories to predict from.

    Parameters
    ----------
    frequency : array of int64, shape (n,)
        Repeat purchases.
    recency, T : arrays of float64, shape (n,)
        In the time unit of the model's fit.

    Raises
    ------
    ModelError
        If no customer's history can look like this; see `PurchaseStatistics`.
    """

    frequency: IntArray
    recency: FloatArray
    T: FloatArray

    def __post_init__(self) -> None:
        values = columns({"frequency": self.frequency, "recency": self.recency, "T": self.T})
        check_pattern(values["frequency"], values["recency"], values["T"])
        object.__setattr__(self, "frequency", values["frequency"].astype(np.int64))
        object.__setattr__(self, "recency", values["recency"])
        object.__setattr__(self, "T", values["T"])

    def __len__(self) -> int:
        return len(self.frequency)

    @classmethod
    def unchecked(cls, frequency: npt.NDArray[Any], recency: npt.NDArray[Any], T: npt.NDArray[Any]) -> Patterns:
        """Return patterns without looking at their values: for rows checked before, and grids of a plot."""
        patterns = object.__new__(cls)
        object.__setattr__(patterns, "frequency", frequency.astype(np.int64, copy=False))
        object.__setattr__(patterns, "recency", recency.astype(np.float64, copy=False))
        object.__setattr__(patterns, "T", T.astype(np.float64, copy=False))
        return patterns

    def take(self, rows: IntArray) -> Patterns:
        """Return the patterns of the given rows."""
        return Patterns.unchecked(self.frequency[rows], self.recency[rows], self.T[rows])


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

    def log_repeat_probability(self, log_parameters: FloatArray, ages: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ln P(a repeat purchase within T) and its gradient, for each positive T of ``ages``.

        Returns
        -------
        array of float64, shape (n,)
        array of float64, shape (n, k)
            By log parameters.
        """

    def starts(self, purchase_rate: float) -> list[Parameters]:
        """Return parameters to start from, given repeat purchases a customer and unit of time."""

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

        Whoever is alive has a future that frequency and T tell; recency tells only whether one is.
        """


def at_least(
    model: PurchaseModel, parameters: Parameters, patterns: Patterns, horizons: FloatArray, counts: FloatArray
) -> FloatArray:
    """Return P(purchases in the next t >= m), m >= 1; t and m paired with the patterns, shape (n,)."""
    given_alive = model.at_least_given_alive(parameters, patterns, horizons, counts)
    return np.asarray(model.p_alive(parameters, patterns) * given_alive, dtype=np.float64)
