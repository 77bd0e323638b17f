"""The candidate models of a month: fitted to all customers, and refitted at the origins of holdouts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cltv_assets.errors import ModelError
from cltv_assets.models.arrays import FloatArray
from cltv_assets.models.choosing.histories import Fold, OperationalTime
from cltv_assets.models.choosing.holdout_scores import FoldScore, Standing, score_fold
from cltv_assets.models.choosing.regularity import Intervals
from cltv_assets.models.estimation.fits import PurchaseFit
from cltv_assets.models.estimation.fitting import (
    customer_counts,
    fit_purchase_model,
    purchase_model_not_fitted,
    quick_parameters,
)
from cltv_assets.models.purchase.registry import intervals_log_density, model_named
from cltv_assets.models.sufficient_statistics import PurchaseStatistics, inner

#: The model without dropout that every other one is held against.
NULL_MODEL = "nbd"
#: The candidates. The first predicts where holdouts do not tell.
PREFERENCE = ("bg_nbd", "mbg_nbd", "pareto_nbd", NULL_MODEL)
#: Those that are tried, before the null model, where purchases are measured to be more regular than chance, and what
#: each of them is where they are not.
REGULAR = {"bg_cnbd_k": "bg_nbd", "mbg_cnbd_k": "mbg_nbd"}

#: With so many customers expected below a bound, and none there, the data are an extract of those above it: by
#: chance that happens once in 150 times.
_EXPECTED_BELOW = 5.0
#: A cliff: so few below, as a share of those in the class at the edge, and of those whom a model expects there.
_CLIFF = 0.25
#: The class at the edge holds at least this share of those whom the model expects in it, or less by chance.
_EDGE = 0.9
#: Those below are exceptions if they are no more than this share of those above.
_EXCEPTIONS = 0.05

#: A model that gains less than this on the null model, in nats for all customers together, predicts as
#: the null model does and need not be fitted again at every origin.
_NO_GAIN = 0.5

#: Without dropout in the data, the likelihood of this model rises along an endless ridge, and each step costs an
#: integral for every pattern: 16 s on a year of UCI Online Retail, where the others take 0.1 s and find the same.
_COSTLY = "pareto_nbd"
_NOT_TRIED = "not tried: neither bg_nbd nor mbg_nbd can tell from this history who stopped buying"

#: The cause where r runs to its bound; the checks know it by this, too.
REGULAR_BUYING = "customers buy more regularly than by chance (k = {})"


@dataclass(frozen=True, eq=False)
class Contender:
    """One fitted model.

    Parameters
    ----------
    fit : PurchaseFit
        The fit.
    index : array of float64, shape (12,), or None
        Its seasonal index.
    standing : Standing or None
        On the holdouts; None where it was not scored on any.
    folds : int
        Holdouts that it was scored on.
    weight : float
        Its share in the predictions; 0 for a comparison.
    """

    fit: PurchaseFit
    index: FloatArray | None = None
    standing: Standing | None = None
    folds: int = 0
    weight: float = 0.0

    @property
    def name(self) -> str:
        """The model's name."""
        return self.fit.model_name

    @property
    def usable(self) -> bool:
        """Whether it can predict."""
        return self.fit.status != "not_fitted"


def candidates(k: int) -> tuple[str, ...]:
    """Return the names of the candidates in order of preference, given the measured regularity."""
    if k == 1:
        return PREFERENCE
    regular = (with_k(name, k) for name in REGULAR)
    return (*(name for name in PREFERENCE if name != NULL_MODEL), *regular, NULL_MODEL)


def with_k(name: str, k: int) -> str:
    """Return the model that the setting ``name`` means at the measured regularity."""
    if name not in REGULAR:
        return name
    return REGULAR[name] if k == 1 else f"{name.removesuffix('k')}{k}"


def fit_candidates(
    statistics: PurchaseStatistics,
    wanted: str,
    least: int = 0,
    intervals: Intervals | None = None,
    days_per_unit: int = 1,
) -> dict[str, PurchaseFit]:
    """Fit every candidate; one whose search fails comes back as not fitted, with the reason.

    ``wanted`` is the setting ``purchase_model``, ``least`` that of `least_frequency`. Customers who have fewer
    repeat purchases are left out of the fits and counted in them. Without ``intervals`` purchases are taken to come
    by chance.

    Raises
    ------
    ModelError
        If the search of the wanted model, or of every model, failed.
    """
    kept = statistics.of_at_least(least)
    k = 1 if intervals is None else intervals.k
    wanted = with_k(wanted, k)
    fits: dict[str, PurchaseFit] = {}
    failures: dict[str, ModelError] = {}
    # The null model first: it tells whether the others found any dropout.
    for name in sorted(candidates(k), key=lambda name: name != NULL_MODEL):
        if name == _COSTLY and name != wanted and not _dropout_found(fits):
            fits[name] = purchase_model_not_fitted(kept, name, _NOT_TRIED, least=least)
            continue
        try:
            fits[name] = fit_purchase_model(kept, name, least=least)
        except ModelError as error:
            failures[name] = error
            fits[name] = purchase_model_not_fitted(kept, name, error.problem, least=least)
    if wanted in failures:
        raise failures[wanted]
    if all(fit.status == "not_fitted" for fit in fits.values()) and failures:
        raise next(iter(failures.values()))
    if left_out := statistics.customers - kept.customers:
        fits = {name: replace(fit, left_out=left_out, **customer_counts(statistics)) for name, fit in fits.items()}
    if k > 1 and intervals is not None:
        logs = intervals.sum_of_logs(days_per_unit)
        fits = {name: _told_of_regularity(fit, intervals, logs) for name, fit in fits.items()}
    return {name: fits[name] for name in candidates(k)}


def _told_of_regularity(fit: PurchaseFit, intervals: Intervals, sum_of_logs: float) -> PurchaseFit:
    """Return a fit with the factor of single intervals, and with the cause where chance cannot explain them.

    A model of purchases by chance can follow regular ones only by customers who all buy alike, so its r runs away.
    """
    model = model_named(fit.model_name)
    if model.k > 1 and fit.log_likelihood is not None and fit.aic is not None:
        more = intervals_log_density(model.k, intervals.every.total, sum_of_logs)
        return replace(fit, log_likelihood=fit.log_likelihood + more, aic=fit.aic - 2.0 * more)
    away = fit.log_covariance is not None and "r" not in fit.log_covariance
    if model.k == 1 and fit.status == "boundary" and away:
        return replace(fit, status_reason=f"{REGULAR_BUYING.format(intervals.k)}, which this model cannot follow")
    return fit


def _dropout_found(fits: Mapping[str, PurchaseFit]) -> bool:
    """Return whether a model identified dropout, or that cannot be told."""
    with_dropout = [fit for name, fit in fits.items() if name != NULL_MODEL]
    return any(
        fit.status == "not_fitted" or (fit.status == "fitted" and gains_on(fit, fits[NULL_MODEL]))
        for fit in with_dropout
    )


def least_frequency(statistics: PurchaseStatistics) -> int:
    """Return the repeat purchases that customers had to have to be among the data; 0 where these are all customers.

    An extract of customers who bought often enough ends in a cliff: a class of customers, and next to nobody below
    it. Not every cliff is one, as where all customers buy often. So a model is fitted to those above, conditional on
    their being there, and tells how many there should be below. A few remain there all the same: a filter that
    counts orders lets through customers with several on one day.
    """
    for least in _cliffs(statistics):
        kept = statistics.of_at_least(least)
        try:
            fit = fit_purchase_model(kept, PREFERENCE[0], least=least)
        except ModelError:
            continue
        if fit.status != "not_fitted" and _missing(fit, kept, statistics.customers - kept.customers):
            return least
    return 0


def _cliffs(statistics: PurchaseStatistics) -> list[int]:
    """Return classes of repeat purchases below which there is next to nobody, the highest first."""
    counts = np.bincount(statistics.frequency, weights=statistics.weights)
    through = np.cumsum(counts)
    below = through - counts
    few = (below <= _EXCEPTIONS * (through[-1:] - below)) & (np.maximum(below, _EXPECTED_BELOW) <= _CLIFF * counts)
    return [int(each) for each in np.flatnonzero(few)[::-1] if each > 0]


def _missing(fit: PurchaseFit, kept: PurchaseStatistics, found: int) -> bool:
    """Return whether far fewer customers were found below the bound than the fit to those above it expects.

    Each customer above stands for 1/P - 1 others who by that age had not bought so often. That estimate errs by who
    happened to be above and by the parameters; the least that it can be within two standard errors counts.
    """
    covariance = fit.log_covariance or {}
    if found and "r" not in covariance:
        # The data do not tell how many buy seldom, so that a few of them are no exception.
        return False
    model, parameters = model_named(fit.model_name), fit.usable_parameters()
    logs = np.log([parameters[each] for each in model.parameter_names])
    known, slopes = model.log_at_least(logs, kept.ages.values, fit.bound)
    beyond, _ = model.log_at_least(logs, kept.ages.values, fit.bound + 1)
    customers = kept.ages.total(kept.weights)
    # Customers who buy like clockwork thin out towards the edge. A model that does not see that would not below it.
    at_edge = -inner(customers, np.expm1(beyond - known))
    if kept.weights[kept.frequency == fit.bound].sum() < _EDGE * at_edge - 2.0 * math.sqrt(at_edge):
        return False
    others = np.expm1(-known)
    expected = inner(customers, others)
    if expected <= 0.0:
        return False
    slope = -(customers * (1.0 + others)) @ slopes / expected
    at = [model.parameter_names.index(each) for each in covariance]
    errors = np.array([[covariance[a][b] for b in covariance] for a in covariance]).reshape(len(at), len(at))
    variance = inner(customers, others * (1.0 + others)) / expected**2 + float(slope[at] @ errors @ slope[at])
    least = expected * math.exp(-2.0 * math.sqrt(variance))
    return least >= _EXPECTED_BELOW and found <= _CLIFF * least


def score_candidates(
    fits: Mapping[str, PurchaseFit], folds: Sequence[Fold], clock: OperationalTime
) -> dict[str, list[FoldScore]]:
    """Score every model on every fold, except those that cannot be refitted at some origin.

    A model that found no dropout gets the null model's scores, since it predicts the same.
    """
    scores: dict[str, list[FoldScore]] = {}
    null = fits.get(NULL_MODEL)
    # One for all models, so that what they share is found once.
    known = [fold.histories.statistics(clock) for fold in folds]
    # The null model first: others may have its scores.
    for name, fit in sorted(fits.items(), key=lambda item: item[0] != NULL_MODEL):
        if not folds or fit.status == "not_fitted":
            continue
        if name != NULL_MODEL and not gains_on(fit, null) and NULL_MODEL in scores:
            scores[name] = scores[NULL_MODEL]
            continue
        found = [_score_refitted(fit, clock, fold, each) for fold, each in zip(folds, known, strict=True)]
        scored = [score for score in found if score is not None]
        if len(scored) == len(folds):
            scores[name] = scored
    return {name: scores[name] for name in fits if name in scores}


def gains_on(fit: PurchaseFit, null: PurchaseFit | None) -> bool:
    """Return whether a model describes the history any better than the null model."""
    if null is None or null.log_likelihood is None or fit.log_likelihood is None:
        return True
    return fit.log_likelihood - null.log_likelihood >= _NO_GAIN


def _score_refitted(
    known: PurchaseFit, clock: OperationalTime, fold: Fold, statistics: PurchaseStatistics
) -> FoldScore | None:
    """Score a model fitted at a fold's origin; None where it cannot be."""
    try:
        parameters = quick_parameters(statistics, known.model_name, known.usable_parameters())
    except ModelError:
        return None
    return score_fold(known.model_name, parameters, clock, fold)
