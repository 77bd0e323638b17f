"""Checks of predictions."""

from __future__ import annotations

import itertools

import ibis
import ibis.expr.types as ir

from cltv_assets.columns import TableSchema
from cltv_assets.models.value.discounting import DAYS_PER_YEAR
from cltv_assets.settings import Settings
from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.cltv_predictions.columns import money_columns, predictions_schema
from cltv_assets.tables.common_checks import NO_AMOUNTS, any_of, no_rows
from cltv_assets.tables.drift import NO_MONTH, Watched
from cltv_assets.tables.fitted_rows import named
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.quantiles import MONEY_POINT, fixed_point
from cltv_assets.tables.repeat_customers import REPEAT_CUSTOMERS
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.spend_model.columns import SPEND_MODEL

#: P(alive) above which a customer counts as certainly alive.
_CERTAIN = 0.999

#: Share of the predicted value that one customer of so few repeat purchases should not hold, among so many customers.
_CARRIES, _SELDOM, _MANY = 0.05, 2, 50

#: Relative difference that sums of floats may have.
_ROUNDING = 1e-9


def _not_fitted(run: MonthRun, schema: TableSchema) -> ir.StringScalar:
    """Return why the chosen model could not be fitted; null where it could."""
    model = run.inputs[schema.name]
    missing = (model.role == "chosen") & (model.status == "not_fitted")
    return model.status_reason.fill_null("no reason given").max(where=missing).as_scalar()


def _measures_of_covers_population(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    population = REPEAT_CUSTOMERS if run.settings.population == "repeat" else RFM_SUMMARY
    return {
        "predictions": table.count(),
        "customers": run.inputs[population.name].count().as_scalar(),
        PURCHASE_MODEL.name: _not_fitted(run, PURCHASE_MODEL),
    }


@check("One prediction for each customer of the population.", measures=_measures_of_covers_population)
def covers_population(values: Values, _run: MonthRun) -> Verdict:
    """Promise a prediction for every customer of the configured population."""
    predictions, customers = values["predictions"], values["customers"]
    facts = {"predictions": predictions, "customers": customers}
    if values[PURCHASE_MODEL.name]:
        return Verdict(predictions == 0, "No model, hence no prediction: none is made up.", facts)
    text = f"{predictions:,} predictions for {customers:,} customers"
    return Verdict(predictions == customers, f"{text}.", facts)


@check(
    "The month has predictions.",
    measures=lambda _table, run: {"reason": _not_fitted(run, PURCHASE_MODEL)},
    blocking=False,
)
def predictions_made(values: Values, _run: MonthRun) -> Verdict:
    """Warn when predictions are withheld."""
    if values["reason"] is None:
        return Verdict(True, "The purchase model stands.")
    return Verdict(False, f"Withheld: purchase_model could not be fitted ({named(values['reason'])}).")


def _measures_of_money_predicted(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    return {"predictions": table.count(), "reason": _not_fitted(run, SPEND_MODEL)}


@check("The predictions have money.", measures=_measures_of_money_predicted, blocking=False)
def money_predicted(values: Values, run: MonthRun) -> Verdict:
    """Warn where purchases are predicted and money is not."""
    if run.settings.source.counted:
        return Verdict(True, NO_AMOUNTS)
    predictions, reason = values["predictions"], values["reason"]
    if reason is None or not predictions:
        return Verdict(True, "No predictions." if reason is not None else "The spend model stands.")
    horizon = run.settings.horizons_months[-1]
    message = (
        f"No money this month: spend_model could not be fitted ({named(reason)}). P(alive) and expected purchases of "
        f"{predictions:,} customers are published, expected_order_value and cltv_* are null, and value_segment is by "
        f"expected_purchases_{horizon}m."
    )
    return Verdict(False, message, {"predictions": predictions})


@no_rows("Every prediction has money where the spend model is fitted, and none has where it is not.")
def money_whole(table: ir.Table, run: MonthRun) -> ir.BooleanValue:
    """Promise that money is not made up, and is unknown for all customers or for none."""
    spend = run.inputs[SPEND_MODEL.name]
    unknown = ((spend.role == "chosen") & (spend.status == "not_fitted")).any().fill_null(False).as_scalar()
    return any_of([table[name].isnull() != unknown for name in money_columns(run.settings.horizons_months)])


@no_rows("0 <= P(alive) <= 1.")
def probabilities(table: ir.Table, _run: MonthRun) -> ir.BooleanValue:
    """Promise that P(alive) is a probability."""
    return ~table.p_alive.between(0.0, 1.0)


@no_rows("Low <= high, and longer horizons expect no less.")
def intervals_and_horizons(table: ir.Table, run: MonthRun) -> ir.BooleanValue:
    """Promise that intervals are ordered and that longer horizons expect more."""
    bad: list[ir.BooleanValue] = []
    for base in ("expected_purchases", "cltv"):
        columns = [f"{base}_{h}m" for h in run.settings.horizons_months]
        bad += [table[f"{name}_low"] > table[f"{name}_high"] for name in columns]
        # At a negative margin, longer horizons lose more.
        bad += [table[a].abs() > table[b].abs() * (1 + 1e-12) for a, b in itertools.pairwise(columns)]
    return any_of(bad)


@no_rows("Nobody buys on more days than there are, order values are positive, and value is discounted expected spend.")
def possible(table: ir.Table, run: MonthRun) -> ir.BooleanValue:
    """Promise possible numbers: no more purchase days than days, and values between nominal and fully discounted.

    Numbers that are only unlikely are left to the checks that warn.
    """
    settings = run.settings
    found = [table.expected_order_value <= 0]
    for h in settings.horizons_months:
        days = run.month.days_to_end_of(h)
        expected, value = table[f"expected_purchases_{h}m"], table[f"cltv_{h}m"]
        found += [expected > days, table[f"expected_purchases_{h}m_high"] > days]
        # Nothing is discounted by more than money from the horizon's last day.
        spend = table[f"expected_spend_{h}m"].fill_null(expected * table.expected_order_value)
        nominal = spend * table.gross_margin.fill_null(settings.gross_margin)
        least = (1.0 + settings.annual_discount_rate) ** (-days / DAYS_PER_YEAR)
        found += [
            value * nominal < 0,
            value.abs() > nominal.abs() * (1 + _ROUNDING),
            value.abs() < nominal.abs() * (least * (1 - _ROUNDING)),
        ]
    return any_of(found)


def _measures_of_someone_may_have_left(table: ir.Table, _run: MonthRun) -> dict[str, ir.Scalar]:
    repeat = table.frequency > 0
    return {
        "rows": table.count(),
        "repeaters": repeat.cast("int64").sum(),
        "certain": (repeat & (table.p_alive > _CERTAIN)).cast("int64").sum(),
        "mean": table.p_alive.mean(),
    }


@check("P(alive) tells customers apart.", measures=_measures_of_someone_may_have_left, blocking=False)
def someone_may_have_left(values: Values, _run: MonthRun) -> Verdict:
    """Warn when everyone is certainly alive: the model does not discriminate."""
    if not values["rows"]:
        return Verdict(True, "No predictions.")
    share = values["certain"] / values["repeaters"] if values["repeaters"] else 0.0
    facts = {"certainly_alive": round(share, 4), "mean_p_alive": values["mean"]}
    if values["repeaters"] and share > 0.99:
        message = f"P(alive) is above {_CERTAIN} for {share:.1%} of repeat customers: it says nothing about who left."
        return Verdict(False, message, facts)
    text = f"Mean P(alive) {values['mean']:.2f}; {share:.0%} of repeat customers surely alive."
    return Verdict(True, text, facts)


def _measures_of_no_outlier_carries(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    value, seldom = table[f"cltv_{run.settings.horizons_months[-1]}m"], table.frequency <= _SELDOM
    first = ibis.ifelse(seldom, value, 0.0)
    return {
        "rows": table.count(),
        "value": value.sum(),
        "top": first.max(),
        "who": table.customer_id.argmax(first),
        "frequency": table.frequency.argmax(first),
        "order_value": table.expected_order_value.argmax(first),
    }


@check(
    "No customer who has hardly come back carries the predicted value.",
    measures=_measures_of_no_outlier_carries,
    blocking=False,
    names_customers=True,
)
def no_outlier_carries(values: Values, run: MonthRun) -> Verdict:
    """Warn of an order that is so large that one customer's prediction weighs on the total."""
    if values["rows"] and values["value"] is None:
        return Verdict(True, "No money is predicted.")
    total, top = values["value"] or 0.0, values["top"] or 0.0
    if values["rows"] < _MANY or total <= 0:
        return Verdict(True, "Too few predictions to tell.")
    share = top / total
    facts = {"largest_share": round(share, 4)}
    if share <= _CARRIES:
        return Verdict(True, f"Of customers who seldom came back, nobody holds more than {share:.1%}.", facts)
    message = (
        f"One customer, '{values['who']}', with {values['frequency']} repeat purchases, holds {share:.0%} of the value "
        f"predicted for all {values['rows']:,}: orders worth {values['order_value']:,.2f} {run.settings.currency} are "
        "expected. See whether the amounts are right; outliers.method caps such orders or leaves them out."
    )
    return Verdict(False, message, facts)


#: P(alive) is compared in steps of 0.05. Where nobody seems to leave, its deciles lie
#: between 0.999 and 1; on Online Retail the index then jumped to 4 although nothing had happened.
_P_ALIVE_STEPS = 20


def watched_in_predictions(settings: Settings) -> tuple[Watched, ...]:
    """Return the columns of ``cltv_predictions`` to compare, for repeat customers only.

    Customers with one purchase differ only in their age. Their values lie close
    together and move together: by 3 % in one month of CDNOW. With them included, the
    index was between 0.15 and 1.4 in every month.
    """
    value = f"cltv_{settings.horizons_months[-1]}m"
    return (
        Watched("p_alive", lambda table: fixed_point(table.p_alive, _P_ALIVE_STEPS), repeat_only=True),
        Watched(
            value,
            # Engines take 0 for the greatest of null and 0.
            lambda table: ibis.ifelse(
                table[value].isnull(), ibis.null("int64"), ibis.greatest(fixed_point(table[value], MONEY_POINT), 0)
            ),
            money=True,
            repeat_only=True,
        ),
    )


def _measures_of_prediction_drift(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    return {"mean": table[f"cltv_{run.settings.horizons_months[-1]}m"].mean()}


@check("The mean prediction is near last month's.", measures=_measures_of_prediction_drift, blocking=False)
def prediction_drift(values: Values, run: MonthRun) -> Verdict:
    """Warn when the mean prediction jumps against last month."""
    before = run.earlier(predictions_schema(run.settings.horizons_months))
    now = values["mean"]
    then = (
        run.engine.measure(before, _measures_of_prediction_drift(before, run))["mean"] if before is not None else None
    )
    if now is None or not then:
        return Verdict(True, NO_MONTH)
    change = (now - then) / abs(then)
    limit = run.settings.checks.prediction_drift
    facts = {"mean_cltv": now, "last_month": then, "change": change}
    text = f"Mean CLTV {now:,.2f} {run.settings.currency}, {change:+.0%} on last month"
    if abs(change) <= limit:
        return Verdict(True, f"{text}.", facts)
    return Verdict(False, f"{text}: beyond checks.prediction_drift ({limit:.0%}).", facts)
