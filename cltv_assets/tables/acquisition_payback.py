"""What it cost to win customers, beside what they have brought and are expected to bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa

from cltv_assets.columns import MONEY, Column, TableSchema
from cltv_assets.figures import wording
from cltv_assets.tables.acquisition_costs import ACQUISITION_COSTS
from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.cohort_value.columns import COHORT_VALUE, PREDICTED, REALISED
from cltv_assets.tables.common_checks import no_rows
from cltv_assets.tables.highlights import Highlights
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.recording import FEW
from cltv_assets.tables.segmentation import ALL
from cltv_assets.tables.table import ALL_HISTORY, CUSTOMER_ANALYTICS, ENGINE, PREDICTION, Input, Table

#: States of a cohort: what it cost has come back, is expected to within the longest horizon, or is not.
PAID_BACK, EXPECTED, BEYOND = "paid back", "expected", "not within the horizon"
NO_CUSTOMERS = "no customers"

#: A cohort is too young to judge before this age in whole months, or with fewer customers: its retention is hardly
#: seen yet, or one customer changes it.
YOUNG_MONTHS, FEW_CUSTOMERS = 3, 30

#: Rows that the UI shows.
_SHOWN = 24

_EACH = "currency a customer"

ACQUISITION_PAYBACK = TableSchema(
    "acquisition_payback",
    "What customers cost, and when it comes back. Each cohort for which acquisition_costs has a cost, at each "
    "horizon: cost and value a customer, so far and expected. Value is margin, not discounted.",
    ("attribute", "attribute_value", "cohort", "horizon_months"),
    (
        Column("attribute", "string", "'all' for all customers, else the attribute of acquisition_costs."),
        Column("attribute_value", "string", "Its value; 'all' for all customers."),
        Column("cohort", "date", "First day of the month that was paid for, and of the customers' first purchases."),
        Column("horizon_months", "int64", "How far ahead of now expected value reaches.", "months"),
        Column("age_months", "int64", "Months since the cohort's own.", "months"),
        Column("spend", MONEY, "What was spent in the cohort's month.", "currency"),
        Column("customers", "int64", "Customers whose first purchase was in that month.", "customers"),
        Column(
            "new_customers_reported",
            "int64",
            "New customers as acquisition_costs has them; null where it has none.",
            "customers",
            nullable=True,
        ),
        Column("cac", "float64", "Spend a customer; null without customers.", _EACH, nullable=True, signed=True),
        Column(
            "value_so_far",
            "float64",
            "Margin that a customer has brought; null where it is not known.",
            _EACH,
            nullable=True,
            signed=True,
        ),
        Column(
            "ltv",
            "float64",
            "That, and what is expected up to the horizon; null without predictions of money.",
            _EACH,
            nullable=True,
            signed=True,
        ),
        Column("ltv_low", "float64", "Lower end of its 80 % interval.", _EACH, nullable=True, signed=True),
        Column("ltv_high", "float64", "Upper end of that interval.", _EACH, nullable=True, signed=True),
        Column("ltv_to_cac", "float64", "ltv / cac; null where cac is 0.", "ratio", nullable=True, signed=True),
        Column("ltv_to_cac_low", "float64", "Lower end of its 80 % interval.", "ratio", nullable=True, signed=True),
        Column("ltv_to_cac_high", "float64", "Upper end of that interval.", "ratio", nullable=True, signed=True),
        Column(
            "payback",
            "string",
            f"'{PAID_BACK}', '{EXPECTED}' within the longest horizon, '{BEYOND}', or '{NO_CUSTOMERS}'; null where "
            "value is not known. Of the expectation; see payback_age_low and payback_age_high for how sure it is.",
            nullable=True,
        ),
        Column(
            "payback_age",
            "float64",
            "Age at which the cost has come back: the first whole month in which it had, or, between two horizons, "
            "along the straight line between them. Null where it is not expected within the longest one.",
            "months",
            nullable=True,
        ),
        Column(
            "payback_age_low",
            "float64",
            "The same if value follows the upper ends of its intervals.",
            "months",
            nullable=True,
        ),
        Column(
            "payback_age_high",
            "float64",
            "The same if value follows the lower ends; null where it has not come back by then.",
            "months",
            nullable=True,
        ),
        Column(
            "too_young",
            "boolean",
            f"Whether the cohort is younger than {YOUNG_MONTHS} months or has fewer than {FEW_CUSTOMERS} customers: "
            "too little to judge by.",
        ),
    ),
)

_Row = dict[str, Any]


def make(run: MonthRun) -> ir.Table:
    """Return ``acquisition_payback``; empty without costs."""
    rows: list[_Row] = []
    if run.settings.acquisition_costs.path is not None:
        costs = run.engine.collect(run.inputs[ACQUISITION_COSTS.name]).to_pylist()
        names = {row["attribute"] for row in costs}
        cohorts = run.inputs[COHORT_VALUE.name]
        value = run.engine.collect(cohorts.filter(cohorts.attribute.isin(sorted(names)))).to_pylist() if names else []
        rows = payback_rows(costs, value, run.month.first_day, run.settings.horizons_months)
    return run.engine.from_arrow(pa.Table.from_pylist(rows, schema=ACQUISITION_PAYBACK.arrow))


def payback_rows(
    costs: Sequence[Mapping[str, Any]], value: Sequence[Mapping[str, Any]], now: Any, horizons: Sequence[int]
) -> list[_Row]:
    """Return a row for each cost and horizon.

    Parameters
    ----------
    costs : sequence of mapping
        Rows of ``acquisition_costs`` of all months, with ``month``.
    value : sequence of mapping
        Rows of ``cohort_value`` of this month.
    now : date
        First day of this month.
    horizons : sequence of int
        In months, rising.
    """
    courses: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in value:
        if row["kind"] in (REALISED, PREDICTED):
            courses.setdefault((row["attribute"], row["attribute_value"], row["cohort"]), []).append(row)
    rows = []
    for cost in sorted(costs, key=lambda row: (row["attribute"], row["attribute_value"], row["month"])):
        key = cost["attribute"], cost["attribute_value"], cost["month"]
        course = sorted(courses.get(key, ()), key=lambda row: row["age_months"])
        happened = [row for row in course if row["kind"] == REALISED]
        customers = happened[-1]["customers"] if happened else 0
        age = (now.year - cost["month"].year) * 12 + now.month - cost["month"].month
        cac = float(cost["spend"]) / customers if customers else None
        common: _Row = {
            "attribute": cost["attribute"],
            "attribute_value": cost["attribute_value"],
            "cohort": cost["month"],
            "age_months": age,
            "spend": cost["spend"],
            "customers": customers,
            "new_customers_reported": cost["new_customers_reported"],
            "cac": cac,
            "value_so_far": happened[-1]["cumulative_value_per_customer"] if happened else None,
            "too_young": age < YOUNG_MONTHS or customers < FEW_CUSTOMERS,
        } | _payback(course, cac)
        ahead = {row["horizon_months"]: row for row in course if row["kind"] == PREDICTED}
        rows += [common | {"horizon_months": h} | _worth(ahead.get(h, {}), cac) for h in horizons]
    return rows


def _worth(predicted: Mapping[str, Any], cac: float | None) -> _Row:
    found: _Row = {}
    for end in ("", "_low", "_high"):
        ltv = predicted.get(f"cumulative_value_per_customer{end}")
        found |= {f"ltv{end}": ltv, f"ltv_to_cac{end}": ltv / cac if ltv is not None and cac and cac > 0 else None}
    return found


def _payback(course: Sequence[Mapping[str, Any]], cac: float | None) -> _Row:
    """Return when a cost has come back."""
    if cac is None:
        return {"payback": NO_CUSTOMERS}
    realised = [(row["age_months"], row["cumulative_value_per_customer"]) for row in course if row["kind"] == REALISED]
    if any(value is None for _, value in realised):
        return {}
    # The first month counts: refunds may take the value below the cost again, which `value_so_far` shows.
    if (age := next((age for age, value in realised if value >= cac), None)) is not None:
        return {
            "payback": PAID_BACK,
            **dict.fromkeys(("payback_age", "payback_age_low", "payback_age_high"), float(age)),
        }
    predicted = [row for row in course if row["kind"] == PREDICTED]
    if not predicted or any(row["cumulative_value_per_customer"] is None for row in predicted):
        return {}
    ages = {
        name: _crossing(
            [realised[-1], *((row["age_months"], row[f"cumulative_value_per_customer{end}"]) for row in predicted)], cac
        )
        for name, end in (("payback_age", ""), ("payback_age_low", "_high"), ("payback_age_high", "_low"))
    }
    return {"payback": BEYOND if ages["payback_age"] is None else EXPECTED, **ages}


def _crossing(course: Sequence[tuple[int, float]], cost: float) -> float | None:
    """Return where a line through points of age and value first reaches a cost; None where it does not."""
    for (age, value), (later, more) in pairwise(course):
        if more >= cost:
            return age + (later - age) * (cost - value) / (more - value)
    return None


@check(
    "Every cost of a month up to this one is there, to the cent.",
    measures=lambda table, run: {
        "spend": table.spend.sum(where=table.horizon_months == run.settings.horizons_months[0]),
        "costs": run.inputs[ACQUISITION_COSTS.name].spend.sum().as_scalar(),
    },
)
def costs_reconcile(values: Values, _run: MonthRun) -> Verdict:
    """Promise that no cost is lost."""
    spend, costs = (Decimal(values[name] or 0) for name in ("spend", "costs"))
    if spend == costs:
        return Verdict(True, f"{costs:,.2f} spent, all in cohorts, each value of an attribute beside the whole.")
    return Verdict(False, f"Cohorts cost {spend:,.2f}, and acquisition_costs has {costs:,.2f}.")


@no_rows("Ends of intervals are ordered, and a payback has an age.")
def payback_possible(table: ir.Table, _run: MonthRun) -> ir.BooleanValue:
    """Promise what follows from how value and payback are found.

    The mean may lie above the interval: nine times in ten nothing more comes of a cohort that has nearly left.
    """
    return (
        (table.ltv_low > table.ltv_high)
        | ((table.payback == PAID_BACK) & (table.payback_age > table.age_months))
        | ((table.payback == EXPECTED) & (table.payback_age < table.age_months))
        | (table.payback.isin([PAID_BACK, EXPECTED]) & table.payback_age.isnull())
        | (table.payback_age_low > table.payback_age_high)
    ).fill_null(False)


def _unmatched(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    once = table.horizon_months == run.settings.horizons_months[0]
    empty = once & (table.customers == 0) & (table.spend != 0)
    counted = once & (table.attribute == ALL) & table.new_customers_reported.notnull()
    return {
        "values": table.attribute_value.nunique(where=empty),
        "such_as": table.attribute_value.min(where=empty),
        "spend": table.spend.sum(where=empty),
        "reported": table.new_customers_reported.sum(where=counted),
        "customers": table.customers.sum(where=counted),
    }


#: Shares by which reported and seen new customers may differ.
_DIFFER = 0.25


@check("What was spent has won customers, and as many as were reported.", measures=_unmatched, blocking=False)
def costs_have_customers(values: Values, run: MonthRun) -> Verdict:
    """Warn of costs without customers, as where values are spelled otherwise, and of other counts of customers."""
    said = []
    if values["values"]:
        said.append(
            f"{values['spend']:,.2f} {run.settings.currency} were spent in months and for values without a new "
            f"customer, such as '{values['such_as']}': spell values as source.columns.attributes has them."
        )
    reported, seen = values["reported"] or 0, values["customers"] or 0
    if reported and abs(reported - seen) > _DIFFER * max(reported, seen):
        said.append(
            f"{reported:,} new customers were reported and {seen:,} bought for the first time in the same months: "
            "see what the advertiser counts. Cost a customer goes by first purchases."
        )
    return Verdict(not said, " ".join(said) or "Costs and new customers go together.")


def month_highlights(run: MonthRun) -> Highlights:
    """Return the newest cohorts at the longest horizon, and cost and value of a customer of the month's own.

    Values of attributes that only a few customers have are left out.
    """
    table = run.inputs[ACQUISITION_PAYBACK.name]
    told = (table.attribute == ALL) | (table.customers == 0) | (table.customers >= FEW)
    longest = table.filter(told & (table.horizon_months == run.settings.horizons_months[-1]))
    rows = run.engine.collect(longest).to_pylist()
    rows.sort(key=lambda row: (row["cohort"], row["attribute"] == ALL, row["attribute_value"]), reverse=True)

    def written(value: float | None) -> float | None:
        return None if value is None else round(value, 2)

    shown = [
        {
            "cohort": row["cohort"].isoformat()[:7],
            "of": row["attribute_value"],
            "customers": row["customers"],
            "cac": written(row["cac"]),
            "so_far": written(row["value_so_far"]),
            "ltv": written(row["ltv"]),
            "ltv_to_cac": written(row["ltv_to_cac"]),
            "payback": row["payback"],
            "payback_age": written(row["payback_age"]),
            "too_young": row["too_young"],
        }
        for row in rows[:_SHOWN]
    ]
    currency, horizon = run.settings.currency, run.settings.horizons_months[-1]
    says = (
        f"The newest cohorts by the month of their first purchase, as of the month's end. In {currency} a customer: "
        f"cac, what one cost; so_far, the margin one has brought; ltv, that with what the next "
        f"{wording.months(horizon)} are expected to bring. payback_age is the age in months at which the cost "
        "has come back."
    )
    of_month = [row for row in rows if row["cohort"] == run.month.first_day and row["attribute"] == ALL]
    numbers: dict[str, object] = {
        name: written(row[column])
        for row in of_month
        for name, column in ((f"cac_{currency}", "cac"), (f"ltv_{horizon}m_{currency}", "ltv"))
    }
    return Highlights(numbers, {"newest_cohorts": (shown, says)} if shown else {})


TABLE = Table(
    schema=ACQUISITION_PAYBACK,
    inputs=lambda _settings: (Input(ACQUISITION_COSTS.name, ALL_HISTORY, holes=True), Input(COHORT_VALUE.name)),
    make=make,
    checks=(costs_reconcile, payback_possible, costs_have_customers),
    highlights=month_highlights,
    group=PREDICTION,
    owner=CUSTOMER_ANALYTICS,
    kinds=(ENGINE, "deltalake"),
    half="model",
    negative_numbers=True,
)
