"""What the checks of earlier predictions make of an evaluation."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest

from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.tables import checks_of
from cltv_assets.tables.check import audit
from cltv_assets.tables.holdout_evaluation.columns import HOLDOUT_EVALUATION
from cltv_assets.tables.month_run import MonthRun

MONTH = Month.parse("2012-06")
ORIGIN = {h: MONTH.shift(-h).first_day for h in (3, 6)}


def row(metric: str, model: str, value: float, target: str = "purchases", h: int = 3, customers: int = 10_000):
    return {
        "origin_month": ORIGIN[h], "horizon_months": h, "target": target, "model_name": model, "metric": metric,
        "value": value, "customers": customers,
    }  # fmt: skip


def table(rows) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=HOLDOUT_EVALUATION.arrow)


@pytest.fixture
def verdict(engine, shop_settings, tmp_path: Path):
    """Judge rows by one check, earlier months' rows lying in the lake."""

    def judge(name, rows, earlier=()):
        lake = Lake(str(tmp_path / "lake"))
        published = lake.table(HOLDOUT_EVALUATION)
        published.ensure()
        for month, before in earlier:
            staging = published.begin(month)
            engine.write(engine.from_arrow(table(before)), HOLDOUT_EVALUATION, staging.new_file())
            published.publish(staging.seal())
        settings = shop_settings(start_month="2010-01", end_month="2012-06", horizons_months=(3, 6))
        written = engine.from_arrow(table(rows))
        run = MonthRun(MONTH, settings, engine, lake, None, {HOLDOUT_EVALUATION.name: written})
        (wanted,) = [check for check in checks_of([3, 6])[HOLDOUT_EVALUATION.name] if check.name == name]
        return audit(written, [wanted], run)[0].verdict

    return judge


@pytest.mark.parametrize(
    "name", ["beats_naive", "bias_within_bounds", "coverage_as_promised", "totals_within_interval"]
)
def test_nothing_due_is_nothing_wrong(verdict, name):
    found = verdict(name, [])
    assert found.passed
    assert "No earlier" in found.message


def test_a_smaller_mean_absolute_error_alone_does_not_beat_the_model(verdict):
    # Predicting nothing for everyone has the smallest one where most customers buy nothing.
    rows = [row("rmse", "m", 1.0), row("mae", "m", 0.6), row("rmse", "naive_rate", 1.2), row("mae", "naive_rate", 0.4)]
    assert verdict("beats_naive", rows).passed


@pytest.mark.parametrize("naive", ["naive_rate", "last_year"])
def test_either_rule_of_thumb_beats_the_model_at_any_horizon(verdict, naive):
    other = {"naive_rate": "last_year", "last_year": "naive_rate"}[naive]
    rows = [row("rmse", "m", 1.0, h=h) for h in (3, 6)] + [row("rmse", other, 2.0, h=h) for h in (3, 6)]
    rows += [row("rmse", naive, 2.0), row("rmse", naive, 0.9, h=6)]
    found = verdict("beats_naive", rows)
    assert not found.passed
    assert f"{naive} predicted purchases 6 months ahead better" in found.message
    assert "0.900" in found.message
    assert f"{other} predicted" not in found.message


def test_as_good_as_a_rule_of_thumb_or_worse_than_the_nbd_is_told_only(verdict):
    rows = [
        row("rmse", "m", 1.0),
        row("rmse", "naive_rate", 0.985),
        row("rmse", "last_year", 2.0),
        row("rmse", "nbd", 0.8),
    ]
    found = verdict("beats_naive", rows)
    assert found.passed
    assert "nbd 0.800" in found.message
    assert found.facts["purchases_rmse_over_nbd_3m"] == 1.25


@pytest.mark.parametrize(("gini", "passed"), [(0.7, False), (0.605, True), (0.5, True)])
def test_for_revenue_a_rule_must_also_have_ordered_better(verdict, gini, passed):
    rows = [row("rmse", "m", 1.0), row("rmse", "last_year", 2.0)]
    rows += [row("rmse", "m", 90.0, "revenue"), row("rmse", "last_year", 60.0, "revenue")]
    rows += [row("normalised_gini", "m", 0.6, "revenue"), row("normalised_gini", "last_year", gini, "revenue")]
    assert verdict("beats_naive", rows).passed is passed


@pytest.mark.parametrize(
    ("share", "customers", "passed"),
    [(0.76, 10_000, True), (0.73, 10_000, False), (0.73, 100, True), (0.5, 100, False)],
)
def test_coverage_is_held_against_its_promise_as_far_as_customers_allow(verdict, share, customers, passed):
    rows = [row("interval_coverage", "m", 0.9), row("interval_coverage", "m", share, "revenue", customers=customers)]
    found = verdict("coverage_as_promised", rows)
    assert found.passed is passed
    assert f"{share:.1%}" in found.message


def total(actual: float, h: int = 3):
    values = {"total_low": 90.0, "total_actual": actual, "total_high": 110.0}
    return [row(name, "m", value, h=h) for name, value in values.items()]


def test_one_total_outside_is_no_warning(verdict):
    found = verdict("totals_within_interval", total(150.0))
    assert found.passed
    assert found.facts == {"inside": 0, "totals": 1}


@pytest.mark.parametrize(("inside", "passed"), [(2, False), (3, True)])
def test_totals_of_the_months_before_are_counted_too(verdict, inside, passed):
    earlier = [(MONTH.shift(-k), total(100.0 if k <= inside else 200.0)) for k in range(1, 6)]
    # Too long ago to count; and a baseline has no interval.
    earlier += [(MONTH.shift(-12), total(100.0))]
    found = verdict("totals_within_interval", [*total(89.0), row("total_actual", "naive_rate", 89.0)], earlier)
    assert found.facts == {"inside": inside, "totals": 6}
    assert found.passed is passed


def test_a_miss_beyond_bounds_warns_with_its_number(verdict):
    found = verdict(
        "bias_within_bounds", [row("relative_bias", "m", 0.62, "revenue", 6), row("relative_bias", "nbd", 3.0)]
    )
    assert not found.passed
    assert "revenue 6 months +62%" in found.message
    assert "300%" not in found.message


def test_an_origin_of_another_month_is_wrong(verdict):
    assert verdict("origins_match", [row("mae", "m", 1.0)]).passed
    assert not verdict("origins_match", [row("mae", "m", 1.0) | {"origin_month": dt.date(2012, 2, 1)}]).passed
