"""The step from purchase days to the rows of ``purchase_model``, on a shop with a season."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.lake import Lake
from cltv_assets.models.choosing.choice import choose_model
from cltv_assets.models.choosing.histories import OperationalTime
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import open_source
from cltv_assets.tables import rfm_summary
from cltv_assets.tables.fitted_models import SEASON_COLUMNS
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model import fit, reading
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets_tests.models.shops import CHRISTMAS, Shop, simulate, simulate_regular

MONTH = Month.parse("2003-10")


@pytest.fixture(scope="module")
def shop() -> Shop:
    return simulate(41, 1500, CHRISTMAS, years=3.0, acquired=2.6)


def purchase_days(shop: Shop) -> pa.Table:
    rows = zip(shop.customer.tolist(), shop.day.astype(object).tolist(), strict=True)
    return pa.Table.from_pylist(
        [
            {
                "customer_id": str(customer), "purchase_day": day, "order_count": 1, "line_count": 1,
                "spend": Decimal(10), "refunds": Decimal(0),
            }
            for customer, day in rows
        ],
        schema=PURCHASE_DAYS.arrow,
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(shop):
    """Return a function from settings to the rows of the month."""
    engine = DuckDBEngine()
    table = purchase_days(shop)

    def run(known: pa.Table = table, **changes):
        settings = Settings.model_validate({"start_month": "2001-01", "end_month": "2003-12", **changes})
        days = engine.from_arrow(known)
        month = MonthRun(MONTH, settings, engine, Lake("unused"), open_source(settings), {"purchase_days": days})
        month.inputs["rfm_summary"] = engine.cache(rfm_summary.make(month))
        rows = engine.collect(fit.make(month)).to_pylist()
        engine.release()
        return rows, settings

    yield run
    engine.close()


@pytest.fixture(scope="module")
def usual(made):
    return made()


def test_rows_are_the_choice_made_of_the_same_customers_counted_by_hand(usual, shop):
    rows, _ = usual
    end = str(MONTH.last_day)
    choice = choose_model(shop.histories(end), shop.folds(end), shop.counts(), "auto", "auto")
    assert [(row["model_name"], row["seasonality"], row["role"]) for row in rows] == [
        (one.name, "none" if one.index is None else "monthly", "chosen" if one is choice.chosen else "comparison")
        for one in (choice.chosen, *choice.others)
    ]
    for row, one in zip(rows, (choice.chosen, *choice.others), strict=True):
        assert row["log_likelihood"] == pytest.approx(one.fit.log_likelihood, rel=1e-9)
        assert row["holdout_folds"] == one.folds
        if one.standing is not None:
            assert row["holdout_log_score"] == pytest.approx(one.standing.log_score, rel=1e-6)
            assert row["holdout_bias"] == pytest.approx(one.standing.bias, rel=1e-5)
    assert rows[0]["choice_reason"] == choice.reason
    assert all(row["choice_reason"] is None for row in rows[1:])


def test_a_row_holds_the_fit_and_its_clock(usual, shop):
    rows, settings = usual
    end = str(MONTH.last_day)
    choice = choose_model(shop.histories(end), shop.folds(end), shop.counts(), "auto", "auto")
    assert choice.chosen.index is not None
    for row, one in zip(rows, (choice.chosen, *choice.others), strict=True):
        again = reading.purchase_fit(row)
        assert reading.purchase_fit(fit.contender_row(one)) == one.fit
        assert again.usable_parameters() == pytest.approx(one.fit.usable_parameters(), rel=1e-6)
        assert again.log_covariance.keys() == one.fit.log_covariance.keys()
        for name, line in one.fit.log_covariance.items():
            assert again.log_covariance[name] == pytest.approx(line, rel=1e-3, abs=1e-9)
            # The delta method: the standard error of a log is the relative one.
            assert again.standard_errors[name] == pytest.approx(again.parameters[name] * line[name] ** 0.5, rel=1e-3)
        clock = reading.operational_time(row, settings)
        mine = OperationalTime(one.index, 1)
        days = np.arange("2003-01-01", "2004-12-31", dtype="datetime64[D]")
        assert clock.elapsed(days[0], days) == pytest.approx(mine.elapsed(days[0], days), rel=1e-6)
        assert (row[SEASON_COLUMNS[11]] is not None) is (one.index is not None)


def test_weeks_are_sevenths_of_days(made, usual):
    daily, weekly = usual[0][0], made(time_unit="week")[0][0]
    assert weekly["model_name"] == daily["model_name"]
    assert weekly["alpha"] * 7 == pytest.approx(daily["alpha"], rel=1e-4)
    assert [weekly[name] for name in SEASON_COLUMNS] == pytest.approx(
        [daily[name] for name in SEASON_COLUMNS], rel=1e-3
    )


def test_nothing_later_than_the_month_is_read(made, usual, shop):
    known = shop.day <= np.datetime64(MONTH.last_day)
    assert not known.all()
    rows, _ = made(purchase_days(Shop(shop.customer[known], shop.day[known])))
    assert rows == usual[0]


def test_settings_decide(made):
    rows, _ = made(purchase_model="nbd", seasonality="none")
    assert rows[0]["model_name"] == "nbd"
    assert {row["seasonality"] for row in rows} == {"none"}
    rows, settings = made(purchase_model="mbg_nbd", seasonality="monthly")
    assert (rows[0]["model_name"], rows[0]["seasonality"]) == ("mbg_nbd", "monthly")
    assert reading.operational_time(rows[0], settings).index is not None


def test_regular_buyers_are_measured_and_their_models_tried(made):
    end = str(MONTH.last_day)
    regular = simulate_regular(12, 1200, 4, (1.5, 14.0), (0.8, 3.0), years=2.8)
    rows, _ = made(purchase_days(regular), seasonality="none")
    assert {row["model_name"]: row["k"] for row in rows} == {
        "bg_nbd": 1, "mbg_nbd": 1, "pareto_nbd": 1, "nbd": 1, "bg_cnbd_4": 4, "mbg_cnbd_4": 4
    }  # fmt: skip
    assert {row["regularity"] for row in rows} == {regular.intervals(end).shape}
    choice = choose_model(
        regular.histories(end), regular.folds(end), regular.counts(), "auto", "none", 1, regular.intervals(end)
    )
    assert rows[0]["model_name"] == choice.chosen.name
    assert rows[0]["k"] == 4
    assert rows[0]["log_likelihood"] == pytest.approx(choice.chosen.fit.log_likelihood, rel=1e-9)
    assert reading.purchase_fit(rows[0]).usable_parameters() == pytest.approx(choice.chosen.fit.parameters, rel=1e-6)


def test_an_extract_of_repeat_customers_is_marked(made, shop):
    known = shop.day <= np.datetime64(MONTH.last_day)
    bought = np.bincount(shop.customer[known], minlength=shop.customer.max() + 1)
    kept = known & (bought[shop.customer] > 1)
    rows, _ = made(purchase_days(Shop(shop.customer[kept], shop.day[kept])))
    assert {(row["truncated"], row["least_frequency"], row["left_out"]) for row in rows} == {(True, 1, 0)}
    assert rows[0]["customers"] == (bought > 1).sum()


def test_an_extract_of_three_days_and_more_keeps_its_exceptions(made, shop):
    known = shop.day <= np.datetime64(MONTH.last_day)
    bought = np.bincount(shop.customer[known], minlength=shop.customer.max() + 1)
    exceptions = np.flatnonzero(bought == 1)[:5]
    kept = known & ((bought[shop.customer] > 2) | np.isin(shop.customer, exceptions))
    rows, _ = made(purchase_days(Shop(shop.customer[kept], shop.day[kept])))
    assert {(row["truncated"], row["least_frequency"], row["left_out"]) for row in rows} == {(True, 2, 5)}
    assert rows[0]["customers"] == (bought > 2).sum() + 5
    assert "customers with 3 purchase days or more only" in rows[0]["choice_reason"]
    assert reading.purchase_fit(rows[0]).bound == 2


def test_no_customers_make_rows_without_a_model(made):
    rows, _ = made(PURCHASE_DAYS.arrow.empty_table())
    assert {row["status"] for row in rows} == {"not_fitted"}
    assert rows[0]["role"] == "chosen"
    assert pa.Table.from_pylist(rows, schema=PURCHASE_MODEL.arrow).num_rows == 4
    assert rows[0]["observation_end"] == dt.date(2003, 10, 31)
