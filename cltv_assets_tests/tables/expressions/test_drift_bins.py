"""Bins at the deciles of a month, on every engine."""

from __future__ import annotations

import pyarrow as pa

from cltv_assets.settings import Settings
from cltv_assets.tables.drift import Watched, bins_at_deciles, counts_by_value
from cltv_assets.tables.quantiles import money_bin_end
from cltv_assets.tables.rfm_summary import watched_in_rfm

FREQUENCY, RECENCY, MONEY = watched_in_rfm(Settings())


def rfm(engine, frequency, recency=None, monetary_value=None):
    n = len(frequency)
    return engine.from_arrow(
        pa.table(
            {
                "frequency": pa.array(frequency, pa.int64()),
                "recency": pa.array(recency or [0.0] * n, pa.float64()),
                "monetary_value": pa.array(monetary_value or [0.0] * n, pa.float64()),
            }
        )
    )


def bins_of(engine, table, watched: Watched):
    return bins_at_deciles(engine.collect(counts_by_value(table, [watched])), [watched])[0]


def test_equal_deciles_merge_and_none_is_left_empty(engine):
    table = rfm(engine, [0] * 6 + [1, 2, 3, 3])
    bins = bins_of(engine, table, FREQUENCY)
    assert (bins.edges, bins.before) == ((0, 1, 2), (6, 1, 1, 2))


def test_a_tenth_of_ten_customers_is_one(engine):
    bins = bins_of(engine, rfm(engine, list(range(10))), FREQUENCY)
    assert (bins.edges, bins.before) == (tuple(range(9)), (1,) * 10)


def test_a_month_is_counted_in_the_bins_of_the_month_before(engine):
    bins = bins_of(engine, rfm(engine, [0] * 6 + [1, 2, 3, 3]), FREQUENCY)
    now = rfm(engine, [0, 1, 1, 2, 3, 9, 100])
    counts = engine.measure(now, {str(i): scalar for i, scalar in enumerate(bins.counts_up_to(now))})
    assert [int(counts[str(i)]) for i in range(4)] == [1, 3, 4, 7]


def test_money_is_counted_where_its_digits_were_binned(engine):
    # Four digits: 123.4000 to 123.4999 are one bin.
    values = [123.45] * 5 + [200.0] * 5
    bins = bins_of(engine, rfm(engine, [1] * 10, monetary_value=values), MONEY)
    assert bins.before == (5, 5)
    now = rfm(engine, [1] * 3, monetary_value=[123.45, 123.4999, 123.5])
    counts = engine.measure(now, {str(i): scalar for i, scalar in enumerate(bins.counts_up_to(now))})
    assert [int(counts[str(i)]) for i in range(2)] == [2, 3]


def test_the_end_of_a_bin_of_money():
    assert [money_bin_end(floor) for floor in (0, 7, 9999, 10_000, 10_010, 1_234_000)] == [
        0, 7, 9999, 10_009, 10_019, 1_234_999,
    ]  # fmt: skip


def test_nobody_has_no_bins(engine):
    bins = bins_of(engine, rfm(engine, []), FREQUENCY)
    assert (bins.edges, bins.before) == ((), (0,))
