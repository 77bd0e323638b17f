"""Attributes of customers: first or latest value, missing and rare ones, texts that could be taken apart wrongly."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cltv_assets.dagster_defs.presentation import metadata_of
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables import cohort_value, customer_attributes, purchase_days
from cltv_assets.tables.check import audit
from cltv_assets.tables.cleaned_and_rejected.columns import CLEANED_TRANSACTIONS
from cltv_assets.tables.customer_attributes import MOST_VALUES, OTHER, UNKNOWN
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.segmentation import ALL

MONTH = Month.parse("2024-03")
COLUMNS = {"customer_id": "who", "transacted_at": "day", "amount": "total"}

Visit = tuple[str, str, dict[str, str] | None]


def run_on(engine, visits: list[Visit], attributes: list[str], latest: list[str] | None = None) -> MonthRun:
    """Return a run whose customers bought on some days (customer, day, attributes)."""
    rows = [
        {
            "customer_id": who,
            "purchase_day": dt.date.fromisoformat(day.rstrip("-")),
            # A day that ends in a dash has a refund only.
            "order_count": int(not day.endswith("-")),
            "line_count": 1,
            "attributes": json.dumps(fields, ensure_ascii=False) if fields else None,
        }
        for who, day, fields in visits
    ]
    settings = Settings(
        source={
            "kind": "csv",
            "path": "a.csv",
            "columns": {**COLUMNS, **({"attributes": attributes} if attributes else {})},
            "latest_attributes": latest or [],
        },
        start_month="2024-01",
    )
    days = engine.from_arrow(pa.Table.from_pylist(rows, schema=PURCHASE_DAYS.arrow))
    return MonthRun(MONTH, settings, engine, Lake("unused"), None, {PURCHASE_DAYS.name: days})  # type: ignore[arg-type]


def made(run: MonthRun) -> dict[tuple[str, str], str]:
    rows = run.engine.collect(customer_attributes.make(run)).to_pylist()
    found = {(row["customer_id"], row["attribute"]): row["value"] for row in rows}
    assert len(found) == len(rows)
    return found


def findings(run: MonthRun) -> dict[str, Any]:
    table = run.engine.cache(customer_attributes.make(run))
    run.inputs["customer_attributes"] = table  # type: ignore[index]
    return {each.check.name: each.verdict for each in audit(table, customer_attributes.TABLE.checks_for([12]), run)}


def test_first_and_latest_values_skip_days_that_lack_them(engine):
    visits: list[Visit] = [
        ("a", "2024-01-05", {"channel": "search"}),
        ("a", "2024-02-01", {"channel": "mail", "country": "DE"}),
        ("a", "2024-03-01", {"country": "AT"}),
        ("a", "2024-03-09", None),
        ("b", "2024-02-02", None),
        ("only returns", "2024-02-03-", {"country": "FR"}),
        ("later", "2024-04-01", {"country": "FR"}),
    ]
    assert made(run_on(engine, visits, ["channel", "country"], ["country"])) == {
        ("a", "channel"): "search",
        ("a", "country"): "AT",
        ("b", "channel"): UNKNOWN,
        ("b", "country"): UNKNOWN,
    }
    assert made(run_on(engine, visits, ["country"]))["a", "country"] == "DE"
    assert made(run_on(engine, visits, [])) == {}


def test_texts_that_look_like_fields_are_values(engine):
    odd = {
        "a": '", "country": "XX',
        "country": 'back\\slash "quoted" \\',
        "c.o(u)n[try": "{}",
        "Ländername": "Côte d\u2019Ivoire",
    }
    found = made(run_on(engine, [("1", "2024-01-01", odd)], list(odd)))
    assert {name: value for (_, name), value in found.items()} == odd


def test_rare_values_of_a_crowded_attribute_are_other_and_that_is_said(engine):
    rng = np.random.default_rng(5)
    towns = [f"t{n:03d}" for n in np.minimum(rng.geometric(0.01, 3_000), 400)]
    visits: list[Visit] = [
        (str(n), "2024-01-01", {"town": town, "country": "DE"} if n % 10 else {"country": "DE"})
        for n, town in enumerate(towns)
    ]
    run = run_on(engine, visits, ["town", "country"])
    found = Counter(value for (_, name), value in made(run).items() if name == "town")
    counts = Counter(town for n, town in enumerate(towns) if n % 10)
    assert len(counts) > MOST_VALUES
    ranked = sorted(counts, key=lambda town: (-counts[town], town))[:MOST_VALUES]
    rest = sum(counts.values()) - sum(counts[town] for town in ranked)
    assert rest > 0
    assert found == {**{town: counts[town] for town in ranked}, OTHER: rest, UNKNOWN: 300}
    checked = findings(run)
    assert checked["everybody_has_one"].passed
    assert not checked["values_told_apart"].passed
    assert f"{rest:,} of 3,000 customers" in checked["values_told_apart"].message
    assert "'country'" not in checked["values_told_apart"].message


def test_an_attribute_that_hardly_anybody_has_is_told(engine):
    visits: list[Visit] = [(str(n), "2024-01-01", {"channel": "ads"} if n < 4 else None) for n in range(10)]
    checked = findings(run_on(engine, visits, ["channel"]))
    assert "'channel' is not known of 6 of 10 customers" in checked["values_told_apart"].message


def test_a_customer_without_a_row_blocks(engine):
    run = run_on(engine, [("a", "2024-01-01", None), ("b", "2024-01-01", None)], ["channel"])
    table = customer_attributes.make(run)
    checks = customer_attributes.TABLE.checks_for([12])
    found = {each.check.name: each.verdict for each in audit(table.filter(table.customer_id != "b"), checks, run)}
    assert not found["everybody_has_one"].passed
    assert found["everybody_has_one"].message == "1 rows for 2 customers and 1 attributes."


@pytest.mark.parametrize("attributes", [True, False])
def test_a_day_has_the_attributes_of_its_first_purchase_that_has_any(engine, attributes):
    lines = [
        ("1", "2024-03-01 09:00", "refund", "early refund"),
        ("2", "2024-03-01 10:00", "purchase", None),
        ("2", "2024-03-01 10:00", "purchase", "z"),
        ("2", "2024-03-01 10:00", "purchase", "y"),
        ("3", "2024-03-01 12:00", "purchase", "a"),
        ("4", "1965-03-01 12:00", "purchase", "before 1970"),
    ]
    rows = [
        {
            "transaction_id": order,
            "customer_id": "c",
            "transacted_at": dt.datetime.fromisoformat(at).replace(tzinfo=dt.UTC),
            "purchase_day": dt.date.fromisoformat(at[:10]),
            "kind": kind,
            "amount": Decimal(-1 if kind == "refund" else 5),
            "amount_delivered": Decimal(-1 if kind == "refund" else 5),
            "source_file": "f",
            "source_line": n,
            "attributes": json.dumps({"k": value}) if value else None,
        }
        for n, (order, at, kind, value) in enumerate(lines)
    ]
    cleaned = engine.from_arrow(pa.Table.from_pylist(rows, schema=CLEANED_TRANSACTIONS.arrow))
    days = purchase_days.merge_by_day(cleaned, attributes=attributes).order_by("purchase_day")
    found = [row["attributes"] for row in engine.collect(days).to_pylist()]
    assert found == (['{"k": "before 1970"}', '{"k": "y"}'] if attributes else [None, None])


def test_values_that_few_customers_have_are_told_as_one(engine):
    # An address in the wrong column tells who its one customer is.
    places = [*["web"] * 12, *["shop"] * 10, *["till"] * 9, "1 Canary Road"]
    run = run_on(engine, [(f"c{at}", "2024-03-01", {"channel": place}) for at, place in enumerate(places)], ["channel"])
    table = run.engine.cache(customer_attributes.make(run))
    highlights = customer_attributes.TABLE.highlights
    assert highlights is not None
    found, _ = highlights(replace(run, inputs={**run.inputs, "customer_attributes": table})).tables["by_channel"]
    told = {row["value"]: row["customers"] for row in found}
    assert told == {"web": 12, "shop": 10, OTHER: 10}


def test_a_preview_shows_no_value_of_an_attribute(engine):
    rows = [
        {"attribute": of, "attribute_value": value, "cohort": dt.date(2024, 3, 1), "age_months": 0, "customers": 5}
        for of, value in [("channel", "1 Canary Road"), (ALL, ALL)]
    ]
    table = replace(cohort_value.TABLE, highlights=None)
    run = run_on(engine, [], ["channel"])
    preview = metadata_of(table, engine.from_arrow(pa.Table.from_pylist(rows)), run)["preview"].value
    assert "Canary" not in preview
    assert "The first rows of all customers by attribute" in preview
    assert "| customers | 5 |" in preview
