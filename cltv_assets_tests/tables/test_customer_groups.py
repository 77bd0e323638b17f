"""Groups of customers in the tables: from the attributes of first purchases to predictions and totals."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.lake import Lake
from cltv_assets.models.purchase.registry import model_named
from cltv_assets.models.sufficient_statistics import Patterns
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables import rfm_summary
from cltv_assets.tables.customer_scores.score import next_orders_of_patterns
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model import fit
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.purchase_model.folds import FIRST_ATTRIBUTES, Window, customers_by_fold
from cltv_assets.tables.purchase_model.grouping import Grouping, by_group, label_of, with_groups, with_known_groups
from cltv_assets.tables.purchase_model.groups import group_columns
from cltv_assets.tables.scenario import Scenario, scenario_rows
from cltv_assets.tables.spend_model.columns import SPEND_MODEL
from cltv_assets_tests.models.shops import Shop
from cltv_assets_tests.models.test_group_trial import shop_of_channels
from cltv_assets_tests.tables.test_segment_tables import PURCHASE, SPEND, predicted, segmented, table
from cltv_assets_tests.tables.test_segment_tables import engine as engine

MONTH = Month.parse("2003-06")
SETTINGS = {"start_month": "2001-01", "end_month": "2003-12", "horizons_months": (3, 6), "gross_margin": 0.5}
SOURCE = {
    "kind": "csv", "path": "unused", "latest_attributes": ["tier"],
    "columns": {"customer_id": "who", "transacted_at": "day", "amount": "total", "attributes": ["channel", "tier"]},
}  # fmt: skip


def purchase_days(rows) -> pa.Table:
    """Return days with attributes."""
    made = [
        {
            "customer_id": who, "purchase_day": day, "order_count": orders, "line_count": 1, "spend": Decimal(10),
            "refunds": Decimal(0), "attributes": None if told is None else json.dumps(told),
        }
        for who, day, orders, told in rows
    ]  # fmt: skip
    return table(PURCHASE_DAYS, made)


def month_of(engine, tmp_path, days: pa.Table, source: dict = SOURCE) -> MonthRun:
    settings = Settings.model_validate(SETTINGS | {"source": source})
    run = MonthRun(MONTH, settings, engine, Lake(str(tmp_path)), None, {PURCHASE_DAYS.name: engine.from_arrow(days)})
    run.inputs["rfm_summary"] = engine.cache(rfm_summary.make(run))
    run.inputs[SPEND_MODEL.name] = engine.from_arrow(table(SPEND_MODEL, [SPEND]))
    return run


def days_of(shop: Shop, names: np.ndarray) -> pa.Table:
    """Return the days of a shop whose customers say a channel at the first purchase, and another one later."""
    first = np.unique(shop.customer, return_index=True)[1]
    said = np.full(len(names), "direct", dtype=object)
    said[first] = names[first]
    rows = zip(shop.customer.tolist(), shop.day.astype(object).tolist(), said.tolist(), strict=True)
    # A tier that only those have who came back: it would predict well, and only because it knows.
    return purchase_days(
        (f"c{who}", day, 1, {"channel": name} | ({"tier": "gold"} if name == "direct" else {}))
        for who, day, name in rows
        if day <= MONTH.last_day
    )


@pytest.fixture(scope="module")
def days() -> pa.Table:
    shop, names = shop_of_channels(2, 300)
    return days_of(shop, names)


@pytest.fixture(scope="module")
def rows(days, tmp_path_factory) -> list[dict]:
    """Return the month's rows of ``purchase_model``."""
    engine = DuckDBEngine()
    found = engine.collect(fit.make(month_of(engine, tmp_path_factory.mktemp("lake"), days))).to_pylist()
    engine.close()
    return found


@pytest.fixture
def month(engine, tmp_path, days, rows) -> MonthRun:
    run = month_of(engine, tmp_path, days)
    run.inputs[PURCHASE_MODEL.name] = engine.from_arrow(table(PURCHASE_MODEL, rows))
    return run


def test_the_months_models_have_the_channels_of_first_purchases(rows):
    # A model of little weight predicts everybody alike.
    assert {0.0 < row["weight"] < 0.2 for row in rows} == {True, False}
    assert [bool(row["customer_groups"]) for row in rows] == [row["weight"] >= 0.2 for row in rows]
    for groups in (json.loads(row["customer_groups"]) for row in rows if row["customer_groups"]):
        assert groups["way"] == "pooled"
        assert {name: set(values) for name, values in groups["values"].items()} == {
            "channel": {"mail", "search", "social"}
        }
        assert groups["gain"] > 2.0 * groups["gain_se"]
        assert set(groups["groups"]) == {'["mail"]', '["search"]', '["social"]'}
        rates = {name: each["parameters"]["r"] / each["parameters"]["alpha"] for name, each in groups["groups"].items()}
        assert rates['["mail"]'] > rates['["search"]'] > rates['["social"]']
    assert "Customers are told apart by 'channel', in 3 groups" in rows[0]["choice_reason"]


def test_customers_are_predicted_by_the_parameters_of_their_channel(month, rows, days):
    first = {}
    for who, day, text in zip(
        *(days[n].to_pylist() for n in ("customer_id", "purchase_day", "attributes")), strict=True
    ):
        first[who] = min(first.get(who, (dt.date.max, "")), (day, text))
    found = predicted(month).to_pylist()
    assert len(found) == len(first)
    # July to September 2003, and to the end of the year.
    ahead = np.array([92.0, 184.0])
    for row in found:
        assert row["model_group"] == label_of((json.loads(first[row["customer_id"]][1])["channel"],))
    history = Patterns(*(np.array([row[name] for row in found]) for name in ("frequency", "recency", "T")))
    wanted = np.zeros((len(found), 2))
    for one in rows:
        if one["weight"]:
            model = model_named(one["model_name"])
            groups = json.loads(one["customer_groups"] or '{"groups": {}}')["groups"]
            for label in {row["model_group"] for row in found}:
                mine = np.flatnonzero([row["model_group"] == label for row in found])
                parameters = groups[label]["parameters"] if groups else {n: one[n] for n in model.parameter_names}
                expected = model.expected_purchases(parameters, history.take(mine), ahead)
                wanted[mine] += one["weight"] * expected
    assert [row["expected_purchases_3m"] for row in found] == pytest.approx(wanted[:, 0].tolist(), rel=1e-9)
    assert [row["expected_purchases_6m"] for row in found] == pytest.approx(wanted[:, 1].tolist(), rel=1e-9)


def test_totals_and_scenarios_are_those_of_the_predictions(month):
    made = predicted(month)
    found, _, failed = segmented(month, (MONTH, made))
    assert failed == []
    month.inputs["cltv_predictions"] = month.engine.from_arrow(made)
    other = {
        (row["scheme"], row["segment"], row["horizon_months"]): row
        for row in scenario_rows(month, Scenario(month.settings.annual_discount_rate, None), (3, 6))
    }
    for row in found:
        mine = other[row["scheme"], row["segment"], row["horizon_months"]]
        for name in ("expected_purchases", "expected_purchases_low", "expected_purchases_high"):
            assert mine[name] == pytest.approx(row[name], rel=1e-6, abs=1e-4)
    whole = next(row for row in found if row["scheme"] == "all" and row["horizon_months"] == 6)
    assert whole["expected_purchases_low"] < whole["expected_purchases"] < whole["expected_purchases_high"]


def test_the_next_order_follows_the_channel(month, rows):
    purchase = [row for row in rows if row["weight"]]
    rfm = with_known_groups(month.inputs["rfm_summary"], month.engine.from_arrow(predicted(month)), purchase)
    found = next_orders_of_patterns(month, rfm, purchase).to_pylist()
    new = [row for row in found if row["frequency"] == 0 and row["first_purchase"] > dt.date(2003, 5, 15)]
    mean = {
        name: np.mean([row["p_order_90d"] for row in new if row["model_group"] == label_of((name,))])
        for name in ("mail", "search", "social")
    }
    assert mean["mail"] > mean["search"] > mean["social"]


def test_without_attributes_and_with_changing_ones_only_nothing_is_asked(engine, tmp_path):
    days = purchase_days(TOLD)
    plain = {name: column for name, column in SOURCE["columns"].items() if name != "attributes"}
    for source in (
        SOURCE | {"latest_attributes": ["channel", "tier"]},
        SOURCE | {"latest_attributes": [], "columns": plain},
    ):
        run = month_of(engine, tmp_path, days, source)
        # Not even the models are looked at.
        assert group_columns(run, run.inputs[PURCHASE_DAYS.name], None, None) == ({}, "")
    rfm = run.inputs["rfm_summary"]
    assert with_groups(run, rfm, [PURCHASE]) is rfm
    assert with_known_groups(rfm, rfm, [PURCHASE]) is rfm


TOLD = [
    # The first day counts, whatever was known later; a day of refunds is none.
    ("a", dt.date(2002, 1, 5), 1, {"channel": "mail"}), ("a", dt.date(2002, 2, 5), 1, {"channel": "social"}),
    ("b", dt.date(2002, 1, 6), 1, None), ("b", dt.date(2002, 2, 6), 1, {"channel": "mail"}),
    ("c", dt.date(2002, 1, 6), 1, {"tier": "gold"}),
    ("d", dt.date(2002, 1, 3), 0, {"channel": "mail"}), ("d", dt.date(2002, 1, 7), 1, {"channel": 'a "b" \\ c'}),
    ("e", dt.date(2002, 1, 7), 1, {"channel": "rare", "tier": "x, \"channel\": \"mail\""}),
]  # fmt: skip
KEPT = {"channel": ["mail", "unknown", 'a \\"b\\" \\\\ c']}
WANTED = {"a": ["mail"], "b": ["unknown"], "c": ["unknown"], "d": ['a "b" \\ c'], "e": [""]}


def test_the_first_day_says_which_group(shared_engine, tmp_path):
    run = month_of(shared_engine, tmp_path, purchase_days(TOLD))
    groups = {label_of((value,)): {} for value in ("mail", "unknown", 'a \\"b\\" \\\\ c')}
    row = PURCHASE | {"customer_groups": json.dumps({"values": KEPT, "groups": groups})}
    found = shared_engine.collect(with_groups(run, run.inputs["rfm_summary"], [row])).to_pylist()
    said = {one["customer_id"]: one["model_group"] for one in found}
    assert {who: json.loads(label) if label else [""] for who, label in said.items()} == WANTED
    # The same as the holdouts saw, which count all customers of an origin.
    table_ = customers_by_fold(run.inputs[PURCHASE_DAYS.name], MONTH, [Window(MONTH, MONTH)], attributes=True)
    label = Grouping(KEPT).label(table_[FIRST_ATTRIBUTES])
    counted = sorted(each["label"] for each in shared_engine.collect(table_.select(label=label)).to_pylist())
    assert counted == sorted(label or '[""]' for label in said.values())


def test_rows_of_a_table_are_split_by_group_and_none_is_lost():
    group = {"parameters": {"r": 9.0}, "loading": [[1.0]], "own_covariance": [[0.0]]}
    row = PURCHASE | {"customer_groups": json.dumps({"values": {"c": ["x"]}, "groups": {'["x"]': group}})}
    made = pa.table({"n": [1, 2, 3, 4], "model_group": ['["x"]', None, '["x"]', ""]})
    parts = {part.label: part for part in by_group([row], made)}
    assert {label: part.places.tolist() for label, part in parts.items()} == {None: [1, 3], '["x"]': [0, 2]}
    assert parts['["x"]'].purchase[0]["r"] == 9.0
    assert parts[None].purchase[0] is row
    assert dataclasses.asdict(next(iter(by_group([PURCHASE], made))))["label"] is None
