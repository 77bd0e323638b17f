"""Checks of predictions and of their holdout evaluation."""

from __future__ import annotations

import itertools
import math

import ibis.expr.types as ir

from cltv_assets.checks.check import Check, Values, Verdict
from cltv_assets.checks.structure import rows_where
from cltv_assets.months import Month
from cltv_assets.schemas import PURCHASE_MODEL, REPEAT_CUSTOMERS, RFM_SUMMARY, SPEND_MODEL, cltv_predictions
from cltv_assets.steps.month_run import MonthRun
from cltv_assets.transforms.holdout import BASELINES, NAIVE_RATE

#: P(alive) above which a customer counts as certainly alive.
_CERTAIN = 0.999


def _withheld(run: MonthRun) -> dict[str, ir.Scalar]:
    """Count chosen models that could not be fitted."""
    found = {}
    for schema in (PURCHASE_MODEL, SPEND_MODEL):
        model = run.inputs[schema.name]
        missing = (model.role == "chosen") & (model.status == "not_fitted")
        found[schema.name] = missing.cast("int64").sum().as_scalar()
    return found


def covers_population() -> Check:
    """Promise a prediction for every customer of the configured population."""

    def measures(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
        population = REPEAT_CUSTOMERS if run.settings.population == "repeat" else RFM_SUMMARY
        return {
            "predictions": table.count(),
            "customers": run.inputs[population.name].count().as_scalar(),
            **_withheld(run),
        }

    def judge(values: Values, _run: MonthRun) -> Verdict:
        predictions, customers = values["predictions"], values["customers"]
        facts = {"predictions": predictions, "customers": customers}
        if values[PURCHASE_MODEL.name] or values[SPEND_MODEL.name]:
            return Verdict(predictions == 0, "No model, hence no prediction: none is made up.", facts)
        text = f"{predictions:,} predictions for {customers:,} customers"
        return Verdict(predictions == customers, f"{text}.", facts)

    return Check("covers_population", "One prediction for each customer of the population.", judge, measures)


def predictions_made() -> Check:
    """Warn when predictions are withheld."""

    def judge(values: Values, _run: MonthRun) -> Verdict:
        missing = [name for name, count in values.items() if count]
        if not missing:
            return Verdict(True, "Both models stand.")
        return Verdict(False, f"Withheld: {' and '.join(missing)} could not be fitted; see the status there.")

    return Check(
        "predictions_made",
        "The month has predictions.",
        judge,
        lambda _table, run: _withheld(run),
        blocking=False,
    )


def probabilities() -> Check:
    """Promise that P(alive) is a probability."""

    def wrong(table: ir.Table, _run: MonthRun) -> ir.BooleanValue:
        return ~table.p_alive.between(0.0, 1.0)

    return rows_where("probabilities", "0 <= P(alive) <= 1.", wrong)


def intervals_and_horizons() -> Check:
    """Promise that intervals are ordered and that longer horizons expect more."""

    def wrong(table: ir.Table, run: MonthRun) -> ir.BooleanValue:
        bad: ir.BooleanValue | None = None
        horizons = run.settings.horizons_months
        for base in ("expected_purchases", "cltv"):
            columns = [f"{base}_{h}m" for h in horizons]
            conditions = [table[f"{name}_low"] > table[f"{name}_high"] for name in columns]
            conditions += [table[a] > table[b] * (1 + 1e-12) for a, b in itertools.pairwise(columns)]
            for condition in conditions:
                bad = condition if bad is None else bad | condition
        assert bad is not None
        return bad

    return rows_where("intervals_and_horizons", "Low <= high, and longer horizons expect no less.", wrong)


def someone_may_have_left() -> Check:
    """Warn when everyone is certainly alive: the model does not discriminate."""

    def judge(values: Values, _run: MonthRun) -> Verdict:
        if not values["rows"]:
            return Verdict(True, "No predictions.")
        share = values["certain"] / values["repeaters"] if values["repeaters"] else 0.0
        facts = {"certainly_alive": round(share, 4), "mean_p_alive": values["mean"]}
        if values["repeaters"] and share > 0.99:
            message = (
                f"P(alive) is above {_CERTAIN} for {share:.1%} of repeat customers: it says nothing about who left."
            )
            return Verdict(False, message, facts)
        text = f"Mean P(alive) {values['mean']:.2f}; {share:.0%} of repeat customers surely alive."
        return Verdict(True, text, facts)

    def measures(table: ir.Table, _run: MonthRun) -> dict[str, ir.Scalar]:
        repeat = table.frequency > 0
        return {
            "rows": table.count(),
            "repeaters": repeat.cast("int64").sum(),
            "certain": (repeat & (table.p_alive > _CERTAIN)).cast("int64").sum(),
            "mean": table.p_alive.mean(),
        }

    return Check(
        "someone_may_have_left",
        "P(alive) tells customers apart.",
        judge,
        measures,
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
            return Verdict(True, "No earlier predictions to compare with.")
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


def beats_naive() -> Check:
    """Warn when a simple rate would have predicted purchases better."""

    def measures(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
        found: dict[str, ir.Scalar] = {}
        mae = (table.metric == "mae") & (table.target == "purchases")
        for h in run.settings.horizons_months:
            here = mae & (table.horizon_months == h)
            is_model = ~table.model_name.isin(BASELINES)
            found[f"model_{h}"] = table.value.max(where=here & is_model)
            found[f"naive_{h}"] = table.value.max(where=here & (table.model_name == NAIVE_RATE))
        return found

    def judge(values: Values, run: MonthRun) -> Verdict:
        ratios = {
            h: values[f"model_{h}"] / values[f"naive_{h}"]
            for h in run.settings.horizons_months
            if values[f"model_{h}"] is not None and values[f"naive_{h}"]
        }
        if not ratios:
            return Verdict(True, "No earlier prediction whose horizon has passed.")
        shown = ", ".join(f"{h} months ahead {ratio:.2f}" for h, ratio in ratios.items())
        facts = {f"mae_ratio_{h}m": round(ratio, 4) for h, ratio in ratios.items()}
        text = f"Mean absolute error of purchases, model over naive rate: {shown}"
        worst = max(ratios.values())
        return Verdict(worst < 1, f"{text}." if worst < 1 else f"{text}; above 1 the naive rate was better.", facts)

    return Check(
        "beats_naive",
        "The model predicted purchases better than each customer's rate so far.",
        judge,
        measures,
        blocking=False,
    )


def bias_within_bounds() -> Check:
    """Warn when the total was missed by far."""

    def measures(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
        bias = (table.metric == "relative_bias") & ~table.model_name.isin(BASELINES)
        return {
            f"{target}_{h}": table.value.max(where=bias & (table.target == target) & (table.horizon_months == h))
            for target in ("purchases", "revenue")
            for h in run.settings.horizons_months
        }

    def judge(values: Values, run: MonthRun) -> Verdict:
        known = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
        if not known:
            return Verdict(True, "No earlier prediction whose horizon has passed.")
        limit = run.settings.checks.holdout_bias
        shown = ", ".join(f"{name.replace('_', ' ')} months {value:+.0%}" for name, value in known.items())
        worst = max(abs(value) for value in known.values())
        text = f"Predicted against actual totals: {shown}"
        return Verdict(worst <= limit, f"{text}." if worst <= limit else f"{text}; beyond checks.holdout_bias.", known)

    return Check(
        "bias_within_bounds",
        "Predicted totals were near the actual ones.",
        judge,
        measures,
        blocking=False,
    )


def origins_match() -> Check:
    """Promise that each evaluation's horizon ends with this very month."""

    def wrong(table: ir.Table, run: MonthRun) -> ir.BooleanValue:
        right: ir.BooleanValue | None = None
        for h in run.settings.horizons_months:
            origin: Month = run.month.shift(-h)
            here = (table.horizon_months == h) & (table.origin_month == origin.first_day)
            right = here if right is None else right | here
        assert right is not None
        return ~right

    return rows_where("origins_match", "Every horizon ends with the partition's month.", wrong)
