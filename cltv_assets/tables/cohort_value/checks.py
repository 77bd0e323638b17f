"""Checks of ``cohort_value``."""

from __future__ import annotations

from decimal import Decimal

import ibis
import ibis.expr.types as ir

from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.cohort_value.columns import NO_PURCHASE, PREDICTED, REALISED
from cltv_assets.tables.cohort_value.realised import COHORT_KEY
from cltv_assets.tables.common_checks import any_of, no_rows
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS, net_spend
from cltv_assets.tables.quantiles import PURCHASES_POINT, decimal_sum, fixed_point
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.segmentation import ALL
from cltv_assets.tables.spend_model.columns import SPEND_MODEL

#: Purchases are expected as integers and stored as doubles.
_ROUNDING = 1e-9
#: Rows of an attribute are rounded one by one.
_ROUNDED = 1e-6
_INTERVALS = (
    "expected_purchases", "expected_revenue", "expected_margin", "cumulative_purchases", "cumulative_revenue",
    "cumulative_margin", "cumulative_value_per_customer",
)  # fmt: skip
#: Columns of what has happened, which predicted rows do not have.
_HAPPENED = ("active_customers", "orders", "purchases")


def _so_far(run: MonthRun) -> ir.Table:
    days = run.inputs[PURCHASE_DAYS.name]
    return days.filter(days.purchase_day <= ibis.literal(run.month.last_day))


def _measures_of_realised_adds_up(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    days, everyone = _so_far(run), table.attribute == ALL
    began = (table.kind == REALISED) & (table.age_months == 0)
    # Of an attribute a customer has one value at most.
    each = table.filter(began).group_by("attribute").aggregate(customers=table.customers.sum())
    return {
        "customers": table.customers.sum(where=everyone & began),
        "customers_before": run.inputs[RFM_SUMMARY.name].count().as_scalar(),
        "most": each.customers.max().as_scalar(),
        "orders": table.orders.sum(where=everyone),
        "orders_before": days.order_count.sum().as_scalar(),
        "purchases": table.purchases.sum(where=everyone),
        "purchases_before": days.count(where=days.order_count > 0).as_scalar(),
        "revenue": table.revenue.sum(where=everyone),
        "revenue_before": net_spend(days).as_scalar(),
    }


@check(
    "Customers, orders and net spend of all cohorts add up to those of rfm_summary and purchase_days, to the cent.",
    measures=_measures_of_realised_adds_up,
)
def realised_adds_up(values: Values, _run: MonthRun) -> Verdict:
    """Promise that all that happened up to the month's end is in the cohorts, once.

    What went back to customers who have bought nothing is in the row of kind 'no_purchase'.
    """
    wrong = []
    for what in ("customers", "orders", "purchases", "revenue"):
        found, wanted = values[what], values[f"{what}_before"]
        if Decimal(found or 0) != Decimal(wanted or 0):
            wrong.append(f"{what} {found or 0:,} for {wanted or 0:,}")
    if (values["most"] or 0) > (values["customers_before"] or 0):
        wrong.append(f"an attribute has {values['most']:,} customers of {values['customers_before']:,}")
    facts = {"customers": values["customers"] or 0, "orders": int(values["orders"] or 0)}
    if wrong:
        return Verdict(False, f"Cohorts do not add up: {'; '.join(wrong)}.", facts)
    return Verdict(True, f"{facts['customers']:,} customers with {facts['orders']:,} orders: each once.", facts)


def _measures_of_predicted_adds_up(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    predictions, found = run.inputs["cltv_predictions"], dict[str, ir.Scalar]()
    for h in run.settings.horizons_months:
        here = (table.attribute == ALL) & (table.horizon_months == h)
        purchases = predictions[f"expected_purchases_{h}m"]
        spend = predictions[f"expected_spend_{h}m"].fill_null(purchases * predictions.expected_order_value)
        found |= {
            f"purchases|{h}": table.expected_purchases.sum(where=here),
            f"revenue|{h}": table.expected_revenue.sum(where=here),
            f"value|{h}": table.expected_value.sum(where=here),
            f"purchases|{h}|predictions": fixed_point(purchases, PURCHASES_POINT).sum().cast("float64").as_scalar(),
            f"revenue|{h}|predictions": decimal_sum(spend).as_scalar(),
            f"value|{h}|predictions": decimal_sum(predictions[f"cltv_{h}m"]).as_scalar(),
        }
    return found


@check(
    "Expected purchases, revenue and value of all cohorts add up to those of cltv_predictions, to the cent.",
    measures=_measures_of_predicted_adds_up,
)
def predicted_adds_up(values: Values, run: MonthRun) -> Verdict:
    """Promise that cohorts expect in total what the predictions do, and nothing where these expect nothing."""
    wrong = []
    for h in run.settings.horizons_months:
        purchases, wanted = values[f"purchases|{h}"] or 0.0, (values[f"purchases|{h}|predictions"] or 0) / 1e6
        if abs(purchases - wanted) > _ROUNDING * max(wanted, 1.0):
            wrong.append(f"purchases, {h} months: {purchases:,.4f} for {wanted:,.4f}")
        for what in ("revenue", "value"):
            found, predicted = values[f"{what}|{h}"], values[f"{what}|{h}|predictions"]
            # Unknown money adds up to unknown money, not to 0.
            if found != predicted:
                wrong.append(f"{what}, {h} months: {found} for {predicted}")
    if wrong:
        return Verdict(False, f"Cohorts do not add up to the predictions: {'; '.join(wrong[:5])}.")
    return Verdict(True, "Cohorts expect in total what the predictions do.")


def _sums_by_attribute(table: ir.Table, _run: MonthRun) -> dict[str, ir.Scalar]:
    began = (table.kind == REALISED) & (table.age_months == 0)
    each = (
        table.filter(table.kind != NO_PURCHASE)
        .group_by("attribute")
        .aggregate(
            customers=table.customers.sum(where=began),
            orders=table.orders.sum(),
            revenue=table.revenue.sum(),
            expected_revenue=table.expected_revenue.sum(),
            expected_purchases=fixed_point(table.expected_purchases, PURCHASES_POINT).sum(),
        )
    )
    found: dict[str, ir.Scalar] = {}
    for name in each.columns[1:]:
        least, most = each[name].min().as_scalar(), each[name].max().as_scalar()
        found |= {f"{name}|least": least, f"{name}|most": most}
    return found


@check("The values of each attribute add up to all customers, to the cent.", measures=_sums_by_attribute)
def attributes_add_up(values: Values, _run: MonthRun) -> Verdict:
    """Promise that groups by any attribute hold every customer once."""
    wrong = []
    for name in dict.fromkeys(key.split("|")[0] for key in values):
        least, most = values[f"{name}|least"] or 0, values[f"{name}|most"] or 0
        # Sums of doubles that are rounded differ in the last digit that counts.
        if abs(most - least) > (_ROUNDED * max(abs(most), 1) if name == "expected_purchases" else 0):
            wrong.append(f"{name} {least:,} to {most:,}")
    if wrong:
        return Verdict(False, f"Attributes do not add up to the same: {'; '.join(wrong)}.")
    return Verdict(True, "Each attribute's values add up to all customers.")


def _cumulated(table: ir.Table) -> ir.Table:
    """Return for each cohort what the cumulative columns should add up to, and what they do."""
    happened = table.kind == REALISED
    rows = table.filter(table.cohort.notnull())
    ages = rows.group_by(*COHORT_KEY).mutate(now=rows.age_months.max(where=happened))
    # A month of age k is in the cumulative sums of all later ones and its own.
    times = (ages["now"] - ages.age_months + 1).cast("int64")
    cohorts = ages.mutate(times=times).group_by(*COHORT_KEY)
    measures: dict[str, ir.Value] = {}
    for name in ("purchases", "revenue", "margin"):
        kind = "float64" if name == "purchases" else "decimal(38, 4)"
        one, so_far, ahead = (ages[column].cast(kind) for column in (name, f"cumulative_{name}", f"expected_{name}"))
        counted = ages.kind == REALISED
        base = so_far - ahead
        measures |= {
            f"{name}_sum": one.sum(where=counted),
            f"{name}_stepped": (one * times.cast("decimal(18, 0)" if kind != "float64" else kind)).sum(where=counted),
            f"{name}_so_far": so_far.sum(where=counted),
            f"{name}_least": base.min(where=~counted),
            f"{name}_most": base.max(where=~counted),
        }
    return cohorts.aggregate(**measures)


def _apart(cohorts: ir.Table) -> ir.BooleanValue:
    bad: list[ir.BooleanValue] = []
    for name in ("purchases", "revenue", "margin"):
        slack = 1e-6 if name == "purchases" else Decimal(0)
        total = cohorts[f"{name}_sum"]
        bad += [
            (cohorts[f"{name}_stepped"] - cohorts[f"{name}_so_far"]).abs() > slack,
            (cohorts[f"{name}_least"] - total).abs() > slack,
            (cohorts[f"{name}_most"] - total).abs() > slack,
        ]
    return any_of([condition.fill_null(False) for condition in bad])


@check(
    "Cumulative figures are the sums of those by age, and predicted ones go on from now without a step.",
    measures=lambda table, _run: {
        "cohorts": _cumulated(table).count().as_scalar(),
        "wrong": _cumulated(table).filter(_apart(_cumulated(table))).count().as_scalar(),
    },
)
def cumulative_joins(values: Values, _run: MonthRun) -> Verdict:
    """Promise that what is expected is added to what came so far, in every cohort."""
    facts = {"cohorts": values["cohorts"] or 0, "cohorts_apart": values["wrong"] or 0}
    if values["wrong"]:
        return Verdict(False, f"{values['wrong']:,} of {values['cohorts']:,} cohorts do not add up by age.", facts)
    return Verdict(True, f"{facts['cohorts']:,} cohorts add up by age.", facts)


@no_rows("Shares lie within 0 and 1, ends are ordered, and each kind of row has what it is to have.")
def rows_possible(table: ir.Table, run: MonthRun) -> ir.BooleanValue:
    """Promise rows that can be: active customers are some of the cohort's, and ages are those of the calendar."""
    realised, predicted, refunded = (table.kind == kind for kind in (REALISED, PREDICTED, NO_PURCHASE))
    cohort, now = table.cohort, ibis.literal(run.month.first_day)
    months = (now.year() - cohort.year()) * 12 + now.month() - cohort.month()
    bad = [
        ~(realised | predicted | refunded),
        table.cohort.isnull() != refunded,
        table.horizon_months.isnull() == predicted,
        realised & ~table.age_months.between(0, months),
        predicted & (table.age_months != months + table.horizon_months),
        ~refunded & (table.customers < 1),
        realised & ~table.retention.between(0, 1),
        table.active_customers > table.customers,
        table.purchases < table.active_customers,
        table.orders < table.purchases,
        *(table[name].isnull() != predicted for name in _HAPPENED),
        table.expected_purchases.notnull() != predicted,
    ]
    for name in _INTERVALS:
        ends = [table[f"{name}_{end}"] for end in ("low", "high")]
        bad += [ends[0] > ends[1], realised & (ends[0].notnull() | ends[1].notnull())]
    return any_of([condition.fill_null(False) for condition in bad])


@no_rows("Money is known in every row, or in none of those that lack amounts or a spend model.")
def money_known(table: ir.Table, run: MonthRun) -> ir.BooleanValue:
    """Promise that money is not made up, and that none is lost."""
    counted = ibis.literal(run.settings.source.counted)
    spend = run.inputs[SPEND_MODEL.name]
    unknown = ((spend.role == "chosen") & (spend.status == "not_fitted")).any().fill_null(False).as_scalar()
    predicted = table.kind == PREDICTED
    bad = [
        ~predicted & (table[name].isnull() != counted)
        for name in ("revenue", "margin", "cumulative_revenue", "cumulative_margin")
    ]
    ahead = [f"{of}_{name}{end}" for of in ("expected", "cumulative") for name in ("revenue", "margin")
             for end in ("", "_low", "_high")]  # fmt: skip
    bad += [predicted & (table[name].isnull() != unknown) for name in (*ahead, "expected_value")]
    return any_of(bad)


@no_rows("Where nothing was refunded, no month of a cohort brought less than nothing.")
def falls_by_refunds_only(table: ir.Table, run: MonthRun) -> ir.BooleanValue:
    """Promise that cumulative revenue falls only where money went back."""
    refunded = (_so_far(run).refunds.sum() > 0).fill_null(False).as_scalar()
    return (table.revenue < 0).fill_null(False) & ~refunded
