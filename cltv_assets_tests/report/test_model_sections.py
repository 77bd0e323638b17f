"""What the page says of the models, against rows written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.figures.models import candidates_figure, seasonality_figure
from cltv_assets.report import ReportData, collect, problems, render
from cltv_assets.tables.purchase_model.highlights import comparison
from cltv_assets_tests.report.reading import Page, drawn_bars, drawn_lines
from cltv_assets_tests.report.small_shop import BG_NBD, NOT_FITTED, STATUS, Shop

DASH = "\N{EN DASH}"
PARETO = {**STATUS, "model_name": "pareto_nbd", "r": 0.5, "alpha": 30.0, "s": 0.6, "beta": 80.0}
SEASONS = {f"season_{n:02d}": 0.8 for n in range(1, 13)} | {"season_12": 3.2}
JUDGED = {"holdout_folds": 3, "holdout_log_score": -0.5123, "holdout_deficit": 0.0, "holdout_deficit_se": None}


def judged(shop: Shop, **changes: Any) -> Shop:
    """A month whose candidates were held against rolling holdouts."""
    reason = "bg_nbd is within noise of pareto_nbd, and the default"
    return shop.changed(
        purchase={
            **STATUS,
            **BG_NBD,
            **JUDGED,
            "holdout_deficit": 0.0012,
            "holdout_deficit_se": 0.0015,
            "holdout_bias": -0.071,
            "choice_reason": reason,
            **changes,
        },
        null={**STATUS, "r": 0.3, "alpha": 40.0, "aic": 2400.0, **JUDGED, "holdout_deficit": 0.02},
        others=(
            {**PARETO, **JUDGED, "aic": 2001.0},
            {**BG_NBD, **STATUS, **JUDGED, **SEASONS, "seasonality": "monthly", "holdout_deficit": 0.004},
            {"model_name": "mbg_nbd", **NOT_FITTED, "aic": None, "log_likelihood": None},
        ),
    )


@pytest.fixture
def month(engine: DuckDBEngine, lake: Path, shop: Shop) -> ReportData:
    return collect(judged(shop).run(engine, lake))


def test_the_choice_is_explained(month: ReportData) -> None:
    page = render(month)
    assert problems(page, month) == []
    text = Page(page).text("models")
    assert "Why this purchase model: BG/NBD is within noise of Pareto/NBD, and the default." in text
    assert "Judged by 3 rolling holdouts inside the history" in text


def test_candidates_stand_chosen_first_then_by_holdout(month: ReportData) -> None:
    rows = Page(render(month)).table("Candidate purchase models")
    assert [row[0].split(" ")[0:3] for row in rows] == [
        ["BG/NBD", "predicts;", "fitted"],
        ["Pareto/NBD", "fitted"],
        ["BG/NBD", "with", "seasons"],
        ["NBD", "fitted"],
        ["MBG/NBD", "not", "fitted."],
    ]
    assert rows[0][1:] == [
        "1.20 ± 1.50",
        "\N{MINUS SIGN}7.1%",
        "\N{MINUS SIGN}0.5123",
        "\N{MINUS SIGN}1,000.5",
        "2,009.0",
    ]
    assert rows[3][1] == "20.00"
    assert rows[4][1:] == [DASH] * 5


def test_the_comparison_is_drawn_with_its_errors(month: ReportData) -> None:
    found = comparison(month.models.candidates)
    assert found is not None
    rows, what, _ = found
    # Whoever could not be fitted has no place in the picture.
    assert [name for name, *_ in rows] == ["Pareto/NBD", "BG/NBD", "BG/NBD with seasons", "NBD"]
    assert [distance for _, distance, _, _ in rows] == pytest.approx([0.0, 1.2, 4.0, 20.0])
    assert [chosen for *_, chosen in rows] == [False, True, False, False]
    lines = drawn_lines(candidates_figure(rows, what))
    assert any(places == pytest.approx([-0.3, 2.7]) for places, _ in lines if len(places) == 2)


def test_without_holdouts_they_are_told_apart_by_aic(data: ReportData, page: str) -> None:
    found = comparison(data.models.candidates)
    assert found is not None
    assert [(name, distance) for name, distance, _, _ in found[0]] == [("BG/NBD", 0.0), ("NBD", 391.0)]
    assert "too short for holdouts" in Page(page).text("models")


def test_one_model_is_no_comparison(data: ReportData) -> None:
    assert comparison(data.models.candidates[:1]) is None


def test_parameters_have_their_errors(page: str) -> None:
    reader = Page(page)
    rows = next(rows for rows in reader.tables.values() if rows[0][:2] == ["Parameter", "Estimate"])
    assert rows[1][:4] == ["r", "0.4", "0.013", DASH]
    assert rows[2][:4] == ["alpha", "25", "not identified", "days"]
    assert "5.84 repeat purchases a year" in reader.text("models")  # 0.4 / 25 * 365.25
    assert "24.2% on average" in reader.text("models")  # 0.8 / 3.3


def test_seasons_are_drawn_and_named(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    facts = collect(judged(shop, seasonality="monthly", **SEASONS).run(engine, lake))
    page = render(facts)
    assert problems(page, facts) == []
    text = Page(page).text("models")
    assert "December is the busiest with 3.20, January the quietest with 0.80" in text
    assert "BG/NBD with seasons and Gamma-Gamma predict" in text
    index = facts.models.purchase.seasonal_index
    assert index is not None
    assert [bar.get_height() for bar in drawn_bars(seasonality_figure(index))] == [0.8] * 11 + [3.2]


def test_a_model_of_regular_purchases_is_put_in_words(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    reason = "mbg_cnbd_4 predicted best, ahead of bg_cnbd_4; set purchase_model to mbg_cnbd_k to keep it"
    facts = collect(judged(shop, model_name="mbg_cnbd_4", k=4, regularity=4.2, choice_reason=reason).run(engine, lake))
    page = render(facts)
    assert problems(page, facts) == []
    text = Page(page).text("models")
    assert "MBG/CNBD-4 predicted best, ahead of BG/CNBD-4; set purchase_model to mbg_cnbd_k" in text
    assert "1.46 repeat purchases a year" in text  # 0.4 / 25 / 4 * 365.25
    assert "deviate from their mean by 50%" in text  # 1 / sqrt(4)
    assert "any purchase, the first one included" in text
    by_chance = collect(judged(shop, k=1, regularity=1.7).run(engine, lake))
    assert "The regularity of purchases is 1.70; by chance it is 1" in Page(render(by_chance)).text("models")


def test_no_seasons_are_no_picture(page: str) -> None:
    assert "quietest" not in page


def test_a_change_of_model_is_told(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    before = {**PARETO, "seasonality": "none"}
    shop.changed(purchase=before).publish(engine, lake, facts_before(), ("purchase_model",))
    text = Page(render(collect(shop.run(engine, lake)))).text("todo")
    assert "The model changed from Pareto/NBD to BG/NBD" in text


def test_the_same_model_is_no_change(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    shop.publish(engine, lake, facts_before(), ("purchase_model",))
    text = Page(render(collect(shop.run(engine, lake)))).text("todo")
    assert "No new customer came" in text
    assert "model" not in text


def facts_before() -> Any:
    from cltv_assets_tests.report.made_rows import NOW

    return NOW.shift(-1)
