"""How soon customers bought again, counted by the engine and by a plain loop."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from decimal import Decimal

import numpy as np
import pyarrow as pa

from cltv_assets.models.choosing.older_base import SOON_DAYS
from cltv_assets.months import Month
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model.older_customers import soon_again_groups

MONTH = Month.parse("2001-12")


def test_groups_are_those_of_a_loop_over_customers(shared_engine):
    rng = np.random.default_rng(4)
    start, rows = dt.date(2001, 1, 1), []
    for number in range(80):
        first = int(rng.integers(0, 40))
        days = sorted({first, *(first + rng.integers(1, 400, rng.integers(0, 8))).tolist()})
        rows += [(f"c{number}", start + dt.timedelta(days=day), int(rng.random() > 0.1)) for day in days]
    # On the last day that is soon, on the next one, and after the month.
    rows += [("edge", start + dt.timedelta(days=day), 1) for day in (0, SOON_DAYS, SOON_DAYS + 1)]
    rows += [("late", dt.date(2001, 12, 20), 1), ("late", dt.date(2002, 1, 3), 1), ("later", dt.date(2002, 1, 3), 1)]
    table = shared_engine.from_arrow(
        pa.Table.from_pylist(
            [
                {
                    "customer_id": customer, "purchase_day": day, "order_count": orders, "line_count": 1,
                    "spend": Decimal(orders), "refunds": Decimal(1 - orders),
                }
                for customer, day, orders in rows
            ],
            schema=PURCHASE_DAYS.arrow,
        )
    )  # fmt: skip
    bought = defaultdict(list)
    for customer, day, orders in rows:
        if orders and day <= MONTH.last_day:
            bought[customer].append(day)
    expected = defaultdict(lambda: [0, 0, 0])
    for on in bought.values():
        soon = sum(0 < (day - min(on)).days <= SOON_DAYS for day in on)
        for place, value in enumerate((1, soon, soon**2)):
            expected[min(on)][place] += value
    found = {
        row["first_purchase"]: [row["customers"], row["purchases"], row["squares"]]
        for row in shared_engine.collect(soon_again_groups(table, MONTH)).to_pylist()
    }
    assert found == dict(expected)
    shared_engine.release()
