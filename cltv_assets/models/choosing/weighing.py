"""How much each purchase model counts in the predictions: stacking of log scores.

The weights are those by which the mixture of the models would have given the purchases in the holdouts the highest
probability (Yao, Vehtari, Simpson and Gelman (2018), Using Stacking to Average Bayesian Predictive Distributions,
Bayesian Analysis 13(3), 917-1007, equation 4). Where one of the models is true it takes nearly all the weight. Where
none is, their mixture predicts better than the best of them.

Holdouts move by a month each month and overlap, so that most of what decided last month decides again. The weights
are the mean of those of this month and of the two before it, all computed inside the history. So weights move slowly,
and with them predictions for customers to whom nothing happened.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

from cltv_assets.models.arrays import FloatArray
from cltv_assets.models.choosing.histories import Fold
from cltv_assets.models.choosing.holdout_scores import MIN_FOLDS, FoldScore, Scores

#: Holdouts, one after the other, that a month's weights rest on; those between them overlap with these.
HOLDOUTS = 3
#: Months whose weights are averaged.
MONTHS = 3
#: A model of less weight is left out: on 45 simulated shops half of the models then, and nothing worse for it.
LEAST_WEIGHT = 0.05


def apart(folds: Sequence[Fold]) -> list[int]:
    """Return the places of holdouts that do not overlap, the newest first."""
    found: list[int] = []
    for place in sorted(range(len(folds)), key=lambda place: folds[place].until, reverse=True):
        if not found or folds[place].until <= folds[found[-1]].histories.end:
            found.append(place)
    return found


def weights_of(scores: Scores, folds: Sequence[Fold], end: np.datetime64, default: str) -> dict[str, float]:
    """Return the weights of the models that count, the largest first; they sum to 1.

    Parameters
    ----------
    scores : mapping of str to sequence of FoldScore
        Of the models by name, in the order of preference: of models that predict the same the first counts.
    folds : sequence of Fold
        The holdouts that were scored.
    end : datetime64[D]
        The last day of the month.
    default : str
        The model that stands for a month with too few holdouts.
    """
    different: dict[str, Sequence[FoldScore]] = {}
    for name, each in scores.items():
        if not any(each is other for other in different.values()):
            different[name] = each
    total = dict.fromkeys((default, *different), 0.0)
    for ago in range(MONTHS):
        known = _known(folds, end.astype("datetime64[M]") - ago)
        weights = {default: 1.0}
        if different and len(apart([folds[place] for place in known])) >= MIN_FOLDS:
            weights = stacked({name: [each[place] for place in known] for name, each in different.items()})
        for name, weight in weights.items():
            total[name] += weight / MONTHS
    kept = {name: weight for name, weight in total.items() if weight >= LEAST_WEIGHT}
    return {name: kept[name] / sum(kept.values()) for name in sorted(kept, key=lambda name: -kept[name])}


def _known(folds: Sequence[Fold], month: np.datetime64) -> list[int]:
    """Return the places of the holdouts that a month looked at."""
    found = []
    for place, fold in enumerate(folds):
        last, origin = (day.astype("datetime64[M]").astype(int) for day in (fold.until, fold.histories.end))
        if 0 <= month.astype(int) - last <= (HOLDOUTS - 1) * (last - origin):
            found.append(place)
    return found


def stacked(scores: Scores) -> dict[str, float]:
    """Return the weights that maximise the log score of the mixture over all customers of the holdouts.

    The problem is concave, so its maximum is the only one.
    """
    names, customers = list(scores), np.concatenate([each.weights for each in next(iter(scores.values()))])
    if len(names) == 1:
        return {names[0]: 1.0}
    logs = np.array([np.concatenate([each.log_probabilities for each in scores[name]]) for name in names])
    # Relative to the best model for each customer, so that nothing underflows.
    chances, share = np.exp(logs - logs.max(axis=0)), customers / customers.sum()

    def loss(weights: FloatArray) -> tuple[float, FloatArray]:
        mixed = np.maximum((weights[:, None] * chances).sum(axis=0), np.finfo(float).tiny)
        return -float((share * np.log(mixed)).sum()), -(share / mixed * chances).sum(axis=1)

    # Differences of models are thousandths of a nat.
    found = minimize(
        lambda weights: tuple(1e3 * each for each in loss(weights)),
        np.full(len(names), 1.0 / len(names)),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * len(names),
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1.0, "jac": np.ones_like},
        options={"ftol": 1e-8, "maxiter": 200},
    )
    weights = np.maximum(found.x, 0.0)
    return dict(zip(names, (weights / weights.sum()).tolist(), strict=True))


def mixed_scores(scores: Scores, weights: dict[str, float]) -> list[FoldScore]:
    """Return the scores of the mixture of models, one for each fold."""
    found = []
    for each in zip(*(scores[name] for name in weights), strict=True):
        logs = np.array([score.log_probabilities for score in each])
        largest = logs.max(axis=0)
        mixed = sum(weight * np.exp(one - largest) for weight, one in zip(weights.values(), logs, strict=True))
        predicted = sum(weight * score.predicted for weight, score in zip(weights.values(), each, strict=True))
        found.append(FoldScore(np.log(mixed) + largest, each[0].weights, predicted, each[0].actual))
    return found
