"""Whether a seasonal index earns its place: the same model with and without it, on the same holdouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cltv_assets.errors import ModelError
from cltv_assets.models.choosing.candidates import Contender
from cltv_assets.models.choosing.histories import Fold, Histories, OperationalTime, calendar_month
from cltv_assets.models.choosing.holdout_scores import (
    MIN_FOLDS,
    FoldScore,
    Scores,
    compare,
    difference,
    mean_miss,
    score_fold,
)
from cltv_assets.models.choosing.seasonality import MonthCounts, Season, all_seen, find_season, fit_on_season
from cltv_assets.models.estimation.fits import PurchaseFit
from cltv_assets.models.estimation.fitting import quick_parameters

#: A gain below so many standard errors, over customers, is taken for chance.
_NOISE = 2.0
#: An index whose log intensities all lie below this is none.
_FLAT = 1e-3


@dataclass(frozen=True, eq=False)
class Trial:
    """The outcome of the comparison.

    Parameters
    ----------
    contender : Contender or None
        The seasonal model; None where it was not fitted.
    better : bool
        Whether it predicts better beyond noise.
    why : str
        One sentence.
    """

    contender: Contender | None
    better: bool
    why: str


def try_seasonality(
    histories: Histories,
    counts: MonthCounts,
    base: PurchaseFit,
    rival: str,
    folds: Sequence[Fold],
    scores: Scores,
    days_per_unit: int,
    *,
    forced: bool,
) -> Trial:
    """Fit a model with a seasonal index and compare it with its rival without one.

    Parameters
    ----------
    histories, counts : Histories, MonthCounts
        Those of the month's end.
    base : PurchaseFit
        The model on plain time, fitted to ``histories``.
    rival : str
        The model without season that predicts if the seasonal one does not.
    folds, scores : sequence of Fold, mapping
        The holdouts, and the scores on them of the models without season.
    days_per_unit : int
        Days in the models' time unit.
    forced : bool
        Whether the seasonal model is used whatever its scores are.

    Raises
    ------
    ModelError
        If it is forced and cannot be fitted.
    """
    if not forced and not all_seen(histories.first_day, histories.end):
        return Trial(None, False, "No seasonality: the history has not seen every calendar month.")
    seasoned = [k for k, fold in enumerate(folds) if _foreseeable(fold)]
    if not forced and (len(seasoned) < MIN_FOLDS or rival not in scores):
        return Trial(
            None,
            False,
            f"No seasonality: {len(seasoned)} of the holdouts fell into calendar months seen before, and it takes "
            f"{MIN_FOLDS} to tell whether it helps.",
        )
    try:
        season = find_season(histories, counts, base.model_name, base.usable_parameters(), days_per_unit)
        if not forced and np.abs(np.log(season.index)).max() < _FLAT:
            return Trial(None, False, "No seasonality: calendar months differ in purchases no more than by chance.")
        mine = [_score(folds[k], counts, base, days_per_unit) for k in seasoned]
        fit = fit_on_season(histories, counts, base.model_name, season, days_per_unit)
    except ModelError as error:
        if forced:
            raise
        return Trial(None, False, f"No seasonality: {error.problem}")
    theirs = {name: [each[k] for k in seasoned] for name, each in scores.items()}
    standing, told = None, ""
    better = False
    if seasoned and rival in theirs:
        standing = compare({**theirs, "seasonal": mine})["seasonal"]
        better, told = _verdict(mine, theirs[rival], rival)
    contender = Contender(fit, season.index, standing, len(seasoned) if standing else 0)
    if forced:
        return Trial(contender, True, f"Monthly seasonality, as set{'; ' + told if told else ''}.")
    return Trial(contender, better, f"{'Monthly' if better else 'No'} seasonality: {told}.")


def on_same_clock(
    contender: Contender, fit: PurchaseFit, histories: Histories, counts: MonthCounts, days_per_unit: int
) -> Contender:
    """Return another model on the clock of a seasonal contender.

    So the null model is there that dropout is told by, and whatever predicts beside the contender.
    """
    if contender.index is None:
        raise ValueError("the contender has no seasonal index")
    season = Season(contender.index, fit.usable_parameters())
    return Contender(fit_on_season(histories, counts, fit.model_name, season, days_per_unit), contender.index)


def _foreseeable(fold: Fold) -> bool:
    """Whether every calendar month of the holdout was seen before its origin."""
    days = np.arange(fold.histories.end + 1, fold.until + 1, dtype="datetime64[D]")
    return all_seen(fold.histories.first_day, fold.histories.end, np.unique(calendar_month(days)))


def _score(fold: Fold, counts: MonthCounts, base: PurchaseFit, days_per_unit: int) -> FoldScore:
    """Score index and parameters as an earlier month would have fitted them."""
    plain, name = OperationalTime(None, days_per_unit), base.model_name
    known = quick_parameters(fold.histories.statistics(plain), name, base.usable_parameters())
    season = find_season(fold.histories, counts, name, known, days_per_unit, rounds=4, tolerance=0.01)
    return score_fold(name, season.parameters, OperationalTime(season.index, days_per_unit), fold)


def _verdict(mine: Sequence[FoldScore], theirs: Sequence[FoldScore], rival: str) -> tuple[bool, str]:
    """Judge the seasonal model: better beyond noise, in no holdout worse beyond noise, totals missed by no more."""
    # A season helps in its own months only: that holdouts differ in the gain is no sign of chance.
    gain, error = difference(mine, theirs, shocks=False)
    each = [difference([a], [b]) for a, b in zip(mine, theirs, strict=True)]
    worse = sum(-mean > _NOISE * own for mean, own in each)
    miss, before = mean_miss(mine), mean_miss(theirs)
    told = (
        f"on {len(mine)} holdouts it was {'better' if gain > 0 else 'worse'} than {rival} by {abs(gain):.4f} nats a "
        f"customer (standard error {error:.4f}) and missed their totals by {miss:.1%} instead of {before:.1%}"
    )
    if worse:
        told += f", but it was worse beyond noise on {worse} of them"
    return gain > _NOISE * error and not worse and miss <= before, told
