"""Checks of the purchase models only: which customers they saw, and whether the data show who has left."""

from __future__ import annotations

import json

import ibis.expr.types as ir

from cltv_assets.models.choosing.candidates import NULL_MODEL, REGULAR_BUYING
from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.fitted_models import of_chosen
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.rfm_summary import RFM_SUMMARY

#: Half the 95 % quantile of chi-squared with two degrees of freedom: the gain in
#: log-likelihood that two meaningless parameters may bring.
_NO_BETTER = 3.0

#: Below this probability, after a purchase or within a year, nobody visibly leaves.
_NO_DROPOUT = 1e-3

#: Above this a + b, dropout probabilities vary so little that their mean says all.
_ALIKE = 1e3

_UNITS_A_YEAR = {"day": 365.25, "week": 365.25 / 7.0}

_SHOWN = (
    "model_name", "seasonality", "status", "status_reason", "choice_reason", "log_likelihood", "a", "b", "s", "beta",
    "log_covariance", "k", "time_unit", "weight",
)  # fmt: skip


@check(
    "The purchase model is fitted on all customers, not on repeaters alone.",
    measures=lambda table, run: {
        "customers": table.customers.min(),
        "left_out": table.left_out.max(),
        "all": run.inputs[RFM_SUMMARY.name].count().as_scalar(),
    },
)
def fitted_on_all_customers(values: Values, _run: MonthRun) -> Verdict:
    """Promise that no model was fitted on repeat customers only, which is a common error."""
    seen, all_of_them, left_out = values["customers"], values["all"], values["left_out"] or 0
    text = f"Fitted on {seen - left_out:,} of {all_of_them:,} customers"
    if left_out:
        text += f"; left out as exceptions to a filtered extract: {left_out:,}"
    return Verdict(seen == all_of_them, f"{text}.", {"customers": seen - left_out})


#: How far weights may lie from a sum of 1.
_ROUNDING = 1e-9


def _measures_of_weights(table: ir.Table, _run: MonthRun) -> dict[str, ir.Scalar]:
    chosen, predicts = table.role == "chosen", (table.weight > 0.0).fill_null(False)
    beside = predicts & ~chosen
    return {
        "chosen": chosen.cast("int64").sum(),
        "models": (predicts | chosen).cast("int64").sum(),
        "total": table.weight.sum(),
        "least": table.weight.min(),
        "beside": table.weight.max(where=beside),
        "unfitted": (beside & (table.status == "not_fitted")).cast("int64").sum(),
        "seasonal": (beside & (table.seasonality == "monthly")).cast("int64").sum(),
        "stationary": (beside & (table.seasonality == "none")).cast("int64").sum(),
        **of_chosen(table, ("model_name", "weight", "seasonality")),
    }


@check(
    "The weights of the models that predict add up, and the chosen one has the largest.",
    measures=_measures_of_weights,
)
def weights_add_up(values: Values, _run: MonthRun) -> Verdict:
    """Promise that one model is chosen, and that those that predict beside it are fitted, on its clock, and weigh less.

    Without a weight the chosen model has all, as in months of earlier versions.
    """
    chosen, weight, beside = values["chosen"] or 0, values["weight"], values["beside"] or 0.0
    if chosen != 1:
        return Verdict(False, f"{chosen} models are chosen, where one has to lead.", {"chosen": chosen})
    other_clock = values["stationary"] if values["seasonality"] == "monthly" else values["seasonal"]
    wrong = {
        "weights sum to something else than 1": weight is not None and abs(values["total"] - 1.0) > _ROUNDING,
        "a weight is negative": (values["least"] or 0.0) < 0.0,
        "another one weighs more than the chosen one": beside > (weight or 0.0),
        "one that was not fitted has a weight": bool(values["unfitted"]),
        "one on another clock has a weight": bool(other_clock),
    }
    if found := [what for what, holds in wrong.items() if holds]:
        return Verdict(False, f"{values['model_name']} is chosen, but {' and '.join(found)}.")
    name, facts = values["model_name"], {"models": values["models"]}
    if values["models"] == 1:
        return Verdict(True, f"{name} predicts.", facts)
    return Verdict(True, f"{values['models']} models predict; {name} counts {weight:.0%}.", facts)


@check(
    "Customers who bought once are among the data.",
    measures=lambda table, _run: {
        **of_chosen(table, ("customers", "repeat_customers", "least_frequency", "left_out")),
        "truncated": table.truncated.cast("int64").max(where=table.role == "chosen"),
    },
    blocking=False,
)
def all_customers_included(values: Values, _run: MonthRun) -> Verdict:
    """Warn when the delivered data hold only customers who bought often enough."""
    customers, repeat = values["customers"] or 0, values["repeat_customers"] or 0
    facts = {"customers": customers, "repeat_customers": repeat}
    if not values["truncated"]:
        return Verdict(True, f"{customers - repeat:,} of {customers:,} customers have bought on one day only.", facts)
    least, left_out = values["least_frequency"] or 1, values["left_out"] or 0
    only = "repeat customers" if least == 1 else f"customers with {least + 1} purchase days or more"
    fewer = "one day only" if least == 1 else f"fewer than {least + 1} days"
    found = f"{left_out:,} of {customers:,} have" if left_out else f"not one of {customers:,} has"
    exceptions = "The exceptions are left out of the fits, and predicted like everyone else. " if left_out else ""
    message = (
        f"The data hold {only} only: {found} bought on {fewer}, where many more should have. They are an extract "
        f"already filtered. The models were fitted on the condition of {least} repeat purchase{'s' * (least > 1)} or "
        f"more, so that predictions for these customers hold. {exceptions}Those who were filtered out are in no count "
        "and no total; what is said of new customers is extrapolated, and months before the extract's last look better "
        "than they were. Deliver every customer's purchases."
    )
    return Verdict(False, message, facts | {"least_frequency": least, "left_out": left_out})


def _measures_of_dropout(table: ir.Table, _run: MonthRun) -> dict[str, ir.Scalar]:
    null = (table.model_name == NULL_MODEL) & (table.status != "not_fitted")
    # A season explains purchases too, so compare with the null model on the same clock.
    clocks = {
        f"null_{clock}": table.log_likelihood.max(where=null & (table.seasonality == clock))
        for clock in ("none", "monthly")
    }
    return of_chosen(table, _SHOWN) | clocks | {"measured_k": table.k.max()}


@check(
    "The data can tell customers who left from those between two purchases.",
    measures=_measures_of_dropout,
    blocking=False,
)
def dropout_identified(values: Values, _run: MonthRun) -> Verdict:
    """Warn when the data cannot tell who has left, or the model cannot because purchases are regular."""
    name = values["model_name"]
    if values["status"] in (None, "not_fitted"):
        return Verdict(True, "No model, hence no dropout to identify.")
    # Beside others it only says how many may come back against what these tell.
    if name == NULL_MODEL and (values["weight"] is None or values["weight"] == 1.0):
        message = (
            f"No dropout could be found: the model that predicts, {name}, has none, and takes everyone for a customer "
            f"for ever. {values['choice_reason'] or ''} Read P(alive) as unknown. {_remedy(values)}"
        )
        return Verdict(False, " ".join(message.split()), {"gain_over_nbd": 0.0})
    if name == NULL_MODEL:
        return Verdict(True, f"{name} has no dropout, and counts {values['weight']:.0%}: others that predict have.")
    null = values[f"null_{values['seasonality']}"]
    gain = None if null is None else values["log_likelihood"] - null
    found = _dropout(values)
    if found is None:
        return Verdict(False, f"The parameters of {name} are impossible: see parameters_possible.")
    dropout, what = found
    facts = {"mean_dropout_probability": dropout, "gain_over_nbd": gain}
    compared = f"{gain:,.1f} nats" if gain is not None else "no comparison"
    visible = dropout >= _NO_DROPOUT and (gain is None or gain >= _NO_BETTER)
    if values["status"] == "boundary" and visible and not _told_by_regularity(values):
        message = (
            f"Dropout is poorly identified from this history: {values['status_reason']}. P(alive) of single "
            f"customers is a guess. {name} gains {gain or 0:.1f} nats on {NULL_MODEL}, which has no dropout. "
            f"{_remedy(values)}"
        )
        return Verdict(False, message, facts)
    if dropout < _NO_DROPOUT or (gain is not None and gain < _NO_BETTER):
        message = (
            f"Dropout cannot be identified from this history: {name} says that nearly everyone is still a "
            f"customer, or describes the data hardly better than {NULL_MODEL}, which has no dropout ({compared}). "
            f"Read P(alive) as unknown; expected purchases rest on the purchase rates alone. {_remedy(values)}"
        )
        return Verdict(False, message, facts)
    return Verdict(True, f"{what} {dropout:.1%}; {name} is {compared} better than {NULL_MODEL}.", facts)


def _remedy(values: Values) -> str:
    """Name the cause where purchases are regular and the model takes them to come by chance."""
    measured = values["measured_k"] or 1
    if measured > 1 and (values["k"] or 1) == 1:
        return (
            f"{REGULAR_BUYING.format(measured).capitalize()}, and a model of purchases by chance then misses who left: "
            "set purchase_model to bg_cnbd_k or mbg_cnbd_k, or leave the choice to auto and a longer history."
        )
    return "A longer history helps."


def _told_by_regularity(values: Values) -> bool:
    """Return whether a model of regular purchases identified dropout, even if not how customers differ."""
    identified = "a" in json.loads(values["log_covariance"] or "{}")
    return (values["k"] or 1) > 1 and (identified or values["a"] + values["b"] > _ALIKE)


def _dropout(values: Values) -> tuple[float, str] | None:
    """Return the mean probability of dropout and its occasion; None where the parameters give none.

    With Pareto/NBD, lifetimes are exponential with gamma-distributed rates, so the
    share that ends within t is 1 - (beta / (beta + t))^s.
    """
    by_the_calendar = values["s"] is not None
    first, second = (values[name] for name in (("s", "beta") if by_the_calendar else ("a", "b")))
    if first is None or second is None or not (first > 0 and second > 0):
        return None
    if by_the_calendar:
        year = _UNITS_A_YEAR[values["time_unit"]]
        return 1.0 - (second / (second + year)) ** first, "Mean dropout within a year"
    return first / (first + second), "Mean dropout after a purchase"
