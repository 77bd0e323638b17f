"""Segments and movement: the page's numbers against sums over the customers, and counts by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.figures.value import movement_figure
from cltv_assets.report import ReportData, collect, problems, render
from cltv_assets.report.data import segments_of
from cltv_assets.report.sections.segments import RFM_MEANINGS
from cltv_assets.tables.segment_movement import Movement
from cltv_assets.tables.segmentation import RFM_SEGMENTS
from cltv_assets_tests.report.reading import Page, drawn_bars
from cltv_assets_tests.report.small_shop import TIERS, Shop


def test_value_tiers(page: str, shop: Shop) -> None:
    total = sum(customer.value for customer in shop.customers)
    rows = Page(page).table("Value tiers, by predicted value")
    assert [row[0].split()[0] for row in rows] == list(TIERS)
    assert rows[0][0] == "top the top 5% of customers"
    for row, tier in zip(rows, TIERS, strict=True):
        inside = [customer for customer in shop.customers if customer.segment == tier]
        value = sum(customer.value for customer in inside)
        # small_shop: two customers fewer a month before, intervals a tenth to both sides.
        assert row[1:3] == [str(len(inside)), "+2"]
        assert row[3] == f"{len(inside) / len(shop.customers):.1%}"
        assert row[4] == f"{value:,.2f} {value * 0.9:,.2f} to {value * 1.1:,.2f}"
        assert row[5] == f"{value / total:.1%}"
        assert row[6] == f"{value / len(inside):,.2f}"
        assert row[7] == f"{sum(c.p_alive for c in inside) / len(inside):.3f}"


def test_rfm_segments_stand_by_value_a_customer_and_in_plain_words(page: str, shop: Shop) -> None:
    rows = Page(page).table("RFM segments")
    found = {row[0]: row for row in rows}
    assert f"champions {RFM_MEANINGS['champions']}" in found
    names = ["champions", "lost", "loyal"]

    def each(name: str) -> float:
        inside = [customer.value for customer in shop.customers if customer.rfm == name]
        return sum(inside) / len(inside)

    assert [row[0] for row in rows] == [
        f"{name} {RFM_MEANINGS[name]}" for name in sorted(names, key=each, reverse=True)
    ]


def test_every_rfm_segment_has_a_meaning() -> None:
    assert set(RFM_MEANINGS) == set(RFM_SEGMENTS)


def test_movement_by_hand(data: ReportData) -> None:
    """MOVES of small_shop: 3 + 4 rose, 2 + 1 fell, 7 stayed, 5 new, 6 gone."""
    assert data.segments.moves.tiers == Movement(rose=7, fell=3, stayed=7, new=5, gone=6)


def test_the_page_tells_who_moved(page: str) -> None:
    reader = Page(page)
    assert "7 customers rose to a higher value tier, 3 fell to a lower one" in reader.text("segments")
    assert reader.table("Value tiers: from March 1997") == [
        ["top", "7", "2", "0", "0", "0"],
        ["high", "3", "0", "0", "1", "0"],
        ["middle", "0", "0", "0", "0", "6"],
        ["low", "0", "0", "4", "0", "0"],
        ["new", "0", "0", "0", "5", "0"],
    ]
    assert reader.table("Largest moves between RFM") == [["champions", "at risk", "4", "40.00", "80.00"]]


def test_a_first_month_has_nobody_to_compare(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    facts = collect(shop.changed(moves={("new", tier): 15 for tier in TIERS}).run(engine, lake))
    assert facts.segments.moves.tiers is None
    page = render(facts)
    assert problems(page, facts) == []
    assert "told from the second month on" in Page(page).text("segments")
    assert "rose" not in Page(page).text("segments")


def test_no_rows_are_no_segments(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    run = shop.run(engine, lake)
    for name in ("segment_summary", "segment_movement"):
        run.inputs[name] = run.inputs[name].limit(0)  # type: ignore[index]
    facts = collect(run)
    assert facts.segments == segments_of([], [], 3)
    assert problems(render(facts), facts) == []


@pytest.mark.parametrize(
    ("tier", "shares"),
    [("top", [7 / 10, 3 / 10, 0, 0]), ("high", [0, 0, 1, 0]), ("middle", [0, 1, 0, 0]), ("low", [0, 0, 1 / 6, 5 / 6])],
)
def test_the_movement_picture_stacks_to_the_whole(data: ReportData, tier: str, shares: list[float]) -> None:
    place = TIERS.index(tier)
    bars = [
        bar
        for bar in drawn_bars(movement_figure(data.segments.moves.into_tiers))
        if abs(bar.get_x() + bar.get_width() / 2 - place) < 0.1
    ]
    # Stayed, rose, fell, new.
    assert [bar.get_height() for bar in bars] == pytest.approx(shares)
    assert [bar.get_y() for bar in bars] == pytest.approx([sum(shares[:i]) for i in range(4)])
