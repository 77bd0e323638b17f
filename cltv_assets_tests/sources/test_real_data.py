"""The data that everybody knows, against counts made without this package."""

from __future__ import annotations

import csv
import datetime as dt
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from cltv_assets.errors import SourceError
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import cdnow, open_source
from cltv_assets.sources.proposal import propose
from cltv_assets_tests.sources.conftest import landed

ONLINE_RETAIL = Path(__file__).parents[3] / "shared/data/online_retail_daily"
TODAY = dt.date(2026, 1, 15)


def test_cdnow(tmp_path: Path) -> None:
    expected = Counter(line.split()[1][:6] for line in Path(cdnow.cdnow_path()).read_text().splitlines()[1:])
    source = open_source(Settings(), TODAY)
    counts = source.line_counts()
    assert len(counts) == 18
    assert {month.key.replace("-", ""): count for month, count in counts.items()} == expected
    assert sum(counts.values()) == 69_659
    rows = landed(source, "1997-01", tmp_path)
    assert len(rows) == expected["199701"]
    first = {name: value for name, value in rows[0].items() if value is not None}
    assert first == {
        "customer_id": "00001", "transacted_at": "19970101", "quantity": "1", "amount": "11.77",
        "source_file": "CDNOW_master.txt", "source_line": 2,
    }  # fmt: skip
    assert source.inspect().files == 1
    everyone = {batch for b in source.transactions(source.list_files()[0]) for batch in b["customer_id"].to_pylist()}
    assert len(everyone) == 23_570


def test_lines_of_cdnow_that_cannot_be_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "CDNOW_master.txt"
    header = "customer_id date number_of_cds dollar_value"
    path.write_text(f"{header}\r\n1 19970101 1 1.0\r\n\r\n2 19970101\r\n3 19970201 1 2.0")
    monkeypatch.setattr("cltv_assets.sources.cdnow_path", lambda: str(path))
    source = open_source(Settings(end_month="1997-02"), TODAY)
    rows = landed(source, "1997-01", tmp_path)
    assert [(row["source_line"], row["source_text"]) for row in rows] == [(2, None), (4, "2 19970101")]
    path.write_text("something else\n")
    with pytest.raises(SourceError, match="line 1: the header"):
        source.line_counts()


def test_the_demo_imports_no_lifetimes() -> None:
    code = (
        "import sys; from cltv_assets.settings import Settings; from cltv_assets.sources import open_source; "
        "open_source(Settings()).list_files(); sys.exit('lifetimes' in sys.modules or 'dagster' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, env={**os.environ, "HOME": "/tmp"}).returncode == 0


def test_without_lifetimes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SourceError, match="pip install lifetimes"):
        cdnow.cdnow_path()


@pytest.mark.skipif(not ONLINE_RETAIL.is_dir(), reason=f"Online Retail is not at {ONLINE_RETAIL} (CLTV_ONLINE_RETAIL)")
def test_online_retail_has_countries() -> None:
    text = propose(str(ONLINE_RETAIL / "2010-12-0*.csv"))
    assert "    # attributes: [Country]  # ? to compare customers by: Country has 18 values\n" in text


@pytest.mark.skipif(not ONLINE_RETAIL.is_dir(), reason=f"Online Retail is not at {ONLINE_RETAIL} (CLTV_ONLINE_RETAIL)")
def test_online_retail(tmp_path: Path) -> None:
    expected: Counter[str] = Counter()
    without_customer = 0
    for path in ONLINE_RETAIL.glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as text:
            for row in csv.DictReader(text):
                expected[row["InvoiceDate"][:7]] += 1
                without_customer += not row["CustomerID"]
    assert (expected.total(), without_customer) == (541_909, 135_080)
    columns = {
        "transaction_id": "InvoiceNo", "customer_id": "CustomerID", "transacted_at": "InvoiceDate",
        "quantity": "Quantity", "unit_price": "UnitPrice",
    }  # fmt: skip
    settings = Settings.model_validate(
        {
            "source": {"kind": "csv", "path": str(ONLINE_RETAIL), "columns": columns},
            "start_month": "2010-12", "end_month": "2011-12",
        }
    )  # fmt: skip
    source = open_source(settings, TODAY)
    assert {month.key: count for month, count in source.line_counts().items()} == expected
    rows = landed(source, "2011-03", tmp_path)
    assert len(rows) == expected["2011-03"]
    assert all(row["customer_id"].endswith(".0") for row in rows if row["customer_id"])
    landing = source.land(Month.parse("2011-12"), tmp_path / "x")
    assert (landing.source_files, landing.malformed, landing.undatable, landing.before_first) == (305, 0, 0, 0)
    source.close()
