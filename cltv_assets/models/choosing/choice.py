"""A month's purchase models: all fitted and compared, what each counts in the predictions, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cltv_assets.models.choosing.candidates import (
    NULL_MODEL,
    Contender,
    fit_candidates,
    least_frequency,
    score_candidates,
    with_k,
)
from cltv_assets.models.choosing.histories import Fold, Histories, OperationalTime
from cltv_assets.models.choosing.holdout_scores import MIN_FOLDS, FoldScore, Scores, bias, compare, difference
from cltv_assets.models.choosing.regularity import Intervals
from cltv_assets.models.choosing.seasonal_trial import on_same_clock, try_seasonality
from cltv_assets.models.choosing.seasonality import SEASONAL_MODELS, MonthCounts
from cltv_assets.models.choosing.weighing import MONTHS, apart, mixed_scores, weights_of
from cltv_assets.models.estimation.fits import PurchaseFit
from cltv_assets.models.sufficient_statistics import MIN_REPEAT_CUSTOMERS

#: Repeat customers that an origin needs: of 40 samples of CDNOW with about 100 of them 37
#: had a proper maximum, of 40 with about 20 only 10.
MIN_AT_ORIGIN = 10 * MIN_REPEAT_CUSTOMERS

#: What reasons call several models together.
_MIXTURE = "the mixture"
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
        The one that predicts, or that counts most among those that predict together.
    others : sequence of Contender
        Those that predict beside it and the comparisons, among them the null model on the clock of the chosen one.
    reason : str
        Why these, in plain words.
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
    """Fit every candidate and weigh them.

    Parameters
    ----------
    histories : Histories
        All customers at the month's end.
    folds : sequence of Fold
        Holdouts inside the history, the newest first; they may overlap.
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
    held = [] if least else [fold for fold in folds if tells([fold])]
    places = apart(held)
    scored = [fold if at in places else fold.coarsened() for at, fold in enumerate(held)]
    every = score_candidates(fits, scored, plain)
    # What is told of models, and a season, rests on holdouts that do not overlap.
    alone, scores = [held[at] for at in places], {name: [each[at] for at in places] for name, each in every.items()}
    standings = compare(scores)
    eligible = [name for name in fits if seasonality != "monthly" or name in SEASONAL_MODELS]
    weights = {wanted: 1.0} if wanted != "auto" else _weights(fits, every, scored, histories, eligible)
    contenders = [
        Contender(fit, None, standings.get(n), len(alone) * (n in standings), weights.get(n, 0.0))
        for n, fit in fits.items()
    ]
    chosen = max(contenders, key=lambda each: each.weight)
    reason = _reason(weights, wanted, scores, alone, least)
    others = [each for each in contenders if each is not chosen]
    together = {name: weight for name, weight in weights.items() if name in SEASONAL_MODELS}
    if not together:
        seasonal = [name for name in eligible if name in SEASONAL_MODELS]
        together = dict([next(iter(_weights(fits, every, scored, histories, seasonal).items()))])
    base = fits[next(iter(together))]
    if seasonality == "none" or not chosen.usable or base.status == "not_fitted":
        return Choice(chosen, others, reason)
    if wanted == "pareto_nbd":
        return Choice(chosen, others, f"{reason} No seasonality: customers of pareto_nbd drop out by the calendar.")
    if wanted not in ("auto", *SEASONAL_MODELS):
        return Choice(chosen, others, f"{reason} No seasonality: {wanted} measures intervals in days.")
    if least:
        return Choice(chosen, others, f"{reason} {_TRUNCATED_SEASON}")
    rival = chosen.name
    if len(weights) > 1 and all(name in scores for name in weights):
        rival, scores = _MIXTURE, {**scores, _MIXTURE: mixed_scores(scores, weights)}
    trial = try_seasonality(
        histories, counts, base, rival, alone, scores, days_per_unit, forced=seasonality == "monthly"
    )
    reason = f"{reason} {trial.why}"
    if trial.contender is None:
        return Choice(chosen, others, reason)
    if not trial.better:
        return Choice(chosen, [*others, trial.contender], reason)
    share = sum(together.values())
    plains = [replace(each, weight=0.0) for each in (chosen, *others)]
    beside = {NULL_MODEL: 0.0} | {name: weight / share for name, weight in together.items()}
    weight = beside.pop(trial.contender.name)
    beside = {name: each for name, each in beside.items() if fits[name].status != "not_fitted"}
    clocked = [
        replace(on_same_clock(trial.contender, fits[name], histories, counts, days_per_unit), weight=each)
        for name, each in beside.items()
    ]
    return Choice(replace(trial.contender, weight=weight), [*plains, *clocked], reason)


def tells(parts: Sequence[Fold]) -> bool:
    """Whether models can be fitted at the origin of a fold, in one or more parts, and something was bought after it."""
    return sum(part.histories.repeat_customers for part in parts) >= MIN_AT_ORIGIN and any(
        part.actual > 0 for part in parts
    )


def _weights(
    fits: Mapping[str, PurchaseFit],
    scores: Scores,
    folds: Sequence[Fold],
    histories: Histories,
    eligible: Sequence[str],
) -> dict[str, float]:
    """Return the weights of the models that predict, the largest first; with too few holdouts the default has all."""
    # Data too poor for the default are too poor: what fits them with fewer parameters knows no dropout.
    default = next((n for n in eligible if fits[n].status != "not_fitted" and n != NULL_MODEL), eligible[0])
    scored = {name: scores[name] for name in eligible if name in scores}
    # The null model alone has nothing to be compared with.
    if not set(scored) - {NULL_MODEL}:
        return {default: 1.0}
    return weights_of(scored, folds, histories.end, default)


def _reason(weights: Mapping[str, float], wanted: str, scores: Scores, folds: Sequence[Fold], least: int) -> str:
    """Return one sentence on why these models predict, before a season is looked for."""
    name = next(iter(weights))
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
    if wanted != "auto":
        if best == name:
            return f"{why} and predicted best on {until}: {_lead(name, scores)}."
        return f"{why}; on {until} {best} was ahead by {_gap(scores[best], scores[name])}."
    if len(folds) < MIN_FOLDS:
        ahead = f"{best} was ahead by {_gap(scores[best], scores[name])}" if best != name else "it was ahead"
        return f"{why}; on {until} {ahead}, but one holdout is too few to weigh models."
    rule = f"by stacking on {until} and those between them, the mean of {MONTHS} months"
    if len(weights) == 1:
        lead = _lead(name, scores) if best == name else f"{best} was ahead by {_gap(scores[best], scores[name])}"
        return f"{name} has all the weight, {rule}: {lead}."
    shares = ", ".join(f"{key} {weight:.0%}" for key, weight in weights.items())
    if any(key not in scores for key in weights):
        return f"Weights {rule}: {shares}."
    mixed = mixed_scores(scores, dict(weights))
    gain, error = difference(mixed, scores[best])
    side = "ahead of" if gain >= 0 else "behind"
    told = f"{side} {best}, the best alone, by {abs(gain):.4f} nats a customer (standard error {error:.4f})"
    return f"Weights {rule}: {shares}; together {told}, {_total(mixed)}."


def _lead(name: str, scores: Scores) -> str:
    others = {key: value for key, value in scores.items() if key != name}
    second = min(others, key=lambda key: difference(scores[name], others[key])[0])
    return f"ahead of {second} by {_gap(scores[name], scores[second])}, {_total(scores[name])}"


def _total(scores: Sequence[FoldScore]) -> str:
    missed = bias(scores)
    return f"total off by {missed:+.1%}" if missed is not None else "nothing was bought"


def _gap(better: Sequence[FoldScore], other: Sequence[FoldScore]) -> str:
    gain, error = difference(better, other)
    return f"{gain:.4f} nats a customer (standard error {error:.4f})"


def _holdouts(folds: Sequence[Fold]) -> str:
    last = ", ".join(str(fold.until.astype("datetime64[M]")) for fold in sorted(folds, key=lambda fold: fold.until))
    return f"{len(folds)} holdout{'s' if len(folds) > 1 else ''} inside the history (to {last})"
