"""Totals under other assumptions: equal to the tables by the configured ones, and to a month made by the others."""

from __future__ import annotations

import numpy as np
import pytest

from cltv_assets.tables import segment_summary
from cltv_assets.tables.cltv_predictions import predict
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.scenario import Scenario, scenario_rows, scenarios_of
from cltv_assets.tables.segment_summary import SEGMENT_SUMMARY
from cltv_assets_tests.tables.test_models_together import ERRORS, NULL, run_of
from cltv_assets_tests.tables.test_segment_tables import (
    HORIZONS,
    JUNE,
    PURCHASE,
    SEASONAL,
    SPEND,
    customers,
    month_run,
    predicted,
    segmented,
    with_month,
)
from cltv_assets_tests.tables.test_segment_tables import engine as engine

CONFIGURED = Scenario(0.1, None)
FIGURES = tuple(f"expected_{what}{end}" for what in ("purchases", "value") for end in ("", "_low", "_high"))


def read(run: MonthRun) -> MonthRun:
    """Put a month's predictions among the inputs, as the lake holds them, and return the run."""
    run.inputs["cltv_predictions"] = run.engine.from_arrow(predicted(run))
    return run


def by_segment(rows) -> dict:
    return {(row["scheme"], row["segment"], row["horizon_months"]): row for row in rows}


def same(found, wanted) -> None:
    """Compare with sums of single customers, each of which the table rounds to four decimals of money."""
    assert found.keys() == wanted.keys()
    for key, row in found.items():
        assert row["customers"] == wanted[key]["customers"]
        for name in FIGURES:
            if wanted[key][name] is None:
                assert row[name] is None
            else:
                rounding = 5e-5 * max(row["customers"], 2)
                assert row[name] == pytest.approx(wanted[key][name], rel=1e-9, abs=rounding), (key, name)


MONTHS = {
    "one model": lambda engine, path: month_run(engine, path, JUNE, customers(300, JUNE.last_day), PURCHASE | ERRORS),
    "a season": lambda engine, path: month_run(engine, path, JUNE, customers(300, JUNE.last_day), SEASONAL),
    "two models": lambda engine, path: run_of(engine, path, PURCHASE | {"weight": 0.7}, NULL | {"weight": 0.3}),
    "no money": lambda engine, path: month_run(
        engine, path, JUNE, customers(300, JUNE.last_day), PURCHASE, SPEND | {"status": "not_fitted", "p": None}
    ),
    "one price": lambda engine, path: month_run(
        engine, path, JUNE, customers(300, JUNE.last_day), PURCHASE,
        SPEND | {"p": 1e4, "q": 1e4 + 1, "v": 12.0, "prices": 2, "customers": 90, "status": "boundary"},
    ),
    "own margins": lambda engine, path: month_run(
        engine, path, JUNE,
        [row | {"gross_margin": 0.1 + 0.001 * i} for i, row in enumerate(customers(300, JUNE.last_day))], PURCHASE,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", MONTHS)
def test_the_configured_scenario_is_the_months_own(engine, tmp_path, kind):
    run = read(MONTHS[kind](engine, tmp_path))
    made = predicted(run)
    found = by_segment(scenario_rows(run, CONFIGURED, HORIZONS))
    for h in HORIZONS:
        row = found["all", "all", h]
        purchases, value = (made[f"{name}_{h}m"].to_pylist() for name in ("expected_purchases", "cltv"))
        assert row["expected_purchases"] == pytest.approx(sum(purchases), rel=1e-9)
        if kind == "no money":
            assert row["expected_value"] is None
        else:
            assert row["expected_value"] == pytest.approx(sum(value), rel=1e-7)
        tiers = [found["value", tier, h]["expected_purchases"] for tier in ("top", "high", "middle", "low")]
        assert sum(tiers) == pytest.approx(sum(purchases), rel=1e-9)
        assert min(tiers) > 0
    summary, _, failed = segmented(run, (JUNE, made))
    assert failed == []
    same(found, by_segment(summary))


@pytest.mark.parametrize("kind", ["one model", "a season", "own margins"])
def test_other_assumptions_are_what_a_month_made_by_them_holds(engine, tmp_path, kind):
    run = read(MONTHS[kind](engine, tmp_path))
    horizons = (1, 6, 36)
    found = by_segment(scenario_rows(run, Scenario(0.25, 0.3), horizons))
    # The same month with these settings, but for tiers and margins, which are those of the stored predictions.
    changed = run.settings.model_copy(
        update={"horizons_months": horizons, "annual_discount_rate": 0.25, "gross_margin": 0.3}
    )
    rfm = run.inputs["rfm_summary"].drop("gross_margin")
    inputs = {**run.inputs, "rfm_summary": rfm.mutate(gross_margin=0.3)}
    other = MonthRun(run.month, changed, engine, run.lake, run.source, inputs)
    made = engine.collect(predict.make(other))
    stored = predicted(run).select(["customer_id", "value_segment"])
    made = made.drop_columns(["value_segment"]).join(stored, "customer_id")
    inputs["cltv_predictions"] = engine.from_arrow(with_month((JUNE, made)))
    summary = engine.collect(segment_summary.make(other)).select(list(SEGMENT_SUMMARY.column_names)).to_pylist()
    same(found, by_segment(summary))


def test_horizons_beyond_the_configured_ones_expect_more_and_rates_take_away(engine, tmp_path):
    run = read(MONTHS["one model"](engine, tmp_path))

    def value(rate: float, margin: float | None, horizon: int) -> float:
        (row,) = [r for r in scenario_rows(run, Scenario(rate, margin), (horizon,)) if r["scheme"] == "all"]
        assert row["expected_value_low"] < row["expected_value"] < row["expected_value_high"]
        return row["expected_value"]

    rising = [value(0.1, None, h) for h in (3, 6, 12, 60)]
    assert (np.diff(rising) > 0).all()
    assert value(0.3, None, 60) < value(0.1, None, 60) < value(0.0, None, 60)
    # The month's margin is a half.
    assert value(0.1, 0.25, 12) == pytest.approx(value(0.1, None, 12) / 2, rel=1e-9)


def test_every_combination_once_and_the_configured_one_first():
    found = scenarios_of(CONFIGURED, [0.1, 0.2], [None, 0.4])
    assert found == [CONFIGURED, Scenario(0.1, 0.4), Scenario(0.2, None), Scenario(0.2, 0.4)]
    assert scenarios_of(CONFIGURED, [], []) == [CONFIGURED]
