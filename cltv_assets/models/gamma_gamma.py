"""The Gamma-Gamma model: what a purchase is worth, given what earlier ones were.

A customer's purchase values are Gamma(p, nu) with nu ~ Gamma(q, v) over customers.
Source: Fader and Hardie (2013), The Gamma-Gamma Model of Monetary Value,
http://www.brucehardie.com/notes/025/; equation numbers below are theirs.

Where order values depend on how often customers buy, the scale of a customer of x repeat purchases is
v_x = v d^(log2 x): it changes by the factor d (``doubling``) with each doubling of x. This regression within the
model leaves its forms closed, with v_x in place of v. Who orders again has x + 1 repeat purchases, so v_(x + 1) is the
scale of an order to come: with v_x, those of the seldom buyers who do come back would be taken for what all seldom
buyers are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, digamma

from cltv_assets.errors import ModelError
from cltv_assets.models.arrays import FloatArray
from cltv_assets.models.distinct import Distinct
from cltv_assets.models.sufficient_statistics import Parameters, SpendStatistics, inner

NAME = "gamma_gamma"
PARAMETER_NAMES = ("p", "q", "v")
#: With order values that depend on frequency.
BY_FREQUENCY_NAMES = (*PARAMETER_NAMES, "doubling")

#: v scales with either shape: it means nothing where one of them runs away.
TOGETHER = (("p", "v"), ("q", "v"))


#: With this shape a customer's purchases differ by a hundredth: it stands for the limit in which they do not differ.
ALIKE = 1e4
#: Up to so many order values over all customers are prices, not a spread.
MOST_PRICES, _ENOUGH = 10, 50


def pays_the_same(p: float | None, prices: int | None, customers: int) -> bool:
    """Return whether each customer pays the same price every time: then the first order says what the next is worth.

    Parameters
    ----------
    p : float or None
        Shape of the fitted model; at the end of its range the spread within customers is nil.
    prices : int or None
        How many mean order values the customers have.
    customers : int
        Those fitted on.
    """
    few = prices is not None and prices <= MOST_PRICES and customers >= _ENOUGH
    return few and p is not None and p >= 0.99 * ALIKE


def one_price(price: float) -> Parameters:
    """Return the parameters of the limit in which everybody pays the same: expectations are ``price``."""
    return {"p": ALIKE, "q": ALIKE + 1.0, "v": price}


class GammaGammaLikelihood:
    """The log-likelihood of statistics and its exact gradient.

    Equation 1a regrouped so that nothing cancels when a parameter runs away:
    -ln B(px, q) - q ln(1 + xm/v) - px ln(1 + v/(xm)) - ln m. With ``by_frequency`` v is v_x, and ln d comes fourth.
    """

    def __init__(self, statistics: SpendStatistics, *, by_frequency: bool = False) -> None:
        self._doublings = np.log2(statistics.frequency) if by_frequency else None
        self._counts = Distinct.whole(statistics.frequency)
        self._customers_by_count = self._counts.total(statistics.weights)
        self._weights = statistics.weights
        self._x = statistics.frequency.astype(np.float64)
        self._spend = self._x * statistics.monetary_value
        self._log_value = inner(statistics.weights, np.log(statistics.monetary_value))

    def __call__(self, log_parameters: FloatArray) -> tuple[float, FloatArray]:
        """Return the log-likelihood (nats) and its gradient by ln p, ln q, ln v."""
        parameters = np.exp(log_parameters)
        p, q = float(parameters[0]), float(parameters[1])
        v: float | FloatArray = float(parameters[2])
        if self._doublings is not None:
            v = v * np.exp(self._doublings * log_parameters[3])
        x, by_count, weights = self._counts.values.astype(np.float64), self._customers_by_count, self._weights
        over_v, under_v = np.log1p(self._spend / v), np.log1p(v / self._spend)
        both = digamma(p * x + q)
        above, below = inner(weights, over_v), inner(weights * self._x, under_v)
        value = -inner(by_count, betaln(p * x, q)) - q * above - p * below - self._log_value
        by_p = inner(by_count, x * (both - digamma(p * x))) - below
        by_q = inner(by_count, both - digamma(q)) - above
        # By the logarithm of each customer's v.
        by_scale = weights * (q * self._spend - p * self._x * v) / (self._spend + v)
        gradient = [by_p * p, by_q * q, float(np.sum(by_scale))]
        if self._doublings is not None:
            gradient.append(inner(by_scale, self._doublings))
        return value, np.array(gradient)


def starts(mean: float) -> list[Parameters]:
    """Return where to start from, given the mean order value: p v / (q - 1) equals it."""
    return [{"p": p, "q": q, "v": mean * (q - 1.0) / p} for p, q in ((6.0, 4.0), (1.0, 2.0), (2.0, 15.0))]


def boundary_reason(unidentified: frozenset[str]) -> str:
    """Say in plain words what the run-away parameters mean."""
    which = "within customers" if "q" not in unidentified else "within or between customers"
    return f"the spread of order values {which} cannot be identified: the data fit as well with quite another spread"


def population_mean(parameters: Parameters) -> float:
    """Return the mean order value of a new customer, p v / (q - 1), in currency (equation 3).

    Raises
    ------
    ModelError
        If q <= 1: the mean is infinite.
    """
    _refuse_infinite_mean(parameters)
    return parameters["p"] * parameters["v"] / (parameters["q"] - 1.0)


def population_mean_error(parameters: Parameters, log_covariance: Mapping[str, Mapping[str, float]]) -> float:
    """Return the relative standard error of `population_mean`, by the delta method.

    ln(p v / (q - 1)) has the derivatives 1, -q / (q - 1) and 1 by ln p, ln q and ln v. As q comes near 1 the error
    grows without bound: a few customers then decide what everybody else is worth.

    Parameters
    ----------
    parameters : mapping
        p, q and v.
    log_covariance : mapping
        Covariance of the logs of the identified parameters; the others count as known.
    """
    _refuse_infinite_mean(parameters)
    slope = {"p": 1.0, "q": -parameters["q"] / (parameters["q"] - 1.0), "v": 1.0}
    known = [name for name in slope if name in log_covariance]
    variance = sum(slope[one] * slope[other] * log_covariance[one][other] for one in known for other in known)
    return math.sqrt(max(variance, 0.0))


def rate_scale(parameters: Parameters, frequency: npt.ArrayLike) -> FloatArray:
    """Return the scale of an order to come of customers of ``frequency``, in currency, shape (n,): v or v_(x + 1)."""
    doublings = np.log2(np.asarray(frequency, dtype=np.float64) + 1.0)
    return np.asarray(parameters["v"] * parameters.get("doubling", 1.0) ** doublings, dtype=np.float64)


def expected_value(parameters: Parameters, frequency: npt.ArrayLike, monetary_value: npt.ArrayLike) -> FloatArray:
    """Return E[mean order value | x, m] in currency, shape (n,) (equation 5).

    (v p + p x m) / (p x + q - 1): the customer's own mean, drawn towards the population's. The more
    purchases it rests on, the less it is drawn. For x = 0 it is the population mean, whatever m.

    Raises
    ------
    ModelError
        If q <= 1, or a frequency or value is negative or not finite.
    """
    _refuse_infinite_mean(parameters)
    x, m = np.asarray(frequency, dtype=np.float64), np.asarray(monetary_value, dtype=np.float64)
    if not ((x >= 0) & np.isfinite(x)).all() or not ((m >= 0) & np.isfinite(m)).all():
        raise ModelError(
            "A frequency or monetary value is negative or not a finite number.",
            "Predict from rfm_summary rows, whose bounds check refuses such values.",
        )
    p, q, v = parameters["p"], parameters["q"], rate_scale(parameters, x)
    return np.asarray(p * (v + x * m) / (p * x + q - 1.0), dtype=np.float64)


def _refuse_infinite_mean(parameters: Parameters) -> None:
    if not parameters["q"] > 1.0:
        raise ModelError(
            f"The Gamma-Gamma model with q = {parameters['q']:.4g} has no finite mean order value (q must exceed 1).",
            "Treat outliers in order values (outliers.method in cltv.yaml) or fit on more months.",
        )
