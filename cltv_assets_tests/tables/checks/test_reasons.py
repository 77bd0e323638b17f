"""What is told of a check that refuses a month: its reasons, what they are worth, and some lines."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import ibis
import pyarrow as pa

from cltv_assets.engines import Engine
from cltv_assets.tables.check import Check, Finding, Verdict
from cltv_assets.tables.cleaned_and_rejected.columns import CLEANED_TRANSACTIONS, REJECTED_TRANSACTIONS
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.refused_lines import Reason, explained, reasons_of

PLACE = {"source_file": "f.csv", "booked_as": None}


def reasons(engine: Engine, schema: Any, rows: list[dict[str, Any]], examples: Any) -> list[Reason]:
    check = Check("broken", "It is whole.", lambda _values, _run: Verdict(True, ""), examples=examples)
    table = engine.from_arrow(pa.Table.from_pylist(rows, schema=schema.arrow))
    run = cast("MonthRun", SimpleNamespace(engine=engine))
    return reasons_of(Finding(check, Verdict(False, "It is broken."), []), schema.name, table, run)


def test_rejected_lines_are_told_by_reason(engine: Engine) -> None:
    rows = [
        {**PLACE, "source_line": n, "reason": "invalid_date", "transacted_at": f"x{n}", "value": Decimal(n)}
        for n in (9, 7, 5, 3)
    ]
    rows.append({**PLACE, "source_line": 4, "reason": "malformed_line", "source_text": "a|C-secret"})
    by_reason = lambda table, _run: table.group_by("reason").aggregate(lines=table.count())  # noqa: E731
    found = reasons(engine, REJECTED_TRANSACTIONS, rows, by_reason)
    assert [(one.reason, one.lines, one.value) for one in found] == [
        ("invalid_date", 4, Decimal(24)),
        ("malformed_line", 1, None),
    ]
    assert [line["source_line"] for line in found[0].samples] == [3, 5, 7]
    assert found[1].samples[0]["source_text"] == "a|C-secret"
    assert "(transacted_at), f.csv line 5 (transacted_at)" in explained(found)
    assert "x3" not in explained(found)
    assert explained(found, values=True) == (
        "rejected_transactions.broken: It is broken. Found: invalid_date, 4 lines worth 24.00, such as f.csv line 3 "
        "(transacted_at 'x3'), f.csv line 5 (transacted_at 'x5'), f.csv line 7 (transacted_at 'x7'); "
        "malformed_line, 1 line, such as f.csv line 4."
    )


def test_other_checks_tell_the_rows_that_they_show(engine: Engine) -> None:
    rows = [{**PLACE, "source_line": n, "customer_id": "c", "amount": Decimal(n - 3)} for n in range(5)]
    (found,) = reasons(engine, CLEANED_TRANSACTIONS, rows, lambda table, _run: table.filter(table.amount < 0))
    assert (found.reason, found.lines, found.value) == (None, 3, None)
    assert [(line["source_line"], line["amount"]) for line in found.samples] == [(n, f"{n - 3}.0000") for n in range(3)]
    # Groups of rows are no lines, and a check may show none at all.
    grouped = lambda table, _run: table.group_by("customer_id").aggregate(rows=ibis._.count())  # noqa: E731
    for examples in (grouped, None):
        (found,) = reasons(engine, CLEANED_TRANSACTIONS, rows, examples)
        assert (found.lines, found.samples) == (None, [])
        assert explained([found]) == "cleaned_transactions.broken: It is broken."
