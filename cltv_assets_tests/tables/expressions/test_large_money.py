"""Sums of money that 64 bits do not hold."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from cltv_assets.months import Month
from cltv_assets.tables import group_totals, segment_movement
from cltv_assets.tables.holdout_evaluation.outcomes import MODEL, NAIVE, TARGETS, Holdout, binned
from cltv_assets.tables.quantiles import MONEY_POINT, fixed_point
from cltv_assets.tables.spend_model.fit import spend_patterns

#: What a customer's sums hold, and how many customers have it: ten-thousandths of the total have more than 64 bits.
HELD, CUSTOMERS = 9e13, 20


def many(**columns: Any) -> pa.Table:
    return pa.table({name: [value] * CUSTOMERS for name, value in columns.items()})


def test_whole_numbers_to_group_by_are_cut_where_64_bits_end(engine):
    table = engine.from_arrow(pa.table({"x": pa.array([9e14, 1e15, -1e30, 1e300, None], pa.float64())}))
    found = engine.collect(table.select(x=fixed_point(table.x, MONEY_POINT)))["x"].to_pylist()
    most = 9 * 10**18
    assert sorted(found, key=lambda x: (x is None, x)) == [-most, most, most, most, None]


def test_the_spend_of_a_bin_has_no_end(engine):
    rfm = engine.from_arrow(many(frequency=2, monetary_value=HELD))
    found = engine.collect(spend_patterns(rfm)).to_pylist()
    assert found == [{"frequency": 2, "monetary_value": pytest.approx(HELD, rel=1e-15), "customers": CUSTOMERS}]


def test_totals_of_predictions_have_no_end(engine):
    person = {"customer_id": "a", "value_segment": "top", "rfm_segment": "lost", "model_group": "[]"}
    rows = many(**person, frequency=2, recency=1.0, T=2.0, monetary_value=HELD, gross_margin=1.0,
                expected_purchases_3m=1.0, cltv_3m=HELD)  # fmt: skip
    rows = rows.set_column(0, "customer_id", pa.array([f"{i}" for i in range(CUSTOMERS)]))
    table = engine.from_arrow(rows)
    (group,) = engine.collect(group_totals.segment_groups(table, 1, [3], 1.0)).to_pylist()
    assert group["cltv_3m"] == CUSTOMERS * 9 * 10**13
    assert group["value_squares"] == pytest.approx(CUSTOMERS * HELD**2, rel=1e-12)
    (move,) = engine.collect(segment_movement.movement(table, table, 3)).to_pylist()
    assert move["value_before"] == move["value_now"] == CUSTOMERS * 9 * 10**13


def test_errors_of_holdouts_have_no_end(engine):
    names = [
        f"{one}_{target}"
        for one in ("actual", "low", "high", "low_share", "high_share", MODEL, *NAIVE)
        for target in TARGETS
    ]
    rows = many(**dict.fromkeys(names, 1.0)).drop_columns("actual_revenue")
    table = engine.from_arrow(rows.append_column("actual_revenue", pa.array([HELD] * CUSTOMERS)))
    found = engine.collect(binned([(Holdout(Month.parse("2023-01"), 1), table)])).to_pylist()
    assert max(row["squared_error"] for row in found) == pytest.approx(CUSTOMERS * HELD**2, rel=1e-9)
    assert max(row["predicted"] for row in found) == CUSTOMERS * HELD
