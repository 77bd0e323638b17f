"""Checks of the fitted models."""

from __future__ import annotations

from collections.abc import Sequence

import ibis.expr.types as ir

from cltv_assets.checks.check import Check, Values, Verdict
from cltv_assets.schemas import RFM_SUMMARY, TableSchema
from cltv_assets.steps.month_run import MonthRun
from cltv_assets.transforms.statistics import excluded_spenders

#: Largest gradient component a customer, in log parameters, of a true maximum. The fit
#: itself stops at a tenth of it, so what fails here was not made by the fit.
_GRADIENT = 1e-5
#: Half the 95 % quantile of chi-squared with two degrees of freedom: what two
#: parameters that mean nothing gain in log-likelihood.
_NO_BETTER = 3.0
#: Below this mean dropout probability nobody is seen to leave.
_NO_DROPOUT = 1e-3


def _chosen(table: ir.Table, columns: Sequence[str]) -> dict[str, ir.Scalar]:
    return {name: table[name].max(where=table.role == "chosen") for name in columns}


def model_fitted() -> Check:
    """Warn when the data cannot support a model: predictions are withheld.

    Its facts are the parameters: Dagster draws a check's numbers over its evaluations.
    """
    words = ("model_name", "status", "status_reason")

    def measures(table: ir.Table, _run: MonthRun) -> dict[str, ir.Scalar]:
        # A parameter is a column with a standard error.
        return _chosen(table, (*words, *(name for name in table.columns if f"{name}_se" in table.columns)))

    def judge(values: Values, _run: MonthRun) -> Verdict:
        if values["status"] != "not_fitted":
            parameters = {name: value for name, value in values.items() if name not in words and value is not None}
            return Verdict(True, f"{values['model_name']}: {values['status']}.", parameters)
        reason = values["status_reason"]
        return Verdict(False, f"No model this month, and no predictions: {reason}")

    return Check("model_fitted", "The data supports a model.", judge, measures, blocking=False)


def converged() -> Check:
    """Promise that a fitted model stands at a proper maximum."""

    def measures(table: ir.Table, _run: MonthRun) -> dict[str, ir.Scalar]:
        fitted = table.status == "fitted"
        return {
            "fitted": fitted.cast("int64").sum(),
            "gradient": table.gradient_norm.max(where=fitted),
            "proper": table.hessian_positive_definite.cast("int64").min(where=fitted),
        }

    def judge(values: Values, _run: MonthRun) -> Verdict:
        if not values["fitted"]:
            return Verdict(True, "Nothing claims to stand at an interior maximum.")
        gradient = values["gradient"]
        facts = {"gradient_norm": gradient}
        if gradient is not None and gradient <= _GRADIENT and values["proper"] == 1:
            return Verdict(True, f"Gradient {gradient:.1e} a customer, Hessian positive definite.", facts)
        return Verdict(False, f"Not a maximum: gradient {gradient} a customer, Hessian {values['proper']}.", facts)

    return Check("converged", "A fitted model stands at a proper maximum of its likelihood.", judge, measures)


def fitted_on_all_customers() -> Check:
    """Promise that repeaters alone were never fitted on: a known error."""

    def judge(values: Values, _run: MonthRun) -> Verdict:
        fitted, all_of_them = values["customers"], values["all"]
        text = f"fitted on {fitted:,} of {all_of_them:,} customers"
        return Verdict(fitted == all_of_them, f"{text[0].upper()}{text[1:]}.", {"customers": fitted})

    return Check(
        "fitted_on_all_customers",
        "The purchase model is fitted on all customers, not on repeaters alone.",
        judge,
        lambda table, run: {
            "customers": table.customers.min(),
            "all": run.inputs[RFM_SUMMARY.name].count().as_scalar(),
        },
    )


def fitted_on_all_spenders() -> Check:
    """Promise that the spend model leaves out nobody silently."""

    def measures(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
        rfm = run.inputs[RFM_SUMMARY.name]
        return {
            "customers": table.customers.max(),
            "excluded": table.excluded_customers.max(),
            "repeaters": rfm.is_repeat.cast("int64").sum().as_scalar(),
            "worthless": excluded_spenders(rfm).as_scalar(),
        }

    def judge(values: Values, _run: MonthRun) -> Verdict:
        customers, excluded, repeaters = values["customers"], values["excluded"], values["repeaters"] or 0
        text = f"{customers:,} fitted on + {excluded:,} of no value = {repeaters:,} repeat customers"
        whole = customers + excluded == repeaters and excluded == (values["worthless"] or 0)
        return Verdict(whole, f"{text}." if whole else f"Does not add up: {text}.", {"excluded_customers": excluded})

    return Check("fitted_on_all_spenders", "Every repeat customer of positive value is fitted on.", judge, measures)


def dropout_identified() -> Check:
    """Warn when the data cannot tell who has left."""

    def measures(table: ir.Table, _run: MonthRun) -> dict[str, ir.Scalar]:
        null_model = table.role == "comparison"
        return {
            **_chosen(table, ("status", "status_reason", "log_likelihood", "a", "b")),
            "null_log_likelihood": table.log_likelihood.max(where=null_model),
        }

    def judge(values: Values, _run: MonthRun) -> Verdict:
        if values["status"] == "not_fitted":
            return Verdict(True, "No model, hence no dropout to identify.")
        dropout = values["a"] / (values["a"] + values["b"])
        null = values["null_log_likelihood"]
        gain = None if null is None else values["log_likelihood"] - null
        facts = {"mean_dropout_probability": dropout, "gain_over_nbd": gain}
        if values["status"] == "boundary" and dropout >= _NO_DROPOUT:
            message = (
                f"Dropout is poorly identified from this history: {values['status_reason']}. P(alive) of single "
                f"customers is a guess. The model gains {gain or 0:.1f} nats on one without dropout. A longer history "
                "helps."
            )
            return Verdict(False, message, facts)
        if dropout < _NO_DROPOUT or (gain is not None and gain < _NO_BETTER):
            message = (
                "Dropout cannot be identified from this history: the model says that nearly everyone is still a "
                "customer, and describes the data hardly better than one without dropout "
                f"({f'{gain:.1f} nats' if gain is not None else 'no comparison'}). Read P(alive) as unknown; "
                "expected purchases rest on the purchase rates alone. A longer history helps."
            )
            return Verdict(False, message, facts)
        text = f"Mean dropout after a purchase {dropout:.1%}; {gain or 0:,.0f} nats better than NBD."
        return Verdict(True, text, facts)

    return Check(
        "dropout_identified",
        "The data can tell customers who left from those between two purchases.",
        judge,
        measures,
        blocking=False,
    )


def frequency_value_independent() -> Check:
    """Warn when the Gamma-Gamma model's one assumption fails."""

    def judge(values: Values, run: MonthRun) -> Verdict:
        r = values["frequency_value_correlation"]
        if r is None:
            return Verdict(True, "Too few repeat customers for a correlation.")
        limit = run.settings.checks.frequency_value_correlation
        facts = {"correlation": r}
        if abs(r) <= limit:
            return Verdict(True, f"Correlation of frequency and monetary value {r:+.2f}.", facts)
        message = (
            f"Frequency and monetary value correlate by {r:+.2f}, beyond {limit} "
            "(checks.frequency_value_correlation): the spend model takes them for independent, so the value of the "
            f"most frequent customers is {'under' if r > 0 else 'over'}stated."
        )
        return Verdict(False, message, facts)

    return Check(
        "frequency_value_independent",
        "How often customers buy says little of how much they spend.",
        judge,
        lambda table, _run: _chosen(table, ("frequency_value_correlation",)),
        blocking=False,
    )


def parameter_drift(schema: TableSchema, parameters: Sequence[str]) -> Check:
    """Warn when a parameter jumps against last month, in standard errors."""
    wanted = [name for parameter in parameters for name in (parameter, f"{parameter}_se")]

    def judge(values: Values, run: MonthRun) -> Verdict:
        before = run.earlier(schema)
        if before is None or values["status"] != "fitted":
            return Verdict(True, "No earlier fit to compare with.")
        earlier = run.engine.measure(before, _chosen(before, (*wanted, "status")))
        if earlier["status"] != "fitted":
            return Verdict(True, f"Last month's model was {earlier['status']}.")
        moves = {}
        for name in parameters:
            scale = max(values[f"{name}_se"] or 0.0, earlier[f"{name}_se"] or 0.0)
            if scale > 0:
                moves[name] = round((values[name] - earlier[name]) / scale, 2)
        if not moves:
            return Verdict(True, "No standard errors to measure a move in.")
        limit = run.settings.checks.parameter_drift_se
        shown = ", ".join(f"{name} {move:+.1f}" for name, move in moves.items())
        passed = max(abs(move) for move in moves.values()) <= limit
        text = f"Moves since last month in standard errors: {shown}"
        return Verdict(passed, f"{text}." if passed else f"{text}; beyond checks.parameter_drift_se ({limit}).", moves)

    return Check(
        "parameter_drift",
        "Parameters move little from one month to the next.",
        judge,
        lambda table, _run: _chosen(table, (*wanted, "status")),
        blocking=False,
    )
