"""What the UI shows of a month's predictions."""

from __future__ import annotations

import ibis

from cltv_assets.figures import wording
from cltv_assets.figures.svg import png
from cltv_assets.figures.value import concentration_figure, segments_figure
from cltv_assets.tables.cltv_predictions.totals import predicted_totals
from cltv_assets.tables.highlights import Highlights
from cltv_assets.tables.month_run import MonthRun

#: Ranks of customers whose value is shown.
_RANKS = (1, 2, 3, 4, 5, 10, 100, 1000)


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
    says = (
        f"Each value segment's share of the customers, and beside it its share of the {expected} expected in the next "
        f"{ahead}."
    )
    pictures = {"value_by_segment": (lambda: png(segments_figure(shares, what)), says)}
    curve = found.concentration
    if curve is not None:
        says = (
            f"Share of the value expected in the next {ahead} that the most valuable customers hold. The steeper the "
            "curve begins, the fewer customers it depends on; on the dashed line all would be worth the same."
        )
        pictures["concentration"] = (
            lambda: png(concentration_figure(curve.customers, curve.value, curve.marked)),
            says,
        )
    bring = f"value (discounted margin in {currency})" if found.money else "purchases"
    says = (
        "Customers by value tier: how many they are, the mean probability that one still buys (0 to 1), and the "
        f"{bring} that all of a tier together are expected to bring in the next {ahead}."
    )
    tables = {"segments": (shown, says)}
    if found.money:
        tables["most_valuable"] = _most_valuable(run, found.totals[-1].value or 0.0)
    return Highlights(numbers, tables, pictures)


def _most_valuable(run: MonthRun, total: float) -> tuple[list[dict[str, str]], str]:
    """Return what the most valuable customers are worth, by rank: who they are is not recorded."""
    longest, table, currency = run.settings.horizons_months[-1], run.inputs["cltv_predictions"], run.settings.currency
    column = f"cltv_{longest}m"
    best = table.order_by(ibis.desc(table[column])).limit(_RANKS[-1]).select(value=table[column])
    values = run.engine.collect(best).column("value").to_pylist()
    rows = []
    for rank in _RANKS:
        if rank > len(values):
            break
        together = sum(values[:rank])
        rows.append(
            {
                "rank": f"{rank:,}",
                "expected value": wording.money(values[rank - 1], currency),
                "all down to this rank": wording.money(together, currency),
                "share of all customers' value": wording.percent(together / total) if total else wording.NOTHING,
            }
        )
    query = f"SELECT customer_id, {column} FROM cltv_predictions WHERE month = '{run.month}-01' ORDER BY {column} DESC"  # noqa: S608 - shown, not run
    says = (
        f"The most valuable customers by rank: the value (discounted margin) expected of them in the next "
        f"{wording.months(longest)}. Who they are is not recorded here. Their ids: "
        f'cltv sql "{query} LIMIT 10", and with all columns: cltv export --month {run.month} --to customers.csv'
    )
    return rows, says
