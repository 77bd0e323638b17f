"""Expected order values against the customers' own, by how often these buy."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cltv_assets.models.estimation.fitting import fit_spend_model
from cltv_assets.models.gamma_gamma import expected_value
from cltv_assets.models.sufficient_statistics import SpendStatistics
from cltv_assets.tables.cltv_predictions.order_values import (
    group_sums,
    misleads,
    misvalued_in_words,
    order_value_bias,
)

CUSTOMERS = 4_000


def simulated(power: float, seed: int = 5) -> dict[str, np.ndarray]:
    """Let order values depend on the purchase rate, and predict them by a model that takes them to be independent."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(1.0, 2.0, CUSTOMERS)
    x = rng.poisson(rate)
    mean = 20.0 * (rate + 0.1) ** power * rng.gamma(8.0, 1 / 8.0, CUSTOMERS)
    first = mean * rng.gamma(5.0, 1 / 5.0, CUSTOMERS)
    m = np.where(x > 0, mean * rng.gamma(5.0 * np.maximum(x, 1)) / (5.0 * np.maximum(x, 1)), 0.0)
    fit = fit_spend_model(SpendStatistics(x[x > 0], m[x > 0], np.ones((x > 0).sum())))
    # What the rate is expected to be, by the model that made it.
    purchases = (x + 1.0) / (1 / 2.0 + 1.0)
    return {
        "x": x, "m": m, "first": first, "mean": mean, "purchases": purchases,
        "expected": expected_value(fit.usable_parameters(), x, m),
    }  # fmt: skip


def tables(engine: Any, one: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    names = [f"c{i}" for i in range(CUSTOMERS)]
    spend = pa.array([Decimal(f"{value:.4f}") for value in one["first"]], pa.decimal128(18, 4))
    predictions = pa.table(
        {
            "customer_id": names, "frequency": one["x"], "monetary_value": one["m"],
            "expected_order_value": one["expected"], "expected_purchases_3m": one["purchases"],
        }
    )  # fmt: skip
    rfm = pa.table(
        {"customer_id": names, "total_spend": spend, "repeat_spend": pa.array([Decimal(0)] * CUSTOMERS, spend.type)}
    )
    sums = group_sums(engine.from_arrow(predictions), engine.from_arrow(rfm), 3)
    return engine.collect(sums).to_pylist()


@pytest.mark.parametrize("power", [0.6, -0.4])
def test_who_is_misvalued_and_by_how_much_is_what_the_true_means_say(engine, power):
    one = simulated(power)
    bias = order_value_bias(tables(engine, one))
    assert bias is not None
    truth = (one["purchases"] * one["expected"]).sum() / (one["purchases"] * one["mean"]).sum() - 1
    assert np.sign(truth) == np.sign(power)
    assert bias.share == pytest.approx(truth, abs=0.02)
    for group, member in zip(bias.groups, (one["x"] == 0, (one["x"] > 0) & (one["x"] < 3), one["x"] > 2), strict=True):
        assert group.customers == member.sum()
        assert group.expected == pytest.approx(
            (one["purchases"] * one["expected"])[member].sum(), abs=1e-4 * group.customers
        )
        assert group.own == pytest.approx((one["purchases"] * one["mean"])[member].sum(), rel=0.08)
    # Those who never came back are given the mean of all.
    assert np.sign(bias.groups[0].excess) == np.sign(power)
    assert misleads(bias, {"frequency_value_correlation": power}, 0.3)
    # With a trend, first orders are dearer for another reason, and only a correlation speaks of frequency.
    trend = {"value_trend_use": "level"}
    assert not misleads(bias, {"frequency_value_correlation": 0.1} | trend, 0.3)
    assert misleads(bias, {"frequency_value_correlation": power} | trend, 0.3)
    spend = {"frequency_value_correlation": power, "holdout_value_errors": '{"2012-01": 0.1, "2012-04": -0.3}'}
    text = misvalued_in_words(bias, spend, 3, "USD")
    assert f"without a repeat purchase are {'over' if power > 0 else 'under'}stated by" in text
    assert f"{abs(truth):.0%}"[:-1] in text
    assert f"too {'high' if power > 0 else 'low'} by the customers' own orders." in text
    assert text.endswith("in 2 holdouts the orders that were made had been expected 10.0% too low.")


def test_independent_values_need_no_warning(engine):
    for seed in range(4):
        bias = order_value_bias(tables(engine, simulated(0.0, seed)))
        assert bias is not None
        assert abs(bias.share) < 3.5 * bias.error / sum(one.own for one in bias.groups)
        assert not misleads(bias, {"frequency_value_correlation": 0.0}, 0.3)


def test_few_repeat_customers_tell_nothing():
    assert order_value_bias([{"least": 0, "customers": 900}, {"least": 1, "customers": 49, "first": 3.0}]) is None
