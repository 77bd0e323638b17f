"""Totals of many customers, with intervals that hold chance, the parameters' uncertainty and the model's own error.

A total is a sum over customers. Three things make it miss its expectation:

- chance: given the parameters customers are independent, so variances add up. Of a
  customer's purchases it is E[N^2] - E[N]^2; of the value, with S as in
  ``value_intervals`` and q' = q + p x, E[S^2] = (p^2 E[N^2] + p E[N]) (v + x m)^2 /
  ((q' - 1)(q' - 2)), from the moments of the inverse gamma distribution;
- the parameters, which are estimates and shared by all, so that their error does not
  average out: by the delta method g' C g, C being the covariance of the log parameters and
  g the derivative of the total by them (Casella and Berger, 2002, Statistical
  Inference, section 5.5.4);
- the model: what befalls all customers alike (a season, a campaign, other prices) is in no
  likelihood. The rolling holdouts inside the history tell how large that is, by the relative
  errors of their totals (`model_error`): of purchases, and of revenue (`revenue_errors`).
  Without it 8 of 60 totals of CDNOW's last year lay within their intervals, with that of purchases 36. It is unknown in
  the first months.

Where several models predict together, which of them is right is a fourth: see `MixedTotals`.

The interval is that of a gamma distribution of this mean and variance. It is positive,
skewed where few customers make up the total, and normal where many do.

For q' <= 2 the variance is infinite, and up to 3 it depends on single customers: a rare one
outweighs all others, and most totals lie below their expectation. There mean and variance
are those of values cut at the bound that any customer exceeds with a chance of a tenth. Sums
of such cut values are near enough to gamma variables (tests simulate it), and the expectation
itself may lie above the interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import gammaincinv, ndtri, stdtrit

from cltv_assets.models.arrays import FloatArray, IntArray
from cltv_assets.models.estimation.fits import PurchaseFit
from cltv_assets.models.gamma_gamma import BY_FREQUENCY_NAMES, rate_scale
from cltv_assets.models.pattern_predictions import HIGH, LOW
from cltv_assets.models.purchase.registry import PurchaseModel, model_named
from cltv_assets.models.sufficient_statistics import Parameters, Patterns
from cltv_assets.models.value.future_counts import AgeGrid, count_tails
from cltv_assets.models.value.value_intervals import bounded_moments

#: Covariance of log parameters, by their names.
Covariance = Mapping[str, Mapping[str, float]]

#: Step of the numerical derivatives by log parameters.
_STEP = 1e-3

#: Up to this shape q + p x values are cut, at what any customer exceeds with this chance.
HEAVY_TAIL, _CUT = 3.0, 0.1

#: A spend model by which each purchase is worth 1, whatever the history: g is then what a purchase leaves.
UNIT_PRICE = {"p": 1e4, "q": 1e9 + 1.0, "v": 1e5}

#: Groups worked on at once: their temporary arrays stay within the cache. Fresh memory is dearer than arithmetic.
_BLOCK = 8_192


@dataclass(frozen=True, eq=False)
class MoneyWeights:
    """Sums over the customers of each group, g being a customer's gross margin and m the monetary value.

    Parameters
    ----------
    margins, values : arrays of float64, shape (n,)
        Of g and of g m.
    margin_squares, margin_values, value_squares : arrays of float64, shape (n,)
        Of g^2, of g^2 m and of g^2 m^2.
    """

    margins: FloatArray
    values: FloatArray
    margin_squares: FloatArray
    margin_values: FloatArray
    value_squares: FloatArray


@dataclass(frozen=True, eq=False)
class CustomerGroups:
    """Customers of equal history, counted.

    Parameters
    ----------
    frequency : array of int64, shape (n,)
    recency, T : arrays of float64, shape (n,)
        In the time unit of the purchase model's fit.
    customers : array of float64, shape (n,)
        How many.
    money : MoneyWeights
        Sums over them of what money counts.
    """

    frequency: IntArray
    recency: FloatArray
    T: FloatArray
    customers: FloatArray
    money: MoneyWeights


@dataclass(frozen=True, eq=False)
class Sums:
    """One quantity's sums over the customers of each group.

    Parameters
    ----------
    expected : array of float64, shape (n, H)
        Expectation at each horizon.
    centre, variance : arrays of float64, shape (n, H)
        Mean and variance by chance alone, for the interval. The mean is ``expected`` except
        where values are cut.
    gradient : array of float64, shape (P, n, H)
        Derivative of ``expected`` by the log of each parameter of ``covariance``.
    covariance : array of float64, shape (P, P)
        Of the log parameters.
    """

    expected: FloatArray
    centre: FloatArray
    variance: FloatArray
    gradient: FloatArray
    covariance: FloatArray

    def moments(self, rows: IntArray, *, with_parameters: bool = True) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return mean, variance and losses of the total over ``rows``, shape (H,) each."""
        mean = self.centre[rows].sum(axis=0)
        variance = self.variance[rows].sum(axis=0)
        if with_parameters:
            # One parameter at a time takes less memory.
            slope = np.array([by_parameter[rows].sum(axis=0) for by_parameter in self.gradient]).reshape(-1, len(mean))
            variance = variance + np.einsum("ph,pq,qh->h", slope, self.covariance, slope)
        return mean, variance, -np.minimum(self.centre[rows], 0.0).sum(axis=0)

    def interval(self, rows: IntArray, error: float = 0.0, *, with_parameters: bool = True) -> FloatArray:
        """Return the 80 % interval of the total over ``rows``, shape (H, 2); ``error`` is that of `model_error`."""
        mean, variance, losses = self.moments(rows, with_parameters=with_parameters)
        return gamma_interval(mean, variance + (error * mean) ** 2, losses)


@dataclass(frozen=True, eq=False)
class Totals:
    """The sums of purchases and of their value, to be added up over any groups."""

    purchases: Sums
    value: Sums

    def intervals(
        self, rows: IntArray, error: float = 0.0, value_error: float | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return the 80 % intervals of purchases and of value over ``rows``, shape (H, 2) each.

        ``error`` and ``value_error`` are those of `model_error`, of purchases and of value; without the second
        the first is taken for both.
        """
        return self.purchases.interval(rows, error), self.value.interval(
            rows, error if value_error is None else value_error
        )


def added(parts: Sequence[Totals]) -> Totals:
    """Return the totals of the same groups in several parts, whose parameters err alike."""
    first = parts[0]
    if len(parts) == 1:
        return first

    def together(sums: Sequence[Sums]) -> Sums:
        expected, centre, variance, gradient = (
            np.sum([getattr(each, name) for each in sums], axis=0)
            for name in ("expected", "centre", "variance", "gradient")
        )
        return Sums(expected, centre, variance, gradient, sums[0].covariance)

    return Totals(together([each.purchases for each in parts]), together([each.value for each in parts]))


class Moments(Protocol):
    """What tells mean, variance and losses of a total over some groups, as `Sums` does."""

    def moments(self, rows: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return them, shape (H,) each."""


class BothMoments(Protocol):
    """Purchases and their value, as in `Totals`."""

    @property
    def purchases(self) -> Moments:
        """Of purchases."""

    @property
    def value(self) -> Moments:
        """Of value."""


@dataclass(frozen=True, eq=False)
class MixedTotals:
    """The totals of models that predict together, as one of them is right for all customers.

    Parameters
    ----------
    weights : array of float64, shape (C,)
        Of the models.
    parts : sequence of BothMoments
        By each of them, over the same groups.
    """

    weights: FloatArray
    parts: Sequence[BothMoments]

    def intervals(
        self, rows: IntArray, error: float = 0.0, value_error: float | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return the 80 % intervals of purchases and of value over ``rows``, shape (H, 2) each, as `Totals` does.

        Which model holds is one draw for all customers, so the variance of a total is the weighted mean of the
        models' variances and that of their totals around the mixture's (the law of total variance).
        """
        purchases = self._interval([part.purchases.moments(rows) for part in self.parts], error)
        value = self._interval(
            [part.value.moments(rows) for part in self.parts], error if value_error is None else value_error
        )
        return purchases, value

    def _interval(self, moments: Sequence[tuple[FloatArray, FloatArray, FloatArray]], error: float) -> FloatArray:
        means, variances, losses = (np.stack(each) for each in zip(*moments, strict=True))
        weights = self.weights[:, None]
        mean = (weights * means).sum(axis=0)
        variance = (weights * (variances + (means - mean) ** 2)).sum(axis=0)
        return gamma_interval(mean, variance + (error * mean) ** 2, (weights * losses).sum(axis=0))


def model_error(total_error: float | None, holdouts: int) -> float:
    """Return the relative standard deviation of totals beyond chance and parameters.

    ``total_error`` is the root mean square of the relative errors of the totals in rolling ``holdouts``. Few
    holdouts tell little of a spread, so it is widened by the ratio of the t distribution's nine tenths to the normal
    one's. It is 0 where there was no holdout: unknown, not small.
    """
    if total_error is None or holdouts < 1:
        return 0.0
    return total_error * float(stdtrit(holdouts, HIGH) / ndtri(HIGH))


def revenue_errors(purchases: Mapping[str, float], values: Mapping[str, float]) -> list[float]:
    """Return the relative errors of revenue in the holdouts that both errors are known of.

    Expected revenue is expected purchases times what a purchase is expected to bring. So its error in a holdout is made
    of the error of purchases and of that of what the purchases made were worth: they may add up, or cancel.

    Parameters
    ----------
    purchases, values : mapping of str to float
        Predicted over actual, minus 1, by the origin of the holdout.
    """
    return [(1.0 + purchases[origin]) * (1.0 + values[origin]) - 1.0 for origin in purchases if origin in values]


def gamma_interval(mean: FloatArray, variance: FloatArray, losses: FloatArray | float = 0.0) -> FloatArray:
    """Return the 10 % and 90 % quantiles of gamma distributions, shape (H, 2); both the mean without variance.

    Where ``losses``, what customers cost who bring less than they cost, outweigh the mean, the total may well be
    below zero, and they are those of a normal distribution.
    """
    known = (mean > 0) & (variance > 0)
    shape = np.divide(mean**2, variance, out=np.ones_like(mean), where=known)
    # Beyond this spread the first tenth of a gamma lies below any number worth reporting.
    shape = np.maximum(shape, 1e-3)[:, None]
    ends = gammaincinv(shape, np.array([LOW, HIGH])) / shape
    normal = mean[:, None] + np.sqrt(variance)[:, None] * ndtri((LOW, HIGH))
    signed = (mean < 0) | (np.asarray(losses) > np.maximum(mean, 0.0))
    found = np.where(signed[:, None], normal, np.where(known[:, None], ends, 1.0) * mean[:, None])
    return np.asarray(found, dtype=np.float64)


def totals_of(
    fit: PurchaseFit,
    spend: Parameters,
    groups: CustomerGroups,
    month_ends: FloatArray,
    factors: FloatArray,
    horizons: Sequence[int],
    spend_covariance: Covariance | None = None,
) -> Totals:
    """Return expected purchases and value of groups of customers, and how far totals may lie off.

    Parameters
    ----------
    fit : PurchaseFit
        Its ``log_covariance`` says how well its parameters are known; those that are
        missing there count as known.
    spend : mapping
        p, q and v of the Gamma-Gamma model, with ``doubling`` where order values depend on frequency.
    groups : CustomerGroups
        n of them.
    month_ends : array of float64, shape (K,)
        Time from the observation end to each following month's end.
    factors : array of float64, shape (K,)
        What one unit of margin in each month counts for: the discount.
    horizons : sequence of int, length H
        Months, each between 1 and K.
    spend_covariance : mapping or None
        Of the logs of the spend model's identified parameters.
    """
    model, parameters = model_named(fit.model_name), fit.usable_parameters()
    patterns = Patterns(groups.frequency, groups.recency, groups.T)
    at = [h - 1 for h in horizons]
    ends = month_ends[at]
    grid = AgeGrid.of(model, parameters, patterns, float(ends.min()))
    by_month = _given_alive(model, parameters, grid, month_ends)
    moments = _moments(model, parameters, spend, grid, groups, ends)
    names, covariance = _matrix(fit.log_covariance, tuple(parameters))
    spend_names, spend_matrix = _matrix(spend_covariance, BY_FREQUENCY_NAMES)
    shifted = [{**parameters, name: parameters[name] * np.exp(sign * _STEP)} for name in names for sign in (1.0, -1.0)]
    moved = [(each, _given_alive(model, each, _grid_at(model, each, patterns, grid), ends)) for each in shifted]
    both = np.zeros((len(names) + len(spend_names),) * 2)
    both[: len(names), : len(names)] = covariance
    both[len(names) :, len(names) :] = spend_matrix
    purchases, value = (_empty(len(patterns), len(at), matrix) for matrix in (covariance, both))
    p, q = spend["p"], spend["q"]

    for first in range(0, len(patterns), _BLOCK):
        rows = slice(first, first + _BLOCK)
        place = grid.place[rows]
        some = Patterns.unchecked(patterns.frequency[rows], patterns.recency[rows], patterns.T[rows])
        alive = model.p_alive(parameters, some)[:, None]
        monthly = alive * by_month[place]
        expected = monthly[:, at]
        present = np.cumsum(np.diff(monthly, axis=1, prepend=0.0) * factors, axis=1)[:, at]
        factor = np.divide(present, expected, out=np.zeros_like(expected), where=expected > 0)
        squares, value_means, value_squares = (each[place] for each in moments)
        customers, money = groups.customers[rows][:, None], groups.money
        x = some.frequency.astype(np.float64)
        shape, v = q + p * x, rate_scale(spend, x)
        # Sums over customers of g (v + x m) and of its square.
        scale = v * money.margins[rows] + x * money.values[rows]
        scale_squares = (
            v * v * money.margin_squares[rows]
            + 2.0 * v * x * money.margin_values[rows]
            + x * x * money.value_squares[rows]
        )
        worth = p / (shape - 1.0)
        means = worth[:, None] * expected
        centre = np.where(shape[:, None] > HEAVY_TAIL, means, alive * value_means)
        spread = alive * value_squares - centre**2
        value_of_purchase = (worth * scale)[:, None] * factor
        # Derivatives of the sum of p (v + x m) / (q + p x - 1).
        by_spend = {
            "p": (q - 1.0) / (shape - 1.0) * worth * scale,
            "q": -q / (shape - 1.0) * worth * scale,
            "v": worth * v * money.margins[rows],
            "doubling": worth * v * money.margins[rows] * np.log2(x + 1.0),
        }
        purchases.expected[rows] = purchases.centre[rows] = expected * customers
        purchases.variance[rows] = np.maximum(alive * squares - expected**2, 0.0) * customers
        value.expected[rows] = expected * value_of_purchase
        value.centre[rows] = centre * factor * scale[:, None]
        value.variance[rows] = np.maximum(spread, 0.0) * factor**2 * scale_squares[:, None]
        near = [model.p_alive(each, some)[:, None] * given_alive[place] for each, given_alive in moved]
        for i, (up, down) in enumerate(zip(near[::2], near[1::2], strict=True)):
            slope = (up - down) / (2.0 * _STEP)
            purchases.gradient[i, rows] = slope * customers
            value.gradient[i, rows] = slope * value_of_purchase
        for i, name in enumerate(spend_names, start=len(names)):
            value.gradient[i, rows] = by_spend[name][:, None] * expected * factor
    return Totals(purchases, value)


def _empty(n: int, horizons: int, covariance: FloatArray) -> Sums:
    """Return sums to be filled in."""
    expected, centre, variance = (np.empty((n, horizons)) for _ in range(3))
    return Sums(expected, centre, variance, np.empty((len(covariance), n, horizons)), covariance)


def _grid_at(model: PurchaseModel, parameters: Parameters, patterns: Patterns, grid: AgeGrid) -> AgeGrid:
    """Return the grid at other parameters: where purchases are regular, they weigh a customer's states."""
    return grid if model.k == 1 else AgeGrid.of(model, parameters, patterns, grid.scale)


def _given_alive(model: PurchaseModel, parameters: Parameters, grid: AgeGrid, horizons: FloatArray) -> FloatArray:
    """Return expected purchases of the living in the rows of the grid's weights, computed at its nodes only."""
    return grid.interpolate(model.expected_given_alive(parameters, grid.states, horizons))


def _moments(
    model: PurchaseModel,
    parameters: Parameters,
    spend: Parameters,
    grid: AgeGrid,
    groups: CustomerGroups,
    horizons: FloatArray,
) -> list[FloatArray]:
    """Return E[N^2], E[S] / (v + x m) and E[S^2] / (v + x m)^2 of the living, in the rows of the grid's weights."""
    found: list[FloatArray] = []
    for group in grid.groups:
        tails = count_tails(model, parameters, group.steps, group.nodes, horizons, spend["p"])
        mean, square = tails.moments()
        p, shape = spend["p"], spend["q"] + spend["p"] * group.frequency
        if shape > HEAVY_TAIL:
            value = p * mean / (shape - 1.0), (p * p * square + p * mean) / ((shape - 1.0) * (shape - 2.0))
        else:
            customers = float(groups.customers[group.rows].sum())
            value = bounded_moments(spend, group.frequency, tails, _CUT / customers)
        found.append(np.stack((square, *value)))
    nodes = np.concatenate(found, axis=1) if found else np.zeros((3, 0, len(horizons)))
    return [grid.interpolate(values) for values in nodes]


def _matrix(covariance: Covariance | None, names: Sequence[str]) -> tuple[list[str], FloatArray]:
    """Return the parameters that have a covariance, and its matrix."""
    known = [name for name in names if covariance and name in covariance]
    return known, np.array([[(covariance or {})[a][b] for b in known] for a in known]).reshape(len(known), len(known))
