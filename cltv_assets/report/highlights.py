"""A month of a table in a few numbers and a picture, for whoever looks at it in the UI.

Everything is read off aggregates: nothing customer-sized leaves the engine.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cltv_assets.report import wording
from cltv_assets.report.facts.fitted import FittedModel
from cltv_assets.report.facts.holdout import holdout_cases
from cltv_assets.tables.cleaned_and_rejected.columns import CLEANED_TRANSACTIONS
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.segment_movement import SEGMENT_MOVEMENT
from cltv_assets.tables.segment_summary import SEGMENT_SUMMARY
from cltv_assets.tables.segmentation import VALUE_SEGMENTS


@dataclass(frozen=True)
class Highlights:
    """What is worth seeing of a month.

    Parameters
    ----------
    numbers : dict
        By name; units stand in the name.
    tables : dict
        Rows by name; few.
    pictures : dict
        PNG and what it shows, by name.
    """

    numbers: dict[str, object] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    pictures: dict[str, tuple[bytes, str]] = field(default_factory=dict)


def highlights(table: str, run: MonthRun) -> Highlights:
    """Return a month's highlights; empty for a table that has none.

    Parameters
    ----------
    table : str
    run : MonthRun
        Its inputs hold the table and those that it was made from.
    """
    make = _MAKERS.get(table)
    if make is None:
        return Highlights()
    try:
        return make(run)
    except Exception as error:  # the month itself is sound: it passed its checks
        logging.getLogger(__name__).exception("No highlights of %s, %s", table, run.month)
        return Highlights({"highlights": f"could not be made: {type(error).__name__}: {error}"})


def _cleaned(run: MonthRun) -> Highlights:
    lines = run.inputs[CLEANED_TRANSACTIONS.name]
    found = run.engine.measure(lines, {"customers": lines.customer_id.nunique(), "amount": lines.amount.sum()})
    return Highlights({"customers": found["customers"], f"net_amount_{run.settings.currency}": _money(found["amount"])})


def _rejected(run: MonthRun) -> Highlights:
    from cltv_assets.report.facts.quality import quality

    lines = quality(run)
    share = lines.rejected_lines / lines.lines_in if lines.lines_in else 0.0
    rows = [{"reason": reason, "lines": count} for reason, count in lines.rejected]
    return Highlights({"share_of_delivered_lines": round(share, 6)}, {"lines_by_reason": rows})


def _purchase_days(run: MonthRun) -> Highlights:
    days = run.inputs[PURCHASE_DAYS.name]
    found = run.engine.measure(
        days, {"customers": days.customer_id.nunique(), "orders": days.order_count.sum(), "spend": days.spend.sum()}
    )
    return Highlights(
        {
            "customers": found["customers"],
            "orders": int(found["orders"] or 0),
            f"spend_{run.settings.currency}": _money(found["spend"]),
        }
    )


def _rfm(run: MonthRun) -> Highlights:
    rfm = run.inputs[RFM_SUMMARY.name]
    found = run.engine.measure(
        rfm, {"customers": rfm.count(), "repeat": (rfm.frequency > 0).cast("int64").sum(), "mean": rfm.frequency.mean()}
    )
    numbers: dict[str, object] = {"customers": found["customers"], "repeat_customers": int(found["repeat"] or 0)}
    if found["mean"] is not None:
        numbers["mean_frequency"] = round(float(found["mean"]), 6)
    return Highlights(numbers)


def _purchase_model(run: MonthRun) -> Highlights:
    from cltv_assets.report.facts.fitted import fitted_purchase_models
    from cltv_assets.report.facts.frequencies import histogram
    from cltv_assets.report.facts.model_view import model_view
    from cltv_assets.report.facts.population import customer_counts
    from cltv_assets.report.figures.frequencies import histogram_figure
    from cltv_assets.report.figures.models import candidates_figure, seasonality_figure
    from cltv_assets.report.figures.svg import png
    from cltv_assets.report.sections.models import comparison
    from cltv_assets.report.sections.naming import candidate_title, in_words

    candidates = fitted_purchase_models(run)
    chosen = candidates[0]
    found = _parameters(chosen)
    found.numbers["model"] = candidate_title(chosen)
    if chosen.choice_reason:
        found.numbers["why_this_model"] = in_words(chosen.choice_reason)
    found.numbers.update({name: chosen.row[name] for name in ("customers", "repeat_customers")})
    view = model_view(chosen, run.settings)
    drawn = png(histogram_figure(histogram(run, view, customer_counts(run))))
    says = "Customers by repeat purchases so far" + (": counted, and as the fitted model has it." if view else ".")
    found.pictures["repeat_purchases"] = (drawn, says)
    compared = comparison(candidates)
    if compared is not None:
        rows, what, how_to_read = compared
        found.pictures["candidates"] = (png(candidates_figure(rows, what)), how_to_read)
    if chosen.seasonal_index is not None:
        says = "Purchase intensity by calendar month; a year's mean is 1."
        found.pictures["seasonality"] = (png(seasonality_figure(chosen.seasonal_index)), says)
    return found


def _spend_model(run: MonthRun) -> Highlights:
    from cltv_assets.report.facts.fitted import fitted_spend_model

    return _parameters(fitted_spend_model(run))


def _parameters(model: FittedModel) -> Highlights:
    """Return a model's parameters and status."""
    numbers: dict[str, object] = {one.name: float(f"{one.value:.8g}") for one in model.parameters}
    return Highlights(numbers | {name: model.row[name] for name in ("status", "status_reason") if model.row[name]})


def _predictions(run: MonthRun) -> Highlights:
    from cltv_assets.report.facts.value import concentration
    from cltv_assets.report.figures.segments import segments_figure
    from cltv_assets.report.figures.svg import png
    from cltv_assets.report.figures.value import concentration_figure

    horizons, currency = run.settings.horizons_months, run.settings.currency
    table = run.inputs["cltv_predictions"]
    measures = {"customers": table.count(), "p_alive": table.p_alive.mean()}
    for h in horizons:
        measures |= {f"purchases_{h}": table[f"expected_purchases_{h}m"].sum(), f"value_{h}": table[f"cltv_{h}m"].sum()}
    by_name = {
        row["value_segment"]: row
        for row in run.engine.collect(table.group_by("value_segment").aggregate(**measures)).to_pylist()
    }
    rows = [by_name[name] for name in VALUE_SEGMENTS if name in by_name]
    customers = sum(row["customers"] for row in rows)
    numbers: dict[str, object] = {"customers": customers}
    if not customers:
        return Highlights(numbers)
    numbers["mean_p_alive"] = round(sum(row["p_alive"] * row["customers"] for row in rows) / customers, 6)
    for h in horizons:
        numbers[f"expected_purchases_{h}m"] = round(sum(row[f"purchases_{h}"] for row in rows), 2)
        numbers[f"expected_value_{h}m_{currency}"] = round(sum(row[f"value_{h}"] for row in rows), 2)
    last = horizons[-1]
    shown = [
        {
            "segment": row["value_segment"],
            "customers": f"{row['customers']:,}",
            "mean P(alive)": f"{row['p_alive']:.3f}",
            f"expected value, {wording.months(last)}": wording.money(row[f"value_{last}"], currency),
        }
        for row in rows
    ]
    drawn = png(segments_figure([(row["value_segment"], row["customers"], row[f"value_{last}"]) for row in rows]))
    says = f"Each value segment's share of customers and of the value expected in {wording.months(last)}."
    pictures = {"value_by_segment": (drawn, says)}
    curve = concentration(run, table, last)
    if curve is not None:
        says = f"Share of the value expected in {wording.months(last)} by share of customers, the most valuable first."
        pictures["concentration"] = (png(concentration_figure(curve)), says)
    return Highlights(numbers, {"segments": shown}, pictures)


def _segment_summary(run: MonthRun) -> Highlights:
    from cltv_assets.report.facts.segments import BASE

    currency = run.settings.currency
    table = run.inputs[SEGMENT_SUMMARY.name]
    rows = run.engine.collect(table.filter(table.scheme == BASE)).to_pylist()
    numbers: dict[str, object] = {}
    shown = []
    for row in sorted(rows, key=lambda row: int(row["horizon_months"])):
        h = row["horizon_months"]
        for end in ("", "_low", "_high"):
            if row[f"expected_value{end}"] is not None:
                numbers[f"expected_value_{h}m{end}_{currency}"] = round(row[f"expected_value{end}"], 2)
        ends = {what: [row[f"expected_{what}{end}"] for end in ("_low", "_high")] for what in ("purchases", "value")}
        shown.append(
            {
                "next": wording.months(h),
                "purchases": wording.count(row["expected_purchases"]),
                "80% interval": " to ".join(map(wording.count, ends["purchases"])),
                f"value, {currency}": wording.amount(row["expected_value"]),
                "80% interval of value": " to ".join(map(wording.amount, ends["value"])),
            }
        )
    return Highlights(numbers, {"totals": shown} if shown else {})


def _segment_movement(run: MonthRun) -> Highlights:
    from cltv_assets.report.facts.segments import segments_of
    from cltv_assets.report.figures.segments import movement_figure
    from cltv_assets.report.figures.svg import png

    rows = run.engine.collect(run.inputs[SEGMENT_MOVEMENT.name]).to_pylist()
    facts = segments_of([], rows, run.settings.horizons_months[-1])
    moved = facts.tier_movement
    if moved is None:
        return Highlights({"compared": "no month before to compare with"})
    numbers: dict[str, object] = dict(vars(moved))
    if not moved.rose + moved.fell + moved.stayed + moved.new:
        return Highlights(numbers)
    says = "Customers of each value tier by the tier that they were in a month before."
    return Highlights(numbers, {}, {"movement": (png(movement_figure(facts.moves)), says)})


def _holdout(run: MonthRun) -> Highlights:
    from cltv_assets.report.figures.holdout import deciles_figure, totals_by_contender_figure
    from cltv_assets.report.figures.svg import png

    cases = holdout_cases(run)
    numbers: dict[str, object] = {
        f"bias_{case.target}_{case.horizon}m": round(case.model.bias, 6)
        for case in cases
        if case.model.bias is not None
    }
    drawn = [case for case in cases if case.target == "purchases"]
    if not drawn:
        return Highlights({"predictions_to_judge": "none yet: no prediction's horizon ends with this month"})
    says = f"Purchases in the months up to {wording.day(run.month)}: what happened, and what was predicted before."
    pictures = {"predicted_and_actual": (png(totals_by_contender_figure(drawn)), says)}
    deciles = drawn[-1].deciles
    if deciles:
        says = (
            f"Customers in tenths by the purchases predicted {wording.months(drawn[-1].horizon)} ago: what was "
            "predicted and what they made."
        )
        pictures["calibration"] = (png(deciles_figure(deciles, "Purchases a customer")), says)
    return Highlights(numbers, {}, pictures)


def _money(amount: object) -> float:
    """Return an engine's sum of decimals as a number to show, in whole cents."""
    return round(float(str(amount or 0)), 2)


_MAKERS: dict[str, Callable[[MonthRun], Highlights]] = {
    "cleaned_transactions": _cleaned,
    "rejected_transactions": _rejected,
    "purchase_days": _purchase_days,
    "rfm_summary": _rfm,
    "purchase_model": _purchase_model,
    "spend_model": _spend_model,
    "cltv_predictions": _predictions,
    "segment_summary": _segment_summary,
    "segment_movement": _segment_movement,
    "holdout_evaluation": _holdout,
}
