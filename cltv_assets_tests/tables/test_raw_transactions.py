"""What a month's landing says of the delivery."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import new_source
from cltv_assets.tables import raw_transactions
from cltv_assets.tables.check import audit
from cltv_assets.tables.month_run import MonthRun

COLUMNS = {"customer_id": "who", "transacted_at": "day", "amount": "total"}


def test_each_month_tells_what_was_not_read_line_by_line(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    notes = ["two\nlines" if n % 5 == 0 else "" for n in range(20)]
    march = "".join(f'C{n},2024-03-{n + 1:02},5,"{note}"\n' for n, note in enumerate(notes))
    (folder / "march.csv").write_text(f"who,day,total,note\n{march}")
    (folder / "april.csv").write_text("who,day,total,note\nA,2024-04-01,5,\n")
    (folder / "more.xlsx").write_text("beside the exports")
    source = {"kind": "csv", "path": str(folder), "columns": COLUMNS}
    settings = Settings.model_validate({"source": source, "start_month": "2024-01", "home": tmp_path})
    said = {}
    for month in ("2024-03", "2024-04"):
        with closing(DuckDBEngine()) as engine, closing(new_source(settings)) as opened:
            run = MonthRun(Month.parse(month), settings, engine, Lake(str(tmp_path / "lake")), opened)
            (landed,) = raw_transactions.make(run)
            (finding,) = audit(engine.from_arrow(pq.read_table(landed)), [raw_transactions.read_whole], run)
            said[month] = finding.verdict.message
    assert "4 lines beside 20 lie inside quoted fields of others, in march.csv" in said["2024-03"]
    assert "quoted" not in said["2024-04"]
    assert all("Not read, because of their ending or place: more.xlsx." in text for text in said.values())
