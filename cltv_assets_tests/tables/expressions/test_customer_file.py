"""Attributes of a file of customers: whose ids are one, which line counts, and what is refused with its place."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from cltv_assets.errors import SourceError
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import new_source
from cltv_assets.tables import customer_attributes
from cltv_assets.tables.check import audit
from cltv_assets.tables.customer_attributes import UNKNOWN
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS

COLUMNS = {"customer_id": "who", "transacted_at": "day", "amount": "total"}
BUYERS = ("17850", "ada@x.de", "bo", "none")


def run_of(engine: Any, home: Path, customers: dict[str, Any], **source: Any) -> MonthRun:
    """Return a run whose customers bought once; the channel is an attribute of the transactions."""
    days = [
        {
            "customer_id": who, "purchase_day": dt.date(2024, 3, 1), "order_count": 1, "line_count": 1,
            "attributes": json.dumps({"channel": "ads"}),
        }
        for who in BUYERS
    ]  # fmt: skip
    settings = Settings.model_validate(
        {
            "source": {"kind": "csv", "path": "a.csv", "columns": COLUMNS, **source},
            "customers": customers,
            "start_month": "2024-01",
            "home": home,
        }
    )
    table = engine.from_arrow(pa.Table.from_pylist(days, schema=PURCHASE_DAYS.arrow))
    run = MonthRun(Month.parse("2024-03"), settings, engine, Lake("unused"), new_source(settings))
    run.inputs[PURCHASE_DAYS.name] = table  # type: ignore[index]
    return run


def made(run: MonthRun) -> dict[tuple[str, str], str]:
    table = run.engine.cache(customer_attributes.make(run))
    run.inputs["customer_attributes"] = table  # type: ignore[index]
    rows = run.engine.collect(table).to_pylist()
    found = {(row["customer_id"], row["attribute"]): row["value"] for row in rows}
    assert len(found) == len(rows)
    return found


def failed(run: MonthRun) -> dict[str, str]:
    checks = customer_attributes.TABLE.checks_for([12])
    found = audit(run.inputs["customer_attributes"], checks, run)
    return {each.check.name: each.verdict.message for each in found if not each.verdict.passed}


def test_ids_are_read_as_those_of_transactions_and_the_last_line_counts(engine, tmp_path):
    (tmp_path / "c.csv").write_text(
        'id;country;note\n 17850.0 ;FR;"of two\nlines"\nADA@X.DE; DE ;\nBO;AT;\nbo;CH;\nbo;CH;\n'
        "17850;FR;\n;XX;\nnan;XX;\nghost;IT;\n"
    )
    customers = {"path": "c.csv", "id": "id", "attributes": ["country"], "delimiter": ";"}
    run = run_of(engine, tmp_path, customers, customer_id_folding=["trim", "nfc", "casefold"])
    assert made(run) == {
        ("17850", "country"): "FR", ("ada@x.de", "country"): "DE", ("bo", "country"): "CH",
        ("none", "country"): UNKNOWN,
    }  # fmt: skip
    # Seven lines have an id that is one, and of these "bo" is told in two ways.
    assert run.notes == {"lines_of_customers": 9, "lines_without_id": 2, "customers_told_differently": 1}
    assert failed(run) == {
        "told_once": "1 customers have several lines in c.csv with different attributes: the last one counts. Deliver "
        "one line for each."
    }


def test_a_typed_file_beside_attributes_of_transactions(engine, tmp_path):
    ids = pa.array([17850.0, 2.0, None])
    table = pa.table({"nr": ids, "born": pa.array([1980, 1990, 2000]), "vip": pa.array([None, True, True])})
    pq.write_table(table, tmp_path / "c.parquet")
    run = run_of(
        engine,
        tmp_path,
        {"path": "c.parquet", "id": "nr", "attributes": ["born", "vip"]},
        columns={**COLUMNS, "attributes": ["channel"]},
    )
    found = made(run)
    assert len(found) == 3 * len(BUYERS)
    assert {found[who, "channel"] for who in BUYERS} == {"ads"}
    assert [found["17850", name] for name in ("born", "vip")] == ["1980", UNKNOWN]
    assert {found[who, "born"] for who in BUYERS[1:]} == {UNKNOWN}
    assert list(failed(run)) == ["values_told_apart"]


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    from cltv_assets.engines.duckdb_engine import DuckDBEngine

    def said(text: str, **customers: Any) -> str:
        (tmp_path / "c.csv").write_text(text)
        with pytest.raises(SourceError) as raised:
            made(run_of(DuckDBEngine("1GB"), tmp_path, {"path": "c.csv", "attributes": ["country"], **customers}))
        return str(raised.value)

    assert "c.csv, line 3: it has not as many fields as the header" in said("customer_id,country\na,DE\nb\n")
    missing = said("customer_id,Country\na,DE\n")
    assert "c.csv, line 1: no column 'country' (customers)." in missing
    assert "did you mean 'Country'? The columns there are customer_id, Country; correct customers." in missing
    assert "There is no file at" in said("", path="gone.csv")


@pytest.mark.parametrize(
    ("customers", "told"),
    [
        ({"attributes": ["country"]}, "customers.attributes needs customers.path"),
        ({"path": "c.csv"}, "customers.path needs customers.attributes"),
        ({"path": "c.xlsx", "attributes": ["country"]}, "neither a CSV file"),
        ({"path": "c.csv", "attributes": ["country", "country"]}, "names the column 'country' twice"),
        ({"path": "c.csv", "attributes": ["customer_id"]}, "names the column 'customer_id' twice"),
        ({"path": "c.csv", "attributes": ["all"]}, "stands for all customers"),
        ({"path": "c.csv", "attributes": ["channel"]}, "'channel', which source.columns.attributes has too"),
    ],
)
def test_what_cannot_be_meant_is_refused(customers, told):
    columns = {**COLUMNS, "attributes": ["channel"]}
    with pytest.raises(ValidationError, match=told):
        Settings.model_validate(
            {
                "source": {"kind": "csv", "path": "a.csv", "columns": columns},
                "customers": customers,
                "start_month": "2024-01",
            }
        )


def test_costs_may_be_those_of_an_attribute_of_the_file():
    Settings.model_validate(
        {
            "source": {"kind": "csv", "path": "a.csv", "columns": COLUMNS},
            "customers": {"path": "c.csv", "attributes": ["region"]},
            "acquisition_costs": {
                "path": "costs.csv", "attribute": "region",
                "columns": {"month": "month", "spend": "spend", "value": "region"},
            },
            "start_month": "2024-01",
        }
    )  # fmt: skip
