"""A month's purchase models: all fitted and compared, one of them chosen, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cltv_assets.models.choosing.candidates import (
    NULL_MODEL,
    Contender,
    fit_candidates,
    least_frequency,
    score_candidates,
    with_k,
)
from cltv_assets.models.choosing.histories import Fold, Histories, OperationalTime
from cltv_assets.models.choosing.holdout_scores import (
    MIN_FOLDS,
    NOISE,
    FoldScore,
    Scores,
    beats,
    bias,
    compare,
    difference,
    first_unbeaten,
)
from cltv_assets.models.choosing.regularity import Intervals
from cltv_assets.models.choosing.seasonal_trial import null_model, try_seasonality
from cltv_assets.models.choosing.seasonality import SEASONAL_MODELS, MonthCounts
from cltv_assets.models.estimation.fits import PurchaseFit
from cltv_assets.models.sufficient_statistics import MIN_REPEAT_CUSTOMERS

#: Repeat customers that an origin needs: of 40 samples of CDNOW with about 100 of them 37
#: had a proper maximum, of 40 with about 20 only 10.
MIN_AT_ORIGIN = 10 * MIN_REPEAT_CUSTOMERS

_CHANCE = f"within noise ({NOISE:.0f} standard errors)"
#: What the reason says where a filtered extract could not be searched for a season.
_TRUNCATED_SEASON = (
    "No seasonality: an extract of those who came back shows when they were chosen, not when people buy."
)


@dataclass(frozen=True, eq=False)
class Choice:
    """A month's models.

    Parameters
    ----------
    chosen : Contender
        The one that predicts.
    others : sequence of Contender
        The comparisons, among them the null model on the clock of the chosen one.
    reason : str
        Why that one, in plain words.
    """

    chosen: Contender
    others: Sequence[Contender]
    reason: str


def choose_model(
    histories: Histories,
    folds: Sequence[Fold],
    counts: MonthCounts,
    wanted: str = "auto",
    seasonality: str = "auto",
    days_per_unit: int = 1,
    intervals: Intervals | None = None,
) -> Choice:
    """Fit every candidate and choose the one that predicts.

    Parameters
    ----------
    histories : Histories
        All customers at the month's end.
    folds : sequence of Fold
        Holdouts inside the history.
    counts : MonthCounts
        Purchases by month, for the seasonal index.
    wanted, seasonality : str
        The settings ``purchase_model`` and ``seasonality``.
    days_per_unit : int
        Days in the models' time unit: 1 or 7.
    intervals : Intervals, optional
        Days between purchases. Where they are more regular than by chance, models of regular purchases are candidates.

    Raises
    ------
    ModelError
        If the fit of the wanted model, or of every model, failed.
    """
    plain = OperationalTime(None, days_per_unit)
    statistics = histories.statistics(plain)
    least = least_frequency(statistics)
    fits = fit_candidates(statistics, wanted, least, intervals, days_per_unit)
    wanted = with_k(wanted, 1 if intervals is None else intervals.k)
    # Customers who are in an extract because they bought again make every earlier month look better than it was.
    held = [] if least else [fold for fold in folds if _tells(fold)]
    scores = score_candidates(fits, held, plain)
    standings = compare(scores)
    eligible = [name for name in fits if seasonality != "monthly" or name in SEASONAL_MODELS]
    name = wanted if wanted != "auto" else _preferred(fits, scores, eligible)
    contenders = [Contender(fit, None, standings.get(n), len(held) * (n in standings)) for n, fit in fits.items()]
    chosen = next(each for each in contenders if each.name == name)
    reason = _reason(name, wanted, scores, held, least)
    others = [each for each in contenders if each.name != name]
    base = name if name in SEASONAL_MODELS else _preferred(fits, scores, [n for n in eligible if n in SEASONAL_MODELS])
    if seasonality == "none" or not chosen.usable or fits[base].status == "not_fitted":
        return Choice(chosen, others, reason)
    if wanted == "pareto_nbd":
        return Choice(chosen, others, f"{reason} No seasonality: customers of pareto_nbd drop out by the calendar.")
    if wanted not in ("auto", *SEASONAL_MODELS):
        return Choice(chosen, others, f"{reason} No seasonality: {wanted} measures intervals in days.")
    if least:
        return Choice(chosen, others, f"{reason} {_TRUNCATED_SEASON}")
    trial = try_seasonality(
        histories, counts, fits[base], name, held, scores, days_per_unit, forced=seasonality == "monthly"
    )
    reason = f"{reason} {trial.why}"
    if trial.contender is None:
        return Choice(chosen, others, reason)
    if not trial.better:
        return Choice(chosen, [*others, trial.contender], reason)
    if trial.contender.name != NULL_MODEL and fits[NULL_MODEL].status != "not_fitted":
        others.append(null_model(trial.contender, fits[NULL_MODEL], histories, counts, days_per_unit))
    return Choice(trial.contender, [chosen, *others], reason)


def _tells(fold: Fold) -> bool:
    """Whether models can be fitted at a fold's origin, and something was bought after it."""
    return fold.histories.repeat_customers >= MIN_AT_ORIGIN and fold.actual > 0


def _preferred(fits: Mapping[str, PurchaseFit], scores: Scores, eligible: Sequence[str]) -> str:
    """Return the first model that no other beats on the holdouts beyond noise; with too few of them the first."""
    scored = {name: scores[name] for name in eligible if name in scores}
    # The null model alone has nothing to be compared with.
    if set(scored) - {NULL_MODEL} and len(next(iter(scored.values()))) >= MIN_FOLDS:
        return first_unbeaten(scored, eligible)
    # Data too poor for the default are too poor: what fits them with fewer parameters knows no dropout.
    return next((n for n in eligible if fits[n].status != "not_fitted" and n != NULL_MODEL), eligible[0])


def _reason(name: str, wanted: str, scores: Scores, folds: Sequence[Fold], least: int) -> str:
    """Return one sentence on why ``name`` was chosen among the models without a season."""
    why = f"{name} is set by purchase_model" if wanted != "auto" else f"{name} is the default"
    if least:
        who = "repeat customers" if least == 1 else f"customers with {least + 1} purchase days or more"
        return f"{why}; nothing was compared, because the data hold {who} only."
    if not folds:
        return f"{why}; the history is too short to compare models on holdouts inside it."
    if name not in scores:
        return f"{why}; it could not be fitted to the shorter histories of the holdouts, so nothing was compared."
    if len(scores) == 1:
        return f"{why}; no other model could be fitted."
    standings = compare(scores)
    if all(standing.deficit == 0.0 for standing in standings.values()):
        return f"{why}; no model found anybody who stopped buying, so all of them predict as nbd does."
    until = _holdouts(folds)
    best = min(standings, key=lambda key: standings[key].deficit)
    if best == name:
        return _best(name, wanted, scores, until)
    gap = _gap(scores[best], scores[name])
    if wanted != "auto":
        chance = f"which is {_CHANCE}" if not beats(scores[best], scores[name]) else "beyond noise"
        return f"{why}; on {until} {best} was ahead by {gap}, {chance}."
    if len(folds) < MIN_FOLDS:
        return f"{why}; on {until} {best} was ahead by {gap}, but one holdout is too few to leave the default."
    if beats(scores[best], scores[name]):
        return f"{name} is the first among the models that can be seasonal; on {until} {best} was ahead by {gap}."
    first = next(iter(scores))
    if name == first:
        return f"{why}; on {until} {best} was ahead by {gap}, which is {_CHANCE}."
    return (
        f"{name} predicted better than {first}, the default, on {until}: ahead by {_gap(scores[name], scores[first])}; "
        f"{best} was ahead of it by {gap}, which is {_CHANCE}."
    )


def _best(name: str, wanted: str, scores: Scores, until: str) -> str:
    others = {key: value for key, value in scores.items() if key != name}
    second = min(others, key=lambda key: difference(scores[name], others[key])[0])
    chance = "" if beats(scores[name], scores[second]) else f", which is {_CHANCE}"
    missed = bias(scores[name])
    total = f"total off by {missed:+.1%}" if missed is not None else "nothing was bought"
    lead = f"{name} is set by purchase_model and predicted" if wanted != "auto" else f"{name} predicted"
    return f"{lead} best on {until}: ahead of {second} by {_gap(scores[name], scores[second])}{chance}; {total}."


def _gap(better: Sequence[FoldScore], other: Sequence[FoldScore]) -> str:
    gain, error = difference(better, other)
    return f"{gain:.4f} nats a customer (standard error {error:.4f})"


def _holdouts(folds: Sequence[Fold]) -> str:
    last = ", ".join(str(fold.until.astype("datetime64[M]")) for fold in sorted(folds, key=lambda fold: fold.until))
    return f"{len(folds)} holdout{'s' if len(folds) > 1 else ''} inside the history (to {last})"
