"""Cohorts of a made shop: every figure against one that pandas computes apart, and what breaks when it is wrong."""

from __future__ import annotations

import datetime as dt
import json
import re
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables import checks_of, cohort_value, rfm_summary, segment_summary
from cltv_assets.tables.check import audit
from cltv_assets.tables.cltv_predictions import predict
from cltv_assets.tables.cltv_predictions.columns import predictions_schema
from cltv_assets.tables.cohort_value.columns import COHORT_VALUE
from cltv_assets.tables.cohort_value.quarters import by_quarter
from cltv_assets.tables.cohort_value.rows import cohort_rows
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.spend_model.columns import SPEND_MODEL

JUNE = Month.parse("2011-06")
HORIZONS = (3, 6)
MARGIN = 0.4
PURCHASE = {
    "model_name": "mbg_nbd", "role": "chosen", "status": "fitted", "seasonality": "none", "r": 0.5, "alpha": 40.0,
    "a": 0.9, "b": 1.6, "patterns": 9, "truncated": False, "holdout_folds": 4, "holdout_total_error": 0.05,
    "customers": 9, "repeat_customers": 9, "repeat_purchases": 9, "time_unit": "day", "log_covariance": json.dumps(
        {"r": {"r": 0.01, "alpha": 0.01}, "alpha": {"r": 0.01, "alpha": 0.02}}
    ),
}  # fmt: skip
SPEND = {
    "model_name": "gamma_gamma", "role": "chosen", "status": "fitted", "p": 6.0, "q": 4.0, "v": 15.0, "patterns": 9,
    "customers": 9, "excluded_customers": 0,
}  # fmt: skip
NO_SPEND = {**SPEND, "status": "not_fitted", "status_reason": "4 repeat customers; a fit needs 10"}


def shop(customers: int = 150, seed: int = 7, costs: bool = False) -> list[dict]:
    """Draw purchase days of January to June: orders, refunds on other days, and days that were wholly cancelled."""
    chance = np.random.default_rng(seed)
    rows = []
    for i in range(customers):
        first = int(chance.integers(0, 180))
        days = {first, *chance.integers(first, 181, int(chance.geometric(0.4)) - 1).tolist()}
        for day in days:
            spend = Decimal(int(chance.integers(100, 9_000))).scaleb(-2)
            refund = spend / 2 if chance.random() < 0.1 else Decimal(0)
            rows.append(a_day(f"{i:03}", day, spend, refund, orders=1 + int(chance.random() < 0.2)))
    # What went back before anything was bought: of somebody who buys later, and of two who never do.
    rows += [a_day("000", -40, Decimal(0), Decimal("7.77"), 0), a_day("never", 10, Decimal(0), Decimal("3.10"), 0)]
    rows += [a_day("never", 75, Decimal(0), Decimal("1.15"), 0), a_day("undone", 5, Decimal(20), Decimal(20), 0)]
    # Somebody whose first day was cancelled is of the cohort of the first day that was not.
    rows += [a_day("late", 20, Decimal(9), Decimal(9), 0), a_day("late", 100, Decimal("12.34"), Decimal(0))]
    if costs:
        for row in rows:
            share = Decimal("0.7") if row["customer_id"] < "075" else Decimal("0.1")
            row |= {"margin": (row["spend"] * share).quantize(Decimal("0.0001")), "margin_spend": row["spend"]}
    return rows


def a_day(customer: str, day: int, spend: Decimal, refunds: Decimal, orders: int = 1) -> dict:
    day_of = dt.date(2011, 1, 1) + dt.timedelta(days=day)
    row = {"customer_id": customer, "purchase_day": day_of, "order_count": orders, "line_count": orders}
    return row | {"spend": spend, "refunds": refunds}


def attributes(rows: list[dict]) -> pa.Table:
    """Give customers a country, by the last digit of their number, and a channel, which is not known of all."""
    known = sorted({row["customer_id"] for row in rows})
    found = [(who, "country", "FI" if who[-1] in "0123n" else "PL") for who in known]
    found += [(who, "channel", "shop" if who[-1] in "024" else "unknown") for who in known]
    return pa.table(dict(zip(("customer_id", "attribute", "value"), zip(*found, strict=True), strict=True)))


def table(schema, rows):
    filled = [{c.name: None for c in schema.columns} | row for row in rows]
    return pa.Table.from_pylist(filled, schema=schema.arrow)


def month_run(engine, tmp_path, rows, purchase=PURCHASE, spend=SPEND, month=JUNE, **settings) -> MonthRun:
    values = {
        "horizons_months": HORIZONS, "start_month": "2010-10", "annual_discount_rate": 0.1, "gross_margin": MARGIN,
    }  # fmt: skip
    inputs = {
        PURCHASE_DAYS.name: engine.from_arrow(table(PURCHASE_DAYS, rows)),
        PURCHASE_MODEL.name: engine.from_arrow(table(PURCHASE_MODEL, [purchase])),
        SPEND_MODEL.name: engine.from_arrow(table(SPEND_MODEL, [spend])),
    }
    run = MonthRun(month, Settings.model_validate(values | settings), engine, Lake(str(tmp_path)), None, inputs)
    inputs[RFM_SUMMARY.name] = engine.cache(rfm_summary.make(run))
    inputs["cltv_predictions"] = engine.cache(predict.make(run).select(predictions_schema(HORIZONS).column_names))
    return run


def made(run: MonthRun) -> list[dict]:
    return run.engine.collect(cohort_value.TABLE.make(run)).to_pylist()


def failures(run: MonthRun, rows: list[dict]) -> set[str]:
    written = run.engine.from_arrow(table(COHORT_VALUE, rows))
    found = audit(written, checks_of(HORIZONS)[COHORT_VALUE.name], run)
    return {finding.check.name for finding in found if not finding.verdict.passed}


def reckoned(rows: list[dict], share: dict[str, float], month: Month = JUNE) -> pd.DataFrame:
    """Compute realised figures by cohort and age, with pandas and another rule: the first bought day by sorting."""
    days = pd.DataFrame(rows)
    days = days[days.purchase_day <= month.last_day]
    days["at"] = pd.PeriodIndex(pd.to_datetime(days.purchase_day), freq="M")
    bought = days[days.order_count > 0].sort_values("purchase_day")
    days["cohort"] = days.customer_id.map(bought.drop_duplicates("customer_id").set_index("customer_id")["at"])
    days = days.dropna(subset=["cohort"])
    days["age"] = [max((at - cohort).n, 0) for at, cohort in zip(days["at"], days.cohort, strict=True)]
    days["net"] = days.spend - days.refunds
    days["margin"] = [float(net) * share[who] for net, who in zip(days.net, days.customer_id, strict=True)]
    days["active"] = days.customer_id.where(days.order_count > 0)
    days["days"] = (days.order_count > 0).astype(int)
    return days.groupby(["cohort", "age"]).agg(
        active=("active", "nunique"), orders=("order_count", "sum"), purchases=("days", "sum"), net=("net", "sum"),
        margin=("margin", "sum"),
    )  # fmt: skip


def realised(rows: list[dict], attribute: str = "all", value: str = "all") -> list[dict]:
    chosen = [row for row in rows if (row["attribute"], row["attribute_value"]) == (attribute, value)]
    return [row for row in chosen if row["kind"] == "realised"]


def assert_as_reckoned(found: list[dict], wanted: pd.DataFrame, month: Month = JUNE) -> None:
    now = pd.Period(month.key, "M")
    cohorts = sorted({cohort for cohort, _ in wanted.index})
    assert [(row["cohort"], row["age_months"]) for row in found] == [
        (cohort.start_time.date(), age) for cohort in cohorts for age in range((now - cohort).n + 1)
    ]
    total, margin, purchases = Decimal(0), 0.0, 0
    for row in found:
        cohort, age = pd.Period(row["cohort"], "M"), row["age_months"]
        if age == 0:
            total, margin, purchases = Decimal(0), 0.0, 0
        size = int(wanted.loc[(cohort, 0), "active"])
        known = (cohort, age) in wanted.index
        active, orders, bought, net, earned = wanted.loc[(cohort, age)] if known else (0, 0, 0, Decimal(0), 0.0)
        total, margin, purchases = total + net, margin + earned, purchases + bought
        assert (row["customers"], row["active_customers"], row["orders"]) == (size, active, orders)
        assert row["purchases"] == bought
        assert row["retention"] == pytest.approx(active / size, rel=1e-15)
        assert row["revenue"] == net
        assert row["cumulative_revenue"] == total
        assert float(row["margin"]) == pytest.approx(earned, abs=1e-3)
        assert float(row["cumulative_margin"]) == pytest.approx(margin, abs=1e-3)
        assert row["cumulative_value_per_customer"] == pytest.approx(margin / size, abs=1e-3)
        assert row["cumulative_purchases"] == purchases
        assert row["horizon_months"] is row["expected_purchases"] is row["cumulative_revenue_low"] is None


def test_realised_figures_are_those_computed_apart(engine, tmp_path):
    rows = shop()
    run = month_run(engine, tmp_path, rows)
    found = made(run)
    assert failures(run, found) == set()
    wanted = reckoned(rows, dict.fromkeys({row["customer_id"] for row in rows}, MARGIN))
    assert_as_reckoned(realised(found), wanted)
    # The refund of November 2010 is in the first month of its customer, who has no cohort there.
    assert {row["cohort"].year for row in realised(found)} == {2011}


@pytest.mark.embedded
def test_customers_without_a_purchase_have_a_row_of_their_own(engine, tmp_path):
    rows = shop()
    found = made(month_run(engine, tmp_path, rows))
    (row,) = [row for row in found if row["kind"] == "no_purchase"]
    assert (row["revenue"], row["orders"], row["customers"], row["cohort"]) == (Decimal("-4.25"), 0, 0, None)
    assert row["margin"] == Decimal("-1.7")
    net = sum(row["spend"] - row["refunds"] for row in rows)
    assert sum(row["revenue"] for row in found if row["revenue"] is not None) == net


def test_attributes_split_everybody(engine, tmp_path):
    rows = shop()
    run = month_run(engine, tmp_path, rows)
    named = attributes(rows)
    found = cohort_rows(run, engine.from_arrow(named))
    assert failures(run, found) == set()
    # The rows of all customers are the same with attributes and without.
    everyone = [row for row in found if row["attribute"] == "all"]
    for one, other in zip(everyone, cohort_rows(run), strict=True):
        assert one.keys() == other.keys()
        for name, value in other.items():
            assert one[name] == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value)
    share = dict.fromkeys({row["customer_id"] for row in rows}, MARGIN)
    for attribute, value in (("country", "FI"), ("country", "PL"), ("channel", "shop")):
        who = {
            row["customer_id"] for row in named.to_pylist() if (row["attribute"], row["value"]) == (attribute, value)
        }
        wanted = reckoned([row for row in rows if row["customer_id"] in who], share)
        full = [{c.name: None for c in COHORT_VALUE.columns} | row for row in found]
        assert_as_reckoned(realised(full, attribute, value), wanted)
    # Of the predictions too: the countries hold everyone.
    for name in ("expected_revenue", "expected_margin", "expected_value"):
        sums = [sum(row[name] for row in found if row["attribute"] == of and row["kind"] == "predicted")
                for of in ("all", "country")]  # fmt: skip
        assert sums[0] == sums[1] > 0


@pytest.mark.embedded
def test_an_attribute_given_twice_is_found(engine, tmp_path):
    rows = shop()
    run = month_run(engine, tmp_path, rows)
    named = attributes(rows)
    twice = pa.concat_tables([named, named.filter(pa.compute.equal(named["attribute"], "country"))])
    assert "realised_adds_up" in failures(run, cohort_rows(run, engine.from_arrow(twice)))


def test_predicted_rows_go_on_from_the_realised_ones(engine, tmp_path):
    rows = shop()
    run = month_run(engine, tmp_path, rows)
    found = made(run)
    predictions = pd.DataFrame(engine.collect(run.inputs["cltv_predictions"]).to_pylist())
    first = (np.datetime64(JUNE.last_day) - predictions["T"].to_numpy().astype("timedelta64[D]")).astype(
        "datetime64[M]"
    )
    ahead = [row for row in found if row["kind"] == "predicted"]
    assert len(ahead) == 6 * len(HORIZONS)
    for row in ahead:
        h = row["horizon_months"]
        of = predictions[first == np.datetime64(row["cohort"], "M")]
        now = [one for one in realised(found) if one["cohort"] == row["cohort"]][-1]
        assert row["age_months"] == now["age_months"] + h
        assert row["customers"] == len(of) == now["customers"]
        spend, margin = of[f"expected_spend_{h}m"].sum(), (of[f"expected_spend_{h}m"] * of.gross_margin).sum()
        assert row["expected_purchases"] == pytest.approx(of[f"expected_purchases_{h}m"].sum(), abs=1e-4)
        assert float(row["expected_revenue"]) == pytest.approx(spend, abs=0.01)
        assert float(row["expected_margin"]) == pytest.approx(margin, abs=0.01)
        assert float(row["expected_value"]) == pytest.approx(of[f"cltv_{h}m"].sum(), abs=0.01)
        # Money of later months counts in full, but in the value.
        assert row["expected_value"] < row["expected_margin"] < row["expected_revenue"]
        assert row["cumulative_revenue"] == now["cumulative_revenue"] + row["expected_revenue"]
        assert row["cumulative_margin"] == now["cumulative_margin"] + row["expected_margin"]
        for end in ("_low", "_high"):
            so_far = float(now["cumulative_revenue"])
            assert row[f"cumulative_revenue{end}"] == pytest.approx(so_far + row[f"expected_revenue{end}"], rel=1e-12)
            each = row[f"cumulative_margin{end}"] / row["customers"]
            assert row[f"cumulative_value_per_customer{end}"] == pytest.approx(each, rel=1e-12)
            assert row[f"expected_margin{end}"] == pytest.approx(MARGIN * row[f"expected_revenue{end}"], rel=1e-3)
        for name in ("purchases", "revenue", "margin"):
            low, mean, high = (float(row[f"expected_{name}{end}"]) for end in ("_low", "", "_high"))
            assert 0 <= low < mean < high
        assert row["revenue"] is row["orders"] is row["retention"] is None


@pytest.mark.embedded
@pytest.mark.parametrize("plans", [False, True])
def test_one_cohort_has_the_intervals_of_the_whole_base(engine, tmp_path, plans):
    """Where nothing is discounted and all came in one month, the cohort's totals are those of segment_summary."""
    rows = [row for row in shop() if row["customer_id"] < "2"]
    for row in rows:
        if plans:
            row |= {"spend": Decimal(49 if row["customer_id"] < "050" else 10), "refunds": Decimal(0)}
        first = min(one["purchase_day"] for one in rows if one["customer_id"] == row["customer_id"])
        row["moved"] = row["purchase_day"] - (first - dt.date(2011, 1, 1 + int(row["customer_id"]) % 31))
    rows = [row | {"purchase_day": row.pop("moved")} for row in rows if row["order_count"]]
    prices = SPEND | {"status": "boundary", "p": 1e4, "q": 2.5, "v": 0.0033, "prices": 2, "customers": 200}
    run = month_run(engine, tmp_path, rows, spend=prices if plans else SPEND, annual_discount_rate=0.0)
    found = [row for row in made(run) if row["kind"] == "predicted"]
    predictions = engine.collect(run.inputs["cltv_predictions"])
    months = pa.array([JUNE.first_day] * len(predictions), pa.date32())
    run.inputs["cltv_predictions"] = engine.from_arrow(predictions.append_column("month", months))
    whole = [row for row in engine.collect(segment_summary.make(run)).to_pylist() if row["scheme"] == "all"]
    assert len(found) == len(whole) == len(HORIZONS)
    for row, wanted in zip(found, whole, strict=True):
        for end in ("", "_low", "_high"):
            assert row[f"expected_purchases{end}"] == pytest.approx(wanted[f"expected_purchases{end}"], rel=1e-6)
            # The weights are rounded to the money's four decimals before the margin or after it.
            assert float(row[f"expected_margin{end}"]) == pytest.approx(wanted[f"expected_value{end}"], rel=1e-5)


@pytest.mark.embedded
def test_a_discount_changes_the_value_and_nothing_else(engine, tmp_path):
    rows = shop()
    none, large = (made(month_run(engine, tmp_path, rows, annual_discount_rate=rate)) for rate in (0.0, 0.5))
    for one, other in zip(none, large, strict=True):
        if one["kind"] == "predicted":
            assert other.pop("expected_value") < one.pop("expected_value") == one["expected_margin"]
        for name, value in one.items():
            assert other[name] == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value)


@pytest.mark.embedded
def test_margins_of_customers_own_costs(engine, tmp_path):
    rows = shop(costs=True)
    source = {"kind": "csv", "path": "shop", "columns": {"customer_id": "c", "transacted_at": "t", "amount": "a",
              "cost": "k"}}  # fmt: skip
    run = month_run(engine, tmp_path, rows, source=source)
    found = made(run)
    assert failures(run, found) == set()
    rfm = engine.collect(run.inputs[RFM_SUMMARY.name]).to_pylist()
    shares = {row["customer_id"]: row["gross_margin"] for row in rfm}
    assert 0.09 < min(shares.values()) < 0.3 < 0.6 < max(shares.values()) < 0.71
    assert_as_reckoned(realised(found), reckoned(rows, shares))
    predictions = pd.DataFrame(engine.collect(run.inputs["cltv_predictions"]).to_pylist())
    for h in HORIZONS:
        ahead = [row for row in found if row["horizon_months"] == h]
        wanted = (predictions[f"expected_spend_{h}m"] * predictions.gross_margin).sum()
        assert float(sum(row["expected_margin"] for row in ahead)) == pytest.approx(wanted, abs=0.05)
        # The margin's interval is its own: some customers leave seven times as much of a purchase as others.
        ratios = {round(row["expected_margin_high"] / row["expected_revenue_high"], 9) for row in ahead}
        assert len(ratios) == len(ahead)
        assert all(row["expected_margin_low"] < row["expected_margin"] < row["expected_margin_high"] for row in ahead)


@pytest.mark.embedded
def test_a_month_without_a_spend_model_expects_purchases_only(engine, tmp_path):
    run = month_run(engine, tmp_path, shop(), spend=NO_SPEND)
    found = made(run)
    assert failures(run, found) == set()
    for row in found:
        if row["kind"] == "predicted":
            assert row["expected_purchases_low"] < row["expected_purchases"] < row["expected_purchases_high"]
            assert {row[c.name] for c in COHORT_VALUE.columns if "revenue" in c.name or "value_" in c.name} - {
                "all"
            } == {None}
        else:
            assert row["revenue"] is not None


@pytest.mark.embedded
def test_a_month_without_a_purchase_model_has_what_happened(engine, tmp_path):
    rows = shop()
    run = month_run(engine, tmp_path, rows, purchase={**PURCHASE, "status": "not_fitted"})
    found = made(run)
    assert failures(run, found) == set()
    assert {row["kind"] for row in found} == {"realised", "no_purchase"}


def test_without_amounts_visits_are_counted(engine, tmp_path):
    rows = [{**row, "spend": None, "refunds": None} for row in shop() if row["order_count"]]
    source = {"kind": "csv", "path": "shop", "columns": {"customer_id": "c", "transacted_at": "t"}, "amounts": "none"}
    run = month_run(engine, tmp_path, rows, spend=NO_SPEND, source=source)
    found = made(run)
    assert failures(run, found) == set()
    assert {row[name] for row in found for name in ("revenue", "margin", "cumulative_revenue", "expected_value")} == {
        None
    }
    assert sum(row["purchases"] or 0 for row in found) == len(rows)


@pytest.mark.embedded
def test_nobody_is_no_rows(engine, tmp_path):
    run = month_run(engine, tmp_path, [])
    assert made(run) == []
    assert failures(run, []) == set()


@pytest.mark.embedded
@pytest.mark.parametrize("month", ["2011-02", "2011-06"])
def test_later_days_do_not_count(engine, tmp_path, month):
    rows, now = shop(), Month.parse(month)
    until = [row for row in rows if row["purchase_day"] <= now.last_day]
    each = [made(month_run(engine, tmp_path, of, month=now)) for of in (rows, until)]
    assert each[0] == each[1]


def test_quarters_are_sums_of_months(engine, tmp_path):
    rows = shop()
    found = made(month_run(engine, tmp_path, rows, month=Month.parse("2011-05")))
    sums = engine.collect(by_quarter(engine.from_arrow(table(COHORT_VALUE, found)))).to_pylist()
    q1, q2 = dt.date(2011, 1, 1), dt.date(2011, 4, 1)
    known = {(row["cohort"], row["age_quarters"]): row for row in sums}
    assert set(known) == {(q1, 0), (q1, 1), (q2, 0)}
    for (cohort, age), row in known.items():
        of = [one for one in realised(found) if cohort <= one["cohort"] < cohort + dt.timedelta(days=90)]
        here = [
            one for one in of if (one["cohort"].month - 1 + one["age_months"]) // 3 == (cohort.month - 1) // 3 + age
        ]
        assert row["customers"] == sum(one["customers"] for one in of if one["age_months"] == 0)
        for name in ("orders", "purchases", "revenue", "margin"):
            assert row[name] == sum(one[name] for one in here)
    # May is the second month of the second quarter.
    assert [known[key]["months"] for key in ((q1, 0), (q1, 1), (q2, 0))] == [3, 2, 2]


@pytest.mark.embedded
def test_the_query_in_the_docs_adds_up_quarters(engine, tmp_path):
    text = (Path(__file__).parents[3] / "docs/models.md").read_text()
    (query,) = re.findall(r"```sql\n(WITH happened.*?)```", text, re.DOTALL)
    rows = table(COHORT_VALUE, made(month_run(engine, tmp_path, shop())))
    wanted = engine.collect(by_quarter(engine.from_arrow(rows))).to_pylist()
    with duckdb.connect() as any_reader:
        months = pa.array([dt.date(2024, 12, 1)] * len(rows), pa.date32())
        any_reader.register("cohort_value", rows.append_column("month", months))
        found = any_reader.execute(query).fetchall()
    assert {(q, age): sums for q, age, *sums in found} == {
        (4 * row["cohort"].year + (row["cohort"].month - 1) // 3, row["age_quarters"]): [
            row[name] for name in ("orders", "revenue", "margin")
        ]
        for row in wanted
        if row["attribute"] == "all"
    }
