"""Predictions and segments of two small months, by the steps that the assets run."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit

from cltv_assets.columns import MONTH
from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.lake import Lake
from cltv_assets.models.choosing.histories import OperationalTime
from cltv_assets.models.choosing.older_base import Populations
from cltv_assets.models.gamma_gamma import expected_value
from cltv_assets.models.pattern_predictions import predict_patterns
from cltv_assets.models.purchase.registry import model_named
from cltv_assets.models.sufficient_statistics import PurchaseStatistics
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables import checks_of, segment_movement, segment_summary
from cltv_assets.tables.check import audit
from cltv_assets.tables.cltv_predictions import predict
from cltv_assets.tables.cltv_predictions.columns import predictions_schema
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.purchase_model.older_customers import populations_json
from cltv_assets.tables.purchase_model.reading import purchase_fit
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.spend_model.checks import order_values_vary
from cltv_assets.tables.spend_model.columns import SPEND_MODEL

MAY, JUNE = Month.parse("2011-05"), Month.parse("2011-06")
HORIZONS = (3, 6)
SCHEMA = predictions_schema(HORIZONS)
COVARIANCE = {"r": {"r": 0.01, "alpha": 0.01}, "alpha": {"r": 0.01, "alpha": 0.02}}
PURCHASE = {
    "model_name": "mbg_nbd", "role": "chosen", "status": "fitted", "seasonality": "none", "r": 0.5, "alpha": 40.0,
    "a": 0.9, "b": 1.6, "patterns": 9, "truncated": False, "holdout_folds": 0, "customers": 9, "repeat_customers": 9,
    "repeat_purchases": 9, "time_unit": "week", "log_covariance": json.dumps(COVARIANCE),
}  # fmt: skip
#: Twice as many purchases in the last quarter.
SEASON = [0.8] * 9 + [1.6] * 3
SEASONAL = PURCHASE | {"seasonality": "monthly"} | {f"season_{i + 1:02d}": s for i, s in enumerate(SEASON)}
SPEND = {
    "model_name": "gamma_gamma", "role": "chosen", "status": "fitted", "p": 6.0, "q": 4.0, "v": 15.0, "patterns": 9,
    "customers": 9, "excluded_customers": 0,
}  # fmt: skip


@pytest.fixture
def engine():
    opened = DuckDBEngine()
    yield opened
    opened.close()


def table(schema, rows):
    # What these steps do not read is given a value of its type.
    filled = [{c.name: None for c in schema.columns} | row for row in rows]
    return pa.Table.from_pylist(filled, schema=schema.arrow)


def customers(count: int, end: dt.date, seed: int = 1) -> list[dict]:
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        first = dt.date(2011, 1, 1) + dt.timedelta(days=int(rng.integers(0, 100)))
        frequency = int(rng.geometric(0.5)) - 1
        days = (end - first).days
        last = first + dt.timedelta(days=int(rng.integers(frequency, days)) if frequency else 0)
        scores = dict(zip(("r_score", "f_score", "m_score"), rng.integers(1, 6, 3).tolist(), strict=True))
        rows.append(
            {
                "customer_id": f"{i:04}", "frequency": frequency, "first_purchase": first, "last_purchase": last,
                "recency": (last - first).days / 7, "T": days / 7, "is_repeat": frequency > 0, **scores,
                "monetary_value": float(np.round(rng.lognormal(3, 1), 4)) if frequency else 0.0,
                "total_spend": Decimal(5), "total_refunds": Decimal(0),
            }
        )  # fmt: skip
    return rows


def month_run(engine, tmp_path, month, rfm, purchase, spend=SPEND, **settings) -> MonthRun:
    values = {"horizons_months": HORIZONS, "time_unit": "week", "annual_discount_rate": 0.1, "gross_margin": 0.5}
    inputs = {
        RFM_SUMMARY.name: engine.from_arrow(table(RFM_SUMMARY, rfm)),
        PURCHASE_MODEL.name: engine.from_arrow(table(PURCHASE_MODEL, [purchase])),
        SPEND_MODEL.name: engine.from_arrow(table(SPEND_MODEL, [spend])),
    }
    return MonthRun(month, Settings(**values | settings), engine, Lake(str(tmp_path)), None, inputs)


def predicted(run: MonthRun) -> pa.Table:
    return run.engine.collect(predict.make(run)).select(SCHEMA.column_names)


def with_month(*months: tuple[Month, pa.Table]) -> pa.Table:
    return pa.concat_tables(
        made.append_column(MONTH, pa.array([month.first_day] * len(made), pa.date32())) for month, made in months
    )


def segmented(run: MonthRun, *months: tuple[Month, pa.Table]):
    """Return both tables, and the checks that fail on them."""
    run.inputs[SCHEMA.name] = run.engine.from_arrow(with_month(*months))
    made = {"segment_summary": segment_summary.make(run), "segment_movement": segment_movement.make(run)}
    run.inputs.update(made)
    failed = [
        f"{name}.{finding.check.name}: {finding.verdict.message}"
        for name in made
        for finding in audit(made[name], checks_of(HORIZONS)[name], run)
        if not finding.verdict.passed
    ]
    return *(run.engine.collect(found).to_pylist() for found in made.values()), failed


@pytest.mark.parametrize("model", [PURCHASE, SEASONAL])
def test_predictions_run_on_the_models_clock(engine, tmp_path, model):
    rfm = customers(200, JUNE.last_day)
    found = sorted(predicted(month_run(engine, tmp_path, JUNE, rfm, model)).to_pylist(), key=lambda r: r["customer_id"])
    clock = OperationalTime(SEASON if model is SEASONAL else None, 7)
    end = np.datetime64(JUNE.last_day)
    first, last = (
        np.array([row[name] for row in rfm], dtype="datetime64[D]") for name in ("first_purchase", "last_purchase")
    )
    ahead = clock.elapsed(end, np.array(["2011-09-30", "2011-12-31"], dtype="datetime64[D]"))
    x = np.array([row["frequency"] for row in rfm])
    fit = purchase_fit(dict.fromkeys(PURCHASE_MODEL.column_names) | model)
    expected = predict_patterns(fit, x, clock.elapsed(first, last), clock.elapsed(first, end), ahead)
    np.testing.assert_allclose([row["p_alive"] for row in found], expected.p_alive, rtol=1e-12)
    for i, h in enumerate(HORIZONS):
        np.testing.assert_allclose(
            [row[f"expected_purchases_{h}m"] for row in found], expected.expected_purchases[:, i], rtol=1e-12
        )
    if model is SEASONAL:
        # October to December have twice the intensity of July to September.
        assert ahead[1] > 2.9 * ahead[0]


def test_customers_who_may_be_older_are_predicted_by_both_populations(engine, tmp_path):
    rfm = customers(200, JUNE.last_day)
    older, newer = {"r": 0.8, "alpha": 30.0, "a": 0.5, "b": 3.0}, {"r": 0.4, "alpha": 50.0, "a": 0.9, "b": 1.6}
    two = Populations("mbg_nbd", np.datetime64("2010-12-31"), older, newer, 300.0, 30.0)
    run = month_run(engine, tmp_path, JUNE, rfm, PURCHASE | {"populations": populations_json(two)})
    made = predicted(run)
    found = sorted(made.to_pylist(), key=lambda r: r["customer_id"])
    ahead = np.array([92, 184]) / 7.0
    fits = [
        replace(purchase_fit(dict.fromkeys(PURCHASE_MODEL.column_names) | PURCHASE), parameters=parameters)
        for parameters in (older, newer)
    ]
    shares = []
    for row, of in zip(found, rfm, strict=True):
        start, end = dt.date(2010, 12, 31), JUNE.last_day
        x, last, length = of["frequency"], (of["last_purchase"] - start).days / 7, (end - start).days / 7
        first = (of["first_purchase"] - start).days / 7
        readings = [(x + 1, last, length), (x, last - first, length - first)]
        told = [
            np.log(size)
            + model_named("mbg_nbd").likelihood(
                PurchaseStatistics(*(np.array([each]) for each in reading), np.ones(1))
            )(np.log(list(fit.parameters.values())))[0]
            for size, reading, fit in zip((300.0, 30.0), readings, fits, strict=True)
        ]
        shares.append(expit(told[0] - told[1]))
        each = [
            predict_patterns(fit, *([part] for part in way), ahead) for fit, way in zip(fits, readings, strict=True)
        ]
        for i, h in enumerate(HORIZONS):
            ends = [one.expected_purchases[0, i] for one in each]
            mean = shares[-1] * ends[0] + (1 - shares[-1]) * ends[1]
            assert row[f"expected_purchases_{h}m"] == pytest.approx(mean, rel=1e-6)
        alive = shares[-1] * each[0].p_alive[0] + (1 - shares[-1]) * each[1].p_alive[0]
        assert row["p_alive"] == pytest.approx(alive, rel=1e-6)
        for h in HORIZONS:
            assert row[f"cltv_{h}m_low"] <= row[f"cltv_{h}m_high"]
    assert min(shares) < 0.3 < 0.7 < max(shares)
    # The totals are those of the customers, of either kind.
    summary, _, failed = segmented(run, (JUNE, made))
    assert failed == []
    whole = {row["horizon_months"]: row for row in summary if row["scheme"] == "all"}
    for h in HORIZONS:
        low, mean, high = (whole[h][f"expected_purchases{end}"] for end in ("_low", "", "_high"))
        assert mean == pytest.approx(sum(row[f"expected_purchases_{h}m"] for row in found), rel=1e-6)
        assert low < mean < high
    plain, _, _ = segmented(month_run(engine, tmp_path, JUNE, rfm, PURCHASE), (JUNE, made))
    assert plain[0]["expected_purchases_low"] != whole[3]["expected_purchases_low"]


def test_a_value_interval_is_wider_than_its_purchases_alone(engine, tmp_path):
    run = month_run(engine, tmp_path, JUNE, customers(300, JUNE.last_day), PURCHASE, gross_margin=1.0)
    for row in predicted(run).to_pylist():
        for h in HORIZONS:
            low, value, high = (row[f"cltv_{h}m{end}"] for end in ("_low", "", "_high"))
            assert 0 <= low <= high
            fewest, most = (row[f"expected_purchases_{h}m{end}"] for end in ("_low", "_high"))
            # Nothing is worth nothing, and something something.
            assert (low > 0) == (fewest > 0)
            assert (high > 0) == (most > 0)
            worth = expected_value({"p": 6.0, "q": 4.0, "v": 15.0}, [row["frequency"]], [row["monetary_value"]])[0]
            if fewest > 0:
                assert low < fewest * worth
            assert value > 0


def test_where_each_pays_the_same_the_first_order_is_the_price(engine, tmp_path):
    """Two plans of 9.99 and 49: what varies is only how often somebody pays."""
    rfm = customers(400, JUNE.last_day)
    for i, row in enumerate(rfm):
        price = "9.99" if i % 3 else "49"
        row["total_spend"] = Decimal(price) * (row["frequency"] + 1)
        row["monetary_value"] = float(price) if row["frequency"] else 0.0
    plans = SPEND | {"status": "boundary", "p": 1e4, "q": 2.5, "v": 0.0033, "prices": 2, "customers": 200}
    plans["mean_order_value"] = 20.0
    run = month_run(engine, tmp_path, JUNE, rfm, PURCHASE, plans)
    now = predicted(run)
    for row in now.to_pylist():
        price = 9.99 if int(row["customer_id"]) % 3 else 49.0
        assert row["expected_order_value"] == pytest.approx(price, rel=2e-4)
        if row["frequency"] == 0:
            # 0.5 is the margin; the discount is that of the expectation.
            kept = row["cltv_6m"] / row["expected_purchases_6m"]
            for end in ("_low", "_high"):
                assert row[f"cltv_6m{end}"] == pytest.approx(row[f"expected_purchases_6m{end}"] * kept, rel=1e-12)
    summary, _, failed = segmented(run, (JUNE, now))
    assert failed == []
    half = {row["segment"]: row for row in summary if row["scheme"] == "all" and row["horizon_months"] == 6}["all"]
    # With more at stake in fewer hands, the interval of value is relatively wider than that of purchases, not narrower.
    spread = {what: half[f"expected_{what}_high"] / half[f"expected_{what}_low"] for what in ("purchases", "value")}
    assert spread["purchases"] < spread["value"] < spread["purchases"] ** 2
    assert half["expected_value_low"] < half["expected_value"] < half["expected_value_high"]
    # What is not known of the spread between customers makes no price uncertain.
    unsure = plans | {"log_covariance": json.dumps({"q": {"q": 1.0}})}
    again, _, _ = segmented(month_run(engine, tmp_path, JUNE, rfm, PURCHASE, unsure), (JUNE, now))
    assert again == summary
    found = audit(run.inputs[SPEND_MODEL.name], [order_values_vary], run)[0].verdict
    assert not found.passed
    assert "only 2 mean order values" in found.message


def test_segments_hold_everyone_and_their_value(engine, tmp_path):
    before = predicted(month_run(engine, tmp_path, MAY, customers(400, MAY.last_day), PURCHASE))
    run = month_run(engine, tmp_path, JUNE, customers(500, JUNE.last_day, seed=2), PURCHASE)
    # The first hundred have left the base, and there are two hundred new ones.
    now = predicted(run).filter(pa.compute.greater_equal(pa.compute.field("customer_id"), "0100"))
    summary, movement, failed = segmented(run, (MAY, before), (JUNE, now))
    assert failed == []
    rows = now.to_pylist()
    for row in summary:
        column = {"all": None, "value": "value_segment", "rfm": "rfm_segment"}[row["scheme"]]
        mine = [r for r in rows if column is None or r[column] == row["segment"]]
        old = [r for r in before.to_pylist() if column is None or r[column] == row["segment"]]
        h = row["horizon_months"]
        value = sum(r[f"cltv_{h}m"] for r in mine)
        assert row["customers"] == len(mine)
        assert row["customers_before"] == len(old)
        assert row["share_of_customers"] == pytest.approx(len(mine) / 400)
        assert row["expected_value"] == pytest.approx(value, abs=1e-4 * len(mine))
        assert row["share_of_value"] == pytest.approx(value / sum(r[f"cltv_{h}m"] for r in rows), abs=1e-5)
        assert row["expected_purchases"] == pytest.approx(sum(r[f"expected_purchases_{h}m"] for r in mine), abs=1e-3)
        if mine:
            assert row["expected_value_low"] < row["expected_value"] < row["expected_value_high"]
            assert row["expected_purchases_low"] < row["expected_purchases"] < row["expected_purchases_high"]
    # Totals are told better than their parts: the base's interval is narrower than the segments' added up.
    width = {key: sum(r["expected_value_high"] - r["expected_value_low"] for r in summary if r["scheme"] == key)
             for key in ("all", "value", "rfm")}  # fmt: skip
    assert width["all"] < width["value"] < width["rfm"]
    assert {(r["scheme"], r["from_segment"]) for r in movement if r["to_segment"] == "gone"} >= {("value", "low")}
    assert sum(r["customers"] for r in movement if r["from_segment"] == "new" and r["scheme"] == "rfm") == 100
    assert sum(r["value_now"] for r in movement if r["scheme"] == "rfm") == pytest.approx(
        sum(r["cltv_6m"] for r in rows), abs=0.05
    )


def test_parameters_that_are_not_known_widen_totals(engine, tmp_path):
    rfm = customers(300, JUNE.last_day)
    widths = []
    for purchase in (PURCHASE, PURCHASE | {"log_covariance": None}):
        run = month_run(engine, tmp_path, JUNE, rfm, purchase)
        summary, _, _ = segmented(run, (JUNE, predicted(run)))
        widths.append(summary[0]["expected_purchases_high"] - summary[0]["expected_purchases_low"])
    assert widths[0] > 1.05 * widths[1]


def test_without_the_month_before_nobody_moves(engine, tmp_path):
    run = month_run(engine, tmp_path, JUNE, customers(50, JUNE.last_day), PURCHASE)
    summary, movement, failed = segmented(run, (JUNE, predicted(run)))
    assert failed == []
    assert movement == []
    assert {row["customers_before"] for row in summary} == {None}


def test_without_predictions_there_are_no_segments(engine, tmp_path):
    before = predicted(month_run(engine, tmp_path, MAY, customers(50, MAY.last_day), PURCHASE))
    run = month_run(engine, tmp_path, JUNE, customers(50, JUNE.last_day), PURCHASE | {"status": "not_fitted"})
    summary, movement, failed = segmented(run, (MAY, before), (JUNE, predicted(run)))
    assert failed == []
    assert summary == []
    assert {row["to_segment"] for row in movement} == {"gone"}


def test_without_a_spend_model_purchases_are_predicted_and_money_is_not_made_up(engine, tmp_path):
    rfm = customers(300, JUNE.last_day)
    rfm[7]["total_refunds"] = Decimal(5)
    nothing = {"p": None, "q": None, "v": None, "status": "not_fitted", "status_reason": "3 repeat customers"}
    run = month_run(engine, tmp_path, JUNE, rfm, PURCHASE, SPEND | nothing)
    found = {row["customer_id"]: row for row in predicted(run).to_pylist()}
    with_money = predicted(month_run(engine, tmp_path, JUNE, rfm, PURCHASE)).to_pylist()
    money = [
        name for name in SCHEMA.column_names if name.startswith(("cltv_", "expected_order", "expected_spend", "gross"))
    ]
    others = [name for name in SCHEMA.column_names if name not in (*money, "value_segment", "model_name")]
    assert len(money) == 10
    for row in with_money:
        mine = found[row["customer_id"]]
        assert [mine[name] for name in others] == [row[name] for name in others]
        assert {mine[name] for name in money} == {None}
        assert mine["model_name"] == "mbg_nbd+none"
    # Tiers are by expected purchases, in the configured shares; who gave everything back is in the lowest.
    tiers = {}
    for row in found.values():
        if row["customer_id"] != "0007":
            tiers.setdefault(row["value_segment"], []).append(row["expected_purchases_6m"])
    for better, worse in itertools.pairwise(("top", "high", "middle", "low")):
        assert min(tiers[better]) > max(tiers[worse])
    assert len(tiers["top"]) == pytest.approx(0.05 * 300, abs=2)
    assert found["0007"]["value_segment"] == "low"
    assert found["0007"]["expected_purchases_6m"] > min(tiers["middle"])


def test_segments_of_a_month_without_money_hold_purchases_only(engine, tmp_path):
    rfm = customers(300, JUNE.last_day)
    nothing = {"p": None, "q": None, "v": None, "status": "not_fitted"}
    before = predicted(month_run(engine, tmp_path, MAY, customers(250, MAY.last_day), PURCHASE))
    run = month_run(engine, tmp_path, JUNE, rfm, PURCHASE, SPEND | nothing)
    now = predicted(run)
    summary, movement, failed = segmented(run, (MAY, before), (JUNE, now))
    assert failed == []
    money = ("expected_value", "expected_value_low", "expected_value_high", "share_of_value")
    assert {row[name] for row in summary for name in money} == {None}
    rich = month_run(engine, tmp_path, JUNE, rfm, PURCHASE)
    base, _, _ = segmented(rich, (JUNE, predicted(rich)))
    for end in ("", "_low", "_high"):
        # What is known of purchases does not depend on money, but for sums over other groups.
        column = f"expected_purchases{end}"
        assert [r[column] for r in summary if r["scheme"] == "all"] == pytest.approx(
            [r[column] for r in base if r["scheme"] == "all"], rel=1e-5
        )
    assert {row["value_now"] for row in movement} == {None}
    assert sum(r["value_before"] for r in movement if r["scheme"] == "rfm") == pytest.approx(
        sum(before["cltv_6m"].to_pylist()), abs=0.05
    )
    # And the other way round: money comes back.
    poor = month_run(engine, tmp_path, MAY, customers(250, MAY.last_day), PURCHASE, SPEND | nothing)
    _, back, failed = segmented(rich, (MAY, predicted(poor)), (JUNE, predicted(rich)))
    assert failed == []
    assert {row["value_before"] for row in back} == {None}
    assert min(row["value_now"] for row in back if row["to_segment"] != "gone") > 0


def test_totals_of_value_are_spread_by_holdouts_of_revenue(engine, tmp_path):
    rfm = customers(200, JUNE.last_day)

    def widths(spend: dict, **changes) -> tuple[float, float]:
        held = {"holdout_total_error": 0.05, "holdout_folds": 2, "holdout_errors": '{"2011-03": 0.05, "2010-12": 0.05}'}
        run = month_run(engine, tmp_path, JUNE, rfm, PURCHASE | held | changes, SPEND | spend)
        summary, _, failed = segmented(run, (JUNE, predicted(run)))
        assert failed == []
        whole = next(row for row in summary if (row["scheme"], row["horizon_months"]) == ("all", 6))
        return tuple(
            (whole[f"expected_{what}_high"] - whole[f"expected_{what}_low"]) / whole[f"expected_{what}"]
            for what in ("purchases", "value")
        )

    unknown = widths({})
    missed = widths({"holdout_value_errors": '{"2011-03": -0.4, "2010-12": -0.4}'})
    cancelled = widths({"holdout_value_errors": json.dumps(dict.fromkeys(("2011-03", "2010-12"), 1 / 1.05 - 1))})
    # Purchases have their own spread, whatever they were worth.
    assert missed[0] == cancelled[0] == unknown[0]
    assert missed[1] > unknown[1] + 0.5
    assert cancelled[1] < unknown[1]
    # With fewer holdouts of revenue than of purchases those of purchases speak for both, as in months of before.
    assert widths({"holdout_value_errors": '{"2011-03": -0.4}'}) == unknown
    assert widths({"holdout_value_errors": '{"2011-03": -0.4, "2010-12": -0.4}'}, holdout_errors=None) == unknown
