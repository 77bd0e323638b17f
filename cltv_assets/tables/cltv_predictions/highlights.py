"""What the UI shows of a month's predictions."""

from __future__ import annotations

import ibis

from cltv_assets.figures import wording
from cltv_assets.figures.svg import png
from cltv_assets.figures.value import concentration_figure, segments_figure
from cltv_assets.tables.cltv_predictions.totals import predicted_totals
from cltv_assets.tables.highlights import Highlights
from cltv_assets.tables.month_run import MonthRun

#: Customers whose value is shown by rank.
_RANKS = 5


def month_highlights(run: MonthRun) -> Highlights:
    """Return totals by horizon and by value tier, the tiers' shares, and how concentrated the value is."""
    found, currency = predicted_totals(run), run.settings.currency
    if found is None:
        return Highlights({"customers": 0})
    ahead = wording.months(found.totals[-1].months)
    mean_p_alive = sum(one.p_alive * one.customers for one in found.segments) / found.customers
    numbers: dict[str, object] = {"customers": found.customers, "mean_p_alive": round(mean_p_alive, 6)}
    for total in found.totals:
        numbers[f"expected_purchases_{total.months}m"] = round(total.purchases, 2)
        if total.value is not None:
            numbers[f"expected_value_{total.months}m_{currency}"] = round(total.value, 2)
    shown = [
        {
            "segment": one.name,
            "customers": f"{one.customers:,}",
            "mean P(alive)": f"{one.p_alive:.3f}",
            **(
                {f"expected value, {ahead}": wording.money(one.value, currency)}
                if found.money
                else {f"expected purchases, {ahead}": wording.count(one.purchases)}
            ),
        }
        for one in found.segments
    ]
    what, expected = ("predicted value", "value") if found.money else ("expected purchases", "purchases")
    shares = [(one.name, one.customers, one.purchases if one.value is None else one.value) for one in found.segments]
    says = f"Each value segment's share of customers and of the {expected} expected in {ahead}."
    pictures = {"value_by_segment": (lambda: png(segments_figure(shares, what)), says)}
    curve = found.concentration
    if curve is not None:
        says = f"Share of the value expected in {ahead} by share of customers, the most valuable first."
        pictures["concentration"] = (
            lambda: png(concentration_figure(curve.customers, curve.value, curve.marked)),
            says,
        )
    tables = {"segments": shown}
    if found.money:
        tables["most_valuable"] = _most_valuable(run)
    return Highlights(numbers, tables, pictures)


def _most_valuable(run: MonthRun) -> list[dict[str, str]]:
    """Return what the most valuable customers are worth, by rank: who they are is not recorded."""
    longest, table = run.settings.horizons_months[-1], run.inputs["cltv_predictions"]
    value = table[f"cltv_{longest}m"]
    best = run.engine.collect(table.order_by(ibis.desc(value)).limit(_RANKS).select(value=value)).to_pylist()
    name = f"expected value, {wording.months(longest)}"
    return [
        {"rank": str(rank), name: wording.money(row["value"], run.settings.currency)}
        for rank, row in enumerate(best, 1)
    ]
