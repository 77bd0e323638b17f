"""Sums of money at and beyond what a table holds, 10^14 less the last digit, through each step that adds them up."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.tables import checks_of, purchase_days, repeat_customers, rfm_summary
from cltv_assets.tables.check import audit
from cltv_assets.tables.cleaned_and_rejected.columns import CLEANED_TRANSACTIONS
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS

MONTH = Month.parse("2023-03")
#: The largest sum, and the smallest that does not fit.
FITS, TOO_MUCH = Decimal("99999999999999.9999"), Decimal("100000000000000.0000")
LINE = Decimal("999999999999.9999")


def lines(total: Decimal, kind: str, **others: Any) -> list[dict[str, Any]]:
    """Return lines of one day that add up to ``total``, each as large as a line may be but the last."""
    parts = [LINE] * int(total // LINE)
    parts += [total - sum(parts)] if sum(parts) < total else []
    sign = -1 if kind == "refund" else 1
    return [
        {
            "transaction_id": f"{kind}{i}", "customer_id": "rich",
            "transacted_at": dt.datetime(2023, 3, 5, tzinfo=dt.UTC),
            "purchase_day": dt.date(2023, 3, 5), "kind": kind, "quantity": Decimal(1), "amount": sign * part,
            "amount_delivered": sign * part, "source_file": "f", "source_line": i + 2, **others,
        }
        for i, part in enumerate(parts)
    ]  # fmt: skip


def day(on: dt.date, spend: Decimal, refunds: Decimal = Decimal(0), customer: str = "rich") -> dict[str, Any]:
    return {
        "customer_id": customer, "purchase_day": on, "order_count": 1, "line_count": 1, "spend": spend,
        "refunds": refunds,
    }  # fmt: skip


def made(engine, shop_settings, tmp_path, module, schema, rows):
    """Write a table as a step does, and return its rows and the check of its sums."""
    settings = shop_settings(start_month="2023-01", end_month="2023-03")
    inputs = {schema.name: engine.from_arrow(pa.Table.from_pylist(rows, schema=schema.arrow))}
    run = MonthRun(MONTH, settings, engine, Lake(str(tmp_path)), None, inputs)  # type: ignore[arg-type]
    target, path = module.TABLE.schema, str(tmp_path / "made.parquet")
    engine.write(module.make(run), target, path)
    table = engine.read_files(target, [path])
    checks = [one for one in checks_of([3])[target.name] if one.name == "money_given"]
    (finding,) = audit(table, checks, run)
    return engine.collect(table).to_pylist(), finding


def refused(finding) -> None:
    assert finding.blocks
    assert "In 2023-03 1 rows lack" in finding.verdict.message
    assert "adds up to 10^14" in finding.verdict.message
    # Who it is stands with the row, and not in what is recorded.
    assert finding.examples[0]["customer_id"] == "rich"
    assert "rich" not in finding.verdict.message
    assert "source.scale" in finding.verdict.message


@pytest.mark.parametrize("kind", ["purchase", "refund"])
@pytest.mark.parametrize("total", [FITS, TOO_MUCH])
def test_a_day(engine, shop_settings, tmp_path, kind, total):
    rows = lines(total, kind) + [one | {"customer_id": "poor"} for one in lines(Decimal(5), "purchase")]
    found, finding = made(engine, shop_settings, tmp_path, purchase_days, CLEANED_TRANSACTIONS, rows)
    sums = {row["customer_id"]: row["spend" if kind == "purchase" else "refunds"] for row in found}
    if total == FITS:
        assert finding.verdict.passed
        assert sums["rich"] == FITS
    else:
        refused(finding)


@pytest.mark.parametrize("of", ["spend", "refunds"])
@pytest.mark.parametrize("more", [Decimal("0.0000"), Decimal("0.0001")])
@pytest.mark.parametrize("module", [repeat_customers, rfm_summary])
def test_all_days_of_a_customer(engine, shop_settings, tmp_path, module, of, more):
    parts = [Decimal(1), Decimal(4) * 10**13, FITS - 4 * 10**13 - 1 + more]
    days = [dt.date(2023, month, 2) for month in (1, 2, 3)]
    amounts = [(part, Decimal(0)) if of == "spend" else (Decimal(3), part) for part in parts]
    rows = [day(on, *amount) for on, amount in zip(days, amounts, strict=True)]
    rows += [day(on, Decimal(7), customer="poor") for on in days]
    found, finding = made(engine, shop_settings, tmp_path, module, PURCHASE_DAYS, rows)
    if not more:
        assert sum(parts) == FITS
        assert finding.verdict.passed
        column = of if module is repeat_customers else f"total_{of}"
        assert {row["customer_id"]: row[column] for row in found}["rich"] == FITS
    else:
        refused(finding)
