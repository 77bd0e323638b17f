"""The base and its segments in total, and who moved between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.segment_movement import SEGMENT_MOVEMENT
from cltv_assets.tables.segment_summary import SEGMENT_SUMMARY
from cltv_assets.tables.segmentation import GONE, NEW, VALUE_SEGMENTS

#: The schemes of ``segment_summary``.
BASE, VALUE, RFM = "all", "value", "rfm"


@dataclass(frozen=True)
class Range:
    """An expectation with the ends of its 80 % interval."""

    expected: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class SegmentTotal:
    """One segment over one horizon.

    Parameters
    ----------
    segment : str
    horizon : int
        Months ahead.
    customers : int
    customers_before : int or None
        A month earlier; ``None`` without that month.
    customer_share, value_share : float
        Of the whole base; the value's share is 0 where nothing is expected.
    purchases, value : Range
        Of all its customers together.
    """

    segment: str
    horizon: int
    customers: int
    customers_before: int | None
    customer_share: float
    value_share: float
    purchases: Range
    value: Range


@dataclass(frozen=True)
class Move:
    """Customers who were in one segment a month ago and are in another, or the same, now."""

    scheme: str
    before: str
    now: str
    customers: int
    value_before: float
    value_now: float


@dataclass(frozen=True)
class Movement:
    """Value tiers between two months, in five numbers."""

    rose: int
    fell: int
    stayed: int
    new: int
    gone: int


@dataclass(frozen=True)
class Segments:
    """What ``segment_summary`` and ``segment_movement`` hold of the month.

    Parameters
    ----------
    base : mapping of int to SegmentTotal
        The whole base, by horizon.
    tiers : tuple of SegmentTotal
        Value tiers from the top, longest horizon.
    rfm : tuple of SegmentTotal
        RFM segments, the largest expected value a customer first, longest horizon.
    moves : tuple of Move
    """

    base: Mapping[int, SegmentTotal]
    tiers: tuple[SegmentTotal, ...]
    rfm: tuple[SegmentTotal, ...]
    moves: tuple[Move, ...]

    @property
    def compared(self) -> bool:
        """Whether there was a month before to compare with."""
        return any(move.before != NEW for move in self.moves)

    @property
    def tier_movement(self) -> Movement | None:
        """Value tiers' movement in five numbers; ``None`` without a month before."""
        if not self.compared:
            return None
        counted = {"rose": 0, "fell": 0, "stayed": 0, "new": 0, "gone": 0}
        for move in self.moves:
            if move.scheme == VALUE:
                counted[direction(move)] += move.customers
        return Movement(**counted)


def direction(move: Move) -> str:
    """Return how a move between value tiers went: rose, fell, stayed, new or gone."""
    if move.before == NEW:
        return "new"
    if move.now == GONE:
        return "gone"
    before, now = tier_place(move.before), tier_place(move.now)
    return "stayed" if before == now else ("rose" if now < before else "fell")


def tier_place(name: str) -> int:
    """Return a value tier's place, 0 being the top."""
    return VALUE_SEGMENTS.index(name) if name in VALUE_SEGMENTS else len(VALUE_SEGMENTS)


def segment_facts(run: MonthRun) -> Segments:
    """Bring both small tables here."""
    rows = run.engine.collect(run.inputs[SEGMENT_SUMMARY.name]).to_pylist()
    moves = run.engine.collect(run.inputs[SEGMENT_MOVEMENT.name]).to_pylist()
    return segments_of(rows, moves, run.settings.horizons_months[-1])


def segments_of(rows: Sequence[Mapping[str, Any]], moves: Sequence[Mapping[str, Any]], horizon: int) -> Segments:
    """Arrange rows of the two tables.

    Parameters
    ----------
    rows : sequence of mapping
        ``segment_summary``.
    moves : sequence of mapping
        ``segment_movement``.
    horizon : int
        The one that segments are shown for.
    """
    totals = [(row["scheme"], _total(row)) for row in rows]
    shown = [(scheme, total) for scheme, total in totals if total.horizon == horizon]
    return Segments(
        base={total.horizon: total for scheme, total in totals if scheme == BASE},
        tiers=tuple(
            sorted(
                (total for scheme, total in shown if scheme == VALUE),
                key=lambda one: (tier_place(one.segment), one.segment),
            )
        ),
        rfm=tuple(
            sorted(
                # Nobody there now and nobody before: nothing to say of it.
                (total for scheme, total in shown if scheme == RFM and (total.customers or total.customers_before)),
                key=lambda one: (-one.value.expected / max(one.customers, 1), one.segment),
            )
        ),
        moves=tuple(
            sorted(
                (
                    Move(
                        row["scheme"],
                        row["from_segment"],
                        row["to_segment"],
                        row["customers"],
                        row["value_before"] or 0.0,
                        row["value_now"] or 0.0,
                    )
                    for row in moves
                    if row["customers"]
                ),
                key=lambda one: (one.scheme, -one.customers, one.before, one.now),
            )
        ),
    )


def _total(row: Mapping[str, Any]) -> SegmentTotal:
    def ends(what: str) -> Range:
        return Range(row[f"expected_{what}"] or 0.0, row[f"expected_{what}_low"], row[f"expected_{what}_high"])

    return SegmentTotal(
        row["segment"],
        row["horizon_months"],
        row["customers"],
        row["customers_before"],
        row["share_of_customers"] or 0.0,
        row["share_of_value"] or 0.0,
        ends("purchases"),
        ends("value"),
    )
