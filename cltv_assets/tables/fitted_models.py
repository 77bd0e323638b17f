"""What the purchase and spend model tables share: columns, a fit as a row, checks."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import ibis
import ibis.expr.types as ir

from cltv_assets.columns import Column, TableSchema
from cltv_assets.models import gamma_gamma
from cltv_assets.models.choosing.histories import AVERAGE_DAYS
from cltv_assets.models.estimation.fits import PurchaseFit, SpendFit
from cltv_assets.models.purchase.registry import PURCHASE_MODELS
from cltv_assets.tables.check import Check, Values, Verdict, check
from cltv_assets.tables.common_checks import NO_AMOUNTS, any_of, rows_where
from cltv_assets.tables.month_run import MonthRun

#: Columns of each calendar month's purchase intensity, for models fitted with seasonality.
SEASON_COLUMNS = tuple(f"season_{month:02d}" for month in range(1, 13))


#: Columns that say how a model was fitted.
FIT_STATUS = (
    Column("model_name", "string", "Name of the model."),
    Column(
        "role",
        "string",
        "'chosen' for the model that predicts, or that counts most where several do; 'comparison' for the others.",
    ),
    Column(
        "status",
        "string",
        "'fitted'; 'boundary' where the likelihood has no interior maximum; 'not_fitted' where the "
        "data cannot support a fit.",
    ),
    Column("status_reason", "string", "Plain words for a status other than 'fitted'.", nullable=True),
)


FIT_EVIDENCE = (
    Column("log_likelihood", "float64", "Maximised log-likelihood.", "nats", nullable=True),
    Column("aic", "float64", "Akaike information criterion: 2 k - 2 log-likelihood.", "nats", nullable=True),
    Column("gradient_norm", "float64", "Largest gradient component a customer, in log parameters.", nullable=True),
    Column("hessian_positive_definite", "boolean", "Whether the maximum is a proper one.", nullable=True),
    Column("iterations", "int64", "Optimiser iterations of the winning start.", nullable=True),
    Column("starts_agreeing", "int64", "Starts that reached the maximum to 1e-6.", "starts", nullable=True),
    Column("patterns", "int64", "Distinct sufficient-statistic patterns fitted on.", "patterns"),
)


COVARIANCE = Column(
    "log_covariance",
    "string",
    "Covariance of the logarithms of the identified parameters: JSON, parameter to parameter to value.",
    nullable=True,
)


def parameter_columns(*names: tuple[str, str, str]) -> tuple[Column, ...]:
    """Return the columns of parameters (name, meaning, unit) and of their standard errors."""
    values = [Column(n, "float64", meaning, unit, nullable=True) for n, meaning, unit in names]
    errors = [
        Column(
            f"{n}_se",
            "float64",
            f"Standard error of {n}, from the observed information; null at a boundary.",
            unit,
            nullable=True,
        )
        for n, _, unit in names
    ]
    return (*values, *errors)


def row_of_fit(fit: PurchaseFit | SpendFit) -> dict[str, Any]:
    """Flatten a fit into the columns of its table."""
    row: dict[str, Any] = {field.name: getattr(fit, field.name) for field in dataclasses.fields(fit)}
    row |= row.pop("parameters")
    row |= {f"{name}_se": error for name, error in row.pop("standard_errors").items()}
    covariance = row["log_covariance"]
    row["log_covariance"] = json.dumps(covariance) if covariance is not None else None
    return row


def chosen_row(run: MonthRun, name: str) -> dict[str, Any]:
    """Return the row of the model that predicts, from the model table called ``name``."""
    table = run.inputs[name]
    row: dict[str, Any] = run.engine.collect(table.filter(table.role == "chosen")).to_pylist()[0]
    return row


def of_chosen(table: ir.Table, columns: Sequence[str]) -> dict[str, ir.Scalar]:
    """Return columns of the model that predicts, as aggregates of the model table."""
    return {name: table[name].max(where=table.role == "chosen") for name in columns}


#: Largest gradient component per customer, in log parameters, at a true maximum. The fit
#: itself stops at a tenth of it, so a row that fails here does not come from the fit.
_GRADIENT = 1e-5

#: How far a seasonal index's mean may lie from 1.
_ROUNDING = 1e-6

#: The parameters of all models.
_PARAMETERS = tuple(
    dict.fromkeys(
        [name for model in PURCHASE_MODELS.values() for name in model.parameter_names]
        + [*gamma_gamma.BY_FREQUENCY_NAMES]
    )
)

#: Columns that say what kind of model a row is, beside its name; not every table has them.
_KIND = ("seasonality", "truncated", "value_trend_use", "by_frequency")


#: Columns that `model_fitted` reads beside the parameters.
_WORDS = ("model_name", "status", "status_reason")


def _measures_of_model_fitted(table: ir.Table, _run: MonthRun) -> dict[str, ir.Scalar]:
    parameters = (name for name in _PARAMETERS if name in table.columns)
    failed = (table.role == "comparison") & (table.status == "not_fitted")
    return of_chosen(table, (*_WORDS, *parameters)) | {"failed": failed.cast("int64").sum()}


@check("The data supports a model.", measures=_measures_of_model_fitted, blocking=False)
def model_fitted(values: Values, run: MonthRun) -> Verdict:
    """Warn when the data cannot support a model: predictions, or their money, are withheld.

    Its facts are the parameters, because Dagster plots a check's numbers over its evaluations.
    """
    if values["status"] == "not_fitted":
        if values["model_name"] == gamma_gamma.NAME and run.settings.source.counted:
            return Verdict(True, NO_AMOUNTS)
        lacking = "money in the predictions" if values["model_name"] == gamma_gamma.NAME else "predictions"
        return Verdict(False, f"No model this month, and no {lacking}: {values['status_reason']}")
    apart = (*_WORDS, "failed")
    parameters = {name: value for name, value in values.items() if name not in apart and value is not None}
    failed = f" {values['failed']} of its comparisons could not be fitted." if values["failed"] else ""
    return Verdict(True, f"{values['model_name']}: {values['status']}.{failed}", parameters)


def _measures_of_converged(table: ir.Table, _run: MonthRun) -> dict[str, ir.Scalar]:
    fitted = table.status == "fitted"
    return {
        "fitted": fitted.cast("int64").sum(),
        "gradient": table.gradient_norm.max(where=fitted),
        "proper": table.hessian_positive_definite.cast("int64").min(where=fitted),
    }


@check("A fitted model stands at a proper maximum of its likelihood.", measures=_measures_of_converged)
def converged(values: Values, _run: MonthRun) -> Verdict:
    """Promise that a fitted model is at a true maximum of its likelihood."""
    if not values["fitted"]:
        return Verdict(True, "No model is said to stand at an interior maximum.")
    gradient = values["gradient"]
    facts = {"gradient_norm": gradient}
    if gradient is not None and gradient <= _GRADIENT and values["proper"] == 1:
        return Verdict(True, f"Gradient {gradient:.1e} a customer, Hessian positive definite.", facts)
    return Verdict(False, f"Not a maximum: gradient {gradient} a customer, Hessian {values['proper']}.", facts)


@check(
    "One model predicts; the others are comparisons.",
    measures=lambda table, _run: {
        "chosen": (table.role == "chosen").cast("int64").sum(),
        "name": table.model_name.max(where=table.role == "chosen"),
    },
)
def one_model_chosen(values: Values, _run: MonthRun) -> Verdict:
    """Promise that exactly one model is chosen to predict."""
    chosen = values["chosen"] or 0
    if chosen == 1:
        return Verdict(True, f"{values['name']} predicts.")
    return Verdict(False, f"{chosen} models are chosen, where one has to predict.", {"chosen": chosen})


def parameters_possible(models: Mapping[str, Sequence[str]]) -> Check:
    """Promise that parameters and standard errors have possible values.

    A large change is only unusual (`parameter_drift`). A value that no fit can give is wrong.

    Parameters
    ----------
    models : mapping of str to sequence of str
        The names of each model's parameters.
    """

    def wrong(table: ir.Table, _run: MonthRun) -> ir.BooleanValue:
        usable, bad = table.status != "not_fitted", []
        alike: dict[Sequence[str], list[str]] = {}
        for model, parameters in models.items():
            alike.setdefault(parameters, []).append(model)
        for parameters, names in alike.items():
            mine = usable & table.model_name.isin(names)
            for name in parameters:
                error = table[f"{name}_se"]
                # A null parameter is not positive, and an identified one has a standard error.
                bad += [mine & ~_positive(table[name]), mine & error.notnull() & ~_positive(error)]
                bad.append(mine & (table.status == "fitted") & error.isnull())
        if "k" in table.columns:
            bad += [table.k < 1, ~_positive(table.regularity) & table.regularity.notnull()]
        if "seasonality" in table.columns:
            seasonal = table.seasonality == "monthly"
            year = float(AVERAGE_DAYS.sum())
            mean = sum(
                (table[name] * (float(days) / year) for name, days in zip(SEASON_COLUMNS, AVERAGE_DAYS, strict=True)),
                start=ibis.literal(0.0),
            )
            bad += [seasonal & ~_positive(table[name]) for name in SEASON_COLUMNS]
            bad.append(seasonal & ((mean - 1.0).abs() > _ROUNDING))
        return any_of([condition.fill_null(False) for condition in bad])

    return rows_where(
        "parameters_possible",
        "Parameters and standard errors are positive, finite numbers, and a seasonal index has the mean 1.",
        wrong,
    )


def _positive(column: ir.Column) -> ir.BooleanValue:
    return ((column > 0) & (column <= sys.float_info.max) & ~column.isnan()).fill_null(False)


def parameter_drift(schema: TableSchema, parameters: Sequence[str]) -> Check:
    """Warn when a parameter has moved by many standard errors since last month.

    Parameters of different models are not compared. If another model was chosen, or
    the same one with a season, the check says so.
    """
    wanted = [name for parameter in parameters for name in (parameter, f"{parameter}_se")]
    kind = ("model_name", *(name for name in _KIND if name in schema.column_names))

    def judge(values: Values, run: MonthRun) -> Verdict:
        before = run.earlier(schema)
        if before is None or values["status"] != "fitted":
            return Verdict(True, "No earlier fit to compare with.")
        earlier = run.engine.measure(before, of_chosen(before, (*wanted, *kind, "status")))
        if earlier["status"] != "fitted":
            return Verdict(True, f"Last month's model was {earlier['status']}.")
        # Null, in a month of an earlier version, and false are one kind.
        if any((values[name] or None) != (earlier[name] or None) for name in kind):
            return Verdict(
                True, f"Last month another model was chosen: {_described(earlier)} instead of {_described(values)}."
            )
        moves = {}
        for name in parameters:
            scale = max(values[f"{name}_se"] or 0.0, earlier[f"{name}_se"] or 0.0)
            if scale > 0 and values[name] is not None and earlier[name] is not None:
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
        lambda table, _run: of_chosen(table, (*wanted, *kind, "status")),
        blocking=False,
    )


def _described(values: Values) -> str:
    """Return a model's name, with its season and its extract where it has them."""
    seasonal = ", monthly seasonality" if values.get("seasonality") == "monthly" else ""
    trend = f", trend {values['value_trend_use']}" if values.get("value_trend_use") else ""
    by_frequency = ", by frequency" if values.get("by_frequency") else ""
    truncated = ", repeat customers only" if values.get("truncated") else ""
    return f"{values['model_name']}{seasonal}{truncated}{trend}{by_frequency}"
