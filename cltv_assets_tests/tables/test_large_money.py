"""Every table and check on a shop whose lines are worth up to what a line may be worth, 10^12 less the last digit."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cltv_assets.columns import MONTH, TableSchema
from cltv_assets.engines import Engine
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.report.facts.value import value_facts
from cltv_assets.settings import Settings
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables import all_schemas, made_by, steps
from cltv_assets.tables.check import audit
from cltv_assets.tables.cltv_predictions.totals import predicted_totals
from cltv_assets.tables.month_run import MonthRun

MOST = Decimal("999999999999.9999")
FIRST, LAST = Month.parse("2023-01"), Month.parse("2023-03")
HORIZONS = (1, 3)
#: Lines of the largest value that fit into a customer's sums.
LINES = 99


@dataclass
class Kept:
    """What was made so far: tables of each month by name."""

    months: dict[str, dict[Month, pa.Table]] = field(default_factory=lambda: defaultdict(dict))

    def read(self, engine: Engine, schema: TableSchema, months: list[Month]) -> Any:
        found = [schema.arrow_with_month.empty_table()]
        for month in months:
            table = self.months[schema.name].get(month)
            if table is not None:
                found.append(table.append_column(MONTH, pa.array([month.first_day] * len(table), pa.date32())))
        return engine.from_arrow(pa.concat_tables(found))


class Run(MonthRun):
    """A month that looks back into what was kept."""

    kept: Kept

    def earlier(self, schema: TableSchema, months_back: int = 1) -> Any:
        month = self.month.shift(-months_back)
        return self.kept.read(self.engine, schema, [month]) if month in self.kept.months[schema.name] else None

    def earlier_row_counts(self, schema: TableSchema, months_back: int) -> dict[Month, int]:
        before = (self.month.shift(-n) for n in range(1, months_back + 1))
        return {
            month: len(made[month]) for made in [self.kept.months[schema.name]] for month in before if month in made
        }


def delivered() -> dict[Month, list[dict[str, Any]]]:
    """Return lines by month: customers who buy for billions, several lines a day, and give some of it back."""
    rng = np.random.default_rng(4)
    lines: dict[Month, list[dict[str, Any]]] = defaultdict(list)

    def line(customer: str, day: dt.date, amount: Decimal) -> None:
        rows = lines[Month.of(day)]
        rows.append(
            {
                "transaction_id": None, "customer_id": customer, "transacted_at": f"{day} 10:00:00",
                "amount": f"{amount:,}" if len(rows) % 2 else str(amount), "cost": str(amount.copy_abs() / 4),
                "source_file": "f.csv", "source_line": len(rows) + 2,
            }
        )  # fmt: skip

    whole = (LAST.last_day - FIRST.first_day).days
    for i in range(80):
        start, mean = int(rng.integers(0, 60)), rng.gamma(4.0, 0.1)
        days = {start, *(start + np.cumsum(rng.integers(1, 30, rng.geometric(0.3)))).tolist()}
        known = sorted(day for day in days if day <= whole)
        for day in known:
            on = FIRST.first_day + dt.timedelta(days=day)
            share = Decimal(f"{min(rng.gamma(5.0, mean / 5.0), 1.0):.9f}")
            for _ in range(LINES // len(known)):
                line(f"c{i}", on, (share * MOST).quantize(Decimal("0.0001")))
            if not i % 7:
                line(f"c{i}", on, (share * -MOST).quantize(Decimal("0.0001")))
    for month in FIRST.until(LAST):
        for _ in range(LINES // 3):
            line("most", month.first_day, MOST)
        line("back", month.first_day, MOST)
        line("back", month.last_day, -MOST)
        line("absurd", month.first_day, MOST + 1)
    return lines


def test_every_table_is_made_and_passes_its_checks(engine, shop_settings, tmp_path):
    columns = {"customer_id": "c", "transacted_at": "t", "amount": "a", "cost": "k"}
    settings = shop_settings(
        source={"columns": columns}, start_month=str(FIRST), end_month=str(LAST), horizons_months=HORIZONS,
        purchase_model="bg_nbd", seasonality="none", outliers={"method": "iqr", "iqr_factor": 500},
        annual_discount_rate=0.1,
    )  # fmt: skip
    kept, lines = Kept(), delivered()
    for month, rows in sorted(lines.items()):
        kept.months["raw_transactions"][month] = pa.Table.from_pylist(rows, schema=RAW_TRANSACTIONS.arrow)
        make_month(engine, settings, kept, month, str(tmp_path))
    spent: dict[str, Decimal] = defaultdict(Decimal)
    for row in (row for rows in lines.values() for row in rows):
        amount = Decimal(row["amount"].replace(",", ""))
        if amount > 0 and row["customer_id"] != "absurd":
            spent[row["customer_id"]] += amount
    rfm = {row["customer_id"]: row for row in kept.months["rfm_summary"][LAST].to_pylist()}
    assert {customer: row["total_spend"] for customer, row in rfm.items()} == spent
    assert max(spent.values()) == LINES * MOST
    assert (rfm["most"]["m_score"], rfm["back"]["m_score"]) == (5, 1)
    predictions = kept.months["cltv_predictions"][LAST]
    # Ten-thousandths of it have more than 64 bits.
    value = sum(predictions["cltv_3m"].to_pylist())
    assert value * 10_000 > 2**63
    whole = {row["horizon_months"]: row["expected_value"] for row in kept.months["segment_summary"][LAST].to_pylist()
             if row["scheme"] == "all"}  # fmt: skip
    assert whole[3] == pytest.approx(value, rel=1e-9)
    assert {row["reason"] for row in kept.months["rejected_transactions"][LAST].to_pylist()} >= {"invalid_amount"}
    found = {row["metric"]: row["value"] for row in kept.months["holdout_evaluation"][LAST].to_pylist()
             if (row["target"], row["model_name"]) == ("revenue", "last_year")}  # fmt: skip
    assert found["rmse"] > 1e11
    schemas = {schema.name: schema for schema in all_schemas(HORIZONS)}
    inputs = {
        "cltv_predictions": kept.read(engine, schemas["cltv_predictions"], [LAST]),
        "purchase_days": kept.read(engine, schemas["purchase_days"], list(FIRST.until(LAST))),
        "rfm_summary": kept.read(engine, schemas["rfm_summary"], [LAST]),
    }
    run = MonthRun(LAST, settings, engine, Lake(str(tmp_path)), None, inputs)  # type: ignore[arg-type]
    facts = value_facts(run, 0.0)
    assert facts is not None
    assert sum(facts.year.bought.values()) > 1e15
    # It gave back all that it bought.
    assert "back" not in [row["customer_id"] for row in facts.most_valuable]


def make_month(engine: Engine, settings: Settings, kept: Kept, month: Month, folder: str) -> None:
    """Make a month of every table but the raw lines, and run all checks."""
    schemas = {schema.name: schema for schema in all_schemas(HORIZONS)}
    for step in steps()[1:]:
        inputs = {
            one.table: kept.read(engine, schemas[one.table], one.months(month, settings.first_month))
            for one in step[0].inputs(settings)
        }
        run = Run(month, settings, engine, Lake(folder), None, inputs)  # type: ignore[arg-type]
        object.__setattr__(run, "kept", kept)
        made = made_by(step[0], run)
        for table in step:
            path = str(Path(folder) / f"{table.name}-{month}.parquet")
            engine.write(made[table.name], schemas[table.name], path)
            kept.months[table.name][month] = pq.read_table(path).cast(schemas[table.name].arrow)
        inputs |= {table.name: engine.from_arrow(kept.months[table.name][month]) for table in step}
        for table in step:
            failed = [
                f"{month} {table.name}.{finding.check.name}: {finding.verdict.message}"
                for finding in audit(inputs[table.name], table.checks_for(HORIZONS), run)
                if finding.blocks
            ]
            assert not failed
            if table.highlights is not None:
                table.highlights(run)
        if step[0].name == "cltv_predictions":
            assert predicted_totals(run) is not None
        engine.release()
