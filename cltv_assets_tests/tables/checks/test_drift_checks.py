"""What the checks against last month find, and what they let pass."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cltv_assets.lake import Lake
from cltv_assets.models.choosing.older_base import Populations
from cltv_assets.models.purchase.registry import model_named
from cltv_assets.models.sufficient_statistics import Patterns
from cltv_assets.months import Month
from cltv_assets.tables import checks_of
from cltv_assets.tables.check import audit
from cltv_assets.tables.cltv_predictions.columns import predictions_schema
from cltv_assets.tables.customer_scores.columns import scores_schema
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.purchase_model.older_customers import populations_json
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.spend_model.columns import SPEND_MODEL
from cltv_assets_tests.tables.checks.good_month import Given

MONTH = Month.parse("2012-06")
BEFORE = MONTH.shift(-1)
PREDICTIONS = predictions_schema([3, 6])
SCORES = scores_schema([3, 6])
SCHEMAS = {schema.name: schema for schema in (RFM_SUMMARY, PURCHASE_MODEL, SPEND_MODEL, PREDICTIONS, SCORES)}


def customers(month: Month, n: int = 2000, seed: int = 1):
    """Make RFM rows at a month's end."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        age, frequency = int(rng.integers(100, 500)), int(rng.poisson(2))
        recency = int(rng.integers(1, age)) if frequency else 0
        first = month.last_day - dt.timedelta(days=age)
        rows.append(
            {
                "customer_id": f"c{i}", "frequency": frequency, "recency": float(recency), "T": float(age),
                "monetary_value": float(np.round(rng.lognormal(3, 1), 4)) if frequency else 0.0,
                "first_purchase": first, "last_purchase": first + dt.timedelta(days=recency),
                "order_count": frequency + 1,
                "total_spend": Decimal(9), "repeat_spend": Decimal(5), "total_refunds": Decimal(0),
                "is_repeat": frequency > 0, "r_score": 3, "f_score": 3, "m_score": 3,
            }
        )  # fmt: skip
    return rows


def predicted(rfm, p_alive=lambda i: (i % 97) / 97, value=lambda i: 5.0 + i % 211):
    """Make predictions for RFM rows."""
    rows = []
    for i, customer in enumerate(rfm):
        row = {name: customer[name] for name in ("customer_id", "frequency", "recency", "T", "monetary_value")}
        row |= {"p_alive": p_alive(i), "expected_order_value": 20.0, "model_name": "m", "model_version": "0"}
        row |= {"value_segment": "low", "rfm_segment": "x"}
        for h in (3, 6):
            row |= {f"expected_purchases_{h}m{end}": 1.0 for end in ("", "_low", "_high")}
            row |= {f"cltv_{h}m{end}": value(i) for end in ("", "_low", "_high")}
        rows.append(row)
    return rows


def nbd(r: float, alpha: float, **changes):
    return {
        "model_name": "nbd", "role": "chosen", "status": "fitted", "seasonality": "none", "r": r, "alpha": alpha,
        "truncated": False, "holdout_folds": 0, "customers": 1, "repeat_customers": 1, "repeat_purchases": 1,
        "patterns": 1, "time_unit": "day", "observation_end": BEFORE.last_day, "model_version": "0",
    } | changes  # fmt: skip


@pytest.fixture
def verdict(engine, shop_settings, tmp_path: Path):
    """Judge a month's table by one check, with last month's tables in the lake."""

    def judge(check, table, now, before, month=MONTH, start="2012-01"):
        lake = Lake(str(tmp_path / "lake"))
        for name, rows in before.items():
            published = lake.table(SCHEMAS[name])
            published.ensure()
            staging = published.begin(month.shift(-1))
            made = pa.Table.from_pylist(rows, schema=SCHEMAS[name].arrow)
            engine.write(engine.from_arrow(made), SCHEMAS[name], staging.new_file())
            published.publish(staging.seal())
        given = {n: pa.Table.from_pylist(now.get(n, []), schema=schema.arrow) for n, schema in SCHEMAS.items()}
        inputs = Given(engine, given)
        settings = shop_settings(start_month=start, end_month="2012-06", horizons_months=(3, 6))
        run = MonthRun(month, settings, engine, lake, None, inputs)
        wanted = [one for one in checks_of([3, 6])[table] if one.name == check]
        return audit(inputs[table], wanted, run)[0].verdict

    return judge


@pytest.mark.parametrize(
    ("table", "check"),
    [
        ("rfm_summary", "distribution_drift"), ("cltv_predictions", "distribution_drift"),
        ("cltv_predictions", "month_ahead_error"), ("cltv_predictions", "prediction_drift"),
        ("customer_scores", "churn_states_steady"),
    ],
)  # fmt: skip
def test_a_first_month_has_nothing_to_compare_with(verdict, table, check):
    rfm = customers(MONTH)
    found = verdict(check, table, {"rfm_summary": rfm, "cltv_predictions": predicted(rfm)}, {})
    assert found.passed
    assert "No month to compare with" in found.message


def index_by_hand(before, now):
    """Population stability index at the deciles of ``before``: NumPy's own quantiles and histogram."""
    edges = np.unique(np.quantile(before, np.arange(1, 10) / 10, method="inverted_cdf"))
    edges = edges[edges < np.max(before)]
    counts = [np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1) for values in (before, now)]
    p, q = (np.maximum(count, 0.5) / count.sum() for count in counts)
    return float(((q - p) * np.log(q / p)).sum())


def test_the_index_of_each_column_is_the_one_by_hand(verdict):
    before, now = customers(BEFORE, seed=1), customers(MONTH, 3000, seed=2)
    now = [row | {"frequency": row["frequency"] + (i % 3 == 0)} for i, row in enumerate(now)]
    found = verdict("distribution_drift", "rfm_summary", {"rfm_summary": now}, {"rfm_summary": before})
    for name in ("frequency", "recency"):
        expected = index_by_hand([row[name] for row in before], [row[name] for row in now])
        assert found.facts[f"psi_{name}"] == pytest.approx(expected, abs=6e-5)
    # Deciles of money are read off four digits: a customer or two may change bins.
    expected = index_by_hand([row["monetary_value"] for row in before], [row["monetary_value"] for row in now])
    assert found.facts["psi_monetary_value"] == pytest.approx(expected, abs=2e-3)


def test_the_same_customers_a_month_on_have_not_moved(verdict):
    rfm = customers(BEFORE)
    before, now = {"rfm_summary": rfm}, {"rfm_summary": [row | {"T": row["T"] + 30} for row in rfm]}
    found = verdict("distribution_drift", "rfm_summary", now, before)
    assert found.passed
    assert set(found.facts.values()) == {0.0}


@pytest.mark.parametrize("column", ["frequency", "recency", "monetary_value"])
def test_a_column_that_moved_is_named_and_no_other(verdict, column):
    before = customers(BEFORE)
    now = [row | {column: row[column] * 3} for row in before]
    found = verdict("distribution_drift", "rfm_summary", {"rfm_summary": now}, {"rfm_summary": before})
    assert not found.passed
    assert found.message.startswith(f"{column} moved")


def test_few_customers_differ_by_chance(verdict):
    before, now = customers(BEFORE, 25, seed=4), customers(MONTH, 25, seed=5)
    found = verdict("distribution_drift", "rfm_summary", {"rfm_summary": now}, {"rfm_summary": before})
    assert max(found.facts.values()) > 0.25
    assert found.passed


def test_while_history_doubles_nothing_is_judged(verdict):
    before = customers(BEFORE)
    now = [row | {"recency": row["recency"] * 3} for row in before]
    tables = {"rfm_summary": now}, {"rfm_summary": before}
    assert verdict("distribution_drift", "rfm_summary", *tables, start="2012-04").passed
    assert not verdict("distribution_drift", "rfm_summary", *tables, start="2012-03").passed


def test_scores_of_repeat_customers_are_compared(verdict):
    rfm = customers(BEFORE)
    before = {"cltv_predictions": predicted(rfm)}

    def now(**scores):
        return verdict("distribution_drift", "cltv_predictions", {"cltv_predictions": predicted(rfm, **scores)}, before)

    gone = now(p_alive=lambda i: (i % 97) / 300)
    assert not gone.passed
    assert gone.message.startswith("p_alive moved")
    dearer = now(value=lambda i: (5.0 + i % 211) * 3)
    assert not dearer.passed
    assert dearer.message.startswith("cltv_6m moved")


def test_customers_with_one_purchase_do_not_count_for_scores(verdict):
    # They are nearly alike, and what moves them moves them all at once.
    rfm = [row | ({"frequency": 0} if i % 3 else {"frequency": 2}) for i, row in enumerate(customers(BEFORE))]
    before = {"cltv_predictions": predicted(rfm)}
    now = predicted(
        rfm, p_alive=lambda i: 0.1 if i % 3 else (i % 97) / 97, value=lambda i: 1.0 if i % 3 else 5.0 + i % 211
    )
    found = verdict("distribution_drift", "cltv_predictions", {"cltv_predictions": now}, before)
    assert set(found.facts.values()) == {0.0}


def test_certainty_that_wavers_in_the_third_digit_is_no_drift(verdict):
    rfm = customers(BEFORE)
    before = {"cltv_predictions": predicted(rfm, p_alive=lambda i: 1 - (i % 100) * 1e-4)}
    now = {"cltv_predictions": predicted(rfm, p_alive=lambda i: 0.995 - (i % 100) * 1e-4)}
    assert verdict("distribution_drift", "cltv_predictions", now, before).passed


def month_on(rfm, extra: float, seed: int = 9):
    """Let each customer of an NBD with r 2, alpha 60 buy for June's thirty days at ``extra`` times the rate."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma([2.0 + row["frequency"] for row in rfm], [1 / (60.0 + row["T"]) for row in rfm])
    bought = rng.poisson(rate * 30 * extra)
    rows = [row | {"frequency": row["frequency"] + int(more)} for row, more in zip(rfm, bought, strict=True)]
    # Newcomers are none of last month's business.
    new = [row | {"customer_id": f"n{i}", "first_purchase": MONTH.first_day} for i, row in enumerate(rows[:300])]
    return rows + new, int(bought.sum())


@pytest.mark.parametrize(("extra", "passed"), [(1.0, True), (1.6, False), (0.4, False)])
def test_last_months_model_is_held_against_this_months_purchases(verdict, extra, passed):
    rfm = customers(BEFORE)
    now, bought = month_on(rfm, extra)
    before = {"rfm_summary": rfm, "purchase_model": [nbd(2.0, 60.0)]}
    found = verdict("month_ahead_error", "cltv_predictions", {"rfm_summary": now}, before)
    expected = sum((2.0 + row["frequency"]) / (60.0 + row["T"]) * 30 for row in rfm)
    variance = sum(
        (2.0 + x) / (60.0 + t) * 30 * (1 + 30 / (60.0 + t)) for x, t in ((r["frequency"], r["T"]) for r in rfm)
    )
    assert found.facts["actual"] == bought
    assert found.facts["expected"] == pytest.approx(expected, rel=1e-6)
    assert found.facts["z"] == pytest.approx((bought - expected) / math.sqrt(variance), rel=1e-5)
    assert found.passed is passed


def test_last_months_older_customers_are_expected_as_such(verdict):
    rfm = customers(BEFORE)
    now, _ = month_on(rfm, 1.0)
    start = min(row["first_purchase"] for row in rfm) - dt.timedelta(days=1)
    parameters = {"r": 2.0, "alpha": 60.0, "a": 0.5, "b": 4.0}
    others = {"r": 1.0, "alpha": 90.0, "a": 1.0, "b": 4.0}

    def expected(present: float, arriving: float) -> float:
        two = Populations("bg_nbd", np.datetime64(start), parameters, others, present, arriving)
        row = nbd(2.0, 60.0, model_name="bg_nbd", a=0.5, b=4.0, populations=populations_json(two))
        before = {"rfm_summary": rfm, "purchase_model": [row]}
        return verdict("month_ahead_error", "cltv_predictions", {"rfm_summary": now}, before).facts["expected"]

    # Nobody is older, everybody is, and half of them may be.
    length = float((BEFORE.last_day - start).days)
    x = np.array([row["frequency"] for row in rfm])
    recency, age = (np.array([row[name] for row in rfm]) for name in ("recency", "T"))
    model, month = model_named("bg_nbd"), np.array([30.0])
    as_new = model.expected_purchases(others, Patterns(x, recency, age), month).sum()
    last = recency + length - age
    as_older = model.expected_purchases(parameters, Patterns(x + 1, last, np.full(len(x), length)), month).sum()
    assert expected(1e-12, 1.0) == pytest.approx(as_new, rel=1e-6)
    assert expected(1.0, 1e-12) == pytest.approx(as_older, rel=1e-6)
    low, high = sorted((as_new, as_older))
    assert low < expected(300.0, 10.0) < high


def test_a_large_miss_that_chance_explains_is_let_pass(verdict):
    rfm = customers(BEFORE, 8)
    now, bought = month_on(rfm, 0.0)
    before = {"rfm_summary": rfm, "purchase_model": [nbd(2.0, 60.0)]}
    assert bought == 0
    assert verdict("month_ahead_error", "cltv_predictions", {"rfm_summary": now}, before).passed


def test_a_certain_miss_that_is_small_is_let_pass(verdict):
    rfm = customers(BEFORE, 6000)
    now, _ = month_on(rfm, 1.15)
    before = {"rfm_summary": rfm, "purchase_model": [nbd(2.0, 60.0)]}
    found = verdict("month_ahead_error", "cltv_predictions", {"rfm_summary": now}, before)
    assert found.facts["z"] > 3
    assert found.passed


def test_a_season_that_the_model_knows_is_expected(verdict):
    rfm = customers(BEFORE)
    now, bought = month_on(rfm, 1.9)
    index = {f"season_{month:02}": 1.9 if month == 6 else 1.0 for month in range(1, 13)}
    mean = (sum(index.values()) * 365.25 / 12 - 0.9 * (365.25 / 12 - 30)) / 365.25
    before = {"rfm_summary": rfm, "purchase_model": [nbd(2.0, 60.0, seasonality="monthly", **index)]}
    found = verdict("month_ahead_error", "cltv_predictions", {"rfm_summary": now}, before)
    assert found.passed
    # May and the year before hardly differ from plain time: the rate is 1.9 over the index's mean.
    plain = sum((2.0 + row["frequency"]) / (60.0 + row["T"]) * 30 for row in rfm)
    assert found.facts["expected"] == pytest.approx(plain * 1.9 / mean, rel=0.05)
    assert found.facts["actual"] == bought


def test_without_last_months_model_there_is_nothing_to_hold_against(verdict):
    rfm = customers(BEFORE)
    before = {"rfm_summary": rfm, "purchase_model": [nbd(None, None, status="not_fitted")]}
    found = verdict("month_ahead_error", "cltv_predictions", {"rfm_summary": rfm}, before)
    assert found.passed
    assert "No month to compare with" in found.message


def test_a_loss_that_doubles_is_a_fall(verdict):
    before, now = predicted(customers(BEFORE)), predicted(customers(MONTH))
    before = [row | {"cltv_6m": -10.0} for row in before]
    now = [row | {"cltv_6m": -20.0} for row in now]
    found = verdict("prediction_drift", "cltv_predictions", {"cltv_predictions": now}, {"cltv_predictions": before})
    assert found.facts["change"] == pytest.approx(-1.0)
    assert not found.passed


@pytest.mark.parametrize("money_then", [True, False])
def test_a_month_that_lacks_money_is_compared_by_what_it_has(verdict, money_then):
    rfm = customers(MONTH)
    rich = predicted(rfm)
    poor = [
        row | {name: None for name in row if name.startswith("cltv_")} | {"expected_order_value": None} for row in rich
    ]
    now, before = (poor, rich) if money_then else (rich, poor)
    found = verdict("distribution_drift", "cltv_predictions", {"cltv_predictions": now}, {"cltv_predictions": before})
    assert found.facts == {"psi_p_alive": 0.0}
    found = verdict("prediction_drift", "cltv_predictions", {"cltv_predictions": now}, {"cltv_predictions": before})
    assert found.message == "No month to compare with."


@pytest.mark.parametrize(("lapsed", "passes"), [(20, True), (21, False)])
def test_many_customers_of_another_churn_state_are_told(verdict, lapsed, passes):
    zeros = {"int32": 1, "int64": 1, "float64": 0.5, "string": "x"}
    plain = {column.name: zeros[column.type] for column in SCORES.columns if not column.nullable}

    def scores(states):
        return [plain | {"customer_id": f"c{i}", "churn_state": state} for i, state in enumerate(states)]

    # Of a hundred known customers; the others are new this month, or gone since.
    before = [*scores(["active"] * 100), plain | {"customer_id": "gone", "churn_state": "lapsed"}]
    now = scores(["lapsed"] * lapsed + ["active"] * (100 - lapsed) + ["at risk"] * 50)
    found = verdict("churn_states_steady", "customer_scores", {"customer_scores": now}, {"customer_scores": before})
    assert found.passed is passes
    assert f"{lapsed}.0% of 100 customers" in found.message
    assert passes or "checks.churn_state_change (20%)" in found.message
