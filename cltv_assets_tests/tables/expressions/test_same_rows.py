"""Whether a month that is made again has the rows that it had."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cltv_assets.columns import MONEY, Column, TableSchema
from cltv_assets.engines import Engine
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import open_source
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.same_rows import has_same_rows

JAN = Month.parse("2024-01")
SCHEMA = TableSchema(
    "orders",
    "Rows with a value of each kind.",
    ("customer_id",),
    (
        Column("customer_id", "string", "Customer."),
        Column("country", "string", "Country.", nullable=True),
        Column("city", "string", "City.", nullable=True),
        Column("orders", "int64", "Orders."),
        Column("spend", MONEY, "Money."),
        Column("score", "float64", "Score."),
    ),
)
ROWS: list[dict[str, Any]] = [
    {"customer_id": f"C{i}", "country": "NL", "city": None, "orders": i, "spend": Decimal(i) / 4, "score": i / 3}
    for i in range(40)
]


def _with(at: int, **changes: Any) -> list[dict[str, Any]]:
    return [row | changes if number == at else row for number, row in enumerate(ROWS)]


def _swapped() -> list[dict[str, Any]]:
    first, second = ROWS[3]["spend"], ROWS[4]["spend"]
    return [*ROWS[:3], ROWS[3] | {"spend": second}, ROWS[4] | {"spend": first}, *ROWS[5:]]


@pytest.mark.parametrize(
    ("rows", "same"),
    [
        (ROWS, True),
        (ROWS[::-1], True),
        (_with(7, spend=Decimal("1.76")), False),
        (_with(7, score=7 / 3 + 1e-12), False),
        (_with(7, orders=8), False),
        (_with(7, country=None, city="NL"), False),
        (_swapped(), False),
        (ROWS[:-1], False),
        ([*ROWS[:-1], ROWS[0]], False),
        ([], False),
    ],
    ids=["same", "order", "money", "float", "number", "null moved", "swapped", "fewer", "doubled", "none"],
)
def test_only_the_same_rows_are_the_same(
    engine: Engine, tmp_path: Path, rows: list[dict[str, Any]], same: bool
) -> None:
    run, stage = _lake(engine, tmp_path)
    assert not has_same_rows(run, stage(ROWS)), "never published"
    run.lake.table(SCHEMA).publish(stage(ROWS))
    assert has_same_rows(run, stage(rows)) is same


def test_an_empty_month_that_stays_empty_is_the_same(engine: Engine, tmp_path: Path) -> None:
    run, stage = _lake(engine, tmp_path)
    run.lake.table(SCHEMA).publish(stage([]))
    assert has_same_rows(run, stage([]))
    assert not has_same_rows(run, stage(ROWS))


def _lake(engine: Engine, folder: Path) -> tuple[MonthRun, Callable[[list[dict[str, Any]]], Any]]:
    settings = Settings.model_validate({"home": folder})
    run = MonthRun(JAN, settings, engine, Lake(str(folder / "lake")), open_source(settings))

    def stage(rows: list[dict[str, Any]]) -> Any:
        staging = run.lake.table(SCHEMA).begin(JAN)
        given = pa.Table.from_pylist(rows, SCHEMA.arrow)
        engine.write(engine.from_arrow(given), SCHEMA, staging.new_file())
        return staging.seal()

    return run, stage
