"""The steps on UCI Online Retail (D. Chen, CC BY 4.0), which is not part of this repository."""

from __future__ import annotations

import csv
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.lake import Lake
from cltv_assets.settings import Settings
from cltv_assets.sources import open_source
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.cleaned_and_rejected import split
from cltv_assets.tables.cleaned_and_rejected.columns import CLEANED_TRANSACTIONS, REJECTED_TRANSACTIONS
from cltv_assets.tables.month_run import MonthRun

FOLDER = Path(__file__).parents[3] / "shared/data/online_retail_daily"

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="UCI Online Retail, one CSV a day, does not lie beside this checkout"
)


@pytest.fixture(scope="module")
def by_month(tmp_path_factory):
    """Clean all 13 months; return counts and sums, each line accounted for."""
    settings = Settings.model_validate(
        {
            "source": {
                "kind": "csv",
                "path": str(FOLDER / "*.csv"),
                "columns": {
                    "transaction_id": "InvoiceNo",
                    "customer_id": "CustomerID",
                    "transacted_at": "InvoiceDate",
                    "quantity": "Quantity",
                    "unit_price": "UnitPrice",
                },
                "cancellation_prefix": "C",
            },
            "time_zone": "Europe/London",
            "currency": "GBP",
            "start_month": "2010-12",
            "end_month": "2011-12",
        }
    )
    engine = DuckDBEngine()
    folder = tmp_path_factory.mktemp("retail")
    lines, kept, customers, value, reasons = Counter(), Counter(), set(), Decimal(0), Counter()
    for month in settings.first_month.until(settings.last_month()):
        landing = open_source(settings).land(month, folder / month.key)
        raw = engine.read_files(RAW_TRANSACTIONS, [str(path) for path in landing.files])
        run = MonthRun(month, settings, engine, Lake("unused"), open_source(settings), {"raw_transactions": raw})
        both = split.make(run)
        lines[month.key] = landing.lines
        for row in engine.collect(both[CLEANED_TRANSACTIONS.name].select("kind", "amount", "customer_id")).to_pylist():
            kept[row["kind"]] += 1
            if row["kind"] == "purchase":
                value += row["amount"]
                customers.add(row["customer_id"])
        reasons.update(engine.collect(both[REJECTED_TRANSACTIONS.name].select("reason"))["reason"].to_pylist())
        engine.release()
    engine.close()
    return lines, kept, customers, value, reasons


def test_counts_and_value_are_the_published_ones_and_every_line_is_accounted_for(by_month):
    lines, kept, customers, value, reasons = by_month
    assert sum(lines.values()) == 541_909
    assert kept["purchase"] == 397_884
    assert len(customers) == 4_338
    assert value.quantize(Decimal("0.01"), "ROUND_HALF_UP") == Decimal("8911407.90")
    assert reasons["missing_customer"] == 135_080
    assert sum(kept.values()) + sum(reasons.values()) == 541_909


def test_months_and_refunds_equal_those_of_a_reader_apart(by_month):
    lines, kept, _, _, reasons = by_month
    months, refunds, nothing = Counter(), 0, 0
    for path in sorted(FOLDER.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                months[row["InvoiceDate"][:7]] += 1
                if row["CustomerID"]:
                    refunds += row["InvoiceNo"].startswith("C")
                    nothing += Decimal(row["UnitPrice"]) == 0
    assert lines == months
    assert kept["refund"] == refunds
    assert reasons == {"missing_customer": 135_080, "zero_amount": nothing}
