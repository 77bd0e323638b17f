"""Checks of earlier predictions against what then happened."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

import ibis
import ibis.expr.types as ir

from cltv_assets.months import Month
from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.common_checks import no_rows
from cltv_assets.tables.holdout_evaluation.evaluate import past_evaluations
from cltv_assets.tables.holdout_evaluation.outcomes import BASELINES, MODEL, NAIVE, TARGETS
from cltv_assets.tables.month_run import MonthRun

_NOTHING_DUE = "No earlier prediction whose horizon has passed."

#: How much larger an error may be before it counts as worse; smaller differences are chance.
_AS_GOOD = 1.02

#: How much larger a normalised Gini coefficient must be to count as a better order.
_BETTER_ORDER = 0.01

#: Share of outcomes that the intervals should hold, and the shortfall that is more than a bad month.
_PROMISED, _LEEWAY = 0.8, 0.05

#: Months whose totals are counted together, and the fewest totals worth judging.
_MONTHS, _ENOUGH_TOTALS = 12, 6

#: Metrics that the checks judge by.
_JUDGED = (
    "rmse", "mae", "normalised_gini", "relative_bias", "interval_coverage", "interval_coverage_randomised",
    "total_low", "total_actual", "total_high",
)  # fmt: skip


def _figures(table: ir.Table, _run: MonthRun) -> dict[str, ir.Scalar]:
    """Return the judged rows of the small table as one aggregate, the same for every check.

    It is text, because hundreds of aggregates, one for each figure, took longer than the evaluation.
    """
    text = [table[name].cast("string") for name in ("horizon_months", "customers", "value")]
    names = [table[name] for name in ("target", "model_name", "metric")]
    line = reduce(lambda left, right: left + "|" + right, [*names, *text])
    return {"lines": line.collect(where=table.metric.isin(_JUDGED))}


class _Case:
    """The figures of one horizon."""

    def __init__(self, horizon: int) -> None:
        self.horizon = horizon
        self.customers = 0
        self.values: dict[tuple[str, str, str], float] = {}

    def get(self, target: str, contender: str, metric: str) -> float | None:
        """Return a value, None where there is none."""
        return self.values.get((target, contender, metric))

    def shown(self, target: str, metric: str) -> str:
        """Return the model's value and, in brackets, the others'."""
        values = {name: self.get(target, name, metric) for name in (MODEL, *BASELINES)}
        ours, *others = [f"{name} {value:.3f}" for name, value in values.items() if value is not None] or ["unknown"]
        return f"{self.horizon} months ahead {ours.removeprefix('model ')} ({', '.join(others)})"

    def ratio(self, target: str, contender: str, metric: str) -> float | None:
        """Return the model's value divided by the contender's, None where one is missing or zero."""
        ours, theirs = self.get(target, MODEL, metric), self.get(target, contender, metric)
        return ours / theirs if ours is not None and theirs else None

    def worse_on_purchases(self, contender: str) -> bool:
        """Whether the contender was clearly closer to what customers bought."""
        ratio = self.ratio("purchases", contender, "rmse")
        return ratio is not None and ratio > _AS_GOOD

    def worse_on_revenue(self, contender: str) -> bool:
        """Whether the contender was clearly closer to what customers spent, and also ranked them better."""
        ratio = self.ratio("revenue", contender, "rmse")
        ours, theirs = (self.get("revenue", name, "normalised_gini") for name in (MODEL, contender))
        ordered_better = ours is not None and theirs is not None and theirs > ours + _BETTER_ORDER
        return ratio is not None and ratio > _AS_GOOD and ordered_better


def _cases(values: Values) -> list[_Case]:
    """Return the existing evaluations in order of horizon."""
    found: dict[int, _Case] = {}
    for line in values["lines"] or ():
        target, name, metric, horizon, customers, value = line.split("|")
        case = found.setdefault(int(horizon), _Case(int(horizon)))
        case.customers = int(customers)
        case.values[target, name if name in BASELINES else MODEL, metric] = float(value)
    return [found[horizon] for horizon in sorted(found)]


def _of_model(cases: Sequence[_Case], metric: str) -> dict[str, float]:
    """Return the model's values of a metric, by target and horizon."""
    return {
        f"{target}_{case.horizon}": value
        for target in TARGETS
        for case in cases
        if (value := case.get(target, MODEL, metric)) is not None
    }


@check(
    "The model predicted better than each customer's rate so far, and than last year's purchases.",
    measures=_figures,
    blocking=False,
)
def beats_naive(values: Values, run: MonthRun) -> Verdict:
    """Warn when a rule of thumb would have done better than the model.

    Purchases are judged by the root mean square error, which the expectation
    minimises. The mean absolute error would favour predicting zero for everyone,
    because most customers buy nothing. Revenue depends on a few large buyers, so
    there a rule must also have ranked customers better.
    """
    cases = [case for case in _cases(values) if case.get("purchases", MODEL, "rmse") is not None]
    if not cases:
        return Verdict(True, _NOTHING_DUE)
    lost, facts = [], {}
    for case in cases:
        h = case.horizon
        for name in BASELINES:
            for target, metric in (("purchases", "rmse"), ("purchases", "mae"), ("revenue", "rmse")):
                ratio = case.ratio(target, name, metric)
                if ratio is not None:
                    facts[f"{target}_{metric}_over_{name}_{h}m"] = round(ratio, 4)
            if name in NAIVE and case.worse_on_purchases(name):
                lost.append(f"{name} predicted purchases {h} months ahead better")
            if name in NAIVE and case.worse_on_revenue(name):
                lost.append(f"{name} predicted and ordered revenue {h} months ahead better")
    errors = "; ".join(case.shown("purchases", "rmse") for case in cases)
    text = f"Root mean square error of purchases: {errors}."
    ordered = [case for case in cases if case.get("revenue", MODEL, "rmse") is not None]
    if ordered:
        order = "; ".join(case.shown("revenue", "normalised_gini") for case in ordered)
        text += f" Order of revenue (normalised Gini): {order}."
    if not lost:
        return Verdict(True, text, facts)
    origins = ", ".join(str(run.month.shift(-case.horizon)) for case in cases)
    remedy = f"See how much history the models of {origins} had, and calibration by decile in the report."
    return Verdict(False, f"{'; '.join(lost)}. {text} {remedy}", facts)


@check("Predicted totals were near the actual ones.", measures=_figures, blocking=False)
def bias_within_bounds(values: Values, run: MonthRun) -> Verdict:
    """Warn when the model missed a total by far."""
    known = _of_model(_cases(values), "relative_bias")
    if not known:
        return Verdict(True, _NOTHING_DUE)
    limit = run.settings.checks.holdout_bias
    shown = ", ".join(f"{name.replace('_', ' ')} months {value:+.0%}" for name, value in known.items())
    worst = max(abs(value) for value in known.values())
    text = f"Predicted against actual totals: {shown}"
    beyond = f"{text}; beyond checks.holdout_bias ({limit:.0%})."
    return Verdict(worst <= limit, f"{text}." if worst <= limit else beyond, known)


@check("Of customers' 80 % intervals 80 % or more held the outcome.", measures=_figures, blocking=False)
def coverage_as_promised(values: Values, _run: MonthRun) -> Verdict:
    """Warn when customers' 80 % intervals held clearly fewer than 80 % of outcomes."""
    cases = _cases(values)
    # With randomised ends 80 % means 80 %. Predictions of earlier versions have none.
    known = _of_model(cases, "interval_coverage") | _of_model(cases, "interval_coverage_randomised")
    if not known:
        return Verdict(True, _NOTHING_DUE)
    # With few customers the share itself is uncertain, so allow for its error.
    chance = 3 * math.sqrt(_PROMISED * (1 - _PROMISED) / min(case.customers for case in cases))
    low = [name for name, share in known.items() if share < _PROMISED - _LEEWAY - chance]
    shown = ", ".join(f"{name.replace('_', ' ')} months {share:.1%}" for name, share in known.items())
    text = f"Customers whose outcome lay within their 80 % interval: {shown}."
    if low:
        text += " That is clearly fewer than 80 %: the intervals are too narrow, look at the bias first."
    return Verdict(not low, text, known)


@check("Most actual totals lay within the 80 % interval told for them.", measures=_figures, blocking=False)
def totals_within_interval(values: Values, run: MonthRun) -> Verdict:
    """Report how often the base's total lay within its 80 % interval; warn when it mostly did not.

    One total outside proves nothing, because a fifth of them should be outside. So
    the totals of a year are counted together.
    """
    now = []
    for case in _cases(values):
        for target in TARGETS:
            low, actual, high = (case.get(target, MODEL, f"total_{end}") for end in ("low", "actual", "high"))
            if low is not None and actual is not None and high is not None:
                now.append((case.horizon, target, low, actual, high))
    if not now:
        return Verdict(True, "No earlier total with an interval whose horizon has passed.")
    counted = [low <= actual <= high for _, _, low, actual, high in now] + _inside_before(run)
    inside = sum(counted)
    shown = ", ".join(
        f"{h} months ahead {actual:,.0f} ({low:,.0f} to {high:,.0f})"
        for h, target, low, actual, high in now
        if target == "purchases"
    )
    text = (
        f"{inside} of {len(counted)} totals of {_MONTHS} months lay within their 80 % interval. "
        f"This month's purchases: {shown}."
    )
    facts = {"inside": inside, "totals": len(counted)}
    if len(counted) < _ENOUGH_TOTALS or inside >= len(counted) / 2:
        return Verdict(True, text, facts)
    why = " Expect larger misses than the intervals say: they take it that the future goes on like the past."
    return Verdict(False, text + why, facts)


def _inside_before(run: MonthRun) -> list[bool]:
    """Return whether each total of the months before lay within its interval."""
    before = past_evaluations(run, _MONTHS - 1)
    if before is None:
        return []
    wanted = before.filter(
        (before.contender == MODEL) & before.metric.isin(["total_low", "total_actual", "total_high"])
    )
    found: dict[Any, dict[str, float]] = {}
    for row in run.engine.collect(wanted).to_pylist():
        key = (row["month"], row["horizon_months"], row["target"])
        found.setdefault(key, {})[row["metric"]] = row["value"]
    return [
        one["total_low"] <= one["total_actual"] <= one["total_high"] for one in found.values() if "total_low" in one
    ]


@no_rows("Every horizon ends with the partition's month.")
def origins_match(table: ir.Table, run: MonthRun) -> ir.BooleanValue:
    """Promise that each evaluation's horizon ends with this month."""
    right: ir.BooleanValue = ibis.literal(False)
    for h in run.settings.horizons_months:
        origin: Month = run.month.shift(-h)
        right = right | ((table.horizon_months == h) & (table.origin_month == origin.first_day))
    return ~right
