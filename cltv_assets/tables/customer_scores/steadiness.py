"""Says when the churn state of many customers changed at once, and whether the customers changed or the models did.

Most customers of many shops bought once, and have nearly the same P(alive). It falls from month to month, and by more
where the models that predict get other weights: then half of the customers may pass a bound together. No distance
between the bounds prevents that, so it is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np

from cltv_assets.columns import MONTH
from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.customer_scores.churn import churn_sides, churn_state, staying_weights
from cltv_assets.tables.customer_scores.columns import scores_schema
from cltv_assets.tables.customer_scores.score import LAST_MONTHS
from cltv_assets.tables.drift import NO_MONTH
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.patterns import PATTERN_KEY, collect_patterns
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.purchase_model.reading import operational_time, predicting, predicting_rows, readings
from cltv_assets.tables.rfm_summary import RFM_SUMMARY

_Rows = Sequence[Mapping[str, Any]]


def models_before(run: MonthRun) -> _Rows:
    """Return the rows of last month's models that predicted; none where there was no such month or model."""
    table = run.earlier(PURCHASE_MODEL)
    rows = [] if table is None else predicting(run.engine.collect(table).to_pylist())
    return rows if rows and rows[0]["status"] != "not_fitted" else []


def states_by(run: MonthRun, models: _Rows) -> ir.Table:
    """Return ``customer_id, state_then``: this month's churn state, had these models predicted this month.

    Parameters
    ----------
    run : MonthRun
        With ``cltv_predictions`` of `LAST_MONTHS` and the month's ``rfm_summary`` among its inputs.
    models : sequence of mapping
        Rows of ``purchase_model`` that predict.
    """
    rfm, predictions = run.inputs[RFM_SUMMARY.name], run.inputs[LAST_MONTHS.table]
    patterns = collect_patterns(run, rfm)
    clock = operational_time(models[0], run.settings)
    first, last = (patterns[name].to_numpy().astype("datetime64[D]") for name in ("first_purchase", "last_purchase"))
    ways = readings(models, clock, patterns["frequency"].to_numpy(), first, last, np.datetime64(run.month.last_day))
    alive = np.sum([way.probability * way.mixture.p_alive(way.patterns) for way in ways], axis=0)
    by_pattern = run.engine.from_arrow(patterns.select(list(PATTERN_KEY)).append_column("p_then", [alive]))
    then = rfm.inner_join(by_pattern, list(PATTERN_KEY)).select("customer_id", "p_then")
    window = predictions.select("customer_id", "p_alive", MONTH).left_join(then, "customer_id")
    here = window[MONTH] == ibis.literal(run.month.first_day)
    window = window.select("customer_id", MONTH, p_alive=ibis.ifelse(here, window.p_then, window.p_alive))
    sides = window.group_by("customer_id").aggregate(
        **churn_sides(window, run.settings.scores, staying_weights(run, models))
    )
    return sides.select("customer_id", state_then=churn_state(sides))


def _measures_of_churn_states_steady(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    before = run.earlier(scores_schema(run.settings.horizons_months))
    if before is None:
        return {}
    old = before.select("customer_id", state_before="churn_state")
    both = table.select("customer_id", "churn_state", "days_since_last_order").inner_join(old, "customer_id")
    moved = both.filter(both.churn_state != both.state_before)
    silent = moved.filter(moved.days_since_last_order >= run.month.last_day.day)
    counts = {"both": both.count(), "changed": moved.count().as_scalar(), "silent": silent.count().as_scalar()}
    found = {name: int(count) for name, count in run.engine.measure(both, counts).items()}
    models = models_before(run) if found["changed"] > run.settings.checks.churn_state_change * found["both"] else []
    if models:
        again = moved.inner_join(states_by(run, models), "customer_id")
        kept = again.filter(again.state_then == again.state_before)
        found["by_models"] = int(run.engine.measure(kept, {"kept": kept.count()})["kept"])
    return {name: ibis.literal(count, "int64") for name, count in found.items()}


@check(
    "Few customers have another churn state than last month.",
    measures=_measures_of_churn_states_steady,
    blocking=False,
)
def churn_states_steady(values: Values, run: MonthRun) -> Verdict:
    """Warn when the churn state of many customers changed at once, and say of how many the models are the reason."""
    if not values.get("both"):
        return Verdict(True, NO_MONTH)
    changed, limit = values["changed"], run.settings.checks.churn_state_change
    share = changed / values["both"]
    facts = {"changed": changed, "customers": values["both"], "share": round(share, 4)}
    text = f"The churn state of {share:.1%} of {values['both']:,} customers is not last month's"
    if share <= limit:
        return Verdict(True, f"{text}.", facts)
    message = f"{text}: beyond checks.churn_state_change ({limit:.0%}). "
    if "by_models" in values:
        facts |= {"without_order": values["silent"], "by_models": values["by_models"]}
        message += (
            f"Of these {changed:,}, {values['silent']:,} ordered nothing this month, and {values['by_models']:,} would "
            f"have kept theirs by the models of {run.month.shift(-1)} ({_named(models_before(run))}; now "
            f"{_named(predicting_rows(run))}): of those the models changed, not the customers. "
        )
    message += (
        "If purchases are missing at the month's end, deliver them; if the model changed, see purchase_model; if the "
        "bounds of `scores` did, run the months before again."
    )
    return Verdict(False, message, facts)


def _named(models: _Rows) -> str:
    return ", ".join(f"{row['model_name']} {row.get('weight') or 1.0:.0%}" for row in models)
