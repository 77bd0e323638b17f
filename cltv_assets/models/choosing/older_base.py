"""Customers who are older than the data: how many there are, how they buy, and what it changes to know it.

Data often begin in the middle of a shop's life. The first purchase that they show of an older customer is then no
first one. Older customers turn up in the first months, so first purchases start high and decline. A boom of new
customers declines too, but those who turn up at once among older ones are the frequent buyers: a
customer of rate lambda turns up within a short time with a probability in proportion to lambda, so their rates
are those of Gamma(r + 1, alpha) instead of Gamma(r, alpha). They buy again sooner than new customers do, and
that needs no model to be seen. Fitted as if all were new, a model promises too much: in simulations 6 to
20 % more purchases in a year.

Two populations describe such data. New customers arrive evenly, nu in a unit of time, and have the likelihood
of their model. Of M older customers who were there at the start, each buys and drops out by the same model with
parameters of its own (those who survived differ from those who begin). No purchase before the start is known, so
one with the first purchase seen at f, and x more up to t_x, has x + 1 purchases, the last one t_x after the start,
in T, the whole length. That is the likelihood of a customer at age T who bought once or more, the
condition that `truncated_likelihood` has too. With L_o and L_n the two likelihoods, all customers have

    ln L = sum of ln(M L_o + nu L_n) - M P_o(X(T) >= 1) - nu T,

the likelihood of a Poisson process of customers marked with their histories. It is maximised by the EM algorithm
(Dempster, Laird and Rubin (1977), JRSS B 39, 1-38): each customer's probability of being an older one, then both
fits with these weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import betaln, expit, gammaln

from cltv_assets.errors import ModelError
from cltv_assets.models.arrays import BoolArray, FloatArray
from cltv_assets.models.choosing.histories import DateArray, Histories, OperationalTime
from cltv_assets.models.estimation.fitting import quick_parameters, truncated_likelihood
from cltv_assets.models.estimation.optimise import loss_per_customer
from cltv_assets.models.purchase.registry import model_named
from cltv_assets.models.sufficient_statistics import Parameters, Patterns, PurchaseStatistics, inner

#: Models that older customers can be told by: those with dropout at purchases.
OLDER_MODELS = ("bg_nbd", "mbg_nbd")

#: Slices of the data's length that first purchases are counted in.
_SLICES = 12
#: First purchases in the first slice over those of a late one, from which older customers are looked for.
_STARTS_HIGH = 1.3
#: Purchases soon after the first one, of the first days' customers over late ones'. Simulated shops that were older
#: had 1.6 to 2.7, new ones 0.93 to 1.08 whatever their model; UCI Online Retail has 2.0, CDNOW's first half year 1.08.
_SOONER = 1.3
#: Both have to be so many standard deviations beyond chance.
_BEYOND_CHANCE = 4.0
#: Soon is within so many days, and the first days are so many.
SOON_DAYS, _FIRST_DAYS = 60, 30
#: Fewest days that tell a decline.
_LEAST_DAYS = 120
#: Rounds of the EM algorithm at most, and the change of any customer's probability that ends them.
_ROUNDS, _SETTLED = 60, 2e-3
#: More patterns are merged into this many cells of the data's length.
_MANY, _CELLS = 4_000, 60


@dataclass(frozen=True, eq=False)
class SoonAgain:
    """Purchases soon after the first one, by its day, of customers who have been seen for so long.

    Parameters
    ----------
    first : array of datetime64[D], shape (n,)
        Days of first purchases.
    customers : array of float64, shape (n,)
        How many had their first purchase on that day.
    purchases, squares : arrays of float64, shape (n,)
        Sums over them of the repeat purchases within `SOON_DAYS` days, and of their squares.
    """

    first: DateArray
    customers: FloatArray
    purchases: FloatArray
    squares: FloatArray

    def first_ones_sooner(self, start: np.datetime64, end: np.datetime64, clock: OperationalTime) -> bool:
        """Return whether the customers of the first days bought again sooner than late ones, beyond chance.

        Sooner is what it is on ``clock``, as far as the season is known: that of its days is no sign.
        """
        place = (self.first - start).astype(np.int64)
        whole = place + SOON_DAYS <= (end - start).astype(np.int64)
        first = self._mean(whole & (place < _FIRST_DAYS), clock)
        late = self._mean(whole & (place >= (end - start).astype(np.int64) // 2), clock)
        if first is None or late is None:
            return False
        ratio = first[0] / late[0]
        error = np.sqrt(first[1] / first[0] ** 2 + late[1] / late[0] ** 2)
        return bool(ratio >= _SOONER and np.log(ratio) >= _BEYOND_CHANCE * error)

    def _mean(self, rows: BoolArray, clock: OperationalTime) -> tuple[float, float] | None:
        """Return mean purchases at the clock's average speed and their squared standard error; None without any."""
        until = self.first[rows] + np.timedelta64(SOON_DAYS, "D")
        speed = clock.elapsed(self.first[rows], until) * clock.days_per_unit / SOON_DAYS
        customers, purchases = float(self.customers[rows].sum()), inner(self.purchases[rows], 1.0 / speed)
        if purchases <= 0:
            return None
        mean = purchases / customers
        return mean, max(inner(self.squares[rows], 1.0 / speed**2) / customers - mean**2, mean) / customers


@dataclass(frozen=True, eq=False)
class Populations:
    """Older and new customers of one model.

    Parameters
    ----------
    model_name : str
        One of `OLDER_MODELS`.
    start : datetime64[D]
        The day before the data's first one.
    older, newer : mapping of str to float
        Parameters of either population.
    present : float
        M: older customers who were there at the start, whether seen or not.
    arriving : float
        nu: new customers in a unit of time.
    """

    model_name: str
    start: np.datetime64
    older: Mapping[str, float]
    newer: Mapping[str, float]
    present: float
    arriving: float

    def probability(self, older: Patterns, newer: Patterns) -> FloatArray:
        """Return the probability of being older, given either reading of each history, shape (n,)."""
        log_older = np.log(self.present) + _log_likelihoods(self.model_name, self.older, older)
        log_newer = np.log(self.arriving) + _log_likelihoods(self.model_name, self.newer, newer)
        # A weight of 0 is none.
        return np.asarray(np.clip(expit(log_older - log_newer), 1e-9, 1.0 - 1e-9), dtype=np.float64)

    def readings(self, histories: Histories, clock: OperationalTime) -> tuple[Reading, Reading]:
        """Return what the histories are if their customers are new, and if they are older, and how likely either is."""
        older, newer = as_older(histories, self.start, clock), histories.patterns(clock)
        share = self.probability(older, newer)
        return Reading(newer, self.newer, 1.0 - share), Reading(older, self.older, share)


@dataclass(frozen=True, eq=False)
class Reading:
    """One way to read histories.

    Parameters
    ----------
    patterns : Patterns
        Frequency, recency and T, read that way; n of them.
    parameters : mapping of str to float
        Of the population.
    probability : array of float64, shape (n,)
        That this is the right way.
    """

    patterns: Patterns
    parameters: Mapping[str, float]
    probability: FloatArray


@dataclass(frozen=True)
class Difference:
    """What it changes to know the older customers.

    Parameters
    ----------
    customers : float
        Older customers among those seen.
    total : float
        Expected purchases with the older customers known, over those without, minus 1.
    p_alive : float
        Change of the mean P(alive).
    """

    customers: float
    total: float
    p_alive: float


def difference_made(
    found: Populations, histories: Histories, known: Parameters, clock: OperationalTime, horizon: float
) -> Difference:
    """Compare predictions of two populations with those of one, whose parameters are ``known``."""
    model, weights = model_named(found.model_name), histories.weights
    at = np.array([horizon])
    before = model.expected_purchases(known, histories.patterns(clock), at)[:, 0]
    alive_before = model.p_alive(known, histories.patterns(clock))
    now, alive = np.zeros(len(weights)), np.zeros(len(weights))
    readings = found.readings(histories, clock)
    for each in readings:
        now += each.probability * model.expected_purchases(each.parameters, each.patterns, at)[:, 0]
        alive += each.probability * model.p_alive(each.parameters, each.patterns)
    return Difference(
        inner(weights, readings[1].probability),
        inner(weights, now) / inner(weights, before) - 1.0,
        inner(weights, alive - alive_before) / float(weights.sum()),
    )


def declines(histories: Histories) -> bool:
    """Return whether first purchases start high beyond chance."""
    days = int((histories.end - histories.first_day).astype(np.int64)) + 1
    if days < _LEAST_DAYS:
        return False
    counts = _by_slice((histories.first - histories.first_day).astype(np.float64), histories.weights, float(days))
    late = float(np.median(counts[_SLICES // 2 :]))
    return bool(
        counts[0] >= _STARTS_HIGH * late and counts[0] - late >= _BEYOND_CHANCE * np.sqrt(max(counts[0] + late, 1.0))
    )


def find_older_base(
    histories: Histories, again: SoonAgain, name: str, known: Parameters, clock: OperationalTime
) -> Populations | None:
    """Fit two populations where the data say that there are customers older than they.

    Parameters
    ----------
    histories : Histories
        Of all customers.
    again : SoonAgain
        How soon they bought again.
    name : str
        One of `OLDER_MODELS`.
    known : mapping of str to float
        Its parameters as fitted to one population, on ``clock``.
    clock : OperationalTime
        Measures recency, T and first purchases.

    Returns
    -------
    Populations or None
        None where first purchases do not decline, the first customers do not buy again sooner than later ones, or
        either population is too small to be fitted.
    """
    if not declines(histories) or not again.first_ones_sooner(histories.first_day, histories.end, clock):
        return None
    merged = _merged(histories)
    start = merged.first_day - np.timedelta64(1, "D")
    older, newer, weights = as_older(merged, start, clock), merged.patterns(clock), merged.weights
    length = float(clock.elapsed(start, merged.end))
    share = _first_guess(clock.elapsed(start, merged.first), weights, length)
    # Rare buyers among the older ones are unseen, so their rates are spread wider than those of the seen.
    found = Populations(name, start, {**known, "r": known["r"] / 2.0}, dict(known), 1.0, 1.0)
    try:
        for _ in range(_ROUNDS):
            found = _maximised(found, older, newer, weights, share, length)
            before, share = share, found.probability(older, newer)
            if float(np.abs(share - before).max()) <= _SETTLED:
                break
    except ModelError:
        return None
    numbers = [*found.older.values(), *found.newer.values(), found.present, found.arriving]
    return found if np.isfinite(numbers).all() else None


def _maximised(
    now: Populations, older: Patterns, newer: Patterns, weights: FloatArray, share: FloatArray, length: float
) -> Populations:
    """Fit either population with the customers' probabilities of belonging to it as weights."""
    name, model = now.model_name, model_named(now.model_name)
    parameters = _fit_older(_weighted(older, weights * share), name, now.older)
    fresh = quick_parameters(_weighted(newer, weights * (1.0 - share)), name, now.newer)
    logs = np.log([parameters[each] for each in model.parameter_names])
    seen = float(np.exp(model.log_at_least(logs, np.array([length]), 1)[0][0]))
    present, arriving = inner(weights, share) / seen, inner(weights, 1.0 - share) / length
    return Populations(name, now.start, parameters, fresh, present, arriving)


def _fit_older(statistics: PurchaseStatistics, name: str, start: Parameters) -> dict[str, float]:
    """Return the parameters of customers who were there at the start and bought once or more since."""
    model, scale = model_named(name), statistics.mean_age
    units = np.array([scale if each in model.time_parameters else 1.0 for each in model.parameter_names])
    at = np.log(np.array([start[each] for each in model.parameter_names]) / units)
    found = minimize(
        loss_per_customer(truncated_likelihood(model, statistics.scaled, 1), float(statistics.weights.sum())),
        at,
        jac=True,
        method="L-BFGS-B",
        bounds=[(-12.0, 12.0)] * len(at),
        options={"maxiter": 100, "ftol": 1e-10, "gtol": 1e-5},
    )
    if not np.isfinite(found.fun):
        raise ModelError(f"{name} cannot be fitted to older customers.", "Set history_before_start to none.")
    return dict(zip(model.parameter_names, (np.exp(found.x) * units).tolist(), strict=True))


def as_older(histories: Histories, start: np.datetime64, clock: OperationalTime) -> Patterns:
    """Return histories as those of customers who were there at the start: the first purchase seen is one more."""
    length = np.broadcast_to(clock.elapsed(start, histories.end), histories.frequency.shape)
    last = np.minimum(clock.elapsed(start, histories.last), length)
    return Patterns.unchecked(histories.frequency + 1, last, length)


def _weighted(patterns: Patterns, weights: FloatArray) -> PurchaseStatistics:
    kept = weights > 0
    return PurchaseStatistics(patterns.frequency[kept], patterns.recency[kept], patterns.T[kept], weights[kept])


def _log_likelihoods(name: str, parameters: Parameters, patterns: Patterns) -> FloatArray:
    """Return ln L of each pattern: the density of being alive at T, over P(alive)."""
    model = model_named(name)
    r, alpha, x = parameters["r"], parameters["alpha"], patterns.frequency.astype(np.float64)
    alive = gammaln(r + x) - gammaln(r) - r * np.log1p(patterns.T / alpha) - x * np.log(alpha + patterns.T)
    occasions = x + float(name == "mbg_nbd")
    alive += betaln(parameters["a"], parameters["b"] + occasions) - betaln(parameters["a"], parameters["b"])
    return np.asarray(alive - np.log(np.maximum(model.p_alive(parameters, patterns), 1e-300)), dtype=np.float64)


def _by_slice(at: FloatArray, weights: FloatArray, length: float) -> FloatArray:
    place = np.minimum((at / length * _SLICES).astype(np.int64), _SLICES - 1)
    return np.bincount(place, weights=weights, minlength=_SLICES).astype(np.float64)


def _first_guess(at: FloatArray, weights: FloatArray, length: float) -> FloatArray:
    """Return probabilities to start from: what is beyond a late slice's customers is older."""
    counts = _by_slice(at, weights, length)
    late = 0.8 * float(np.median(counts[_SLICES // 2 :]))
    middles = (np.arange(_SLICES) + 0.5) * length / _SLICES
    beyond: BoolArray = counts > late
    each = np.where(beyond, 1.0 - late / np.maximum(counts, 1e-300), 0.0)
    return np.clip(np.interp(at, middles, each), 0.02, 0.98)


def _merged(histories: Histories) -> Histories:
    """Return histories with dates in cells where they are many: the search needs the shape, not the last digits."""
    if len(histories.frequency) <= _MANY:
        return histories
    first_day, days = histories.first_day, (histories.end - histories.first_day).astype(np.int64) + 1
    width = max(1, int(days) // _CELLS)

    def middle(dates: np.ndarray) -> np.ndarray:
        cell = (dates - first_day).astype(np.int64) // width
        return np.minimum(cell * width + width // 2, days - 1)

    first, last = middle(histories.first), middle(histories.last)
    last = np.maximum(last, first)
    key = (histories.frequency * (days + 1) + first) * (days + 1) + last
    _, rows, index = np.unique(key, return_index=True, return_inverse=True)
    weights = np.bincount(index, weights=histories.weights).astype(np.float64)
    return Histories(histories.frequency[rows], first_day + first[rows], first_day + last[rows], weights, histories.end)
