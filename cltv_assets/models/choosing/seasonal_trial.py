"""Whether a seasonal index earns its place: the same model with and without it, on the same holdouts.

A base that grows, shrinks or was there before the data begin makes every holdout come out too low or too high, with a
season or without. In a quiet quarter two errors may then cancel, and the season looks worse. What all holdouts
have in common tells nothing about the calendar, so both are judged at the level at which their totals over all holdouts
are right.
"""

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
from cltv_assets.models.sufficient_statistics import Parameters

#: A gain below so many standard errors, over customers, is taken for chance.
_NOISE = 2.0
#: An index whose log intensities all lie below this is none: it would change no total by more than 3 %.
_FLAT = 0.03
#: Rounds in search of the level: a horizon's purchases are nearly proportional to it, so two give three digits.
_LEVELLED = 2


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
            why = f"calendar months differ in purchases no more than by chance, or by less than {_FLAT:.0%}"
            return Trial(None, False, f"No seasonality: {why}.")
        refits = [_refits(folds[k], counts, base, days_per_unit) for k in seasoned]
        fit = fit_on_season(histories, counts, base.model_name, season, days_per_unit)
    except ModelError as error:
        if forced:
            raise
        return Trial(None, False, f"No seasonality: {error.problem}")
    standing, told, better = None, "", False
    if seasoned and rival in scores:
        mine = [seasoned_refit.score() for seasoned_refit, _ in refits]
        theirs = {name: [each[k] for k in seasoned] for name, each in scores.items()}
        standing = compare({**theirs, "seasonal": mine})["seasonal"]
        seasonal, plain = (_at_one_level([pair[which] for pair in refits]) for which in (0, 1))
        better, told = _verdict(seasonal, plain, base.model_name)
        if better and rival != base.model_name:
            better, told = _beats(mine, theirs[rival], rival)
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


@dataclass(frozen=True, eq=False)
class _Refit:
    """A model as an earlier month would have fitted it."""

    fold: Fold
    name: str
    parameters: Parameters
    clock: OperationalTime

    def score(self, level: float = 1.0) -> FoldScore:
        """Hold it against what was then bought."""
        return score_fold(self.name, self.parameters, self.clock, self.fold, level)


def _refits(fold: Fold, counts: MonthCounts, base: PurchaseFit, days_per_unit: int) -> tuple[_Refit, _Refit]:
    """Return the model with an index, and without, as an earlier month would have fitted them."""
    plain, name = OperationalTime(None, days_per_unit), base.model_name
    known = quick_parameters(fold.histories.statistics(plain), name, base.usable_parameters())
    season = find_season(fold.histories, counts, name, known, days_per_unit, rounds=4, tolerance=0.01)
    clock = OperationalTime(season.index, days_per_unit)
    return _Refit(fold, name, season.parameters, clock), _Refit(fold, name, known, plain)


def _at_one_level(refits: Sequence[_Refit]) -> list[FoldScore]:
    """Score at the level, common to all holdouts, at which their purchases are right in total."""
    level = 1.0
    for _ in range(_LEVELLED):
        scores = [each.score(level) for each in refits]
        level *= sum(each.actual for each in scores) / max(sum(each.predicted for each in scores), 1e-300)
    return [each.score(level) for each in refits]


def _verdict(mine: Sequence[FoldScore], theirs: Sequence[FoldScore], name: str) -> tuple[bool, str]:
    """Judge the season: better beyond noise, in no holdout worse beyond noise, totals missed by no more."""
    # A season helps in its own months only: that holdouts differ in the gain is no sign of chance.
    gain, error = difference(mine, theirs, shocks=False)
    each = [difference([a], [b]) for a, b in zip(mine, theirs, strict=True)]
    worse = sum(-mean > _NOISE * own for mean, own in each)
    miss, before = mean_miss(mine), mean_miss(theirs)
    told = (
        f"on {len(mine)} holdouts it was {_compared(gain, error, name)} and missed their totals by {miss:.1%} instead "
        f"of {before:.1%}, both at the holdouts' common level"
    )
    if worse:
        told += f", but it was worse beyond noise on {worse} of them"
    return gain > _NOISE * error and not worse and miss <= before, told


def _beats(mine: Sequence[FoldScore], theirs: Sequence[FoldScore], rival: str) -> tuple[bool, str]:
    """Judge the seasonal model against another one without season."""
    gain, error = difference(mine, theirs, shocks=False)
    return gain > _NOISE * error, f"on {len(mine)} holdouts it was {_compared(gain, error, rival)}"


def _compared(gain: float, error: float, other: str) -> str:
    better = "better" if gain > 0 else "worse"
    return f"{better} than {other} by {abs(gain):.4f} nats a customer (standard error {error:.4f})"
