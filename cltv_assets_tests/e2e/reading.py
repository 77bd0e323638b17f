"""Reads a lake with nothing of ours: plain deltalake, PyArrow and files."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa

Rows = list[tuple[Any, ...]]

#: Names of the tables, and of the folder that holds reports.
TABLES = (
    "raw_transactions",
    "cleaned_transactions",
    "rejected_transactions",
    "purchase_days",
    "repeat_customers",
    "rfm_summary",
    "customer_attributes",
    "purchase_model",
    "spend_model",
    "cltv_predictions",
    "segment_summary",
    "segment_movement",
    "acquisition_costs",
    "cohort_value",
    "acquisition_payback",
    "new_customer_value",
    "customer_scores",
    "holdout_evaluation",
)
#: Those without a row where the settings name neither attributes nor costs.
OPTIONAL = {"customer_attributes", "acquisition_costs", "acquisition_payback"}
REPORT = "cltv_report"


def table_of(lake: Path | str, name: str) -> pa.Table:
    """Return a whole table."""
    return deltalake.DeltaTable(f"{lake}/{name}").to_pyarrow_table()


def rows_of(lake: Path | str, name: str, month: str | None = None) -> list[dict[str, Any]]:
    """Return rows as dictionaries, of one month (``YYYY-MM``) or of all."""
    rows: list[dict[str, Any]] = table_of(lake, name).to_pylist()
    return [row for row in rows if month is None or f"{row['month']:%Y-%m}" == month]


def contents(lake: Path | str) -> dict[tuple[str, str], Rows | bytes]:
    """Return everything a reader can see: each table's rows, every column, sorted, and the reports, by month."""
    found: dict[tuple[str, str], Rows | bytes] = {}
    for name in TABLES:
        if not deltalake.DeltaTable.is_deltatable(f"{lake}/{name}"):
            continue
        by_month: dict[str, Rows] = {}
        for row in table_of(lake, name).to_pylist():
            by_month.setdefault(f"{row['month']:%Y-%m}", []).append(tuple(row.values()))
        for month, rows in by_month.items():
            # By their text: columns may hold null.
            found[name, month] = sorted(rows, key=repr)
    for path in Path(lake, REPORT).glob("month=*/*.html"):
        found[REPORT, path.parent.name.removeprefix("month=")[:7]] = path.read_bytes()
    return found


def differences(left: dict[tuple[str, str], Rows | bytes], right: dict[tuple[str, str], Rows | bytes]) -> list[str]:
    """Name the tables and months that are not equal; short, because rows would flood the terminal."""
    keys = sorted(left.keys() | right.keys())
    return [f"{table} {month}" for table, month in keys if left.get((table, month)) != right.get((table, month))]


def unfinished_files(lake: Path | str) -> list[str]:
    """Return data files that no version of their table names: staged and never published."""
    left = []
    for name in TABLES:
        folder = Path(lake, name)
        if not folder.is_dir():
            continue
        log = "".join(path.read_text(encoding="utf-8") for path in (folder / "_delta_log").glob("*.json"))
        named = set(re.findall(r'"path":"([^"]+)"', log))
        left += [
            str(path)
            for path in folder.rglob("*.parquet")
            if "_delta_log" not in path.parts and str(path.relative_to(folder)) not in named
        ]
    return left


def not_finite(lake: Path | str) -> list[str]:
    """Name every float of every table that is NaN or infinite."""
    wrong = []
    for name in TABLES:
        for row in rows_of(lake, name):
            wrong += [
                f"{name} {row['month']}: {column} = {value}"
                for column, value in row.items()
                if isinstance(value, float) and not math.isfinite(value)
            ]
    return wrong
