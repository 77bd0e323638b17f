"""Delivered lines, and texts as they may stand in them, for the tests of what becomes of them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from cltv_assets.months import Month
from cltv_assets.sources.delivered import RAW_TRANSACTIONS

MONTH = Month.parse("2011-03")
GOOD = {
    "transaction_id": "536365",
    "customer_id": "17850",
    "transacted_at": "2011-03-05 08:26:00",
    "quantity": "6",
    "unit_price": "2.55",
    "amount": None,
    "currency": None,
    "source_text": None,
}


def raw_table(rows: list[dict[str, Any]]) -> pa.Table:
    full = [{"source_file": "f.csv", **GOOD, **row, "source_line": n} for n, row in enumerate(rows, 2)]
    return pa.Table.from_pylist(full, schema=RAW_TRANSACTIONS.arrow)


#: Each example costs a query, however long it is: few and long ones. Shrinking one would take minutes.
NO_SHRINK = (Phase.explicit, Phase.reuse, Phase.generate)
FEW = settings(
    max_examples=8, deadline=None, phases=NO_SHRINK, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TEXT = st.one_of(
    st.none(),
    st.sampled_from(
        ["", " ", "0", "-0", "1", "-1", "1.5", "-2.50", ".5", "5.", "1,000", "1e5", "NaN", "inf", "x", "+3"]
    ),
    st.text(max_size=6),
    st.integers(-(10**20), 10**20).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=8).map(lambda d: f"{d:f}"),
)
