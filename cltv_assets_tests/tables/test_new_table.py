"""A new table is one module and one line: everything that lists tables follows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import deltalake
import yaml

from cltv_assets_tests.e2e.running import values_in
from cltv_assets_tests.e2e.shop import deliver, lines_of_shop, months_of

PACKAGE = Path(__file__).parents[2] / "cltv_assets"

MODULE = '''"""Orders."""

from __future__ import annotations

import ibis.expr.types as ir

from cltv_assets.columns import MONEY, Column, TableSchema
from cltv_assets.tables.common_checks import no_rows
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.table import DATA_PLATFORM, ENGINE, PREPARATION, Input, Table

BASKETS = TableSchema(
    "baskets",
    "One row for each order.",
    ("transaction_id",),
    (
        Column("transaction_id", "string", "Order number."),
        Column("line_count", "int64", "Lines of the order.", "lines"),
        Column("amount", MONEY, "Value of the order, refunds taken off.", "currency"),
    ),
)


def make(run: MonthRun) -> ir.Table:
    """Merge the month's lines into orders."""
    lines = run.inputs["cleaned_transactions"]
    return lines.group_by("transaction_id").aggregate(line_count=lines.count(), amount=lines.amount.sum().cast(MONEY))


@no_rows("Every order has a line.")
def has_lines(table: ir.Table, _run: MonthRun) -> ir.BooleanValue:
    """Promise that no order is empty."""
    return table.line_count < 1


TABLE = Table(
    schema=BASKETS,
    inputs=lambda _settings: (Input("cleaned_transactions"),),
    make=make,
    checks=(has_lines,),
    group=PREPARATION,
    owner=DATA_PLATFORM,
    kinds=(ENGINE, "deltalake"),
    half="preprocess",
)
'''

LOOK_AND_MAKE = """
import json
from cltv_assets import build_definitions
from cltv_assets.dagster_defs.graph import assets_of_half
from cltv_assets.dagster_defs.templates import load_settings
from cltv_assets.tables.data_dictionary import dictionary
graph = build_definitions(load_settings()).resolve_asset_graph()
print(json.dumps({
    "checks": sorted(key.name for key in graph.asset_check_keys if key.asset_key.path == ["baskets"]),
    "half": "baskets" in assets_of_half("preprocess"),
    "dictionary": "## baskets" in dictionary(),
}), flush=True)
from cltv_assets.cli import main
main(["preprocess"])
"""


def test_a_new_table_is_one_module_and_one_line(tmp_path: Path) -> None:
    package = tmp_path / "package" / "cltv_assets"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "tables" / "baskets.py").write_text(MODULE)
    listing = package / "tables" / "__init__.py"
    line = "    __import__('cltv_assets.tables.baskets', fromlist=['TABLE']).TABLE,\n"
    listing.write_text(listing.read_text().replace("    purchase_days.TABLE,\n", f"{line}    purchase_days.TABLE,\n"))
    deliver(tmp_path / "shop", lines_of_shop(months_of("2011-01", 1), customers=30))
    (tmp_path / "cltv.yaml").write_text(yaml.safe_dump(values_in(end_month="2011-01", lake_uri="lake")))

    done = subprocess.run(
        [sys.executable, "-c", LOOK_AND_MAKE],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(package.parent)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    assert found == {
        "checks": ["column_schema", "has_lines", "on_time", "unique_grain"],
        "half": True,
        "dictionary": True,
    }
    baskets = deltalake.DeltaTable(tmp_path / "lake" / "baskets").to_pyarrow_table()
    lines = deltalake.DeltaTable(tmp_path / "lake" / "cleaned_transactions").to_pyarrow_table()
    assert sum(baskets["amount"].to_pylist()) == sum(lines["amount"].to_pylist())
    assert len(baskets) == len(set(lines["transaction_id"].to_pylist()))
