"""Margins of customers by their own purchases, against published figures."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import ibis
import pyarrow as pa
import pytest

from cltv_assets.columns import MONEY
from cltv_assets.months import Month
from cltv_assets.tables.margins import with_margins

#: Hachemeister (1975), Credibility for regression models with application to trend: average claims of twelve quarters
#: in five states, and how many.
CLAIMS = {
    1: (1738, 1642, 1794, 2051, 2079, 2234, 2032, 2035, 2115, 2262, 2267, 2517),
    2: (1364, 1408, 1597, 1444, 1342, 1675, 1470, 1448, 1464, 1831, 1612, 1471),
    3: (1759, 1685, 1479, 1763, 1674, 2103, 1502, 1622, 1828, 2155, 2233, 2059),
    4: (1223, 1146, 1010, 1257, 1426, 1532, 1953, 1123, 1343, 1243, 1762, 1306),
    5: (1456, 1499, 1609, 1741, 1482, 1572, 1606, 1735, 1607, 1573, 1613, 1690),
}
COUNTS = {
    1: (7861, 9251, 8706, 8575, 7917, 8263, 9456, 8003, 7365, 7832, 7849, 9077),
    2: (1622, 1742, 1523, 1515, 1622, 1602, 1964, 1515, 1527, 1748, 1654, 1861),
    3: (1147, 1357, 1329, 1204, 998, 1077, 1277, 1218, 896, 1003, 1108, 1121),
    4: (407, 396, 348, 341, 315, 328, 352, 331, 287, 384, 321, 342),
    5: (2902, 3172, 3046, 3068, 2693, 2910, 3275, 2697, 2663, 3017, 3242, 3425),
}
JUNE = Month.parse("2024-06")


def shares(engine, days, customers=None) -> dict[str, float | None]:
    """Return the margin of each customer from ``days``: customer, day of June, margin, spend of known margin."""
    rows = [
        {
            "customer_id": who,
            "purchase_day": dt.date(2024, 6, 1) + dt.timedelta(days=day - 1),
            # What was cancelled brought no margin.
            "order_count": 0 if who.startswith("cancelled") else 1,
            "margin": None if margin is None else Decimal(str(margin)),
            "margin_spend": None if margin is None else Decimal(str(spend)),
        }
        for who, day, margin, spend in days
    ]
    kinds = {
        "customer_id": "string",
        "purchase_day": "date",
        "order_count": "int64",
        "margin": MONEY,
        "margin_spend": MONEY,
    }
    table = engine.from_arrow(pa.Table.from_pylist(rows, schema=ibis.schema(kinds).to_pyarrow()))
    known = sorted(customers or {row["customer_id"] for row in rows})
    everyone = engine.from_arrow(pa.table({"customer_id": known, "gross_margin": pa.nulls(len(known), pa.float64())}))
    found = engine.collect(with_margins(engine, everyone, table, JUNE)).to_pylist()
    assert len(found) == len(known)
    return {row["customer_id"]: row["gross_margin"] for row in found}


def test_published_premiums_come_out(engine):
    days = [
        (str(state), day, claim * count, count)
        for state, claims in CLAIMS.items()
        for day, (claim, count) in enumerate(zip(claims, COUNTS[state], strict=True), start=1)
    ]
    # As the manual of the R package actuar (Dutang, Goulet and Pigeon 2008) prints them; "6" is a new state, of which
    # only the collective premium is known.
    published = {"1": 2055, "2": 1524, "3": 1793, "4": 1443, "5": 1603, "6": 1684}
    found = shares(engine, days, published)
    assert found == pytest.approx(published, abs=0.51)
    # Weighted by what they rest on, the shares give the whole margin.
    weights = {str(state): sum(counts) for state, counts in COUNTS.items()}
    whole = sum(margin for _, _, margin, _ in days)
    assert sum(weights[state] * found[state] for state in weights) == pytest.approx(whole, rel=1e-9)


def test_without_a_difference_between_customers_all_have_the_shops_margin(engine):
    # Each has one day at 20 % and one at 60 %, which says nothing of who is dearer.
    days = [(who, day, share * 100, 100) for who in "abc" for day, share in ((1, 0.2), (2, 0.6))]
    assert shares(engine, days) == pytest.approx(dict.fromkeys("abc", 0.4))


def test_one_purchase_each_cannot_tell_customers_apart(engine):
    days = [("a", 1, 10, 100), ("b", 1, 50, 100), ("c", 1, 60, 200)]
    assert shares(engine, days) == pytest.approx(dict.fromkeys("abc", 0.3))


def test_only_known_margins_count_and_none_leave_the_settings_margin(engine):
    steady = [(who, day, share * 50, 50) for who, share in (("a", 0.1), ("b", 0.9)) for day in (1, 2, 3)]
    # Days of one customer that never differ: their own share counts fully, and is not changed by unknown days.
    found = shares(
        engine, [*steady, ("a", 4, None, None), ("z", 4, None, None), ("b", 40, 0, 1000), ("cancelled", 4, 0, 1000)]
    )
    assert found == pytest.approx({"a": 0.1, "b": 0.9, "z": 0.5, "cancelled": 0.5})
    assert shares(engine, [("a", 1, None, None)]) == {"a": None}


def test_costs_that_are_no_costs_stop_nothing(engine):
    # As where a column of article numbers is taken for costs; odd_margins warns of it.
    days = [(who, day, 10 - 40_063_813 * day, 0.01) for who in "ab" for day in (1, 2)]
    found = shares(engine, days)
    assert all(share is not None and share < -1e9 for share in found.values())
