"""Whose order values come out too high or too low where they depend on how often customers buy.

The Gamma-Gamma model draws everybody towards one mean, the more the fewer purchases they made. Where order values rise
with frequency, those who hardly came back are expected to spend too much. Given the frequency, a customer's own
mean is an unbiased estimate of the order value. So over many customers, weighted by expected purchases, it says what
the expected order values should add up to. Customers without a repeat purchase have a first order only; it is brought
to the level of repeat purchases by what repeat customers spent then and later.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import ibis
import ibis.expr.types as ir

from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.cltv_predictions.scoring import as_counted
from cltv_assets.tables.fitted_models import chosen_row, of_chosen
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.quantiles import exact_sum
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.spend_model.columns import SPEND_MODEL

#: Least repeat purchases of each group, with the words for it.
GROUPS = {0: "without a repeat purchase", 1: "with 1 or 2 repeat purchases", 3: "with 3 or more"}

#: A total off by more than this share is worth a warning if it is off by so many standard errors, too.
_SHARE, _NOISE = 0.05, 3.0

#: Repeat customers that it takes to judge order values.
_ENOUGH = 50

#: Sums of each group, in the order in which they leave the engine.
_SUMS = (
    "customers", "purchases", "spend", "spend_squares", "by_repeat", "by_first", "repeat", "first", "repeat_squares",
    "first_squares", "cross_repeat", "cross_first",
)  # fmt: skip


@dataclass(frozen=True)
class Misvalued:
    """One group of customers: what its purchases are expected to be worth, and what its own orders say.

    Parameters
    ----------
    words : str
        Which customers, as in `GROUPS`.
    customers : int
        How many.
    purchases : float
        Their expected purchases over the longest horizon.
    expected : float
        What these are expected to bring, in currency, before margin and discount.
    own : float
        What they would bring at the customers' own order values.
    """

    words: str
    customers: int
    purchases: float
    expected: float
    own: float

    @property
    def excess(self) -> float:
        """How much is expected too much, in currency; negative where it is too little."""
        return self.expected - self.own


@dataclass(frozen=True)
class OrderValueBias:
    """All groups with expected purchases, and the standard error of the total's excess."""

    groups: tuple[Misvalued, ...]
    error: float

    @property
    def share(self) -> float:
        """By what share of the customers' own order values the total is expected too high."""
        return sum(one.excess for one in self.groups) / sum(one.own for one in self.groups)

    @property
    def beyond_chance(self) -> bool:
        """Whether the total is off by an amount worth a warning, and by more than chance."""
        excess = abs(sum(one.excess for one in self.groups))
        return abs(self.share) > _SHARE and excess > _NOISE * self.error


def group_sums(predictions: ir.Table, rfm: ir.Table, horizon: int) -> ir.Table:
    """Sum up expected spend and own order values by group of frequency.

    Parameters
    ----------
    predictions : ibis table
        ``cltv_predictions``.
    rfm : ibis table
        ``rfm_summary``, for the first orders.
    horizon : int
        Months ahead.

    Returns
    -------
    ibis table
        ``least`` (a key of `GROUPS`) and sums: purchases expected, spend at the expected order value, and spend at the
        customer's own mean (``by_repeat``) and first order (``by_first``), with what the variances need.
    """
    orders = rfm.select("customer_id", first=(rfm.total_spend - rfm.repeat_spend).cast("float64"))
    rows = predictions.inner_join(orders, "customer_id")
    expected = rows[f"expected_purchases_{horizon}m"]
    least: ir.IntegerValue = ibis.literal(0)
    for bound in list(GROUPS)[1:]:
        least = ibis.ifelse(rows.frequency >= bound, bound, least)
    rows = rows.select(
        "first",
        least=least,
        purchases=expected,
        spend=expected * rows.expected_order_value,
        by_repeat=expected * rows.monetary_value,
        by_first=expected * rows.first,
        repeat=rows.monetary_value,
    ).filter(ibis._.spend.notnull())
    return rows.group_by("least").aggregate(
        customers=rows.count(),
        purchases=exact_sum(rows.purchases, 9),
        # Squares of money need fewer digits behind the point, and leave more before it.
        spend_squares=exact_sum(rows.spend * rows.spend, 2),
        repeat_squares=exact_sum(rows.by_repeat * rows.by_repeat, 2),
        first_squares=exact_sum(rows.by_first * rows.by_first, 2),
        cross_repeat=exact_sum(rows.spend * rows.by_repeat, 2),
        cross_first=exact_sum(rows.spend * rows.by_first, 2),
        **{name: exact_sum(rows[name]) for name in ("spend", "by_repeat", "by_first", "repeat", "first")},
    )


def measured_bias(run: MonthRun) -> OrderValueBias | None:
    """Return the bias of the month's predictions."""
    horizon = run.settings.horizons_months[-1]
    predictions = as_counted(run.inputs["cltv_predictions"], chosen_row(run, SPEND_MODEL.name))
    sums = group_sums(predictions, run.inputs[RFM_SUMMARY.name], horizon)
    return order_value_bias(run.engine.collect(sums).to_pylist())


def order_value_bias(sums: Sequence[Mapping[str, Any]]) -> OrderValueBias | None:
    """Return what `group_sums` says; None with too few repeat customers, or where nothing is expected of anybody."""
    repeaters = [row for row in sums if row["least"] > 0]
    first = sum(row["first"] for row in repeaters)
    if sum(row["customers"] for row in repeaters) < _ENOUGH or first <= 0:
        return None
    level = sum(row["repeat"] for row in repeaters) / first
    groups, variance = [], 0.0
    for row in sorted(sums, key=lambda row: int(row["least"])):
        kind, scale = ("first", level) if row["least"] == 0 else ("repeat", 1.0)
        own = scale * row[f"by_{kind}"]
        variance += row["spend_squares"] - 2.0 * scale * row[f"cross_{kind}"] + scale**2 * row[f"{kind}_squares"]
        words = GROUPS[int(row["least"])]
        groups.append(Misvalued(words, int(row["customers"]), row["purchases"], row["spend"], own))
    groups = [one for one in groups if one.purchases > 0]
    if sum(one.own for one in groups) <= 0:
        return None
    return OrderValueBias(tuple(groups), math.sqrt(max(variance, 0.0)))


def misvalued_in_words(bias: OrderValueBias, spend: Mapping[str, Any], horizon: int, currency: str) -> str:
    """Say who takes the mean of all, in which direction that misvalues them, and what it does to the total."""
    told = []
    for one in bias.groups:
        side = "over" if one.excess > 0 else "under"
        expected, own = (f"{amount / one.purchases:,.2f}" for amount in (one.expected, one.own))
        told.append(
            f"{one.customers:,} customers {one.words} are {side}stated by {abs(one.excess):,.0f} ({expected} an order, "
            f"their own say {own})"
        )
    side = "high" if bias.share > 0 else "low"
    correlation, by_frequency = spend["frequency_value_correlation"], bool(spend.get("by_frequency"))
    model = (
        "which the spend model foresees"
        if by_frequency
        else "which the spend model takes to be independent: the fewer purchases customers made, the more they are "
        "given the mean of all"
    )
    return (
        f"Order values {'rise' if correlation > 0 else 'fall'} with frequency (correlation {correlation:+.2f}), "
        f"{model}. Of the spend expected in {horizon} months, in {currency}: {'; '.join(told)}. All together it is "
        f"{abs(bias.share):.1%} too {side} by the customers' own orders.{_in_holdouts(spend)}"
    )


def _in_holdouts(spend: Mapping[str, Any]) -> str:
    """Say what holdouts tell: in each group those who do order again are not like the others."""
    errors = list(json.loads(spend.get("holdout_value_errors") or "{}").values())
    if not errors:
        return ""
    mean = sum(errors) / len(errors)
    return (
        f" Who orders again is not like the others of a group: in {len(errors)} holdouts the orders that were made had "
        f"been expected {abs(mean):.1%} too {'high' if mean > 0 else 'low'}."
    )


def _measures_of_order_values_fit_frequency(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    predictions = as_counted(table, chosen_row(run, SPEND_MODEL.name))
    sums = group_sums(predictions, run.inputs[RFM_SUMMARY.name], run.settings.horizons_months[-1])
    text = [sums[name].cast("string") for name in ("least", *_SUMS)]
    # Text, because a measure is one value: each of forty sums would read the tables again.
    line = reduce(lambda left, right: left + "|" + right, text)
    told = of_chosen(run.inputs[SPEND_MODEL.name], _OF_MODEL)
    return {"sums": line.collect().as_scalar()} | {name: one.as_scalar() for name, one in told.items()}


#: Columns of the spend model that the words are made of.
_OF_MODEL = ("frequency_value_correlation", "by_frequency", "holdout_value_errors", "value_trend_use")


@check(
    "Order values are right for those who seldom come back and for those who often do.",
    measures=_measures_of_order_values_fit_frequency,
    blocking=False,
)
def order_values_fit_frequency(values: Values, run: MonthRun) -> Verdict:
    """Warn where order values depend on frequency, with who is misvalued and what it does to the total."""
    sums = [dict(zip(("least", *_SUMS), map(float, line.split("|")), strict=True)) for line in values["sums"] or ()]
    bias, correlation = order_value_bias(sums), values["frequency_value_correlation"]
    if bias is None or correlation is None:
        return Verdict(True, "Too few repeat customers to tell.")
    facts = {"total_off": round(bias.share, 4), "correlation": correlation}
    facts |= {f"excess_from_{least}": one.excess for least, one in zip(GROUPS, bias.groups, strict=False)}
    if not misleads(bias, values, run.settings.checks.frequency_value_correlation):
        return Verdict(True, f"Expected spend is {bias.share:+.1%} off the customers' own order values.", facts)
    told = misvalued_in_words(bias, values, run.settings.horizons_months[-1], run.settings.currency)
    return Verdict(False, told, facts)


def misleads(bias: OrderValueBias, spend: Mapping[str, Any], limit: float) -> bool:
    """Whether to warn: the total is off beyond chance, or a correlation that the model ignores misvalues groups.

    Parameters
    ----------
    bias : OrderValueBias
        Of the month's predictions.
    spend : mapping
        The model's row, with a correlation.
    limit : float
        The correlation from which groups are looked at.
    """
    correlated = abs(spend["frequency_value_correlation"]) > limit
    if spend.get("by_frequency"):
        return bias.beyond_chance
    if spend.get("value_trend_use") is not None and not correlated:
        # First orders of new customers are made at today's prices. That is no matter of frequency, and
        # `order_values_steady` tells it.
        return False
    apart = any(abs(one.excess) > _SHARE * max(one.own, 0.0) for one in bias.groups)
    return bias.beyond_chance or (correlated and apart)
