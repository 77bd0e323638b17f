"""Whether groups earn their place: the month's models with and without them, on the same holdouts.

A split of the customers by attributes is tried in each of its ways: by one attribute with the parameters of each value
drawn towards all (`pooling`), by all attributes together as covariates. At the origin of each holdout the models that
predict are fitted again, to all customers and to the groups. Both mixtures, of the weights that the month found, give
every customer a probability of what they then bought. Groups are used where that is better beyond noise; otherwise
nothing changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cltv_assets.errors import ModelError
from cltv_assets.models.choosing.candidates import Contender
from cltv_assets.models.choosing.choice import Choice, tells
from cltv_assets.models.choosing.histories import Fold, Histories, OperationalTime
from cltv_assets.models.choosing.holdout_scores import MIN_FOLDS, FoldScore, difference, score_fold
from cltv_assets.models.choosing.weighing import mixed_scores
from cltv_assets.models.estimation.fitting import quick_parameters
from cltv_assets.models.groups.covariates import fit_covariates
from cltv_assets.models.groups.grouped import GroupedFit, Values, merged
from cltv_assets.models.groups.pooling import fit_pooled
from cltv_assets.models.sufficient_statistics import Parameters, PurchaseStatistics

Way = Literal["pooled", "covariates"]

#: A model with less weight than this predicts everybody alike: its groups would cost as much as those of the others,
#: and most where it is the Pareto/NBD, whose likelihood is an integral for every history.
_LEAST_WEIGHT = 0.2
#: A gain below so many standard errors, over customers and holdouts, is taken for chance.
_NOISE = 2.0


@dataclass(frozen=True, eq=False)
class Split:
    """Customers by the values of some attributes.

    Parameters
    ----------
    attributes : tuple of str
    way : {"pooled", "covariates"}
        How the groups' parameters depend on each other.
    histories : mapping of tuple of str to Histories
        All customers at the month's end, by their values.
    folds : sequence of mapping of tuple of str to Fold
        The same for each holdout inside the history; they do not overlap.
    """

    attributes: tuple[str, ...]
    way: Way
    histories: Mapping[Values, Histories]
    folds: Sequence[Mapping[Values, Fold]]

    @property
    def title(self) -> str:
        """What reasons call it."""
        names = " and ".join(f"'{name}'" for name in self.attributes)
        return names if self.way == "pooled" else f"covariates of {names}"


@dataclass(frozen=True, eq=False)
class GroupChoice:
    """What the trial found.

    Parameters
    ----------
    split : Split or None
        The one to predict with; None where groups do not help.
    fits : mapping of str to GroupedFit
        Of each model that predicts, by name; empty without a split.
    gain, error : float
        What the split gains in the holdouts, in nats a customer, and its standard error.
    why : str
        One sentence.
    """

    split: Split | None
    fits: Mapping[str, GroupedFit]
    gain: float
    error: float
    why: str


def try_groups(choice: Choice, splits: Sequence[Split], days_per_unit: int) -> GroupChoice:
    """Compare the month's models with and without groups.

    Parameters
    ----------
    choice : Choice
        The month's models.
    splits : sequence of Split
        What is tried; of those that help the one that gains most is used.
    days_per_unit : int
        Days in the models' time unit.
    """
    contenders = [each for each in (choice.chosen, *choice.others) if each.weight > 0.0 and each.usable]
    if not splits or not contenders or choice.chosen.fit.truncated:
        return GroupChoice(None, {}, 0.0, 0.0, "")
    clock = OperationalTime(choice.chosen.index, days_per_unit)
    found = [(split, *gain_of(split, contenders, clock)) for split in splits]
    told = [f"{split.title} {gain:+.4f} ± {error:.4f}" for split, gain, error in found if error >= 0.0]
    better = [one for one in found if one[2] >= 0.0 and one[1] > max(_NOISE * one[2], 0.0)]
    for split, gain, error in sorted(better, key=lambda one: -one[1]):
        try:
            fits = _fits(contenders, split, clock)
        except ModelError:
            continue
        if any(fit.differs for fit in fits.values()):
            better_by = f"better than all alike by {gain:.4f} nats a customer (standard error {error:.4f})"
            told_apart = f"Customers are told apart by {split.title}, in {len(split.histories)} groups"
            why = f"{told_apart}: {better_by} on {len(split.folds)} holdouts."
            return GroupChoice(split, fits, gain, error, why)
    if not told:
        return GroupChoice(None, {}, 0.0, 0.0, "No groups: too few holdouts to tell whether attributes help.")
    why = f"No groups: no attribute helped beyond noise (gain in nats a customer: {', '.join(told)})."
    return GroupChoice(None, {}, 0.0, 0.0, why)


def fit_groups(
    contender: Contender, split: Split, base: Parameters, cells: Mapping[Values, PurchaseStatistics], *, quick: bool
) -> GroupedFit:
    """Fit one model to the groups of a split.

    Parameters
    ----------
    contender : Contender
        The month's model: it says which parameters the data tell.
    split : Split
        For its attributes and its way.
    base : mapping of str to float
        The parameters of all customers of ``cells`` together.
    cells : mapping of tuple of str to PurchaseStatistics
        The customers by their values, at the month's end or at an origin.
    quick : bool
        Whether no standard errors are needed.

    Raises
    ------
    ModelError
        If a search does not converge.
    """
    name, varying = contender.name, list(contender.fit.log_covariance or {})
    if split.way == "pooled":
        return fit_pooled(name, base, varying, cells)
    return fit_covariates(name, base, varying, split.attributes, cells, quick=quick)


def _fits(contenders: Sequence[Contender], split: Split, clock: OperationalTime) -> dict[str, GroupedFit]:
    cells = {values: each.statistics(clock) for values, each in split.histories.items()}
    told_apart = [each for each in contenders if each.weight >= _LEAST_WEIGHT]
    return {each.name: fit_groups(each, split, each.fit.usable_parameters(), cells, quick=False) for each in told_apart}


def gain_of(split: Split, contenders: Sequence[Contender], clock: OperationalTime) -> tuple[float, float]:
    """Return what a split gains on its holdouts for models that predict together, and the standard error.

    Both are in nats a customer. An error of -1 says that too few holdouts could be scored.
    """
    with_groups, without = [], []
    for fold in split.folds:
        parts = {values: part.coarsened() for values, part in fold.items()}
        if not tells(list(parts.values())):
            continue
        try:
            mine, theirs = _scored(contenders, split, parts, clock)
        except ModelError:
            return 0.0, -1.0
        with_groups.append(mine)
        without.append(theirs)
    if len(with_groups) < MIN_FOLDS:
        return 0.0, -1.0
    return difference(with_groups, without)


def _scored(
    contenders: Sequence[Contender], split: Split, parts: Mapping[Values, Fold], clock: OperationalTime
) -> tuple[FoldScore, FoldScore]:
    """Return how the mixtures with groups and without did in one holdout, customer by customer in one order."""
    # Both are fitted to the same customers at the same means of cells, so that neither gains by that.
    known = {values: part.histories.statistics(clock) for values, part in parts.items()}
    cells = {values: each.coarsened or each for values, each in known.items()}
    everybody = merged(list(cells.values()))
    grouped: dict[str, list[FoldScore]] = {}
    plain: dict[str, list[FoldScore]] = {}
    for each in contenders:
        base = quick_parameters(everybody, each.name, each.fit.usable_parameters())
        plain[each.name] = grouped[each.name] = [score_fold(each.name, base, clock, part) for part in parts.values()]
        if each.weight < _LEAST_WEIGHT:
            continue
        fit = fit_groups(each, split, base, cells, quick=True)
        # Scores of a group that is like all need not be computed again.
        grouped[each.name] = [
            score_fold(each.name, fit.of(values), clock, part) if fit.of(values) != base else same
            for (values, part), same in zip(parts.items(), plain[each.name], strict=True)
        ]
    weights = {each.name: each.weight for each in contenders}
    return _together(mixed_scores(grouped, weights)), _together(mixed_scores(plain, weights))


def _together(scores: Sequence[FoldScore]) -> FoldScore:
    """Return the score of all parts of a holdout."""
    return FoldScore(
        np.concatenate([each.log_probabilities for each in scores]),
        np.concatenate([each.weights for each in scores]),
        sum(each.predicted for each in scores),
        sum(each.actual for each in scores),
        scores[0].origin,
    )
