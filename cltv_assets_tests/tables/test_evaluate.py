"""Evaluations where something is missing, small or odd."""

from __future__ import annotations

import datetime as dt
import importlib.util
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cltv_assets.lake import Lake
from cltv_assets.models.purchase.registry import model_named
from cltv_assets.models.sufficient_statistics import Patterns
from cltv_assets.months import Month
from cltv_assets.tables.holdout_evaluation.columns import HOLDOUT_EVALUATION
from cltv_assets.tables.holdout_evaluation.evaluate import past_evaluations
from cltv_assets_tests.tables.small_holdout import day, evaluated, nbd_row, prediction, run_of

MONTH = Month.parse("2012-06")
MODEL = "bg_nbd+gamma_gamma"


@pytest.fixture
def look(engine, shop_settings):
    """Evaluate June 2012 of a shop with horizons of three and six months."""

    def evaluate(predictions, days=(), models=(), segments=(), **changes):
        settings = shop_settings(start_month="2010-01", end_month="2012-06", horizons_months=(3, 6), **changes)
        return evaluated(run_of(engine, settings, MONTH, predictions, days, models, segments))

    return evaluate


def test_without_predictions_there_is_nothing_to_evaluate(look):
    days = [day("a", dt.date(2012, 5, 1))]
    assert look([], days) == {}
    assert look([], days, [nbd_row(MONTH.shift(-3), 1.0, 30.0)]) == {}


def test_an_origin_without_predictions_leaves_the_other(look):
    found = look([prediction(MONTH.shift(-6), "a")], [day("a", dt.date(2012, 5, 1))])
    assert {key[0] for key in found} == {6}
    assert {key[2] for key in found} == {MODEL, "naive_rate", "last_year"}


def test_each_origin_goes_by_its_own_model_and_its_own_nbd(look):
    predictions = [
        prediction(MONTH.shift(-3), "a", model_name="pareto_nbd+gamma_gamma"),
        prediction(MONTH.shift(-6), "a", model_name="nbd+gamma_gamma"),
    ]
    models = [
        nbd_row(MONTH.shift(-3), 1.0, 100.0),
        # With seasons the clock is another: not the null model meant here.
        nbd_row(MONTH.shift(-3), 9.0, 9.0, seasonality="monthly"),
        nbd_row(MONTH.shift(-6), None, None, status="not_fitted"),
    ]
    found = look(predictions, [], models)
    names = {(h, name) for h, _, name, _ in found}
    assert names == {
        (3, "pareto_nbd+gamma_gamma"), (3, "nbd"), (3, "naive_rate"), (3, "last_year"),
        (6, "nbd+gamma_gamma"), (6, "naive_rate"), (6, "last_year"),
    }  # fmt: skip
    # April to June have 91 days: (1 + 2) / (100 + 100) x 91, worth 10 each.
    assert found[3, "purchases", "nbd", "total_predicted"] == pytest.approx(3 / 200 * 91, rel=1e-9)
    assert found[3, "revenue", "nbd", "total_predicted"] == pytest.approx(3 / 200 * 91 * 10, rel=1e-9)


def test_one_customer_is_every_tenth(look):
    found = look([prediction(MONTH.shift(-3), "a")], [day("a", dt.date(2012, 4, 1)), day("a", dt.date(2012, 6, 30))])
    assert found[3, "purchases", MODEL, "total_actual"] == 2
    assert [found[3, "purchases", MODEL, f"decile_{i:02}_actual"] for i in range(1, 11)] == pytest.approx([2.0] * 10)
    assert found[3, "purchases", MODEL, "top_decile_capture"] == pytest.approx(0.1)
    # There is no order of one.
    assert (3, "purchases", MODEL, "normalised_gini") not in found


def test_where_nothing_was_bought_what_is_not_defined_has_no_row(look):
    found = look([prediction(MONTH.shift(-3), c) for c in "abc"], [day("a", dt.date(2012, 3, 31))])
    metrics = {metric for _, _, name, metric in found if name == MODEL}
    assert not metrics & {"relative_bias", "normalised_gini", "top_decile_capture"}
    assert found[3, "purchases", MODEL, "total_actual"] == 0
    assert found[3, "purchases", MODEL, "rmse"] == pytest.approx(1.5)
    assert all(math.isfinite(value) for value in found.values())


def test_customers_who_came_later_are_in_no_figure(look):
    found = look([prediction(MONTH.shift(-3), "a")], [day("new", dt.date(2012, 4, 1)), day("a", dt.date(2012, 4, 1))])
    assert found[3, "purchases", MODEL, "total_actual"] == 1


def test_last_year_is_the_plain_sum_of_twelve_months_pro_rata(look):
    days = [
        day("a", dt.date(2011, 3, 31), "999"),
        day("a", dt.date(2011, 4, 1), "100"),
        day("a", dt.date(2012, 3, 31), "50", "6"),
        day("a", dt.date(2012, 4, 1), "7"),
    ]
    found = look([prediction(MONTH.shift(-3), "a")], days)
    # 91 days of April to June; April 2011 to March 2012 has 366.
    assert found[3, "purchases", "last_year", "total_predicted"] == pytest.approx(2 * 91 / 366, rel=1e-9)
    assert found[3, "revenue", "last_year", "total_predicted"] == pytest.approx(144 * 91 / 366, rel=1e-9)


def test_totals_carry_the_interval_told_at_the_origin(look):
    origin = MONTH.shift(-3)
    row = {
        "month": origin.first_day, "scheme": "all", "segment": "all", "horizon_months": 3,
        "expected_purchases": 3.0, "expected_purchases_low": 1.0, "expected_purchases_high": 6.0,
        "expected_value": 13.5, "expected_value_low": 4.5, "expected_value_high": 27.0,
    }  # fmt: skip
    others = [
        row | {"scheme": "value", "segment": "top", "expected_purchases_low": 9.0},
        row | {"horizon_months": 6, "expected_purchases_low": 9.0},
        row | {"month": MONTH.shift(-6).first_day, "expected_purchases_low": 9.0},
    ]
    found = look([prediction(origin, "a"), prediction(origin, "b")], [], [], [row, *others])
    ends = {
        target: [found[3, target, MODEL, f"total_{end}"] for end in ("low", "high")]
        for target in ("purchases", "revenue")
    }
    assert ends["purchases"] == [1.0, 6.0]
    # Spend of 30 was told as a value of 13.5.
    assert ends["revenue"] == pytest.approx([10.0, 60.0], rel=1e-9)
    assert (3, "purchases", "naive_rate", "total_low") not in found


def test_earlier_evaluations_are_one_series_whatever_the_model_was_called(engine, shop_settings, tmp_path: Path):
    lake = Lake(str(tmp_path / "lake"))
    table = lake.table(HOLDOUT_EVALUATION)
    table.ensure()
    for month, name in (
        (MONTH.shift(-1), "b+g"),
        (MONTH.shift(-2), "a+g"),
        (MONTH, "now+g"),
        (MONTH.shift(-30), "x+g"),
    ):
        rows = [
            {
                "origin_month": month.shift(-3).first_day, "horizon_months": 3, "target": "purchases",
                "model_name": model, "metric": "mae", "value": 1.0, "customers": 5,
            }
            for model in (name, "naive_rate", "nbd")
        ]  # fmt: skip
        staging = table.begin(month)
        made = pa.Table.from_pylist(rows, schema=HOLDOUT_EVALUATION.arrow)
        engine.write(engine.from_arrow(made), HOLDOUT_EVALUATION, staging.new_file())
        table.publish(staging.seal())
    settings = shop_settings(start_month="2009-01", end_month="2012-06")
    run = run_of(engine, settings, MONTH, [], [], lake=str(tmp_path / "lake"))
    past = past_evaluations(run)
    assert past is not None
    found = [(row["month"], row["contender"], row["model_name"]) for row in engine.collect(past).to_pylist()]
    may, april = MONTH.shift(-1).first_day, MONTH.shift(-2).first_day
    assert found == [
        (april, "model", "a+g"), (may, "model", "b+g"), (april, "naive_rate", "naive_rate"),
        (may, "naive_rate", "naive_rate"), (april, "nbd", "nbd"), (may, "nbd", "nbd"),
    ]  # fmt: skip
    assert (
        past_evaluations(run_of(engine, settings, MONTH.shift(-29), [], [], lake=str(tmp_path / "lake")), 24)
        is not None
    )
    assert past_evaluations(run_of(engine, settings, MONTH.shift(-30), [], [], lake=str(tmp_path / "lake"))) is None


def test_the_published_sample_gives_the_known_errors(engine, shop_settings):
    """CDNOW's 1/10 sample in weeks, 39 weeks ahead: MAE, RMSE and bias known from other implementations."""
    spec = importlib.util.find_spec("lifetimes")
    assert spec is not None
    assert spec.origin is not None
    origin, last = Month.parse("1997-09"), Month.parse("1998-06")
    bought: dict[str, dict[dt.date, float]] = defaultdict(lambda: defaultdict(float))
    for line in (Path(spec.origin).parent / "datasets/CDNOW_sample.txt").read_text().splitlines()[1:]:
        _, customer, on, _, amount = line.split()
        bought[customer][dt.datetime.strptime(on, "%Y%m%d").date()] += float(amount)
    predictions, days = [], []
    for customer, spent in bought.items():
        known = sorted(on for on in spent if on <= origin.last_day)
        recency, age = ((end - known[0]).days / 7 for end in (known[-1], origin.last_day))
        row = prediction(origin, customer, (9,), frequency=len(known) - 1, recency=recency, T=age)
        predictions.append(row)
        days += [day(customer, on, f"{amount:.2f}") for on, amount in spent.items()]
    patterns = Patterns(*(np.array([row[name] for row in predictions]) for name in ("frequency", "recency", "T")))
    published = {"r": 0.2425945, "alpha": 4.4136019, "a": 0.7929199, "b": 2.4258881}
    expected = model_named("bg_nbd").expected_purchases(published, patterns, np.array([39.0]))[:, 0]
    for row, purchases in zip(predictions, expected, strict=True):
        row["expected_purchases_9m"] = float(purchases)
    settings = shop_settings(start_month="1997-01", end_month="1998-06", horizons_months=(9,), time_unit="week")
    found = evaluated(run_of(engine, settings, last, predictions, days))
    known_errors = {MODEL: (0.7855, 1.6080, -0.122), "naive_rate": (1.0237, 2.2119, 0.557)}
    for name, (mae, rmse, bias) in known_errors.items():
        values = [found[9, "purchases", name, metric] for metric in ("mae", "rmse", "relative_bias")]
        assert values == pytest.approx([mae, rmse, bias], abs=6e-4)
    assert found[9, "purchases", MODEL, "total_actual"] == 1882


def test_of_predictions_without_money_only_purchases_are_judged(look):
    money = ("expected_order_value", *(f"cltv_{h}m{end}" for h in (3, 6) for end in ("", "_low", "_high")))
    poor = prediction(MONTH.shift(-3), "a", **dict.fromkeys(money), model_name="bg_nbd+none")
    rich = prediction(MONTH.shift(-6), "a")
    interval = {"scheme": "all", "segment": "all", "expected_purchases_low": 1.0, "expected_purchases_high": 4.0}
    said = [{"month": MONTH.shift(-h).first_day, "horizon_months": h, **interval} for h in (3, 6)]
    days = [day("a", dt.date(2012, 5, 1)), day("b", dt.date(2012, 5, 1))]
    found = look([poor, rich], days, [nbd_row(MONTH.shift(-3), 1.0, 100.0)], said)
    assert {(h, target) for h, target, _, _ in found} == {(3, "purchases"), (6, "purchases"), (6, "revenue")}
    assert found[3, "purchases", "bg_nbd+none", "interval_coverage"] == 1.0
    assert found[3, "purchases", "bg_nbd+none", "total_high"] == 4.0
    # The same as with money.
    rich_too = look([poor | prediction(MONTH.shift(-3), "a"), rich], days, [nbd_row(MONTH.shift(-3), 1.0, 100.0)], said)
    for (h, target, name, metric), value in found.items():
        assert rich_too[h, target, name.replace("none", "gamma_gamma"), metric] == value
