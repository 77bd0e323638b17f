"""Why a model was chosen, in words and numbers for whoever reads the month."""

from __future__ import annotations

from collections.abc import Sequence

from cltv_assets.models.choosing.candidates import Scores
from cltv_assets.models.choosing.histories import Fold
from cltv_assets.models.choosing.selection import MIN_FOLDS, NOISE, FoldScore, beats, bias, compare, difference

_CHANCE = f"within noise ({NOISE:.0f} standard errors)"
#: Said where a filtered extract could not be searched for a season.
TRUNCATED_SEASON = "No seasonality: an extract of repeat customers shows when they were chosen, not when people buy."


def reason_for(name: str, wanted: str, scores: Scores, folds: Sequence[Fold], truncated: bool) -> str:
    """Return one sentence on the choice among stationary models.

    Parameters
    ----------
    name : str
        The chosen model.
    wanted : str
        The setting ``purchase_model``.
    scores : mapping
        Model to its scores, of those held against the holdouts.
    folds : sequence of Fold
        The holdouts.
    truncated : bool
        Whether the data hold repeat customers only.
    """
    why = f"{name} is set by purchase_model" if wanted != "auto" else f"{name} is the default"
    if truncated:
        return f"{why}; nothing was compared, because the data hold repeat customers only."
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
