"""What a new customer is worth: shops of known parameters, other models, and months without this or that."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.figures import wording
from cltv_assets.models.choosing.histories import OperationalTime
from cltv_assets.models.choosing.older_base import Populations
from cltv_assets.months import Month
from cltv_assets.tables import checks_of, new_customer_value
from cltv_assets.tables.check import audit
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.new_customer_value.columns import NEW_CUSTOMER_VALUE
from cltv_assets.tables.new_customer_value.highlights import month_highlights
from cltv_assets.tables.new_customer_value.make import rows_of
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.purchase_model.older_customers import populations_json
from cltv_assets.tables.spend_model.columns import SPEND_MODEL
from cltv_assets_tests.tables.new_customers import ROW, Channel, by_key, run_of, settings_of, simulate

END, HORIZONS = Month.parse("2012-12"), (3, 6, 12)
START = dt.date(2010, 1, 1)
SHOP = Channel("all", 3000)
#: The shop's own parameters, as if they had been fitted.
TRUE = {
    **ROW, "model_name": "bg_nbd", "status": "fitted", "r": SHOP.r, "alpha": SHOP.alpha, "a": SHOP.a, "b": SHOP.b,
    "log_covariance": json.dumps({"r": {"r": 0.001, "alpha": 0.0}, "alpha": {"r": 0.0, "alpha": 0.001}}),
}  # fmt: skip
#: A mean first order of 28, where later ones are of 40, and a margin of a half.
FIRST, MARGIN = 28.0, 0.5


@pytest.fixture(scope="module")
def engine():
    opened = DuckDBEngine()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def shop() -> pa.Table:
    return simulate([SHOP], START, END.last_day, seed=1)[0]


@pytest.fixture(scope="module")
def known(engine, shop) -> MonthRun:
    """Return a run by the shop's own parameters, with the months that horizons began with."""
    return run_of(engine, shop, END, settings_of(), *HORIZONS, row=TRUE)


def truth(channel: Channel, horizon: int) -> tuple[float, float]:
    """Return the orders of a new customer, and the value."""
    repeats = channel.repeats(END.days_to_end_of(horizon))
    return 1 + repeats, MARGIN * channel.order * (channel.first + repeats)


def changed(run: MonthRun, name: str, *rows: dict[str, Any], schema=PURCHASE_MODEL) -> MonthRun:
    """Return a run with other rows in one of its tables, in every month."""
    every = []
    for month in (END, *(END.shift(-h) for h in HORIZONS)):
        blank: dict[str, Any] = {column.name: None for column in schema.columns}
        every += [blank | row | {"month": month.first_day} for row in rows]
    table = run.engine.from_arrow(pa.Table.from_pylist(every, schema=schema.arrow_with_month))
    return replace(run, inputs={**run.inputs, name: table})


def failing(run: MonthRun, rows: list[dict[str, Any]]) -> dict[str, str]:
    table = run.engine.from_arrow(pa.Table.from_pylist(rows, schema=NEW_CUSTOMER_VALUE.arrow))
    found = audit(table, checks_of(HORIZONS)[NEW_CUSTOMER_VALUE.name], run)
    return {one.check.name: one.verdict.message for one in found if not one.verdict.passed}


def test_orders_are_the_closed_form_and_value_is_made_of_both_orders(known):
    found = by_key(known)
    (spend,) = [
        row for row in known.engine.collect(known.inputs[SPEND_MODEL.name]).to_pylist() if row["month"] == END.first_day
    ]
    repeat = spend["p"] * spend["v"] / (spend["q"] - 1)
    assert set(found) == {("all", h) for h in HORIZONS}
    for h in HORIZONS:
        row = found["all", h]
        repeats = SHOP.repeats(END.days_to_end_of(h))
        assert row["expected_orders"] == pytest.approx(1 + repeats, rel=1e-9)
        assert row["repeat_order_value"] == pytest.approx(repeat, rel=1e-9)
        assert row["expected_value"] == pytest.approx(MARGIN * (row["first_order_value"] + repeats * repeat), rel=1e-9)
        # The first order is worth its nominal value; a month's later ones are discounted from its middle.
        present = before = 0.0
        for k in range(1, h + 1):
            end, begin = END.days_to_end_of(k), END.days_to_end_of(k - 1)
            total = SHOP.repeats(end)
            present += (total - before) * 1.1 ** (-(begin + end) / 2 / 365.25)
            before = total
        discounted = MARGIN * (row["first_order_value"] + present * repeat)
        assert row["discounted_value"] == pytest.approx(discounted, rel=1e-9)
        assert row["own_ratio"] is row["own_weight"] is None
    assert failing(known, rows_of(known)) == {}


def test_first_orders_are_those_of_the_last_twelve_months(known, shop):
    first: dict[str, tuple[dt.date, float]] = {}
    for row in shop.to_pylist():
        first.setdefault(row["customer_id"], (dt.date.max, 0.0))
        first[row["customer_id"]] = min(first[row["customer_id"]], (row["purchase_day"], float(row["spend"])))
    newest = sorted(spend for day, spend in first.values() if day.year == 2012)
    # The largest counts as the next largest.
    newest[-1] = newest[-2]
    row = by_key(known)["all", 3]
    assert row["customers"] == len(newest)
    assert row["first_order_value"] == pytest.approx(np.mean(newest), rel=1e-9)
    assert row["first_order_value_se"] == pytest.approx(np.std(newest, ddof=1) / len(newest) ** 0.5, rel=1e-6)
    assert row["last_acquired"] == max(day for day, _ in first.values())
    december = sum((day.year, day.month) == (2012, 12) for day, _ in first.values())
    assert row["cohort_customers"] == december > 0


@pytest.mark.slow
def test_a_fitted_shop_is_valued_at_its_truth(engine):
    """Biases of orders and value over three shops; each one's true mean lies inside the interval."""
    biases = []
    for seed in (11, 12, 13):
        days, _ = simulate([replace(SHOP, customers=5000)], START, END.last_day, seed)
        found = by_key(run_of(engine, days, END, settings_of()))
        for h in HORIZONS:
            orders, value = truth(SHOP, h)
            row = found["all", h]
            assert row["expected_orders_low"] < orders < row["expected_orders_high"]
            assert row["expected_value_low"] < value < row["expected_value_high"]
            biases.append((row["expected_orders"] / orders - 1, row["expected_value"] / value - 1))
    assert np.abs(np.mean(biases, axis=0)).max() < 0.03


def test_the_interval_holds_chance_parameters_ratio_and_the_models_error(known):
    def width(run: MonthRun, name: str = "expected_orders") -> float:
        row = by_key(run)["all", 12]
        return row[f"{name}_high"] - row[f"{name}_low"]

    sure = changed(known, PURCHASE_MODEL.name, TRUE | {"log_covariance": None, "holdout_folds": 0})
    unsure = changed(known, PURCHASE_MODEL.name, TRUE | {"holdout_folds": 0})
    wrong = changed(known, PURCHASE_MODEL.name, TRUE | {"holdout_total_error": 0.3})
    assert 0 < width(sure) < width(unsure) < width(known) < width(wrong)
    assert width(known, "expected_value") < width(wrong, "expected_value")
    # By chance alone: simulated customers, and the mean of a cohort as large as December's.
    rng = np.random.default_rng(2)
    n, days = 400_000, END.days_to_end_of(12)
    counts = np.zeros(n)
    rate, stop = rng.gamma(SHOP.r, 1 / SHOP.alpha, n), rng.beta(SHOP.a, SHOP.b, n)
    at, alive = rng.exponential(1 / rate), np.ones(n, dtype=bool)
    while (buying := alive & (at <= days)).any():
        counts[buying] += 1
        alive &= ~buying | (rng.random(n) >= stop)
        at = at + np.where(buying, rng.exponential(1 / rate), 0.0)
    size = by_key(known)["all", 12]["cohort_customers"]
    assert width(sure) == pytest.approx(2 * 1.2816 * counts.std() / size**0.5, rel=0.02)
    # Of value: both orders' variances, and twice their covariance, by the moments of the Gamma-Gamma model.
    p, q, v = 6.0, 4.0, 20.0
    spend = {
        "model_name": "gamma_gamma",
        "role": "chosen",
        "status": "fitted",
        "p": p,
        "q": q,
        "v": v,
        "customers": 900,
    }
    row = by_key(changed(sure, SPEND_MODEL.name, spend, schema=SPEND_MODEL))["all", 12]
    again = counts.mean() * p * v / (q - 1)
    later = (p**2 * (counts**2).mean() + p * counts.mean()) * v**2 / ((q - 1) * (q - 2)) - again**2
    of_mean = row["first_order_value_se"] ** 2
    together = 2 * row["first_order_value"] * again / (q - 2)
    variance = (of_mean * row["customers"] + later + together) / size + of_mean
    wanted = 2 * 1.2816 * MARGIN * variance**0.5
    assert row["expected_value_high"] - row["expected_value_low"] == pytest.approx(wanted, rel=0.015)


def test_holdouts_compare_what_was_said_with_what_came(known, shop):
    found = by_key(known)
    bought: dict[str, list[tuple[dt.date, float]]] = {}
    for row in shop.to_pylist():
        bought.setdefault(row["customer_id"], []).append((row["purchase_day"], float(row["spend"])))
    for h in HORIZONS:
        origin = END.shift(-h)

        def cohort(month: Month, months: int = h) -> tuple[int, float, float]:
            days = month.days_to_end_of(months)
            mine = [sorted(each) for each in bought.values() if Month.of(min(each)[0]) == month]
            kept = [[s for day, s in each if (day - each[0][0]).days <= days] for each in mine]
            orders = sum(map(len, kept)) / len(kept)
            return len(kept), orders, MARGIN * sum(map(sum, kept)) / len(kept)

        n, orders, value = cohort(origin)
        row = found["all", h]
        assert row["holdout_customers"] == n > 50
        assert row["holdout_actual_orders"] == pytest.approx(orders)
        assert row["holdout_actual_value"] == pytest.approx(value)
        assert row["holdout_naive_value"] == pytest.approx(cohort(origin.shift(-h))[2])
        # What this table says when it is made for that month.
        inputs = {
            name: t.filter(t.month <= origin.first_day) if "month" in t.columns else t
            for name, t in known.inputs.items()
        }
        then = by_key(MonthRun(origin, known.settings, known.engine, known.lake, known.source, inputs))["all", h]
        assert row["holdout_predicted_orders"] == then["expected_orders"]
        assert row["holdout_predicted_value"] == then["expected_value"]


def test_months_before_the_first_have_no_holdout(engine, shop):
    run = run_of(engine, shop, END, settings_of(), 3, row=TRUE)
    found = by_key(run)
    assert found["all", 3]["holdout_customers"] > 50
    assert {found["all", 6].get(name) for name in ("holdout_customers", "holdout_actual_value")} == {None}
    assert failing(run, rows_of(run)) == {}


def test_a_missed_holdout_is_warned_of(known):
    rows = rows_of(known)
    assert "holdout_near" not in failing(known, rows)
    for row in rows:
        row["holdout_customers"] = 400
        row["holdout_predicted_orders"] = 1 + 1.6 * (row["holdout_actual_orders"] - 1)
    assert "beyond checks.holdout_bias (50%)" in failing(known, rows)["holdout_near"]
    # Of few customers it is chance.
    assert failing(known, [row | {"holdout_customers": 99} for row in rows]) == {}


CHANNELS = (
    Channel("search", 2000, r=1.0, alpha=55.0, order=50.0),
    Channel("social", 2500),
    Channel("deals", 2000, r=0.35, alpha=70.0, b=1.6, order=28.0),
    Channel("print", 60, r=1.4),
)


@pytest.fixture(scope="module")
def by_channel(engine) -> dict[tuple[str, int], dict[str, Any]]:
    days, attributes = simulate(CHANNELS, START, END.last_day, seed=4)
    return by_key(run_of(engine, days, END, settings_of()), attributes)


def test_channels_are_ranked_and_drawn_towards_all(by_channel):
    names = ("search", "social", "deals")
    # Few customers have no rows of their own.
    assert set(by_channel) == {(name, h) for name in ("all", *names) for h in HORIZONS}
    for h in HORIZONS:
        every = by_channel["all", h]
        values = [by_channel[name, h]["expected_value"] for name in names]
        orders = [by_channel[name, h]["expected_orders"] for name in names]
        assert values == sorted(values, reverse=True)
        assert orders == sorted(orders, reverse=True)
        for channel in CHANNELS[:3]:
            row = by_channel[channel.name, h]
            factor = (row["expected_orders"] - 1) / (every["expected_orders"] - 1)
            assert min(1.0, row["own_ratio"]) <= factor <= max(1.0, row["own_ratio"])
            assert 0.6 < row["own_weight"] < 1
            true_orders, true_value = truth(channel, h)
            assert row["expected_orders"] == pytest.approx(true_orders, rel=0.08)
            assert row["expected_value"] == pytest.approx(true_value, rel=0.1)
            if channel.name != "social":
                # Closer than the figure of all.
                assert abs(row["expected_value"] - true_value) < abs(every["expected_value"] - true_value) / 3
    # The mean of the channels, by customers, is that of all.
    row = by_channel["all", 12]
    weights = [by_channel[name, 12]["customers"] for name in names]
    mean = np.average([by_channel[name, 12]["expected_orders"] for name in names], weights=weights)
    assert mean == pytest.approx(row["expected_orders"], rel=0.03)


def test_channels_that_are_alike_are_valued_alike(engine):
    days, attributes = simulate(
        [replace(SHOP, name=name, customers=900) for name in "abc"], START, END.last_day, seed=9
    )
    found = by_key(run_of(engine, days, END, settings_of(), row=TRUE), attributes)
    for name in "abc":
        for h in HORIZONS:
            row, every = found[name, h], found["all", h]
            own = abs(row["own_ratio"] - 1)
            factor = (row["expected_orders"] - 1) / (every["expected_orders"] - 1)
            assert abs(factor - 1) <= 0.5 * own
            assert row["expected_value"] == pytest.approx(every["expected_value"], rel=0.06)


def test_the_season_is_that_of_the_months_ahead(known):
    season = [0.6] * 3 + [1.0] * 6 + [1.4] * 3
    row = TRUE | {"seasonality": "monthly"} | {f"season_{i + 1:02d}": s for i, s in enumerate(season)}
    found = by_key(changed(known, PURCHASE_MODEL.name, row))
    clock = OperationalTime(season, 1)
    for h in HORIZONS:
        end, until = (np.array([month.last_day], dtype="datetime64[D]") for month in (END, END.shift(h)))
        ahead = float(clock.elapsed(end, until)[0])
        assert found["all", h]["expected_orders"] == pytest.approx(1 + SHOP.repeats(ahead), rel=1e-9)
    assert found["all", 3]["expected_orders"] < by_key(known)["all", 3]["expected_orders"]


def test_models_predict_together_and_regular_ones_too(known):
    mbg = TRUE | {"model_name": "mbg_cnbd_3", "k": 3, "alpha": 20.0}
    alone = by_key(changed(known, PURCHASE_MODEL.name, mbg))
    run = changed(
        known, PURCHASE_MODEL.name, TRUE | {"weight": 0.7}, mbg | {"role": "comparison", "weight": 0.3},
        TRUE | {"model_name": "nbd", "role": "comparison", "weight": 0.0},
    )  # fmt: skip
    found, one = by_key(run), by_key(known)
    for h in HORIZONS:
        wanted = 0.7 * one["all", h]["expected_orders"] + 0.3 * alone["all", h]["expected_orders"]
        assert found["all", h]["expected_orders"] == pytest.approx(wanted, rel=1e-9)
    # MBG: a new customer may have left at once, so fewer come back than by BG with the same parameters.
    as_bg = by_key(changed(known, PURCHASE_MODEL.name, mbg | {"model_name": "bg_cnbd_3"}))
    assert alone["all", 12]["expected_orders"] < as_bg["all", 12]["expected_orders"]
    assert failing(run, rows_of(run)) == {}


def test_of_two_populations_the_new_ones_count(known):
    newer = {"r": 0.3, "alpha": 90.0, "a": 0.8, "b": 2.5}
    two = Populations(
        "bg_nbd", np.datetime64("2009-12-31"), {"r": 3.0, "alpha": 60.0, "a": 0.5, "b": 4.0}, newer, 900, 2
    )
    found = by_key(changed(known, PURCHASE_MODEL.name, TRUE | {"populations": populations_json(two)}))
    for h in HORIZONS:
        wanted = Channel("", 0, **newer).repeats(END.days_to_end_of(h))
        assert found["all", h]["expected_orders"] == pytest.approx(1 + wanted, rel=1e-9)


@pytest.mark.parametrize(
    "change", [{"status": "not_fitted", "r": None, "alpha": None, "a": None, "b": None}, {"truncated": True}]
)
def test_without_a_model_of_new_customers_there_are_no_rows(known, change):
    run = changed(known, PURCHASE_MODEL.name, TRUE | change)
    assert rows_of(run) == []
    assert run.engine.collect(new_customer_value.TABLE.make(run)).num_rows == 0
    assert failing(run, []) == {}
    # Rows that stay out although there is a model are no good month.
    assert "orders_from_probabilities" in failing(known, [])


def test_without_a_spend_model_orders_are_predicted_all_the_same(known):
    spend = {"model_name": "gamma_gamma", "role": "chosen", "status": "not_fitted"}
    run = changed(known, SPEND_MODEL.name, spend, schema=SPEND_MODEL)
    rows = rows_of(run)
    found = {row["horizon_months"]: row for row in rows}
    assert found[12]["expected_orders"] == by_key(known)["all", 12]["expected_orders"]
    assert found[12]["holdout_actual_orders"] > 1
    assert found[12]["first_order_value"] == pytest.approx(FIRST, rel=0.1)
    for name in ("repeat_order_value", "expected_value", "discounted_value", "holdout_predicted_value", "gross_margin"):
        assert found[12].get(name) is None
    assert failing(run, rows) == {}


def test_order_values_that_depend_on_frequency_are_the_observed_ones(known, shop):
    (spend,) = [
        row for row in known.engine.collect(known.inputs[SPEND_MODEL.name]).to_pylist() if row["month"] == END.first_day
    ]
    run = changed(known, SPEND_MODEL.name, spend | {"by_frequency": True, "doubling": 1.2}, schema=SPEND_MODEL)
    bought: dict[str, list[tuple[dt.date, float]]] = {}
    for row in shop.to_pylist():
        bought.setdefault(row["customer_id"], []).append((row["purchase_day"], float(row["spend"])))
    later = [spend for each in bought.values() if min(each)[0].year == 2012 for _, spend in sorted(each)[1:]]
    assert by_key(run)["all", 12]["repeat_order_value"] == pytest.approx(np.mean(later), rel=1e-9)


def test_a_trend_that_goes_on_is_in_later_months(known):
    (spend,) = [
        row for row in known.engine.collect(known.inputs[SPEND_MODEL.name]).to_pylist() if row["month"] == END.first_day
    ]
    rising = spend | {"value_trend": 0.5, "value_trend_use": "goes_on", "value_trend_months": 24}
    plain, found = by_key(known), by_key(changed(known, SPEND_MODEL.name, rising, schema=SPEND_MODEL))
    for h, most in ((3, 1.5 ** (3 / 12)), (12, 1.5)):
        first = MARGIN * plain["all", h]["first_order_value"]
        ratio = (found["all", h]["expected_value"] - first) / (plain["all", h]["expected_value"] - first)
        assert most**0.3 < ratio < most


def test_customers_who_pay_one_price_pay_it_again(known):
    price = {
        "model_name": "gamma_gamma", "role": "chosen", "status": "boundary", "p": 1e4, "q": 1e4 + 1, "v": 55.0,
        "prices": 3, "customers": 900, "patterns": 3, "excluded_customers": 0,
    }  # fmt: skip
    row = by_key(changed(known, SPEND_MODEL.name, price, schema=SPEND_MODEL))["all", 12]
    assert row["repeat_order_value"] == row["first_order_value"]
    assert row["expected_value"] == pytest.approx(MARGIN * row["first_order_value"] * row["expected_orders"], rel=1e-9)
    assert row["expected_value_low"] < row["expected_value"] < row["expected_value_high"]


def test_where_nobody_came_for_a_year_the_newest_year_with_customers_counts(engine, shop):
    later = Month.parse("2014-06")
    row = by_key(run_of(engine, shop, later, settings_of(), row=TRUE))["all", 12]
    assert row["last_acquired"].year == 2012
    assert row["customers"] > 800
    # The mean month of that year.
    assert row["cohort_customers"] == -(-row["customers"] // 12)
    assert row["first_order_value"] == pytest.approx(FIRST, rel=0.1)
    assert row["expected_value"] > 0


def test_what_the_ui_shows(known):
    rows = rows_of(known)
    # The longest horizon has no holdout yet: all lines of a table have the same columns all the same.
    rows[-1] = {name: value for name, value in rows[-1].items() if not name.startswith("holdout_")}
    table = pa.Table.from_pylist(rows, schema=NEW_CUSTOMER_VALUE.arrow)
    run = replace(known, inputs={**known.inputs, NEW_CUSTOMER_VALUE.name: known.engine.from_arrow(table)})
    found = month_highlights(run)
    assert found.numbers["value_of_a_new_customer_12m_USD"] == round(rows[-1]["expected_value"], 2)
    assert found.numbers["first_orders_of"] == rows[0]["customers"]
    lines, _ = found.tables["new_customer"]
    assert len({tuple(line) for line in lines}) == 1
    assert lines[0]["came"] == wording.amount(rows[0]["holdout_actual_value"])
    assert lines[-1]["came"] == wording.NOTHING
    none = replace(run, inputs={**run.inputs, NEW_CUSTOMER_VALUE.name: run.engine.from_arrow(table.slice(0, 0))})
    assert month_highlights(none).tables == {}


def test_planted_faults_of_longer_horizons_and_of_orders_block(known):
    rows = rows_of(known)
    less = [
        row | ({"expected_value": 1.0, "discounted_value": 1.0} if row["horizon_months"] == 12 else {}) for row in rows
    ]
    assert set(failing(known, less)) == {"horizons_rise"}
    more = [row | {"expected_orders": row["expected_orders"] * 1.001} for row in rows]
    assert set(failing(known, more)) == {"orders_from_probabilities"}
