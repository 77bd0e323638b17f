"""A month's purchase models: all fitted and compared, one of them chosen, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cltv_assets.models.choosing.candidates import (
    NULL_MODEL,
    PREFERENCE,
    Contender,
    Scores,
    fit_candidates,
    holds_repeat_customers_only,
    score_candidates,
)
from cltv_assets.models.choosing.choice_reason import TRUNCATED_SEASON, reason_for
from cltv_assets.models.choosing.histories import Fold, Histories
from cltv_assets.models.choosing.operational_time import OperationalTime
from cltv_assets.models.choosing.seasonal_trial import null_model, try_seasonality
from cltv_assets.models.choosing.seasonality import SEASONAL_MODELS, MonthCounts
from cltv_assets.models.choosing.selection import MIN_FOLDS, compare, first_unbeaten
from cltv_assets.models.estimation.fits import PurchaseFit
from cltv_assets.models.estimation.sufficiency import MIN_REPEAT_CUSTOMERS

#: Repeat customers that an origin needs: of 40 samples of CDNOW with about 100 of them 37
#: had a proper maximum, of 40 with about 20 only 10.
MIN_AT_ORIGIN = 10 * MIN_REPEAT_CUSTOMERS


@dataclass(frozen=True, eq=False)
class Choice:
    """A month's models.

    Parameters
    ----------
    chosen : Contender
    others : sequence of Contender
        The comparisons; the null model on the chosen one's clock is among them.
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

    Raises
    ------
    ModelError
        If the fit of the wanted model, or of every model, failed.
    """
    plain = OperationalTime(None, days_per_unit)
    statistics = histories.statistics(plain)
    fits = fit_candidates(statistics, wanted)
    truncated = holds_repeat_customers_only(statistics, fits)
    if truncated:
        fits = fit_candidates(statistics, wanted, truncated=True)
    # Customers who are in the extract because they bought again make every earlier month look better than it was.
    held = [] if truncated else [fold for fold in folds if _tells(fold)]
    scores = score_candidates(fits, held, plain)
    standings = compare(scores)
    eligible = [name for name in PREFERENCE if seasonality != "monthly" or name in SEASONAL_MODELS]
    name = wanted if wanted != "auto" else _preferred(fits, scores, eligible)
    contenders = [Contender(fit, None, standings.get(n), len(held) * (n in standings)) for n, fit in fits.items()]
    chosen = next(each for each in contenders if each.name == name)
    reason = reason_for(name, wanted, scores, held, truncated)
    others = [each for each in contenders if each.name != name]
    base = name if name in SEASONAL_MODELS else _preferred(fits, scores, [n for n in eligible if n in SEASONAL_MODELS])
    if seasonality == "none" or not chosen.usable or fits[base].status == "not_fitted":
        return Choice(chosen, others, reason)
    if wanted == "pareto_nbd":
        return Choice(chosen, others, f"{reason} No seasonality: customers of pareto_nbd drop out by the calendar.")
    if truncated:
        return Choice(chosen, others, f"{reason} {TRUNCATED_SEASON}")
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
