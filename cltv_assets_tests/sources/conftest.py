from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import TransactionSource, open_source

#: The current day of these tests: the last closed month is 2024-05.
TODAY = dt.date(2024, 6, 15)

HEADER = "id,customer,when,value"
COLUMNS = {"transaction_id": "id", "customer_id": "customer", "transacted_at": "when", "amount": "value"}

Opener = Callable[..., TransactionSource]


@pytest.fixture
def open_at(tmp_path: Path) -> Iterator[Opener]:
    """Open a source below tmp_path; keywords go to the settings, ``source_`` ones to their source."""
    opened: list[TransactionSource] = []

    def open_path(path: str, kind: str = "csv", today: dt.date = TODAY, **options: Any) -> TransactionSource:
        source = {"kind": kind, "path": path, "columns": COLUMNS}
        source |= {k.removeprefix("source_"): v for k, v in options.items() if k.startswith("source_")}
        rest = {k: v for k, v in options.items() if not k.startswith("source_")}
        settings = Settings.model_validate({"source": source, "start_month": "2024-01", "home": tmp_path, **rest})
        opened.append(open_source(settings, today))
        return opened[-1]

    yield open_path
    for source in opened:
        source.close()


def read_all(source: TransactionSource) -> list[dict[str, Any]]:
    """Return every line that the reader yields, by file and line, without dating it."""
    rows = [row for file in source.list_files() for batch in source.transactions(file) for row in batch.to_pylist()]
    return sorted(rows, key=lambda row: (row["source_file"], row["source_line"]))


def landed(source: TransactionSource, month: str, into: Path) -> list[dict[str, Any]]:
    """Return the rows that landing a month writes."""
    landing = source.land(Month.parse(month), into / month)
    rows = [row for file in landing.files for row in pq.read_table(file).to_pylist()]
    assert len(rows) == landing.lines
    return sorted(rows, key=lambda row: (row["source_file"], row["source_line"]))
