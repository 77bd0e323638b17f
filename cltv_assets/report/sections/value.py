"""Predicted value: totals, how earlier ones turned out, concentration; and lists of customers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cltv_assets.figures import canvas, wording
from cltv_assets.figures.canvas import Key
from cltv_assets.figures.svg import FIRST, SECOND
from cltv_assets.figures.value import concentration_figure
from cltv_assets.report.data import ReportData
from cltv_assets.report.sections.section import (
    Drawing,
    Picture,
    Section,
    margin_in_words,
    why_no_money,
    why_no_predictions,
)
from cltv_assets.tables.cltv_predictions.totals import READ_AT, Concentration
from cltv_assets.tables.holdout_evaluation.cases import HoldoutCase

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_READ_AT = (0.01, 0.05, 0.1, 0.2, 0.5)
#: The share of customers in the headline: Pareto's 20 %.
_FIFTH = READ_AT[-1]
#: Customers who have nothing at risk because the model cannot doubt them.
_ALIVE_BY_DEFINITION = {
    "bg_nbd": "The BG/NBD model takes whoever never came back to be still a customer: they are not listed.",
    "bg_cnbd": "The BG/CNBD-k model takes whoever never came back to be still a customer: they are not listed.",
    "nbd": "The NBD model takes everyone to be still a customer.",
}


def section(data: ReportData) -> Section:
    """Return what customers are expected to be worth."""
    name = "Predicted value"
    facts = data.value
    if facts is None:
        return Section("value", name, "No predicted value this month", {"missing": why_no_predictions(data)})
    money = facts.predicted.money
    total = wording.money(facts.total.value, data.settings.currency) if money else _purchases(facts.total.purchases)
    headline = f"The next {wording.months(data.horizon)} are expected to bring {total}"
    if facts.predicted.concentration is not None:
        held = wording.percent(facts.predicted.concentration.held_by(_FIFTH), 0)
        headline += f"; the top {_FIFTH:.0%} of customers hold {held} of it"
    # A horizon that is no longer configured has no counterpart to compare with.
    horizons = data.settings.horizons_months
    tested = [case for case in data.holdout if case.target == "revenue" and case.horizon in horizons]
    content = {
        "missing": "",
        "no_money": "" if money else why_no_money(data),
        "currency": data.settings.currency,
        "definition": _definition(data),
        "only_repeat": data.settings.population == "repeat",
        "month": data.month,
        "customers": facts.predicted.customers,
        "totals": facts.predicted.totals,
        "base": data.segments.base,
        "range": _range,
        "tested": tested,
        "held": data.held,
        "shares": _shares(facts.predicted.concentration),
    }
    return Section(
        "value", name, headline, content, (*_earlier_totals(data), *_concentration(facts.predicted.concentration))
    )


def _purchases(number: float) -> str:
    return wording.quantity(round(number), "purchase")


def _definition(data: ReportData) -> str:
    settings = data.settings
    margin, rate = margin_in_words(settings), wording.share(settings.annual_discount_rate)
    return f"expected spend times {margin}, discounted at {rate} a year"


def _range(low: float, high: float, whole: bool = False) -> str:
    # Write both ends with the digits of the larger one.
    digits = 0 if whole or max(abs(low), abs(high)) >= wording.WHOLE else 2
    return f"{wording.decimal(low, digits)} to {wording.decimal(high, digits)}"


def _shares(curve: Concentration | None) -> list[dict[str, str]]:
    if curve is None:
        return []
    return [{"top": f"{share:.0%}", "held": wording.percent(curve.held_by(share))} for share in _READ_AT]


def _earlier_totals(data: ReportData) -> tuple[Picture, ...]:
    horizon = data.tested_horizon("revenue")
    cases = data.trend(horizon, "revenue") if horizon is not None else []
    if horizon is None or not cases:
        return ()
    newest = cases[-1]
    judged = data.held(horizon)
    record = (
        f" {sum(judged)} of {wording.quantity(len(judged), 'interval')} so far held; eight of ten should."
        if judged
        else ""
    )
    seen = (
        f"Predicted {wording.amount(newest.model.predicted)} for the {wording.months(horizon)} to "
        f"{wording.day(newest.ended)}, actual {wording.amount(newest.actual)}."
    )
    drawing = Drawing(lambda: totals_figure(cases, f"Revenue in {data.settings.currency}"), "totals", f"{seen}{record}")
    return (
        Picture(
            f"Earlier forecasts of {wording.months(horizon)} of revenue",
            drawing,
            f"Each mark is one month's forecast, made {wording.months(horizon)} earlier for the customers known then, "
            f"and what they spent.{record} Neighbouring months share most of their days, so their misses are alike.",
        ),
    )


def _concentration(curve: Concentration | None) -> tuple[Picture, ...]:
    if curve is None:
        return ()
    read = ", ".join(f"the top {share:.0%} hold {wording.percent(curve.held_by(share), 0)}" for share in _READ_AT)
    held = wording.percent(curve.held_by(_FIFTH), 0)
    drawing = Drawing(
        lambda: concentration_figure(curve.customers, curve.value, curve.marked),
        "concentration",
        f"Concentration curve of predicted value: {read}.",
    )
    return (
        Picture(
            f"The top {_FIFTH:.0%} of customers hold {held} of predicted value",
            drawing,
            "Customers in order of predicted value, the most valuable first. The dashed line is where the curve would "
            "lie if all were worth the same: the further above it, the more depends on few.",
        ),
    )


def customers(data: ReportData) -> Section:
    """Return the two lists of customers."""
    facts = data.value
    name = "Customers to know"
    if facts is None:
        return Section("customers", name, "Nobody to name this month", {"missing": why_no_predictions(data)})
    n, money = len(facts.most_valuable), facts.predicted.money
    best = sum(one["value" if money else "purchases"] for one in facts.most_valuable)
    if n > 1:
        whos = "most valuable customers" if money else "customers who buy most"
        bring = wording.money(best, data.settings.currency) if money else _purchases(best)
        headline = f"The {n} {whos} are expected to bring {bring} in the next {wording.months(data.horizon)}"
    else:
        headline = "The most valuable customer" if money else "The customer who buys most"
    share = facts.at_risk / facts.past if facts.past and facts.at_risk is not None else None
    content = {
        "missing": "",
        "currency": data.settings.currency,
        "horizon": wording.months(data.horizon),
        "money": money,
        "unit": data.settings.time_unit,
        "silent_digits": 0 if data.settings.time_unit == "day" else 1,
        "valuable": facts.most_valuable,
        "at_risk": facts.most_at_risk,
        "risk_total": wording.money(facts.at_risk, data.settings.currency),
        "known_past": facts.past is not None,
        "risk_share": "" if share is None else wording.percent(share),
        "alive_by_definition": _ALIVE_BY_DEFINITION.get(data.models.names.rstrip("_0123456789"), ""),
        "net": ", less refunds" if data.settings.refunds == "net" else "",
    }
    return Section("customers", name, headline, content)


def totals_figure(cases: Sequence[HoldoutCase], what: str) -> Figure:
    """Draw forecasts of the total with their intervals, and what happened.

    Parameters
    ----------
    cases : sequence of HoldoutCase
        One horizon and target, oldest first.
    what : str
        The vertical axis, with its unit.
    """
    ends = [end for case in cases for end in (*(case.interval or ()), case.model.predicted, case.actual)]
    keys = [
        Key(FIRST, "predicted", "dot"),
        *([Key(FIRST, "80% interval")] if any(case.interval for case in cases) else []),
        Key(SECOND, "actual", "cross"),
    ]
    figure, plot = canvas.axes("Month at whose end the horizon was over", what, canvas.margin(max(ends)), 30, keys)
    plot.set_xlim(-0.6, max(len(cases), 2) - 0.4)
    canvas.upwards(plot, max(ends))
    places = canvas.thinned(len(cases), 4)
    canvas.names_below(plot, places, [wording.short_month(cases[place].ended) for place in places])
    for i, case in enumerate(cases):
        if case.interval is not None:
            plot.plot([i, i], case.interval, color=FIRST, linewidth=4, alpha=0.45, solid_capstyle="butt")
        plot.plot([i], [case.model.predicted], "o", color=FIRST, markersize=6)
        plot.plot([i], [case.actual], "x", color=SECOND, markersize=8, markeredgewidth=2.2)
    return figure
