"""The steps on the real CDNOW log, against figures published or computed apart.

One small lake-less run of the pipeline's steps to the end of September 1997 and
holdout data to June 1998: what the asset graph does, without Dagster's part.
"""

from __future__ import annotations

import csv
import datetime as dt
import importlib.util
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import open_source
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables import checks_of, cohort_value, purchase_days, rfm_summary, spend_model
from cltv_assets.tables.check import audit
from cltv_assets.tables.cleaned_and_rejected import split
from cltv_assets.tables.cleaned_and_rejected.columns import CLEANED_TRANSACTIONS
from cltv_assets.tables.cltv_predictions import predict
from cltv_assets.tables.holdout_evaluation import evaluate
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.new_customer_value.make import rows_of as new_customers
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model import fit
from cltv_assets.tables.segment_summary import SEGMENT_SUMMARY

ORIGIN, LAST = Month.parse("1997-09"), Month.parse("1998-06")


@pytest.fixture(scope="module")
def settings() -> Settings:
    # The published figures are those of one model.
    return Settings(horizons_months=(3, 9), purchase_model="bg_nbd")


@pytest.fixture(scope="module")
def world(settings, tmp_path_factory):
    """Return (engine, purchase_days files by month)."""
    engine = DuckDBEngine()
    folder = tmp_path_factory.mktemp("cdnow")
    files = {}
    for month in settings.first_month.until(LAST):
        landing = open_source(settings).land(month, folder / month.key)
        raw = engine.read_files(RAW_TRANSACTIONS, [str(path) for path in landing.files])
        both = split.make(run(settings, engine, month, raw_transactions=raw))
        cleaned = both[CLEANED_TRANSACTIONS.name]
        days = purchase_days.make(run(settings, engine, month, cleaned_transactions=cleaned))
        files[month] = str(folder / f"{month.key}.parquet")
        engine.write(days, PURCHASE_DAYS, files[month])
    yield engine, files
    engine.close()


def run(settings, engine, month, **inputs) -> MonthRun:
    return MonthRun(month, settings, engine, Lake("unused"), open_source(settings), inputs)


@pytest.fixture(scope="module")
def modelled(settings, world) -> MonthRun:
    """Return a run whose inputs hold everything up to the predictions of September 1997."""
    engine, files = world
    known = engine.read_files(PURCHASE_DAYS, [path for month, path in files.items() if month <= ORIGIN])
    made = run(settings, engine, ORIGIN, purchase_days=known)
    made.inputs["rfm_summary"] = engine.cache(rfm_summary.make(made))
    made.inputs["purchase_model"] = engine.cache(fit.make(made))
    made.inputs["spend_model"] = engine.cache(spend_model.make(made))
    made.inputs["cltv_predictions"] = engine.cache(predict.make(made))
    return made


@pytest.fixture(scope="module")
def log() -> list[tuple[str, dt.date, Decimal]]:
    """Read the log apart from our readers."""
    spec = importlib.util.find_spec("lifetimes")
    assert spec is not None
    assert spec.origin is not None
    with (Path(spec.origin).parent / "datasets/CDNOW_master.txt").open(newline="") as file:
        rows = list(csv.reader((line for line in file), delimiter=" ", skipinitialspace=True))[1:]
    return [(r[0], dt.datetime.strptime(r[1], "%Y%m%d").date(), Decimal(r[3])) for r in rows]


def test_every_line_of_the_log_is_there(world, log):
    engine, files = world
    days = engine.read_files(PURCHASE_DAYS, list(files.values()))
    found = engine.measure(
        days,
        {
            "lines": days.line_count.sum(),
            "spend": days.spend.sum(),
            "days": days.count(),
            "c": days.customer_id.nunique(),
        },
    )
    assert (int(found["lines"]), found["spend"]) == (len(log), sum(amount for _, _, amount in log))
    assert (found["days"], found["c"]) == (len({(c, d) for c, d, _ in log}), 23_570)


def test_rfm_of_each_customer_equals_one_computed_apart(modelled, log):
    spend: dict[str, dict[dt.date, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for customer, day, amount in log:
        if day <= ORIGIN.last_day:
            spend[customer][day] += amount
    rows = modelled.engine.collect(modelled.inputs["rfm_summary"]).to_pylist()
    assert len(rows) == len(spend)
    for row in rows:
        days = spend[row["customer_id"]]
        first, last = min(days), max(days)
        repeat = [amount for day, amount in days.items() if day > first]
        assert (row["frequency"], row["recency"], row["T"]) == (
            len(repeat), (last - first).days, (ORIGIN.last_day - first).days,
        )  # fmt: skip
        mean = float(sum(repeat)) / len(repeat) if repeat else 0.0
        assert row["monetary_value"] == pytest.approx(mean, abs=1e-9)


def test_the_fit_is_the_published_one(modelled):
    rows = modelled.engine.collect(modelled.inputs["purchase_model"]).to_pylist()
    row = next(row for row in rows if row["role"] == "chosen")
    published = {"r": 0.252, "alpha": 33.523, "a": 0.723, "b": 2.161}
    assert {name: row[name] for name in published} == pytest.approx(published, rel=5e-3)
    assert (row["status"], row["customers"]) == ("fitted", 23_570)


def told_at_origin(modelled) -> dict[str, object]:
    """Return what an evaluation reads of the origin month, from the lake as it were."""
    told = {
        name: modelled.inputs[name].mutate(month=ORIGIN.first_day) for name in ("cltv_predictions", "purchase_model")
    }
    no_totals = pa.Table.from_pylist([], schema=SEGMENT_SUMMARY.arrow_with_month)
    return told | {SEGMENT_SUMMARY.name: modelled.engine.from_arrow(no_totals)}


def test_the_holdout_total_is_the_published_one(settings, world, modelled):
    engine, files = world
    days = engine.read_files(PURCHASE_DAYS, list(files.values()))
    judged = evaluate.make(run(settings, engine, LAST, **told_at_origin(modelled), purchase_days=days))
    rows = {
        (r["horizon_months"], r["target"], r["model_name"], r["metric"]): r["value"]
        for r in engine.collect(judged).to_pylist()
    }
    assert {key[0] for key in rows} == {9}
    value = {
        metric: rows[9, "purchases", "bg_nbd+gamma_gamma", metric] for metric in ("total_predicted", "total_actual")
    }
    assert value["total_actual"] == 19_684
    assert value["total_predicted"] == pytest.approx(16_874, rel=1e-3)
    assert rows[9, "purchases", "bg_nbd+gamma_gamma", "relative_bias"] == pytest.approx(16_874 / 19_684 - 1, abs=1e-3)
    assert rows[9, "purchases", "bg_nbd+gamma_gamma", "mae"] < rows[9, "purchases", "naive_rate", "mae"]


def test_holdout_errors_equal_ones_computed_apart(settings, world, modelled, log):
    engine, files = world
    days = engine.read_files(PURCHASE_DAYS, list(files.values()))
    made = modelled.engine.collect(modelled.inputs["cltv_predictions"]).to_pylist()
    bought: dict[str, set[dt.date]] = defaultdict(set)
    spent: dict[str, float] = defaultdict(float)
    before: dict[str, set[dt.date]] = defaultdict(set)
    year = ORIGIN.shift(-12).last_day
    for customer, day, amount in log:
        if ORIGIN.last_day < day <= LAST.last_day:
            bought[customer].add(day)
            spent[customer] += float(amount)
        elif year < day <= ORIGIN.last_day:
            before[customer].add(day)
    n = len(made)
    errors = [row["expected_purchases_9m"] - len(bought[row["customer_id"]]) for row in made]
    revenue = [row["expected_purchases_9m"] * row["expected_order_value"] - spent[row["customer_id"]] for row in made]
    # October to June have 273 days.
    again = [abs(len(before[row["customer_id"]]) * 273 / 365 - len(bought[row["customer_id"]])) for row in made]
    judged = evaluate.make(run(settings, engine, LAST, **told_at_origin(modelled), purchase_days=days))
    rows = {(r["target"], r["model_name"], r["metric"]): r["value"] for r in engine.collect(judged).to_pylist()}
    name = "bg_nbd+gamma_gamma"
    assert rows["purchases", name, "mae"] == pytest.approx(sum(map(abs, errors)) / n, rel=1e-9)
    assert rows["purchases", name, "rmse"] == pytest.approx((sum(e * e for e in errors) / n) ** 0.5, rel=1e-9)
    assert rows["revenue", name, "mae"] == pytest.approx(sum(map(abs, revenue)) / n, rel=1e-9)
    assert rows["purchases", "last_year", "mae"] == pytest.approx(sum(again) / n, rel=1e-9)


def test_cltv_is_discounted_spend_of_real_months(settings, modelled):
    row = modelled.engine.collect(
        modelled.inputs["cltv_predictions"].filter(modelled.inputs["cltv_predictions"].frequency > 5).limit(1)
    ).to_pylist()[0]
    # October to December have 92 days; their middles lie 15.5, 46 and 76.5 days ahead.
    spend = row["expected_purchases_3m"] * row["expected_order_value"]
    low, high = (spend * 1.1 ** (-days / 365.25) for days in (76.5, 15.5))
    assert low < row["cltv_3m"] < high
    middle = spend * 1.1 ** (-46 / 365.25)
    assert row["cltv_3m"] == pytest.approx(middle, rel=2e-3)
    assert row["cltv_9m"] > row["cltv_3m"]


def test_a_new_customers_worth_equals_one_computed_apart(modelled, log):
    told = {name: modelled.inputs[name] for name in ("rfm_summary", "purchase_model", "spend_model")}
    rows = {row["horizon_months"]: row for row in new_customers(replace(modelled, inputs=at_origin(told, modelled)))}
    chosen = {
        name: next(row for row in modelled.engine.collect(told[name]).to_pylist() if row["role"] == "chosen")
        for name in ("purchase_model", "spend_model")
    }
    r, alpha, a, b = (chosen["purchase_model"][name] for name in ("r", "alpha", "a", "b"))
    p, q, v = (chosen["spend_model"][name] for name in ("p", "q", "v"))
    orders: dict[str, dict[dt.date, float]] = defaultdict(lambda: defaultdict(float))
    for customer, day, amount in log:
        orders[customer][day] += float(amount)
    # Everybody came in the first quarter; the largest first order counts as the next largest.
    *most, second, _ = sorted(each[min(each)] for each in orders.values())
    first = (sum(most) + 2 * second) / 23_570
    for h, days in ((3, 92), (9, 273)):
        # Equation 9 of Fader, Hardie and Lee (2005), by the series of 2F1.
        z, term, series = days / (alpha + days), 1.0, 1.0
        for j in range(1, 2000):
            term *= (r + j - 1) * (b + j - 1) / ((a + b - 1 + j - 1) * j) * z
            series += term
        repeats = (a + b - 1) / (a - 1) * (1 - (alpha / (alpha + days)) ** r * series)
        row = rows[h]
        assert row["expected_orders"] == pytest.approx(1 + repeats, rel=1e-9)
        assert row["first_order_value"] == pytest.approx(first, rel=1e-9)
        assert row["expected_value"] == pytest.approx(first + repeats * p * v / (q - 1), rel=1e-9)
        assert (row["customers"], row["last_acquired"]) == (23_570, dt.date(1997, 3, 25))
        # Nobody came in the month; a twelfth of them is 1,965.
        assert row["cohort_customers"] == 1965
        assert row["expected_value_low"] < row["expected_value"] < row["expected_value_high"]


def at_origin(tables, modelled) -> dict[str, object]:
    """Return tables with the origin's month, as a window is read, and the days before it."""
    dated = {name: table.mutate(month=ORIGIN.first_day) for name, table in tables.items()}
    return dated | {"purchase_days": modelled.inputs["purchase_days"]}


def test_segments_hold_the_configured_shares(modelled):
    made = modelled.inputs["cltv_predictions"]
    counts = modelled.engine.collect(made.group_by("value_segment").aggregate(n=made.count())).to_pylist()
    share = {row["value_segment"]: row["n"] / 23_570 for row in counts}
    assert share["top"] == pytest.approx(0.05, abs=0.005)
    assert share["high"] == pytest.approx(0.15, abs=0.005)
    # Customers with one purchase on one day are alike: ties make these two rough.
    assert share["middle"] + share["low"] == pytest.approx(0.8, abs=0.005)


def test_cohorts_of_the_log_equal_ones_computed_apart(settings, modelled, log):
    frame = pd.DataFrame([entry for entry in log if entry[1] <= ORIGIN.last_day], columns=["who", "day", "amount"])
    frame["at"] = pd.PeriodIndex(pd.to_datetime(frame.day), freq="M")
    frame["cohort"] = frame.groupby("who")["at"].transform("min")
    frame["age"] = [(at - cohort).n for at, cohort in zip(frame["at"], frame.cohort, strict=True)]
    wanted = frame.groupby(["cohort", "age"]).agg(active=("who", "nunique"), revenue=("amount", "sum"))
    made = modelled.engine.cache(cohort_value.TABLE.make(modelled))
    failed = [
        found.verdict.message
        for found in audit(made, checks_of(settings.horizons_months)["cohort_value"], modelled)
        if not found.verdict.passed
    ]
    assert failed == []
    rows = modelled.engine.collect(made).to_pylist()
    happened = [row for row in rows if row["kind"] == "realised"]
    assert len(happened) == len(wanted) == 9 + 8 + 7
    for row in happened:
        active, revenue = wanted.loc[(pd.Period(row["cohort"], "M"), row["age_months"])]
        assert (row["active_customers"], row["revenue"]) == (active, revenue)
    # As published: 23,570 customers of the first quarter of 1997.
    assert [row["customers"] for row in happened if row["age_months"] == 0] == [7846, 8476, 7248]
    # What the cohorts are expected to bring up to June 1998, and what they brought.
    later = pd.DataFrame([entry for entry in log if entry[1] > ORIGIN.last_day], columns=["who", "day", "amount"])
    later["cohort"] = later.who.map(frame.drop_duplicates("who").set_index("who").cohort)
    actual = later.groupby("cohort").agg(spend=("amount", "sum"))
    for row in rows:
        if row["horizon_months"] == 9:
            brought = float(actual.loc[pd.Period(row["cohort"], "M"), "spend"])
            # The published forecast of the whole base is some 9 % too low; the order values add to it.
            assert float(row["expected_revenue"]) == pytest.approx(brought, rel=0.25)
            assert row["expected_revenue_low"] < row["expected_revenue"] < row["expected_revenue_high"]
