"""What the Dagster UI shows of a month: numbers against the customers, pictures that are small."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.tables import TABLES
from cltv_assets.tables.highlights import Highlights
from cltv_assets_tests.report.made_rows import HORIZONS
from cltv_assets_tests.report.small_shop import BG_NBD, STATUS, TIERS, Shop
from cltv_assets_tests.report.test_model_sections import SEASONS, judged

#: Dagster's database keeps every one of them.
MOST_BYTES = 60_000


def made(table: str, shop: Shop, engine: DuckDBEngine, lake: Path) -> Highlights:
    [highlights] = [one.highlights for one in TABLES if one.name == table]
    assert highlights is not None
    return highlights(shop.run(engine, lake))


@pytest.mark.parametrize(
    ("table", "pictures"),
    [
        ("purchase_model", {"repeat_purchases", "candidates", "seasonality"}),
        ("cltv_predictions", {"value_by_segment", "concentration"}),
        ("segment_movement", {"movement"}),
        ("cohort_value", {"retention", "value_by_age"}),
        ("holdout_evaluation", {"predicted_and_actual", "calibration"}),
    ],
)
def test_pictures(engine: DuckDBEngine, lake: Path, shop: Shop, table: str, pictures: set[str]) -> None:
    found = made(table, judged(shop, seasonality="monthly", **SEASONS), engine, lake)
    assert found.pictures.keys() == pictures
    for draw, says in found.pictures.values():
        png = draw()
        assert len(png) < MOST_BYTES
        assert says.endswith(".")
        pixels = matplotlib.image.imread(io.BytesIO(png), format="png")
        # Something is drawn in colour: black text alone leaves no difference between the channels.
        assert (abs(pixels[..., 0] - pixels[..., 2]) > 0.3).mean() > 0.001


def test_the_chosen_model_and_why(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    found = made("purchase_model", judged(shop), engine, lake)
    assert found.numbers["model"] == "BG/NBD"
    assert found.numbers["why_this_model"] == "BG/NBD is within noise of Pareto/NBD, and the default."
    parameters = {name: found.numbers[name] for name in BG_NBD}
    assert parameters == BG_NBD
    assert "holdout_deficit" not in found.numbers


def test_a_model_that_was_not_fitted_still_shows_who_came_back(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    found = made("purchase_model", shop.without_models(), engine, lake)
    assert found.numbers["status"] == "not_fitted"
    assert "repeat_purchases" in found.pictures


def test_totals_with_their_intervals(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    found = made("segment_summary", shop, engine, lake)
    total = sum(customer.value for customer in shop.customers)
    for h in HORIZONS:
        value = total * h / HORIZONS[-1]
        assert found.numbers[f"expected_value_{h}m_EUR"] == pytest.approx(value, abs=0.01)
        assert found.numbers[f"expected_value_{h}m_low_EUR"] == pytest.approx(0.9 * value, abs=0.01)
        assert found.numbers[f"expected_value_{h}m_high_EUR"] == pytest.approx(1.1 * value, abs=0.01)
    assert len(found.tables["totals"][0]) == len(HORIZONS)


def test_movement(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    found = made("segment_movement", shop, engine, lake)
    assert found.numbers == {"rose": 7, "fell": 3, "stayed": 7, "new": 5, "gone": 6}


def test_cohorts(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    found = made("cohort_value", shop, engine, lake)
    cohorts = sorted({one.cohort for one in shop.customers})
    assert [row["first purchase"] for row in found.tables["cohorts"][0]] == ["Jan 1997", "Feb 1997", "Mar 1997"]
    for row, cohort in zip(found.tables["cohorts"][0], cohorts, strict=True):
        inside = [one for one in shop.customers if one.cohort == cohort]
        assert row["customers"] == str(len(inside))
        spent = sum(one.spend * len(one.days) for one in inside) / len(inside)
        assert row["margin, EUR, a customer so far"] == f"{spent:,.2f}"
    poor = made("cohort_value", shop.without_money(), engine, lake)
    # What came so far is known without a spend model, what will come is not.
    assert poor.tables["cohorts"][0][0]["with the next 3\N{NO-BREAK SPACE}months"] == "\N{EN DASH}"


@pytest.mark.parametrize(
    ("table", "changes"),
    [
        ("segment_movement", {"moves": {("new", tier): 15 for tier in TIERS}}),
        ("segment_movement", {"predicted": False}),
        ("segment_summary", {"predicted": False}),
        ("cltv_predictions", {"predicted": False}),
        ("cohort_value", {"customers": ()}),
        ("holdout_evaluation", {"holdout": ()}),
    ],
)
def test_what_is_not_there_is_not_drawn(
    engine: DuckDBEngine, lake: Path, shop: Shop, table: str, changes: dict[str, Any]
) -> None:
    assert made(table, shop.changed(**changes), engine, lake).pictures == {}


def test_a_pareto_model_has_its_own_parameters(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    own = {"r": 0.5, "alpha": 30.0, "s": 0.6, "beta": 80.0}
    pareto = {**STATUS, **dict.fromkeys(BG_NBD), "model_name": "pareto_nbd", **own}
    numbers = made("purchase_model", shop.changed(purchase=pareto), engine, lake).numbers
    assert {name: numbers.get(name) for name in ("r", "alpha", "s", "beta", "a")} == {**own, "a": None}


def test_a_month_without_money_shows_purchases(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    poor = shop.without_money()
    found = made("cltv_predictions", poor, engine, lake)
    purchases = sum(one.value for one in shop.customers) / 12.5
    assert found.numbers["expected_purchases_3m"] == pytest.approx(purchases, abs=0.01)
    assert not [name for name in found.numbers if "value" in name]
    assert found.pictures.keys() == {"value_by_segment"}
    assert found.pictures["value_by_segment"][0]().startswith(b"\x89PNG")
    assert found.tables["segments"][0][0].keys() == {
        "segment", "customers", "mean P(alive)", "expected purchases, 3\N{NO-BREAK SPACE}months"
    }  # fmt: skip
    assert not [name for name in made("segment_summary", poor, engine, lake).numbers if "value" in name]
