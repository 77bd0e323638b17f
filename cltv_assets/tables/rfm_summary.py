"""Frequency, recency, T and monetary value of every customer, as of the month's last day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from cltv_assets.columns import MONEY, Column, TableSchema
from cltv_assets.months import DAYS_PER_UNIT, Month
from cltv_assets.settings import Settings
from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.cleaned_and_rejected.columns import CUSTOMER
from cltv_assets.tables.common_checks import money_given, no_rows, spend_reconciles
from cltv_assets.tables.drift import Watched, distribution_drift
from cltv_assets.tables.highlights import Highlights
from cltv_assets.tables.margins import with_margins
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.quantiles import MONEY_POINT, binned_money_counts, fixed_point, quantiles, tier, value_counts
from cltv_assets.tables.table import ALL_HISTORY, CUSTOMER_ANALYTICS, ENGINE, PREPARATION, Input, Table

RFM_SUMMARY = TableSchema(
    "rfm_summary",
    "Recency, frequency and value of every customer. Everyone ever seen, as of the month's last day. Semantics "
    "of lifetimes' summary_data_from_transaction_data.",
    ("customer_id",),
    (
        CUSTOMER,
        Column("frequency", "int64", "Repeat purchase days: purchase days minus one.", "purchase days"),
        Column("recency", "float64", "Time from the first to the last purchase.", "time unit"),
        Column("T", "float64", "Time from the first purchase to the observation end.", "time unit"),
        Column(
            "monetary_value",
            "float64",
            "Mean spend of a repeat purchase day, scaled by the customer's net share where refunds "
            "are netted; 0 without a repeat purchase. Like all money null where the source has no amounts.",
            "currency",
            nullable=True,
        ),
        Column("first_purchase", "date", "First purchase day."),
        Column("last_purchase", "date", "Last purchase day."),
        Column("order_count", "int64", "Orders so far.", "orders"),
        Column("total_spend", MONEY, "Spend so far before refunds, without wholly cancelled days.", "currency", True),
        Column("repeat_spend", MONEY, "Spend of the repeat purchase days before refunds.", "currency", True),
        Column("total_refunds", MONEY, "Refunds so far, as a positive number, without those days'.", "currency", True),
        Column("is_repeat", "boolean", "Whether frequency is 1 or more."),
        Column("r_score", "int32", "Recency quintile, 5 for the most recent buyers.", "1 to 5"),
        Column("f_score", "int32", "Frequency quintile, 5 for the most frequent buyers.", "1 to 5"),
        Column(
            "m_score",
            "int32",
            "Spend quintile, 5 for the largest spend less refunds; null where the source has no amounts.",
            "1 to 5",
            nullable=True,
        ),
        Column(
            "gross_margin",
            "float64",
            "Share of the customer's spend that is expected to be margin, from the margins of purchases so far; see "
            "docs/models.md. Null where the source gives no costs.",
            "share",
            nullable=True,
            signed=True,
            since=3,
        ),
    ),
)


_QUINTILES = (0.2, 0.4, 0.6, 0.8)


def make(run: MonthRun) -> ir.Table:
    """Summarise every customer as of the month's end."""
    days = run.inputs[PURCHASE_DAYS.name]
    observed = observed_customers(days, run.month, run.settings)
    if run.settings.source.margin_column is not None:
        observed = with_margins(run.engine, observed, days, run.month)
    observed = run.engine.cache(observed)

    def bounds(column: str) -> list[object]:
        return quantiles(run.engine.collect(value_counts(observed, observed[column])), _QUINTILES)

    spend = None
    if not run.settings.source.counted:
        spend = quantiles(run.engine.collect(binned_money_counts(observed, net_spend(observed))), _QUINTILES)
    thresholds = ScoreThresholds(bounds("last_purchase"), bounds("frequency"), spend)
    return with_scores(observed, thresholds)


def observed_customers(days: ir.Table, month: Month, settings: Settings) -> ir.Table:
    """Summarise every customer's history up to the month's end.

    Definitions follow ``lifetimes.utils.summary_data_from_transaction_data``: frequency
    is the number of purchase days after the first, recency the time from the
    first to the last, T the time from the first to the observation end, which is
    the month's last day. Monetary value is the mean over the repeat days.

    Refunds are rarely booked against a particular order. With ``refunds: net`` the
    customer's monetary value is therefore multiplied by the share of all spend that
    was not refunded. A wholly cancelled day adds to neither spend nor refunds.

    Returns
    -------
    ibis table
        The columns of ``rfm_summary`` without the scores.
    """
    end = month.last_day
    history = days.filter(days.purchase_day <= end)
    bought = history.order_count > 0
    # Arg-min needs one pass; a window function would sort by customer.
    customers = history.group_by("customer_id").aggregate(
        days=history.count(where=bought),
        first_purchase=history.purchase_day.min(where=bought),
        last_purchase=history.purchase_day.max(where=bought),
        first_spend=history.spend.argmin(history.purchase_day, where=bought),
        order_count=history.order_count.sum(),
        unknown=history.count(where=bought & history.spend.isnull()),
        # Null where it does not fit; the check `money_given` says so.
        total_spend=history.spend.sum(where=bought).try_cast(MONEY),
        total_refunds=(history.refunds.sum() - history.spend.sum(where=~bought).fill_null(0)).try_cast(MONEY),
    )
    # Leave out customers who only returned or cancelled things: they have bought nothing.
    customers = customers.filter(customers.days > 0)
    # Where a purchase without an amount is among them, the sum of the others is not what was spent.
    customers = customers.mutate(
        total_spend=ibis.ifelse(customers.unknown > 0, ibis.null(MONEY), customers.total_spend).cast(MONEY)
    )
    customers = customers.mutate(
        frequency=customers.days - 1,
        repeat_spend=(customers.total_spend - customers.first_spend).cast(MONEY),
    )
    unit = DAYS_PER_UNIT[settings.time_unit]
    recency = customers.last_purchase.delta(customers.first_purchase, unit="day").cast("float64") / unit
    age = ibis.literal(end).delta(customers.first_purchase, unit="day").cast("float64") / unit
    kept_share = ibis.literal(1.0)
    if settings.refunds == "net":
        spend = customers.total_spend.cast("float64")
        kept = spend - customers.total_refunds.cast("float64")
        kept_share = ibis.cases((spend <= 0, 1.0), (kept <= 0, 0.0), else_=kept / ibis.ifelse(spend > 0, spend, 1.0))
    repeats = ibis.ifelse(customers.frequency > 0, customers.frequency, 1).cast("float64")
    mean = customers.repeat_spend.cast("float64") * kept_share / repeats
    return customers.mutate(
        recency=recency,
        T=age,
        monetary_value=ibis.ifelse((customers.frequency > 0) | mean.isnull(), mean, 0.0),
        is_repeat=customers.frequency > 0,
        gross_margin=ibis.null("float64"),
    )


def net_spend(customers: ir.Table) -> ir.DecimalValue:
    """Return what customers spent less refunds, not below 0."""
    net = customers.total_spend - customers.total_refunds
    return ibis.greatest(net, ibis.literal(0).cast(net.type())).cast(MONEY)


@dataclass(frozen=True)
class ScoreThresholds:
    """Quintile bounds of the RFM scores, four for each (none without customers); None where no spend is known."""

    recency: Sequence[Any]
    frequency: Sequence[Any]
    monetary: Sequence[Any] | None


def with_scores(customers: ir.Table, thresholds: ScoreThresholds) -> ir.Table:
    """Add the RFM quintile scores to ``observed_customers``."""
    spend = thresholds.monetary
    return customers.mutate(
        r_score=tier(customers.last_purchase, thresholds.recency),
        f_score=tier(customers.frequency, thresholds.frequency),
        m_score=ibis.null("int32") if spend is None else tier(net_spend(customers), spend),
    ).select(*RFM_SUMMARY.column_names)


def watched_in_rfm(settings: Settings) -> tuple[Watched, ...]:
    """Return the columns of ``rfm_summary`` to compare, for every customer."""
    days = DAYS_PER_UNIT[settings.time_unit]
    return (
        Watched("frequency", lambda table: table.frequency),
        Watched("recency", lambda table: fixed_point(table.recency, days)),
        Watched("monetary_value", lambda table: fixed_point(table.monetary_value, MONEY_POINT), money=True),
    )


@no_rows("0 <= recency <= T, and nothing repeats where frequency is 0.")
def rfm_bounds(table: ir.Table, _run: MonthRun) -> ir.BooleanValue:
    """Promise what the definitions of frequency, recency and T imply."""
    never_again = table.frequency == 0
    return (
        (table.frequency < 0)
        | (table.recency < 0)
        | (table.recency > table["T"])
        | (never_again & ((table.recency != 0) | (table.monetary_value != 0)))
        | (~never_again & (table.recency <= 0))
        | (table.is_repeat == never_again)
    )


@no_rows("R, F and M scores lie in 1 to 5.")
def scores_in_range(table: ir.Table, _run: MonthRun) -> ir.BooleanValue:
    """Promise that RFM scores are quintiles."""
    # Where no spend is known there is no score of it: money_given.
    return ~(table.r_score.between(1, 5) & table.f_score.between(1, 5) & table.m_score.fill_null(1).between(1, 5))


def _measures_of_everyone_summarised(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    days = run.inputs[PURCHASE_DAYS.name]
    buyers = days.filter((days.order_count > 0) & (days.purchase_day <= ibis.literal(run.month.last_day)))
    return {"customers": table.count(), "buyers": buyers.customer_id.nunique().as_scalar()}


@check("Every customer who ever bought has one row.", measures=_measures_of_everyone_summarised)
def everyone_summarised(values: Values, run: MonthRun) -> Verdict:
    """Promise a row for everyone who bought by the month's end."""
    customers, buyers = values["customers"], values["buyers"]
    facts = {"customers": customers, "buyers": buyers}
    if customers == buyers:
        return Verdict(True, f"{customers:,} customers bought by the end of {run.month}; each has a row.", facts)
    return Verdict(False, f"{buyers:,} customers bought by {run.month}, {customers:,} have a row.", facts)


@check(
    "The customer base never shrinks from one month to the next.",
    measures=lambda table, _run: {"customers": table.count()},
    blocking=False,
)
def customers_never_vanish(values: Values, run: MonthRun) -> Verdict:
    """Warn when there are fewer customers than a month ago, because then history was lost."""
    before = run.earlier_row_counts(RFM_SUMMARY, 1)
    customers = values["customers"]
    if not before:
        return Verdict(True, f"{customers:,} customers; no earlier month to compare with.")
    earlier = next(iter(before.values()))
    text = f"{customers:,} customers, {earlier:,} a month ago"
    if customers >= earlier:
        return Verdict(True, f"{text}.", {"customers": customers, "a_month_ago": earlier})
    return Verdict(False, f"{text}: earlier months were re-run with less data; run the later ones again.")


def month_highlights(run: MonthRun) -> Highlights:
    """Return the customers, those who came back, and how often they did on average."""
    rfm = run.inputs[RFM_SUMMARY.name]
    found = run.engine.measure(
        rfm, {"customers": rfm.count(), "repeat": (rfm.frequency > 0).cast("int64").sum(), "mean": rfm.frequency.mean()}
    )
    numbers: dict[str, object] = {"customers": found["customers"], "repeat_customers": int(found["repeat"] or 0)}
    if found["mean"] is not None:
        numbers["mean_frequency"] = round(float(found["mean"]), 6)
    return Highlights(numbers)


TABLE = Table(
    schema=RFM_SUMMARY,
    inputs=lambda _settings: (Input(PURCHASE_DAYS.name, ALL_HISTORY),),
    make=make,
    checks=(
        rfm_bounds,
        scores_in_range,
        money_given("monetary_value", "total_spend", "repeat_spend", "total_refunds", "m_score"),
        everyone_summarised,
        spend_reconciles(
            PURCHASE_DAYS.name,
            # Wholly cancelled days are in neither.
            lambda days: days.spend.sum(where=days.order_count > 0),
            lambda rfm: rfm.total_spend.sum(),
        ),
        customers_never_vanish,
        distribution_drift(lambda _horizons: RFM_SUMMARY, watched_in_rfm),
    ),
    highlights=month_highlights,
    group=PREPARATION,
    owner=CUSTOMER_ANALYTICS,
    kinds=(ENGINE, "deltalake"),
    half="preprocess",
)
