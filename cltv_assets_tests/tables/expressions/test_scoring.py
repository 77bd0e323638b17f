"""The engine's arithmetic of value, against published figures and the models' own."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from cltv_assets.models.gamma_gamma import expected_value
from cltv_assets.tables.cltv_predictions.scoring import (
    SpendParameters,
    score_customers,
    value_counts_for_segments,
    with_segments,
)

#: Fader & Hardie (2013), CDNOW: parameters as printed.
PUBLISHED = SpendParameters(p=6.25, q=3.74, v=15.44)
DAY = dt.date(1997, 1, 1)


def score(engine, frequency, monetary_value, spend=PUBLISHED, margin=1.0, own_margin=None, spent=1, returned=0):
    """Score one customer for each pair; each has a pattern of its own."""
    n = len(frequency)
    days = [DAY + dt.timedelta(days=i) for i in range(n)]
    key = {"frequency": pa.array(frequency, pa.int64()), "first_purchase": days, "last_purchase": days}
    rfm = pa.table(
        {
            **key,
            "customer_id": [f"{i:03}" for i in range(n)],
            "recency": [0.0] * n,
            "T": [1.0] * n,
            "monetary_value": [float(m) for m in monetary_value],
            "total_spend": pa.array([Decimal(spent)] * n, pa.decimal128(18, 4)),
            "total_refunds": pa.array([Decimal(returned)] * n, pa.decimal128(18, 4)),
            "gross_margin": pa.array([own_margin] * n, pa.float64()),
            **{f"{letter}_score": pa.array([5] * n, pa.int32()) for letter in "rfm"},
        }
    )
    patterns = {**key, "p_alive": [0.5] * n}
    for end, purchases in (("", 2.0), ("_low", 1.0), ("_high", 3.0)):
        patterns[f"expected_purchases_3m{end}"] = [purchases] * n
    patterns |= {"expected_purchases_3m_low_share": [0.3] * n, "expected_purchases_3m_high_share": [0.6] * n}
    patterns |= {
        "discounted_3m": [1.8] * n,
        "grown_3m": [2.2] * n,
        "value_3m_low": [0.25] * n,
        "value_3m_high": [1.5] * n,
    }
    found = score_customers(
        engine.from_arrow(rfm), engine.from_arrow(pa.table(patterns)), spend, [3], margin, {"model_name": "m"}
    )
    return engine.collect(found.order_by("customer_id"))


def test_the_published_expectations_come_out(engine):
    # The first customers of cdnow_customers_summary_with_transactions and what they are printed with.
    frequency, mean = [2, 1, 0, 0, 0, 7, 1, 0, 2, 0], [22.35, 11.77, 0, 0, 0, 73.74, 11.77, 0, 25.55, 0]
    found = score(engine, frequency, mean)["expected_order_value"].to_pylist()
    printed = [24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17]
    # Parameters are printed to three digits, hence half a percent.
    assert found == pytest.approx(printed, rel=5e-3)


def test_the_engine_and_the_models_agree(engine):
    rng = np.random.default_rng(5)
    frequency = rng.integers(0, 300, 200)
    mean = np.where(frequency > 0, rng.lognormal(3, 1, 200), 0.0)
    found = score(engine, frequency, mean)["expected_order_value"].to_numpy()
    expected = expected_value({"p": PUBLISHED.p, "q": PUBLISHED.q, "v": PUBLISHED.v}, frequency, mean)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_order_values_by_frequency_are_those_of_the_models(engine):
    frequency, mean = np.array([0, 1, 2, 7, 300]), np.array([0.0, 20.0, 30.0, 50.0, 60.0])
    spend = SpendParameters.of({"p": 6.25, "q": 3.74, "v": 15.44, "doubling": 0.8})
    found = score(engine, frequency, mean, spend=spend)["expected_order_value"].to_numpy()
    expected = expected_value({"p": 6.25, "q": 3.74, "v": 15.44, "doubling": 0.8}, frequency, mean)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert SpendParameters.of({"p": 6.25, "q": 3.74, "v": 15.44}) == PUBLISHED


def test_value_is_discounted_purchases_times_order_value_times_margin(engine):
    row = score(engine, [2], [22.35], margin=0.4).to_pylist()[0]
    for end, purchases in (("", 2.0), ("_low", 1.0), ("_high", 3.0)):
        assert row[f"expected_purchases_3m{end}"] == purchases
    assert row["cltv_3m"] == pytest.approx(1.8 * row["expected_order_value"] * 0.4, rel=1e-12)
    assert row["expected_spend_3m"] == pytest.approx(2.2 * row["expected_order_value"], rel=1e-12)
    # The interval's ends are multiples of v + x m.
    for end, multiple in (("_low", 0.25), ("_high", 1.5)):
        assert row[f"cltv_3m{end}"] == pytest.approx(multiple * (15.44 + 2 * 22.35) * 0.4, rel=1e-12)


def test_a_customer_with_a_margin_of_their_own_is_worth_that_share(engine):
    general, own, loss = (
        score(engine, [2], [22.35], margin=0.4, own_margin=own).to_pylist()[0] for own in (None, 0.1, -0.2)
    )
    assert [row["gross_margin"] for row in (general, own, loss)] == [0.4, 0.1, -0.2]
    for name in ("cltv_3m", "cltv_3m_low", "cltv_3m_high"):
        assert own[name] == pytest.approx(general[name] / 4, rel=1e-12)
    # Who brings losses brings the larger ones the more they buy.
    assert loss["cltv_3m_low"] == pytest.approx(general["cltv_3m_high"] / -2, rel=1e-12)
    assert loss["cltv_3m_high"] == pytest.approx(general["cltv_3m_low"] / -2, rel=1e-12)


def test_segments_are_cut_at_their_bounds(engine):
    columns = {"expected_purchases_3m": [1.0] * 6, "gave_back": [False] * 6}
    values = engine.from_arrow(pa.table({"cltv_3m": [0.0, 1.0, 1.5, 2.0, 3.0, 9.0]} | columns))
    found = engine.collect(with_segments(values, 3, [10_000, 20_000, 30_000]).order_by("cltv_3m"))
    assert found["value_segment"].to_pylist() == ["low", "low", "middle", "middle", "high", "top"]
    assert set(engine.collect(with_segments(values, 3, []))["value_segment"].to_pylist()) == {"low"}


@pytest.mark.parametrize(
    ("spent", "returned", "gave_back"), [(9, 8, False), (9, 9, True), (9, 10, True), (0, 0, False), (0, 1, True)]
)
def test_who_gave_everything_back_is_in_the_lowest_tier_and_not_loyal(engine, spent, returned, gave_back):
    row = score(engine, [5], [100.0], spent=spent, returned=returned)
    assert row["gave_back"].to_pylist() == [gave_back]
    assert row["rfm_segment"].to_pylist() == ["need attention" if gave_back else "champions"]
    found = engine.collect(with_segments(engine.from_arrow(row), 3, [0, 0, 0]))
    assert found["value_segment"].to_pylist() == ["low" if gave_back else "top"]
    assert "gave_back" not in found.column_names
    # Whoever is in the lowest tier for it counts there when the tiers are cut, too.
    counted = engine.collect(value_counts_for_segments(engine.from_arrow(row), 3))
    assert (counted["value"].to_pylist() == [0]) is gave_back
