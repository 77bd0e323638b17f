"""Whether newest cohorts are told to be worse when they are, and are left alone when chance makes them look so."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.tables.check import audit
from cltv_assets.tables.cohort_value.columns import COHORT_VALUE
from cltv_assets.tables.cohort_value.newest import AGE, compared, newest_cohorts
from cltv_assets.tables.month_run import MonthRun

NOW = Month.parse("2012-06")


def test_equal_weights_make_it_a_prediction_interval():
    before, newest = [10.0, 11.0, 9.5, 10.4, 9.9, 10.8, 10.2], [8.4, 8.8, 8.5]
    found = compared([*before, *newest], [100.0] * 10)
    # By hand: the spread of the seven, and the means of seven and three.
    spread = np.std(before, ddof=1) * np.sqrt(1 / 7 + 1 / 3)
    statistic = (np.mean(newest) - np.mean(before)) / spread
    sample = np.random.default_rng(1).standard_t(6, 400_000)
    assert found.chance == pytest.approx((sample < statistic).mean(), abs=5e-4)
    assert found.share == pytest.approx(np.mean(newest) / np.mean(before) - 1)
    assert found.fell


def test_chance_alone_is_hardly_ever_told():
    """Cohorts of a hundred to two thousand customers, each customer worth 20 with a spread of 60."""
    chance = np.random.default_rng(5)
    told = 0
    for _ in range(4000):
        sizes = chance.integers(100, 2000, 15).astype(float)
        found = compared(20 + 60 / np.sqrt(sizes) * chance.standard_normal(15), sizes)
        told += found.fell
    assert told / 4000 < 0.005


def test_a_fall_is_told_and_a_rise_is_not():
    chance = np.random.default_rng(6)
    sizes = np.full(15, 1000.0)
    noise = 60 / np.sqrt(sizes) * chance.standard_normal(15)
    level = np.array([20.0] * 12 + [13.0] * 3)
    assert compared(level + noise, sizes).fell
    assert not compared(40 - level + noise, sizes).fell
    # Too small to matter, however sure.
    assert not compared(np.array([20.0] * 12 + [19.0] * 3) + noise / 1e6, sizes).fell


def test_few_customers_tell_nothing():
    """Three cohorts of five customers between some of thousands: equal weights would call them a fall."""
    sizes = [4000.0] * 12 + [5.0] * 3
    values = [20.0, 20.5, 19.6, 20.2, 19.9, 20.1, 20.4, 19.8, 20.0, 20.3, 19.7, 20.1, 14.0, 15.0, 13.0]
    assert compared(values, [4000.0] * 15).fell
    assert not compared(values, sizes).fell


@pytest.fixture
def verdict(engine, shop_settings, tmp_path: Path):
    """Judge cohorts by what they brought per customer at the age compared, the first of them in January 2011."""

    def judge(values, start="2010-06", money=True):
        rows = []
        for i, value in enumerate(values):
            cohort = NOW.shift(-AGE - len(values) + 1 + i)
            row = {"attribute": "all", "attribute_value": "all", "cohort": cohort.first_day, "kind": "realised",
                   "customers": 1000, "cumulative_purchases": 1000 * value, "age_months": AGE}  # fmt: skip
            if money:
                row |= {"cumulative_value_per_customer": value, "cumulative_margin": Decimal(1)}
            # What is not to be compared: another age, another attribute, what is expected.
            rows += [row, row | {"age_months": 4, "cumulative_value_per_customer": 999.0}]
            rows.append(row | {"attribute": "country", "cumulative_value_per_customer": 999.0})
            rows.append(row | {"kind": "predicted", "cumulative_value_per_customer": 999.0})
        filled = [{c.name: None for c in COHORT_VALUE.columns} | row for row in rows]
        table = engine.from_arrow(pa.Table.from_pylist(filled, schema=COHORT_VALUE.arrow))
        settings = shop_settings(start_month=start, end_month="2012-06")
        return audit(table, [newest_cohorts], MonthRun(NOW, settings, engine, Lake(str(tmp_path)), None, {}))[0]

    return judge


STEADY = [20.0, 20.6, 19.5, 20.1, 19.8, 20.3, 20.2, 19.9, 20.5, 19.7, 20.0, 20.4]


@pytest.mark.parametrize("money", [True, False])
def test_the_check_warns_and_does_not_block(verdict, money):
    found = verdict([*STEADY, 15.0, 14.6, 15.3], money=money)
    assert not found.verdict.passed
    assert not found.blocks
    what = "GBP margin" if money else "purchases"
    assert f"brought 14.97 {what} a customer, the 12 before them 20.08 at that age" in found.verdict.message
    assert verdict([*STEADY, 20.0, 19.9, 20.2], money=money).verdict.passed


def test_first_cohorts_of_the_data_are_not_compared_with(verdict):
    """Old customers come first in the data's first months, and newer cohorts look poor beside them."""
    values = [60.0, 45.0, 30.0, *STEADY[:7], 20.1, 19.9, 20.2]
    begins = NOW.shift(-AGE - len(values) + 1)
    assert begins.first_day == dt.date(2011, 3, 1)
    found = verdict(values, start=begins.key).verdict
    assert found.facts["before"] == pytest.approx(np.mean(STEADY[:7]))
    assert verdict(values[:9], start=begins.shift(4).key).verdict.message.startswith("Fewer than 9 cohorts")
