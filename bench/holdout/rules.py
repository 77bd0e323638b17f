"""Rules that weigh the purchase models of a month, and what each of them costs: regret, and predictions that move."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.holdout.purchases import last_day
from bench.holdout.shops import Shop
from cltv_assets.models.choosing.candidates import PREFERENCE, fit_candidates, score_candidates
from cltv_assets.models.choosing.choice import MIN_AT_ORIGIN
from cltv_assets.models.choosing.histories import Fold, Histories, OperationalTime
from cltv_assets.models.choosing.holdout_scores import MIN_FOLDS, FoldScore, Scores, compare, difference, score_fold
from cltv_assets.models.choosing.weighing import HOLDOUTS, MONTHS, apart, mixed_scores, stacked, weights_of
from cltv_assets.models.estimation.fits import PurchaseFit
from cltv_assets.models.mixture import Mixture

PLAIN = OperationalTime(None, 1)
#: Months of a holdout, and of history before one.
LENGTH, _BEFORE = 3, 3
Weights = dict[str, float]


@dataclass(frozen=True, eq=False)
class Look:
    """What is known at a month's end: the histories, the fits, and their scores on holdouts inside the history."""

    month: np.datetime64
    histories: Histories
    fits: Mapping[str, PurchaseFit]
    folds: Sequence[Fold]
    scores: Scores

    @property
    def alone(self) -> Scores:
        """The scores on holdouts that do not overlap."""
        places = apart(self.folds)
        return {name: [each[at] for at in places] for name, each in self.scores.items()}

    @property
    def default(self) -> str:
        """The first model that was fitted."""
        return next(name for name in PREFERENCE if self.fits[name].status != "not_fitted")

    def mixture(self, weights: Weights) -> Mixture:
        """Return the models with their weights."""
        return Mixture([self.fits[name] for name in weights], list(weights.values()))


def looks(shop: Shop) -> Iterator[Look]:
    """Yield a look at each month of a shop, as the platform would have had it."""
    first = last_day(shop.log.day.min().astype("datetime64[M]"), _BEFORE - 1)
    known: dict[np.datetime64, dict[str, FoldScore]] = {}
    for month in shop.months:
        histories = shop.log.histories(last_day(month))
        fits = fit_candidates(histories.statistics(PLAIN), "auto")
        windows = [(last_day(month, -LENGTH - k), last_day(month, -k)) for k in range((HOLDOUTS - 1) * LENGTH + MONTHS)]
        folds = [shop.log.fold(origin, until) for origin, until in windows if origin >= first]
        folds = [fold for fold in folds if fold.histories.repeat_customers >= MIN_AT_ORIGIN and fold.actual > 0]
        for fold in folds:
            # Next month looks at all of these but one again, and starts its searches elsewhere: nothing else differs.
            if fold.until not in known:
                scored = score_candidates(fits, [fold], PLAIN)
                known[fold.until] = {name: each[0] for name, each in scored.items()}
        yield Look(month, histories, fits, folds, _scores([known[fold.until] for fold in folds]))


def _scores(folds: Sequence[Mapping[str, FoldScore]]) -> Scores:
    """Return the scores by model, of those that have one on every holdout."""
    found: dict[str, Sequence[FoldScore]] = {}
    for name in PREFERENCE:
        if folds and all(name in fold for fold in folds):
            mine = [fold[name] for fold in folds]
            # A model without dropout has the null model's scores, and is told by that.
            same = (each for each in found.values() if all(a is b for a, b in zip(each, mine, strict=True)))
            found[name] = next(same, mine)
    return found


def _default(look: Look) -> Weights:
    return {look.default: 1.0}


def _best(look: Look) -> Weights:
    standings = compare(look.alone)
    return {min(standings, key=lambda name: standings[name].deficit): 1.0}


def _within_one_error(look: Look) -> Weights:
    standings = compare(look.alone)
    near = (name for name in PREFERENCE if name in standings)
    return {next(name for name in near if standings[name].deficit <= standings[name].deficit_se): 1.0}


def _unbeaten(look: Look) -> Weights:
    scores = look.alone

    def beats(one: str, other: str) -> bool:
        gain, error = difference(scores[one], scores[other])
        return gain > 3.0 * error

    return {next(n for n in PREFERENCE if n in scores and not any(beats(o, n) for o in scores if o != n)): 1.0}


def _stacking(look: Look) -> Weights:
    found = stacked(look.alone)
    return {name: weight for name, weight in found.items() if weight > 0.0}


def _platform(look: Look) -> Weights:
    return weights_of(look.scores, look.folds, look.histories.end, look.default)


#: By the name in the tables. The last is what the platform does, the one before it what it did.
RULES: Mapping[str, Callable[[Look], Weights]] = {
    "default (BG/NBD)": _default,
    "best": _best,
    "one standard error": _within_one_error,
    "stacking, three holdouts": _stacking,
    "first unbeaten by three errors (before)": _unbeaten,
    "stacking, moving holdouts, three months": _platform,
}
BEFORE, NOW = list(RULES)[-2:]


def weights_by(look: Look) -> dict[str, Weights]:
    """Return the weights that each rule gives; all take the default where there are too few holdouts."""
    tell = look.scores and len(apart(look.folds)) >= MIN_FOLDS
    return {name: rule(look) if tell or rule is _platform else _default(look) for name, rule in RULES.items()}


@dataclass(frozen=True)
class Cost:
    """What a rule cost in one shop.

    Parameters
    ----------
    regret : float
        Mean log score of the next three months below that of the model that was best there, in nats a customer.
    misses : float
        Mean over months of the absolute error of the next three months' total, as a share.
    moved : tuple of float
        For each month, how far this month's models lie from last month's in the mean P(alive) of the same histories.
    jumped : float
        Share of customers whose P(alive) moved by more than 0.1 in that way.
    """

    regret: float
    misses: float
    moved: tuple[float, ...]
    jumped: float


def costs(shop: Shop) -> dict[str, Cost]:
    """Return the cost of each rule over the months of a shop."""
    gains: dict[str, list[float]] = defaultdict(list)
    alone: dict[str, list[float]] = defaultdict(list)
    misses: dict[str, list[float]] = defaultdict(list)
    moved: dict[str, list[float]] = defaultdict(list)
    jumped: dict[str, list[float]] = defaultdict(list)
    before: dict[str, Mixture] = {}
    for look in looks(shop):
        coming = shop.log.fold(look.histories.end, last_day(look.month, LENGTH))
        usable = {name: fit for name, fit in look.fits.items() if fit.status != "not_fitted"}
        scores = {name: [score_fold(name, fit.usable_parameters(), PLAIN, coming)] for name, fit in usable.items()}
        share = look.histories.weights / look.histories.weights.sum()
        for name in PREFERENCE:
            alone[name].append(_mean(scores[name]) if name in scores else -np.inf)
        for rule, weights in weights_by(look).items():
            mixed = mixed_scores(scores, weights)
            gains[rule].append(_mean(mixed))
            misses[rule].append(abs(mixed[0].predicted / mixed[0].actual - 1.0))
            mixture, patterns = look.mixture(weights), look.histories.patterns(PLAIN)
            if rule in before:
                change = mixture.p_alive(patterns) - before[rule].p_alive(patterns)
                moved[rule].append(abs(float((share * change).sum())))
                jumped[rule].append(float(share[np.abs(change) > 0.1].sum()))
            before[rule] = mixture
    best = max(float(np.mean(each)) for each in alone.values())
    return {
        rule: Cost(
            best - float(np.mean(gains[rule])),
            float(np.mean(misses[rule])),
            tuple(moved[rule]),
            float(np.mean(jumped[rule])),
        )
        for rule in RULES
    }


def _mean(scores: Sequence[FoldScore]) -> float:
    (score,) = scores
    return float((score.weights * score.log_probabilities).sum() / score.weights.sum())


def table(found: Iterable[Mapping[str, Cost]]) -> str:
    """Return the means over shops as Markdown."""
    every = list(found)
    lines = [
        "| rule | regret, 1/1000 nats a customer | worst shop | total missed | mean P(alive) moved, points | 95 % of "
        "months below | largest | customers moved by 10 points |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for rule in RULES:
        mine = [each[rule] for each in every]
        moves = 100.0 * np.concatenate([each.moved for each in mine])
        regrets = 1000.0 * np.array([each.regret for each in mine])
        missed, jumped = (float(np.mean([getattr(each, name) for each in mine])) for name in ("misses", "jumped"))
        lines.append(
            f"| {rule} | {regrets.mean():.2f} | {regrets.max():.2f} | {missed:.1%} | {moves.mean():.2f} | "
            f"{np.quantile(moves, 0.95):.1f} | {moves.max():.1f} | {jumped:.2%} |"
        )
    return "\n".join(lines)
