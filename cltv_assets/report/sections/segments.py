"""Segments: how large they are, their share of the value, and who moved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from cltv_assets.figures import wording
from cltv_assets.figures.value import movement_figure, segments_figure
from cltv_assets.report.data import ReportData, Row
from cltv_assets.report.sections.section import Drawing, Picture, Section, why_no_predictions
from cltv_assets.tables.segment_movement import Move, tier_place
from cltv_assets.tables.segmentation import GONE, NEW, VALUE_SEGMENTS

#: RFM segments in plain words; "recent", "often" and "much" refer to fifths of the customers.
RFM_MEANINGS = {
    "champions": "bought lately, often and for much",
    "loyal": "buy often, and not long ago",
    "potential loyalists": "bought lately, came back at times",
    "new customers": "bought very lately, seldom so far",
    "promising": "bought lately, seldom so far",
    "need attention": "silent for a while, used to come back or spend much",
    "about to sleep": "silent for a while, seldom and little before",
    "cannot lose them": "bought often and for much, then fell silent longest",
    "at risk": "came back often, silent for long",
    "hibernating": "bought seldom, silent for long",
    "lost": "bought seldom and little, silent longest",
}
#: The same where the source has no amounts.
_MEANINGS_WITHOUT_SPEND = {
    "champions": "bought lately and often",
    "need attention": "silent for a while, used to come back",
    "about to sleep": "silent for a while, seldom before",
    "cannot lose them": "bought often, then fell silent longest",
    "lost": "bought seldom, silent longest",
}
#: Number of moves between RFM segments that are listed.
_LISTED = 8


def section(data: ReportData) -> Section:
    """Return value tiers, RFM segments and the movement of the month."""
    name, facts, value = "Segments", data.segments, data.value
    if value is None:
        return Section("segments", name, "No segments this month", {"missing": why_no_predictions(data)})
    top = next((one for one in facts.tiers if one["segment"] == VALUE_SEGMENTS[0]), None)
    headline = (
        f"{wording.quantity(top['customers'], 'customer')} in the top tier hold "
        f"{wording.percent(_share(data, top), 0)} of {_what(data)}"
        if top
        else "Customers by value and by habit"
    )
    moved = facts.moves.tiers
    rfm_moves, counted = _rfm_moves(facts.moves.rows), data.settings.source.counted
    content = {
        "missing": "",
        "currency": data.settings.currency,
        "horizon": wording.months(data.horizon),
        "compared": facts.moves.compared,
        "moved": ""
        if moved is None
        else f"{wording.quantity(moved.rose, 'customer')} rose to a higher value tier, {wording.count(moved.fell)} "
        "fell to a lower one",
        "before": wording.month_name(data.month.shift(-1)),
        "tiers": facts.tiers,
        "tier_meanings": _tier_meanings(data),
        "money": value.predicted.money,
        "share": partial(_share, data),
        "tier_amount": _amounts(facts.tiers),
        "p_alive": {one.name: one.p_alive for one in value.predicted.segments},
        "rfm": facts.rfm,
        "counted": counted,
        "rfm_meanings": RFM_MEANINGS | (_MEANINGS_WITHOUT_SPEND if counted else {}),
        "actions": data.settings.scores.actions,
        "rfm_amount": _amounts(facts.rfm),
        "matrix": _matrix(facts.moves.rows) if facts.moves.compared else {},
        "rfm_moves": rfm_moves if facts.moves.compared else [],
        "moved_amount": wording.amounts(
            max((value for one in rfm_moves for value in (one.value_before, one.value_now) if value), default=0.0)
        ),
    }
    return Section("segments", name, headline, content, _pictures(data))


def _tier_meanings(data: ReportData) -> dict[str, str]:
    tiers = data.settings.segments
    return {
        "top": f"the top {wording.share(tiers.top)} of customers",
        "high": f"from there to {wording.share(tiers.high)}",
        "middle": f"from there to {wording.share(tiers.middle)}",
        "low": "the rest",
    }


def _amounts(segments: Sequence[Row]) -> Callable[[float | None], str]:
    return wording.amounts(max((one["expected_value"] or 0.0 for one in segments), default=0.0))


def _what(data: ReportData) -> str:
    """Name what tiers are by."""
    return "the predicted value" if data.value is None or data.value.predicted.money else "the expected purchases"


def _share(data: ReportData, segment: Row) -> float:
    """Return a segment's share of the value, or of the purchases where no value is known."""
    if segment["share_of_value"] is not None:
        return float(segment["share_of_value"])
    whole = data.segments.base[segment["horizon_months"]]["expected_purchases"]
    return float(segment["expected_purchases"] / whole) if whole else 0.0


def _matrix(moves: Sequence[Move]) -> dict[str, object]:
    """Arrange the value tiers' moves with a row for each tier before and a column for each tier now."""
    counted = {(move.before, move.now): move.customers for move in moves if move.scheme == "value"}

    def order(name: str) -> tuple[int, str]:
        return tier_place(name), name

    befores = sorted({before for before, _ in counted} - {NEW}, key=order)
    nows = sorted({now for _, now in counted} - {GONE}, key=order)
    befores += [NEW] * any(before == NEW for before, _ in counted)
    nows += [GONE] * any(now == GONE for _, now in counted)
    return {
        "nows": nows,
        "rows": [
            {
                "before": before,
                "cells": [
                    {"text": wording.count(counted.get((before, now), 0)), "stayed": before == now} for now in nows
                ],
            }
            for before in befores
        ],
    }


def _rfm_moves(moves: Sequence[Move]) -> list[Move]:
    moved = [move for move in moves if move.scheme == "rfm" and move.before != move.now]
    return [move for move in moved if NEW not in (move.before, move.now) and move.now != GONE][:_LISTED]


def _pictures(data: ReportData) -> tuple[Picture, ...]:
    facts = data.segments
    found = []
    money = data.value is not None and data.value.predicted.money
    what = "value" if money else "purchases"
    if facts.tiers:
        shares = ", ".join(
            f"{one['segment']} {wording.percent(one['share_of_customers'], 0)} of customers and "
            f"{wording.percent(_share(data, one), 0)} of {what}"
            for one in facts.tiers
        )
        column = "expected_value" if money else "expected_purchases"
        rows = [(one["segment"], one["customers"], one[column]) for one in facts.tiers]
        by = _what(data).removeprefix("the ")
        found.append(
            Picture(
                f"Customers and {what} by tier",
                Drawing(lambda: segments_figure(rows, by), "tiers", f"Shares of the value tiers: {shares}."),
                f"Tiers are set by the {by} of each customer, so that their sizes are given and their "
                f"shares of {what} are the finding.",
            )
        )
    moved = facts.moves.tiers
    if moved is not None:
        found.append(
            Picture(
                "Where each tier's customers came from",
                Drawing(
                    lambda: movement_figure(facts.moves.into_tiers),
                    "movement",
                    f"Value tiers since last month: {wording.count(moved.rose)} customers rose, "
                    f"{wording.count(moved.fell)} fell, {wording.count(moved.stayed)} stayed, "
                    f"{wording.count(moved.new)} are new.",
                ),
                f"Customers by their tier in {wording.month_name(data.month.shift(-1))}. Tiers have fixed shares: "
                "who rises pushes somebody down.",
            )
        )
    return tuple(found)
