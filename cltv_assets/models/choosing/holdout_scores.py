"""Which model predicts best: rolling holdouts inside the history, judged by a proper score.

At each origin a model is fitted on what was known then and gives every customer a
probability of the number of purchases that the customer then made. Its logarithm is a
strictly proper score (Gneiting and Raftery (2007), Strictly Proper Scoring Rules, Prediction,
and Estimation, JASA 102, 359-378): a model scores best by its honest probabilities. Two models
are compared customer by customer, which removes what is hard to predict for both. The standard
error of the mean difference says how much of it is chance (Vuong (1989), Econometrica 57,
307-333).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cltv_assets.models.arrays import FloatArray, IntArray
from cltv_assets.models.choosing.histories import Fold, OperationalTime
from cltv_assets.models.distinct import Distinct
from cltv_assets.models.purchase.living import Living, mixed
from cltv_assets.models.purchase.registry import PurchaseModel, model_named
from cltv_assets.models.sufficient_statistics import Parameters, Patterns, inner

#: Holdouts that it takes to leave a default: what one shows may be peculiar to it.
MIN_FOLDS = 2
#: Least probability of an outcome: below it the difference of two tails is rounding.
_LEAST = 1e-12


@dataclass(frozen=True, eq=False)
class FoldScore:
    """How well one fit predicted one holdout.

    Parameters
    ----------
    log_probabilities : array of float64, shape (n,)
        Of what each group of the fold bought, in nats.
    weights : array of float64, shape (n,)
        Customers of each group.
    predicted, actual : float
        Purchase days of all customers in the holdout.
    origin : str
        The month at whose end the customers were known.
    """

    log_probabilities: FloatArray
    weights: FloatArray
    predicted: float
    actual: float
    origin: str = ""


#: The scores of models by name, one for each fold, the same folds for each model.
Scores = Mapping[str, Sequence[FoldScore]]


@dataclass(frozen=True)
class Standing:
    """A contender among others on the same holdouts.

    Parameters
    ----------
    log_score : float
        Mean log probability of what a customer bought, in nats.
    deficit : float
        By how much that lies below the score of the best; 0 for the best.
    deficit_se : float
        Its standard error over customers and holdouts, see `difference`; 0 for the best.
    bias : float or None
        Total predicted over total bought, minus 1; None where nothing was bought.
    total_error : float or None
        Root mean square over holdouts of that; None where nothing was bought in one.
    errors : mapping of str to float
        The same of each holdout, by the month of its origin.
    """

    log_score: float
    deficit: float
    deficit_se: float
    bias: float | None
    total_error: float | None
    errors: Mapping[str, float] = field(default_factory=dict)


def score_fold(name: str, parameters: Parameters, clock: OperationalTime, fold: Fold, level: float = 1.0) -> FoldScore:
    """Compare the predictions of a model, fitted on a fold's histories as measured by ``clock``, with its holdout.

    ``level`` times the clock's speed is its speed in the holdout: a level other than 1 says that everybody buys more,
    or less, than before.
    """
    model = model_named(name)
    patterns = fold.histories.patterns(clock)
    horizon = level * float(clock.elapsed(fold.histories.end, fold.until))
    expected = model.expected_purchases(parameters, patterns, np.array([horizon]))[:, 0]
    weights = fold.histories.weights
    return FoldScore(
        log_probabilities=log_probabilities(model, parameters, patterns, horizon, fold.bought),
        weights=weights,
        predicted=inner(weights, expected),
        actual=fold.actual,
        origin=str(fold.histories.end.astype("datetime64[M]")),
    )


def log_probabilities(
    model: PurchaseModel, parameters: Parameters, patterns: Patterns, horizon: float, bought: IntArray
) -> FloatArray:
    """Return ln P(exactly so many purchases in the horizon | pattern), shape (n,).

    They are differences of tails: P(N = n) = P(N >= n) - P(N >= n + 1), with P(N >= 0) = 1. The future
    of a customer who is alive depends on a state (`Living`), so tails are computed once for each of these.
    """
    living, counts = Living.of(model, parameters, patterns), int(bought.max(initial=0)) + 2
    # One whole number for each (state, bought), and for what its tails are taken at.
    alike = Distinct.whole((living.index * counts + bought[:, None]).ravel())
    some = alike.values % counts > 0
    ends = Distinct.whole(np.concatenate((alike.values + 1, alike.values[some])))
    at, m = np.divmod(ends.values, counts)
    tails = model.at_least_given_alive(
        parameters, living.states.take(at), np.full(len(at), horizon), m.astype(np.float64)
    )
    again, tail = tails[ends.index[: len(some)]], np.ones(len(some))
    tail[some] = tails[ends.index[len(some) :]]
    alive = model.p_alive(parameters, patterns)
    index = alike.index.reshape(living.index.shape)
    exactly = np.where(
        bought > 0,
        alive * mixed((tail - again)[index], living.weights),
        1.0 - alive * mixed(again[index], living.weights),
    )
    return np.asarray(np.log(np.maximum(exactly, _LEAST)), dtype=np.float64)


def compare(scores: Scores) -> dict[str, Standing]:
    """Rank contenders that were scored on the same folds."""
    log_scores = {key: _mean(each) for key, each in scores.items()}
    if not log_scores:
        return {}
    best = max(log_scores, key=lambda key: log_scores[key])
    standings = {}
    for key, each in scores.items():
        deficit, error = difference(scores[best], each)
        standings[key] = Standing(
            log_scores[key],
            deficit,
            error,
            bias(each),
            total_error(each),
            {fold.origin: fold.predicted / fold.actual - 1.0 for fold in each if fold.actual > 0},
        )
    return standings


def difference(better: Sequence[FoldScore], other: Sequence[FoldScore], *, shocks: bool = True) -> tuple[float, float]:
    """Return the mean paired difference of log scores, and its standard error, in nats per customer.

    Customers count one by one. Holdouts do not overlap, so each customer in each holdout
    is one observation. But what befalls all customers of a holdout alike (a campaign, a
    strike) is one observation per holdout. With ``shocks``, the variance of the holdouts'
    means beyond that of their customers is therefore added, as for a random effect.
    """
    means, errors, weights = [], [], []
    for mine, theirs in zip(better, other, strict=True):
        gaps, customers = mine.log_probabilities - theirs.log_probabilities, float(mine.weights.sum())
        mean = float((mine.weights * gaps).sum()) / customers
        means.append(mean)
        errors.append(float((mine.weights * (gaps - mean) ** 2).sum()) / customers**2)
        weights.append(customers)
    return pooled(means, errors, weights, shocks=shocks)


def pooled(
    means: Sequence[float], variances: Sequence[float], customers: Sequence[float], *, shocks: bool = True
) -> tuple[float, float]:
    """Return the mean of the holdouts' means, and its standard error, which `difference` explains."""
    each, within = np.array(means), np.array(variances)
    share = np.array(customers) / sum(customers)
    beyond = max(0.0, float(np.var(each, ddof=1) - within.mean())) if shocks and len(each) > 1 else 0.0
    return float((share * each).sum()), math.sqrt(float((share**2 * (within + beyond)).sum()))


def bias(scores: Sequence[FoldScore]) -> float | None:
    """Return total predicted over total bought, minus 1; None where nothing was bought."""
    actual = sum(fold.actual for fold in scores)
    return sum(fold.predicted for fold in scores) / actual - 1.0 if actual > 0 else None


def total_error(scores: Sequence[FoldScore]) -> float | None:
    """Return the root mean square of the holdouts' relative errors; None where nothing was bought in one."""
    if not scores or any(fold.actual <= 0 for fold in scores):
        return None
    return math.sqrt(sum((fold.predicted / fold.actual - 1.0) ** 2 for fold in scores) / len(scores))


def mean_miss(scores: Sequence[FoldScore]) -> float:
    """Return by what share a holdout's total is missed, whatever the sign, on average over holdouts."""
    return float(np.mean([abs(fold.predicted - fold.actual) / max(fold.actual, 1.0) for fold in scores]))


def _mean(scores: Sequence[FoldScore]) -> float:
    total = sum(float((fold.weights * fold.log_probabilities).sum()) for fold in scores)
    return total / sum(float(fold.weights.sum()) for fold in scores)
