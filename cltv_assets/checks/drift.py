"""Checks against the month before: what moved more than a month moves it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import ibis
import ibis.expr.types as ir

from cltv_assets.checks.check import Check, Values, Verdict
from cltv_assets.models.measures import population_stability_index, stability_by_chance
from cltv_assets.schemas import RFM_SUMMARY, TableSchema, cltv_predictions
from cltv_assets.settings import Settings
from cltv_assets.steps.month_ahead import expected_this_month, frequency_of_known
from cltv_assets.steps.month_run import MonthRun
from cltv_assets.transforms.drift import (
    Watched,
    bins_at_deciles,
    value_counts,
    watched_in_predictions,
    watched_in_rfm,
)

_NO_MONTH = "No month to compare with."
#: Months of history that a month and the one before must have: while history doubles,
#: everything drifts.
_ENOUGH_HISTORY = 3
#: Standard deviations beyond which a month's purchases are no accident.
_NO_ACCIDENT = 3.0


def rfm_drift() -> Check:
    """Warn when frequency, recency or monetary value are distributed otherwise than a month ago."""
    return _distribution_drift(lambda _horizons: RFM_SUMMARY, watched_in_rfm)


def score_drift() -> Check:
    """Warn when P(alive) or value of repeat customers are distributed otherwise than a month ago."""
    return _distribution_drift(cltv_predictions, watched_in_predictions)


def _distribution_drift(
    schema_of: Callable[[Sequence[int]], TableSchema], watched_of: Callable[[Settings], Sequence[Watched]]
) -> Check:
    def measures(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
        before = run.earlier(schema_of(run.settings.horizons_months))
        if before is None:
            return {}
        watched = watched_of(run.settings)
        found: dict[str, ir.Scalar] = {}
        for bins in bins_at_deciles(run.engine.collect(value_counts(before, watched)), watched):
            for i, (earlier, now) in enumerate(zip(bins.before, bins.counts_up_to(table), strict=True)):
                # The earlier counts are known: they travel with the measures.
                found[f"{bins.watched.name}|before|{i}"] = ibis.literal(earlier, "int64")
                found[f"{bins.watched.name}|up_to|{i}"] = now
        return found

    def judge(values: Values, run: MonthRun) -> Verdict:
        moved, found = [], {}
        limit = run.settings.checks.distribution_drift
        for name in [one.name for one in watched_of(run.settings)]:
            before, up_to = (
                [count for key, count in values.items() if key.startswith(f"{name}|{side}|")]
                for side in ("before", "up_to")
            )
            now = [right - left for left, right in itertools.pairwise((0, *up_to))]
            if sum(before) and sum(now):
                found[name] = population_stability_index(before, now)
                if found[name] > max(limit, stability_by_chance(len(before), sum(before), sum(now))):
                    moved.append(name)
        if not found:
            return Verdict(True, _NO_MONTH)
        facts = {f"psi_{name}": round(index, 4) for name, index in found.items()}
        shown = ", ".join(f"{name} {index:.3f}" for name, index in found.items())
        text = f"Population stability index against {run.month.shift(-1)}: {shown}"
        if run.month < run.settings.first_month.shift(_ENOUGH_HISTORY):
            return Verdict(True, f"{text}; not judged before {_ENOUGH_HISTORY} months of history.", facts)
        if not moved:
            return Verdict(True, f"{text}.", facts)
        remedy = "Look for customers merged, split or missing, a changed unit of amounts, and which models were chosen."
        return Verdict(
            False, f"{' and '.join(moved)} moved beyond checks.distribution_drift ({limit:g}). {text}. {remedy}", facts
        )

    return Check(
        "distribution_drift",
        "Customers are distributed about as a month ago.",
        judge,
        measures,
        blocking=False,
    )


def month_ahead_error() -> Check:
    """Warn when last month's model misses this month's purchases by more than chance explains."""

    def judge(values: Values, run: MonthRun) -> Verdict:
        expected = expected_this_month(run)
        if expected is None:
            return Verdict(True, _NO_MONTH)
        # What the customers known a month ago have bought since.
        actual = values["frequency_of_known"] - expected.frequency_before
        text = (
            f"Of the customers known before, {expected.model_name} of {run.month.shift(-1)} expected "
            f"{expected.purchases:,.0f} purchases this month; {actual:,} were made"
        )
        facts: dict[str, object] = {"expected": expected.purchases, "actual": actual}
        if not expected.purchases or not expected.deviation:
            return Verdict(True, f"{text}.", facts)
        error = expected.purchases / actual - 1 if actual > 0 else None
        z = (actual - expected.purchases) / expected.deviation
        facts |= {"relative_error": error, "z": z} if error is not None else {"z": z}
        limit = run.settings.checks.month_ahead_error
        text += f" (off by {error:+.0%}, z {z:+.1f})" if error is not None else f" (z {z:+.1f})"
        if abs(z) <= _NO_ACCIDENT or (error is not None and abs(error) <= limit):
            return Verdict(True, f"{text}.", facts)
        return Verdict(
            False,
            f"{text}: beyond checks.month_ahead_error ({limit:.0%}) and beyond chance. A season, a campaign, "
            "missing lines, or a model that no longer fits.",
            facts,
        )

    return Check(
        "month_ahead_error",
        "Last month's model expected about what this month's customers bought.",
        judge,
        # With a count beside it: a subquery alone has no row where the table has none.
        lambda table, run: {"frequency_of_known": frequency_of_known(run), "customers": table.count()},
        blocking=False,
    )


def prediction_drift() -> Check:
    """Warn when the mean prediction jumps against last month."""

    def measures(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
        return {"mean": table[f"cltv_{run.settings.horizons_months[-1]}m"].mean()}

    def judge(values: Values, run: MonthRun) -> Verdict:
        before = run.earlier(cltv_predictions(run.settings.horizons_months))
        now = values["mean"]
        then = run.engine.measure(before, measures(before, run))["mean"] if before is not None else None
        if now is None or not then:
            return Verdict(True, _NO_MONTH)
        change = now / then - 1
        limit = run.settings.checks.prediction_drift
        facts = {"mean_cltv": now, "last_month": then, "change": change}
        text = f"Mean CLTV {now:,.2f} {run.settings.currency}, {change:+.0%} on last month"
        if abs(change) <= limit:
            return Verdict(True, f"{text}.", facts)
        return Verdict(False, f"{text}: beyond checks.prediction_drift ({limit:.0%}).", facts)

    return Check(
        "prediction_drift",
        "The mean prediction is near last month's.",
        judge,
        measures,
        blocking=False,
    )
