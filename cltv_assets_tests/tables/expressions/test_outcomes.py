"""The evaluation of a made-up shop against one that writes out every customer, on every engine."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from cltv_assets.months import Month
from cltv_assets_tests.tables.small_holdout import (
    bought,
    day,
    evaluated,
    metrics_by_hand,
    nbd_row,
    prediction,
    run_of,
)

MONTH = Month.parse("2012-06")
HORIZONS = (3, 6)
R, ALPHA = 0.7, 40.0


@pytest.fixture
def shop():
    """Return predictions at two origins and purchase days of two years: ties, refunds, losses, people who vanish."""
    rng = np.random.default_rng(21)
    customers = [f"c{i:03}" for i in range(137)]
    made, days = [], []
    for origin in (MONTH.shift(-h) for h in HORIZONS):
        for i, customer in enumerate(customers):
            frequency, age = int(rng.integers(0, 5)), float(rng.integers(0, 400))
            row = prediction(
                origin, customer, HORIZONS, frequency=frequency, T=age, monetary_value=float(frequency) * 3
            )
            row["expected_order_value"] = float(rng.choice([5.0, 12.5, 40.0]))
            for h in HORIZONS:
                expected = float(rng.choice([0.0, 0.25, 1.5, 1.2345678]))
                spend = expected * row["expected_order_value"]
                row |= {f"expected_purchases_{h}m": expected, f"cltv_{h}m": spend * (0.4 + i / 1000)}
                row |= {f"cltv_{h}m_low": spend * 0.1, f"cltv_{h}m_high": spend * 0.9}
                shares = rng.uniform(0, 1, 2)
                row |= dict(
                    zip((f"expected_purchases_{h}m_{end}_share" for end in ("low", "high")), shares, strict=True)
                )
            made.append(row)
    for customer in customers[:110]:
        for _ in range(rng.poisson(6)):
            on = dt.date(2010, 9, 1) + dt.timedelta(days=int(rng.integers(0, 668)))
            if rng.random() < 0.2:
                days.append(day(customer, on, "0", f"{rng.integers(1, 60)}.25", orders=0))
            else:
                days.append(day(customer, on, f"{rng.integers(0, 40)}.10"))
    unique = {(row["customer_id"], row["purchase_day"]): row for row in days}
    return made, list(unique.values())


@pytest.mark.parametrize("refunds", ["net", "drop"])
def test_every_figure_equals_one_written_out_by_customer(engine, shop_settings, shop, refunds):
    made, days = shop
    settings = shop_settings(start_month="2010-01", end_month="2012-06", horizons_months=HORIZONS, refunds=refunds)
    models = [nbd_row(MONTH.shift(-h), R, ALPHA) for h in HORIZONS]
    found = evaluated(run_of(engine, settings, MONTH, made, days, models))
    expected = {}
    for h in HORIZONS:
        origin = MONTH.shift(-h)
        ahead = (MONTH.last_day - origin.last_day).days
        rows = [row for row in made if row["month"] == origin.first_day]
        count, spent = bought(days, origin.shift(1).first_day, MONTH.last_day, refunds == "net")
        last_count, last_spent = bought(days, origin.shift(-11).first_day, origin.last_day, refunds == "net")
        year = (origin.last_day - origin.shift(-11).first_day).days + 1
        x, age = (np.array([row[name] for row in rows], float) for name in ("frequency", "T"))
        rate = np.where(age > 0, x / np.maximum(age, 1) * ahead, 0.0)
        order_value = np.array([row["expected_order_value"] for row in rows])
        own = np.array([row[f"expected_purchases_{h}m"] for row in rows])
        stays = (R + x) / (ALPHA + age) * ahead
        ids = [row["customer_id"] for row in rows]
        by_contender = {
            "bg_nbd+gamma_gamma": (own, own * order_value),
            "naive_rate": (rate, rate * np.array([row["monetary_value"] for row in rows])),
            "last_year": tuple(np.array([of[c] for c in ids]) * ahead / year for of in (last_count, last_spent)),
            "nbd": (stays, stays * order_value),
        }
        actuals = tuple(np.array([float(of[c]) for c in ids]) for of in (count, spent))
        for name, predictions in by_contender.items():
            for target, predicted, actual, steps in zip(
                ("purchases", "revenue"), predictions, actuals, (1e6, 1e4), strict=True
            ):
                for metric, value in metrics_by_hand(predicted, actual, steps).items():
                    expected[h, target, name, metric] = value
        model = "bg_nbd+gamma_gamma"
        inside = [0.0 <= count[c] <= 3.0 for c in ids]
        expected[h, "purchases", model, "interval_coverage"] = np.mean(inside)
        lows, highs = ([row[f"expected_purchases_{h}m_{end}_share"] for row in rows] for end in ("low", "high"))
        counted = [
            {0: lows[i], 1: 1.0, 2: 1.0, 3: highs[i]}.get(count[customer], 0.0) for i, customer in enumerate(ids)
        ]
        expected[h, "purchases", model, "interval_coverage_randomised"] = np.mean(counted)
        # Value was 0.4 and more of spend; its interval 0.1 to 0.9 of spend is taken back by that.
        factor = np.array([0.4 + i / 1000 for i in range(len(ids))])
        low, high = own * order_value * 0.1 / factor, own * order_value * 0.9 / factor
        within = (low <= actuals[1]) & (actuals[1] <= high)
        expected[h, "revenue", model, "interval_coverage"] = np.mean(within)
        # Spend has a probability of its own at zero only.
        nothing = (low == 0) & (actuals[1] == 0)
        assert nothing.any()
        expected[h, "revenue", model, "interval_coverage_randomised"] = np.mean(np.where(nothing, lows, within))
    assert (actuals[1] < 0).any() == (refunds == "net")
    assert set(found) == set(expected)
    assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_weeks_change_nothing(engine, shop_settings, shop):
    made, days = shop
    common = {"start_month": "2010-01", "end_month": "2012-06", "horizons_months": HORIZONS}
    by_day = evaluated(run_of(engine, shop_settings(**common), MONTH, made, days, [nbd_row(MONTH.shift(-3), R, ALPHA)]))
    in_weeks = [row | {"T": row["T"] / 7, "recency": row["recency"] / 7} for row in made]
    settings = shop_settings(**common, time_unit="week")
    by_week = evaluated(run_of(engine, settings, MONTH, in_weeks, days, [nbd_row(MONTH.shift(-3), R, ALPHA / 7)]))
    assert set(by_week) == set(by_day)
    assert by_week == pytest.approx(by_day, rel=1e-9, abs=1e-9)
