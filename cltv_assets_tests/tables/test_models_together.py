"""Predictions and totals of models that predict together, from the rows of ``purchase_model``."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.purchase_model.reading import holdout_error, holdout_errors
from cltv_assets_tests.tables.test_segment_tables import (
    JUNE,
    PURCHASE,
    customers,
    month_run,
    predicted,
    segmented,
    table,
)
from cltv_assets_tests.tables.test_segment_tables import engine as engine

NULL = PURCHASE | {"model_name": "nbd", "role": "comparison", "a": None, "b": None, "r": 0.4, "alpha": 50.0}


def missed(*errors: float) -> dict:
    """Return the columns of a model whose totals were off by ``errors`` in three rolling holdouts."""
    months = ("2010-09", "2010-12", "2011-03")
    return {
        "holdout_folds": 3,
        "holdout_total_error": float(np.sqrt(np.mean(np.square(errors)))),
        "holdout_errors": json.dumps(dict(zip(months, errors, strict=True))),
    }


ERRORS = missed(0.1, 0.1, 0.1)


def run_of(engine, tmp_path, *rows: dict) -> MonthRun:
    run = month_run(engine, tmp_path, JUNE, customers(200, JUNE.last_day), rows[0])
    run.inputs[PURCHASE_MODEL.name] = engine.from_arrow(table(PURCHASE_MODEL, rows))
    return run


def by_customer(run: MonthRun) -> dict[str, np.ndarray]:
    made = predicted(run).sort_by("customer_id")
    return {name: np.array(made[name].to_pylist()) for name in ("p_alive", "expected_purchases_6m", "cltv_6m")}


def test_predictions_are_weighted_and_named_after_the_models(engine, tmp_path):
    rows = [PURCHASE | {"weight": 0.7}, NULL | {"weight": 0.3}]
    run = run_of(engine, tmp_path, *rows)
    together = by_customer(run)
    one = by_customer(run_of(engine, tmp_path, PURCHASE))
    other = by_customer(run_of(engine, tmp_path, NULL | {"role": "chosen"}))
    for name, values in together.items():
        assert values == pytest.approx(0.7 * one[name] + 0.3 * other[name], rel=1e-9)
    assert together["p_alive"].min() > 0.3
    assert set(predicted(run)["model_name"].to_pylist()) == {"mbg_nbd+nbd+gamma_gamma"}


def test_a_comparison_without_weight_changes_nothing(engine, tmp_path):
    alone = by_customer(run_of(engine, tmp_path, PURCHASE | {"weight": 1.0}, NULL | {"weight": 0.0}))
    # Months of earlier versions have no weights.
    before = by_customer(run_of(engine, tmp_path, PURCHASE, NULL))
    for name, values in alone.items():
        assert (values == before[name]).all()


def test_totals_of_models_together_add_up_and_are_less_certain(engine, tmp_path):
    def base(*rows: dict) -> dict:
        run = run_of(engine, tmp_path, *rows)
        found, _, failed = segmented(run, (JUNE, predicted(run)))
        assert failed == []
        return next(row for row in found if row["scheme"] == "all" and row["horizon_months"] == 6)

    one, other = base(PURCHASE | ERRORS), base(NULL | {"role": "chosen"} | ERRORS)
    both = base(PURCHASE | ERRORS | {"weight": 0.7}, NULL | ERRORS | {"weight": 0.3})
    assert both["expected_purchases"] == pytest.approx(
        0.7 * one["expected_purchases"] + 0.3 * other["expected_purchases"], rel=1e-6
    )

    def width(row: dict) -> float:
        return row["expected_purchases_high"] - row["expected_purchases_low"]

    assert width(both) > max(width(one), width(other))
    # A model that missed its totals by more makes the mixture's wider, by its weight; misses to both sides cancel.
    worse = base(PURCHASE | ERRORS | {"weight": 0.7}, NULL | missed(0.5, 0.5, 0.5) | {"weight": 0.3})
    assert width(worse) > 1.1 * width(both)
    cancelled = base(PURCHASE | ERRORS | {"weight": 0.7}, NULL | missed(-0.2, -0.2, -0.2) | {"weight": 0.3})
    assert width(cancelled) < width(both)


def test_errors_of_models_together_are_weighted_holdout_by_holdout():
    rows = [missed(0.1, 0.2, -0.1) | {"weight": 0.7}, missed(-0.2, 0.2, 0.5) | {"weight": 0.3}]
    assert list(holdout_errors(rows).values()) == pytest.approx([0.01, 0.2, 0.08])
    assert holdout_error(rows) == pytest.approx(np.sqrt((0.01**2 + 0.2**2 + 0.08**2) / 3))
    # A holdout that one of them has not is none of the mixture.
    rows[1] |= {"holdout_errors": '{"2010-12": 0.4}'}
    assert holdout_errors(rows) == pytest.approx({"2010-12": 0.26})
    # Rows of earlier versions know no single errors.
    assert holdout_error([missed(0.1, 0.1, 0.4) | {"holdout_errors": None}]) == pytest.approx(np.sqrt(0.06))
