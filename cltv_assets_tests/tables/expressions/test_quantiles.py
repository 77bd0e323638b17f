"""Quantiles from counts, against numpy on the values themselves."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from cltv_assets.tables.quantiles import binned_money_counts, money_bin, quantiles, tier, value_counts

PROBABILITIES = [0.2, 0.4, 0.6, 0.8, 0.999]


@pytest.mark.parametrize("n", [1, 2, 5, 10, 999, 1000, 4321])
def test_quantiles_of_counts_are_those_of_the_values(engine, n):
    values = np.random.default_rng(n).integers(0, 50, n)
    table = engine.from_arrow(pa.table({"x": values}))
    found = quantiles(engine.collect(value_counts(table, table.x)), PROBABILITIES)
    assert found == list(np.quantile(values, PROBABILITIES, method="inverted_cdf"))


def test_no_rows_have_no_quantiles(engine):
    table = engine.from_arrow(pa.table({"x": pa.array([], pa.int64())}))
    assert quantiles(engine.collect(value_counts(table, table.x)), [0.5]) == []


def test_money_quantiles_are_true_amounts_within_a_tenth_of_a_percent(engine):
    cents = np.random.default_rng(3).lognormal(8, 2, 20_000).astype(np.int64)
    amounts = pa.array([Decimal(int(c)) / 100 for c in cents], pa.decimal128(18, 4))
    table = engine.from_arrow(pa.table({"x": amounts}))
    found = quantiles(engine.collect(binned_money_counts(table, table.x)), PROBABILITIES)
    for mine, exact in zip(found, np.quantile(cents / 100, PROBABILITIES, method="inverted_cdf"), strict=True):
        assert exact <= float(mine) <= exact * 1.001
        assert round(float(mine) * 100) in cents


def test_bins_keep_four_significant_digits(engine):
    minor = [0, 7, 9_999, 10_000, 12_345, 99_999, 123_456, 10**16 + 7, 9_999_999_999_999_999]
    table = engine.from_arrow(pa.table({"x": pa.array(minor, pa.int64())}))
    found = dict(
        zip(*engine.collect(table.select(x=table.x, bin=money_bin(table.x))).to_pydict().values(), strict=True)
    )
    for value in minor:
        digits = len(str(value))
        assert found[value] == value // 10 ** max(digits - 4, 0) * 10 ** max(digits - 4, 0)


def test_tiers_count_the_thresholds_exceeded(engine):
    table = engine.from_arrow(pa.table({"x": [1, 2, 3, 4, 5]}))
    found = engine.collect(table.select(x=table.x, tier=tier(table.x, [1, 3, 3, 4]))).to_pylist()
    assert {row["x"]: row["tier"] for row in found} == {1: 1, 2: 2, 3: 2, 4: 4, 5: 5}
