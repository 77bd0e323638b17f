"""Segments: how large, how much of the value, and who moved."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cltv_assets.report import wording
from cltv_assets.report.data import ReportData
from cltv_assets.report.facts.segments import RFM, VALUE, Move, SegmentTotal, tier_place
from cltv_assets.report.facts.value import ValueFacts
from cltv_assets.report.figures.segments import movement_figure, segments_figure
from cltv_assets.report.figures.svg import svg
from cltv_assets.report.sections.naming import RFM_MEANINGS, why_no_predictions
from cltv_assets.report.sections.section import Picture, Section
from cltv_assets.tables.segmentation import GONE, NEW, VALUE_SEGMENTS

#: Moves between RFM segments that are listed.
_LISTED = 8


def section(data: ReportData) -> Section:
    """Return value tiers, RFM segments and the movement of the month."""
    name, facts, value = "Segments", data.segments, data.value
    if value is None:
        return Section("segments", name, "No segments this month", {"missing": why_no_predictions(data)})
    moved = facts.tier_movement
    if moved is None:
        top = next((one for one in facts.tiers if one.segment == VALUE_SEGMENTS[0]), None)
        headline = (
            f"{wording.quantity(top.customers, 'customer')} in the top tier hold {wording.percent(top.value_share, 0)} "
            "of the predicted value"
            if top
            else "Customers by value and by habit"
        )
    else:
        headline = (
            f"{wording.quantity(moved.rose, 'customer')} rose to a higher value tier, {wording.count(moved.fell)} "
            "fell to a lower one"
        )
    content = {
        "missing": "",
        "currency": data.settings.currency,
        "horizon": wording.months(data.horizon),
        "compared": facts.compared,
        "before": wording.month_name(data.month.shift(-1)),
        "tiers": [
            _row(one, _tier_meaning(data).get(one.segment, ""), _p_alive(value, one.segment), _amounts(facts.tiers))
            for one in facts.tiers
        ],
        "rfm": [_row(one, RFM_MEANINGS.get(one.segment, ""), "", _amounts(facts.rfm)) for one in facts.rfm],
        "matrix": _matrix(facts.moves) if facts.compared else {},
        "rfm_moves": _rfm_moves(data) if facts.compared else [],
    }
    return Section("segments", name, headline, content, _pictures(data))


def _tier_meaning(data: ReportData) -> dict[str, str]:
    tiers = data.settings.segments
    return {
        "top": f"the top {wording.share(tiers.top)} of customers",
        "high": f"from there to {wording.share(tiers.high)}",
        "middle": f"from there to {wording.share(tiers.middle)}",
        "low": "the rest",
    }


def _p_alive(value: ValueFacts, segment: str) -> str:
    found = next((one.p_alive for one in value.segments if one.name == segment), None)
    return wording.NOTHING if found is None else wording.probability(found)


def _amounts(segments: Sequence[SegmentTotal]) -> Callable[[float | None], str]:
    return wording.amounts(max(one.value.expected for one in segments))


def _row(one: SegmentTotal, meaning: str, p_alive: str, amount: Callable[[float | None], str]) -> dict[str, str]:
    before = one.customers_before
    change = wording.NOTHING if before is None else wording.signed(one.customers - before)
    low, high = one.value.low, one.value.high
    return {
        "name": one.segment,
        "meaning": meaning,
        "customers": wording.count(one.customers),
        "change": change,
        "customer_share": wording.percent(one.customer_share),
        "value": amount(one.value.expected),
        "range": f"{amount(low)} to {amount(high)}" if low is not None and high is not None else "",
        "value_share": wording.percent(one.value_share),
        "bar": f"{100 * min(max(one.value_share, 0.0), 1.0):.1f}",
        "each": wording.amount(one.value.expected / one.customers) if one.customers else wording.NOTHING,
        "p_alive": p_alive,
    }


def _matrix(moves: Sequence[Move]) -> dict[str, object]:
    """Arrange the value tiers' moves as rows of before and columns of now."""
    counted = {(move.before, move.now): move.customers for move in moves if move.scheme == VALUE}

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


def _rfm_moves(data: ReportData) -> list[dict[str, str]]:
    moved = [move for move in data.segments.moves if move.scheme == RFM and move.before != move.now]
    known = [move for move in moved if NEW not in (move.before, move.now) and move.now != GONE][:_LISTED]
    amount = wording.amounts(max((max(move.value_before, move.value_now) for move in known), default=0.0))
    return [
        {
            "before": move.before,
            "now": move.now,
            "customers": wording.count(move.customers),
            "value_before": amount(move.value_before),
            "value_now": amount(move.value_now),
        }
        for move in known
    ]


def _pictures(data: ReportData) -> tuple[Picture, ...]:
    facts = data.segments
    found = []
    if facts.tiers:
        shares = ", ".join(
            f"{one.segment} {wording.percent(one.customer_share, 0)} of customers and "
            f"{wording.percent(one.value_share, 0)} of value"
            for one in facts.tiers
        )
        rows = [(one.segment, one.customers, one.value.expected) for one in facts.tiers]
        found.append(
            Picture(
                "Customers and value by tier",
                svg(segments_figure(rows), "tiers", f"Shares of the value tiers: {shares}."),
                "Tiers are set by the predicted value of each customer, so that their sizes are given and their "
                "shares of value are the finding.",
            )
        )
    moved = facts.tier_movement
    if moved is not None:
        found.append(
            Picture(
                "Where each tier's customers came from",
                svg(
                    movement_figure(facts.moves),
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
