"""Forecasts of single customers held against what they bought: the platform's rules, its models, and other packages."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.holdout.purchases import last_day
from bench.holdout.rules import BEFORE, NOW, PLAIN, looks, weights_by
from bench.holdout.shops import Shop
from cltv_assets.models.arrays import FloatArray
from cltv_assets.models.choosing.histories import Fold
from cltv_assets.models.choosing.holdout_scores import FoldScore, difference, score_fold
from cltv_assets.models.choosing.weighing import mixed_scores
from cltv_assets.models.pattern_predictions import predict_patterns

HERE = Path(__file__).parent


@dataclass(frozen=True, eq=False)
class Outcome:
    """How one forecaster did.

    Parameters
    ----------
    mae, rmse, bias : float
        Over customers; the bias is of the total, as a share.
    coverage : float or None
        Share of customers whose purchases lay within their 80 % interval; None without intervals.
    score : FoldScore or None
        Of the probabilities it gave; None where it gives none.
    finite : float
        Share of customers with a forecast.
    """

    mae: float
    rmse: float
    bias: float
    coverage: float | None = None
    score: FoldScore | None = None
    finite: float = 1.0

    @property
    def log_score(self) -> float | None:
        """Mean log probability of what a customer bought."""
        if self.score is None:
            return None
        return float((self.score.weights * self.score.log_probabilities).sum() / self.score.weights.sum())


def forecasts(shop: Shop, python: str) -> dict[str, Outcome]:
    """Forecast the months after the last one looked at: six, or what the log has of them."""
    look = next(looks(Shop(shop.name, shop.kind, shop.log, shop.months[-1:])))
    ahead = max(n for n in (3, 6) if last_day(look.month, n) <= _ends(shop))
    fold = shop.log.fold(look.histories.end, last_day(look.month, ahead))
    patterns, horizon = fold.histories.patterns(PLAIN), float((fold.until - fold.histories.end).astype(np.int64))
    found = {}
    usable = {name: fit for name, fit in look.fits.items() if fit.status != "not_fitted"}
    scores = {name: [score_fold(name, fit.usable_parameters(), PLAIN, fold)] for name, fit in usable.items()}
    named = {f"ours, {name}": {name: 1.0} for name in usable} | weights_by(look)
    for name, weights in named.items():
        made = predict_patterns(look.mixture(weights), patterns.frequency, patterns.recency, patterns.T, [horizon])
        inside = (fold.bought >= made.low[:, 0]) & (fold.bought <= made.high[:, 0])
        coverage = float((fold.histories.weights * inside).sum() / fold.histories.weights.sum())
        found[name] = _outcome(made.expected_purchases[:, 0], fold, coverage, mixed_scores(scores, weights)[0])
    rate = np.where(patterns.T > 0, patterns.frequency / np.maximum(patterns.T, 1.0), 0.0) * horizon
    found["naive rate"] = _outcome(rate, fold)
    return found | _peers(fold, horizon, python)


def _ends(shop: Shop) -> np.datetime64:
    """Return the last day of the last whole month, or of one that the log nearly fills."""
    return np.datetime64(shop.log.day.max() + 7)


def _outcome(
    expected: FloatArray, fold: Fold, coverage: float | None = None, score: FoldScore | None = None
) -> Outcome:
    finite = np.isfinite(expected)
    weights = fold.histories.weights * finite
    error, total = np.where(finite, expected - fold.bought, 0.0), float(weights.sum())
    return Outcome(
        mae=float((weights * np.abs(error)).sum() / total),
        rmse=float(np.sqrt((weights * error**2).sum() / total)),
        bias=float((weights * error).sum() / (weights * fold.bought).sum()),
        coverage=coverage,
        score=score,
        finite=total / float(fold.histories.weights.sum()),
    )


def _peers(fold: Fold, horizon: float, python: str) -> dict[str, Outcome]:
    """Forecast by other packages: a row for each customer, as they take them."""
    known = fold.histories.statistics(PLAIN)
    rows = np.repeat(np.arange(len(fold.bought)), fold.histories.weights.astype(np.int64))
    _, at = np.unique(rows, return_index=True)
    with tempfile.TemporaryDirectory() as temporary:
        source, target = Path(temporary) / "customers.npz", Path(temporary) / "forecasts.npz"
        columns = {"frequency": known.frequency, "recency": known.recency, "T": known.T}
        np.savez(source, horizon=horizon, **{name: each[rows] for name, each in columns.items()})
        subprocess.run([python, str(HERE / "peer.py"), str(source), str(target)], check=True, cwd=temporary)
        with np.load(target) as file:
            made = {name.split("|")[0]: file[name] for name in file.files if name.endswith("|expected")}
    return {name: _outcome(np.asarray(each, dtype=np.float64)[at], fold) for name, each in made.items()}


def table(found: Sequence[Mapping[str, Outcome]]) -> str:
    """Return the means over shops as Markdown; of biases the mean of absolute ones, where there are several shops."""
    lines = [
        "| forecast | MAE | RMSE | bias | coverage | log score |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in dict.fromkeys(name for each in found for name in each):
        mine = [each[name] for each in found if name in each]
        bias = f"{mine[0].bias:+.1%}" if len(found) == 1 else f"{np.mean([abs(one.bias) for one in mine]):.1%}"
        coverage, score = _mean([one.coverage for one in mine]), _mean([one.log_score for one in mine])
        part = "" if len(mine) == len(found) else f" ({len(mine)} of {len(found)} shops)"
        if (finite := min(one.finite for one in mine)) < 1.0:
            part += f" ({finite:.0%} of customers)"
        lines.append(
            f"| {name}{part} | {np.mean([one.mae for one in mine]):.4f} | {np.mean([one.rmse for one in mine]):.4f} | "
            f"{bias} | {'' if coverage is None else f'{coverage:.1%}'} | {'' if score is None else f'{score:.4f}'} |"
        )
    return "\n".join(lines)


def against_before(found: Sequence[Mapping[str, Outcome]]) -> str:
    """Say by how much the platform's rule is ahead of the one before, with a standard error over customers."""
    now, before = ([each[rule].score for each in found] for rule in (NOW, BEFORE))
    gain, error = difference([one for one in now if one], [one for one in before if one])
    return f"Ahead of the rule before by {1000 * gain:.2f} ± {1000 * error:.2f} thousandths of a nat a customer."


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
