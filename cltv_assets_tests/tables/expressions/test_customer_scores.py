"""Scores of a small shop on each engine: churn states, medians, deciles and joins, against plain Python."""

from __future__ import annotations

import datetime as dt
import itertools
import statistics
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from cltv_assets.columns import MONTH
from cltv_assets.lake import Lake
from cltv_assets.models.purchase.registry import at_least, model_named
from cltv_assets.models.sufficient_statistics import Patterns
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.settings.scores import DEFAULT_ACTIONS, Scores
from cltv_assets.tables import checks_of, customer_scores
from cltv_assets.tables.check import audit
from cltv_assets.tables.cltv_predictions.columns import money_columns, predictions_schema
from cltv_assets.tables.customer_scores.churn import churn_sides, churn_state, with_churn_state
from cltv_assets.tables.customer_scores.intervals import median_days_between
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.segmentation import RFM_SEGMENTS

JUNE = Month.parse("2011-06")
HORIZONS = (3, 6)
PREDICTIONS = predictions_schema(HORIZONS)
BG = {"r": 0.5, "alpha": 5.0, "a": 0.9, "b": 1.6}
#: In weeks, on a clock that runs faster in July and August.
SEASON = [0.9] * 6 + [1.5, 1.5] + [0.9] * 4
MODELS = [
    {"model_name": "mbg_nbd", "role": "chosen", "weight": 0.7, **BG},
    {"model_name": "nbd", "role": "comparison", "weight": 0.3, "r": 0.4, "alpha": 6.0},
]


def table(schema, rows):
    filled = [{c.name: None for c in schema.columns} | row for row in rows]
    return pa.Table.from_pylist(filled, schema=schema.arrow)


def with_month(months: dict[Month, list[dict]]) -> pa.Table:
    rows = [{MONTH: month.first_day, **row} for month, some in months.items() for row in some]
    names = PREDICTIONS.arrow_with_month.names
    return pa.Table.from_pylist(
        [{name: row.get(name) for name in names} for row in rows], schema=PREDICTIONS.arrow_with_month
    )


# --- churn states ---


def by_hand(p: list[float | None], scores: Scores) -> str:
    """Walk through the months, the oldest first, with a state that changes at the far bound only."""
    active, lapsed = True, False
    for one in p:
        if one is None:
            continue
        active = one > scores.active_above or (active and one >= scores.at_risk_below)
        lapsed = one < scores.lapsed_below or (lapsed and one <= scores.recovered_above)
    return "lapsed" if lapsed else "active" if active else "at risk"


def states(engine, series: list[list[float | None]], staying: dict[Month, float] | None = None) -> list[str]:
    """Return each customer's state from P(alive) of the months up to June, the last value being June's."""
    months = {JUNE.shift(-back): [] for back in range(5, -1, -1)}
    for who, values in enumerate(series):
        for back, p in enumerate(reversed(values)):
            if p is not None:
                months[JUNE.shift(-back)].append({"customer_id": f"{who:05}", "p_alive": p})
    window = engine.from_arrow(with_month(months))
    sides = window.group_by("customer_id").aggregate(**churn_sides(window, Scores(), staying or {}))
    found = engine.collect(sides.select("customer_id", state=churn_state(sides))).to_pylist()
    by_all = {row["customer_id"]: row["state"] for row in found}
    scored = engine.collect(with_churn_state(window, JUNE, Scores(), staying or {})).to_pylist()
    # Of those who have a prediction now, the month itself or a few months tell what all months do.
    assert {row["customer_id"]: row["churn_state"] for row in scored} == by_all
    return [state for _, state in sorted(by_all.items())]


def test_a_churn_state_is_that_of_a_switch_that_was_watched(engine):
    # Inside and at both sides of each bound.
    levels = [0.1, 0.2, 0.25, 0.4, 0.55, 0.9]
    series = [list(one) for one in itertools.product(levels, repeat=4)]
    series += [[None, 0.1, None, 0.25], [0.4, None, None, None, None, 0.55], [0.55], [0.25], [0.2], [0.5], [0.6]]
    assert states(engine, series) == [by_hand(one, Scores()) for one in series]
    # What the words mean.
    assert states(engine, [[0.9, 0.55], [0.4, 0.55], [0.1, 0.25], [0.4, 0.25], [0.1, 0.9]]) == [
        "active",
        "at risk",
        "lapsed",
        "at risk",
        "active",
    ]


@pytest.mark.embedded
def test_a_customer_who_wavers_between_the_bounds_does_not_flap(engine):
    # Around both bounds, 0.5 and 0.6, and outside of them in the first month only.
    p = [0.45, 0.52, 0.58, 0.51, 0.59, 0.5]
    assert set(states(engine, [p[: n + 1] for n in range(6)])) == {"at risk"}
    p[0] = 0.7
    assert set(states(engine, [p[: n + 1] for n in range(6)])) == {"active"}


def test_a_model_in_which_nobody_leaves_hides_no_loss(engine):
    # The others say the same in all months, and the weight of that model changes.
    others = [[0.9, 0.1, 0.1, 0.25], [0.9, 0.7, 0.4, 0.52], [0.55, 0.5, 0.55, 0.5]]
    weights = [0.3, 0.0, 0.6, 0.2]
    staying = {JUNE.shift(at - 3): weight for at, weight in enumerate(weights) if weight}
    mixed = [[w + (1 - w) * p for w, p in zip(weights, one, strict=True)] for one in others]
    assert states(engine, mixed, staying) == ["lapsed", "at risk", "active"]
    assert states(engine, mixed) == ["at risk", "active", "active"]
    # Alone, that model is all that is known.
    assert states(engine, [[1.0, 1.0]], {JUNE: 1.0, JUNE.shift(-1): 1.0}) == ["active"]


# --- days between orders ---


def test_the_median_of_days_between_orders_is_pythons(engine):
    rng = np.random.default_rng(5)
    rows, wanted = [], {}
    for who in range(300):
        count = int(rng.integers(1, 9))
        days = sorted({dt.date(2011, 1, 1) + dt.timedelta(days=int(day)) for day in rng.integers(0, 60, count)})
        rows += [{"customer_id": f"{who}", "purchase_day": day, "order_count": 1} for day in days]
        # Days with a refund only say nothing of when somebody buys.
        rows.append({"customer_id": f"{who}", "purchase_day": dt.date(2011, 3, 20), "order_count": 0})
        gaps = [(b - a).days for a, b in itertools.pairwise(days)]
        if len(gaps) >= 2:
            wanted[f"{who}"] = statistics.median(gaps)
    rng.shuffle(rows)
    found = engine.collect(median_days_between(engine.from_arrow(table(PURCHASE_DAYS, rows)))).to_pylist()
    assert {row["customer_id"]: row["median_days_between_orders"] for row in found} == wanted
    assert len({value % 1 for value in wanted.values()}) == 2


# --- the table ---


def shop(count: int, seed: int = 3) -> list[dict]:
    """Return customers with their purchase days, what they spent and what they gave back."""
    rng = np.random.default_rng(seed)
    found = []
    for who in range(count):
        size = int(rng.geometric(0.4))
        days = sorted({JUNE.last_day - dt.timedelta(days=int(day)) for day in rng.integers(0, 170, size)})
        spent = [Decimal(int(cents)).scaleb(-2) for cents in rng.integers(100, 99_999, len(days))]
        back = Decimal("0.07") if who % 5 == 0 else sum(spent) if who % 11 == 0 else Decimal(0)
        found.append({"id": f"{who:04}", "days": days, "spent": spent, "back": back})
    return found


def run_of(
    engine, tmp_path, customers: list[dict], *, money: bool = True, counted: bool = False, **settings
) -> MonthRun:
    rng = np.random.default_rng(8)
    days, rfm, now, before = [], [], [], []
    for one in customers:
        first, last, n = one["days"][0], one["days"][-1], len(one["days"])
        for i, (day, spent) in enumerate(zip(one["days"], one["spent"], strict=True)):
            back = one["back"] if i == n - 1 else Decimal(0)
            amounts = {} if counted else {"spend": spent, "refunds": back}
            days.append(
                {"customer_id": one["id"], "purchase_day": day, "order_count": 1 + i % 2, "line_count": 2, **amounts}
            )
        amounts = {} if counted else {"total_spend": sum(one["spent"]), "total_refunds": one["back"]}
        orders = sum(1 + i % 2 for i in range(n))
        dates = {"first_purchase": first, "last_purchase": last, "recency": (last - first).days / 7}
        age = (JUNE.last_day - first).days / 7
        rfm.append({"customer_id": one["id"], "frequency": n - 1, "T": age, "order_count": orders, **dates, **amounts})
        values = {f"expected_purchases_{h}m": float(rng.random()) * h for h in HORIZONS}
        values |= {f"cltv_{h}m": float(np.round(rng.lognormal(3, 1), 4)) * h for h in HORIZONS}
        row = {
            "customer_id": one["id"], "frequency": n - 1, "p_alive": 1.0, "value_segment": "low",
            "rfm_segment": RFM_SEGMENTS[int(one["id"]) % 11], **values,
        }  # fmt: skip
        if not money:
            row |= dict.fromkeys(money_columns(HORIZONS))
        now.append(row)
        if int(one["id"]) % 3:
            before.append(row | {"cltv_6m": 5.0, "p_alive": 0.1, "rfm_segment": "lost"})
    scores = {"churn_state_change": 1.0}
    values = {"horizons_months": HORIZONS, "time_unit": "week", "checks": scores, "start_month": "2011-01"}
    values["gross_margin"] = 0.5
    source = {"kind": "csv", "path": "x", "columns": {"customer_id": "a", "transacted_at": "b"}}
    values["source"] = source | ({"amounts": "none"} if counted else {"columns": source["columns"] | {"amount": "c"}})
    season = {f"season_{i + 1:02d}": s for i, s in enumerate(SEASON)}
    models = [{"status": "fitted", "seasonality": "monthly", **season, **model} for model in MODELS]
    inputs = {
        "purchase_days": engine.from_arrow(table(PURCHASE_DAYS, days)),
        "rfm_summary": engine.from_arrow(table(RFM_SUMMARY, rfm)),
        "purchase_model": engine.from_arrow(table(PURCHASE_MODEL, models)),
        "cltv_predictions": engine.from_arrow(with_month({JUNE.shift(-1): before, JUNE: now})),
    }
    return MonthRun(JUNE, Settings.model_validate(values | settings), engine, Lake(str(tmp_path)), None, inputs)


def made(run: MonthRun) -> dict[str, dict]:
    """Make the month, expect every check to pass, and return the rows by customer."""
    schema = customer_scores.scores_schema(HORIZONS)
    scores = run.engine.from_arrow(
        run.engine.collect(customer_scores.make(run)).select(schema.column_names).cast(schema.arrow)
    )
    findings = audit(scores, checks_of(HORIZONS)["customer_scores"], run)
    assert [f"{one.check.name}: {one.verdict.message}" for one in findings if not one.verdict.passed] == []
    return {row["customer_id"]: row for row in run.engine.collect(scores).to_pylist()}


def passed(first: dt.date, last: dt.date) -> float:
    """Return weeks by the season's clock from the end of one day to the end of another, day by day."""
    scale = 365.2425 / sum(
        s * d for s, d in zip(SEASON, (31, 28.2425, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), strict=True)
    )
    days = (first + dt.timedelta(days=i + 1) for i in range((last - first).days))
    return sum(SEASON[day.month - 1] * scale for day in days) / 7


def test_each_customer_is_scored_as_plain_python_would(engine, tmp_path):
    customers = shop(60)
    run = run_of(engine, tmp_path, customers, scores={"actions": {"lost": "Nothing"}})
    # P(alive) by the models, as cltv_predictions has it.
    end = JUNE.last_day
    ahead = [end + dt.timedelta(days=i) for i in range(1, 1097)]
    clock = np.array([passed(end, day) for day in ahead[:100]])
    wanted = {}
    for one in customers:
        first, last = one["days"][0], one["days"][-1]
        x, t_x, T = len(one["days"]) - 1, passed(first, last), passed(first, end)
        alive, within = 0.0, np.zeros(100)
        for model in MODELS:
            names = model_named(model["model_name"]).parameter_names
            parameters = {name: model[name] for name in names}
            patterns = Patterns(np.full(100, x), np.full(100, t_x), np.full(100, max(T, t_x)))
            each = model_named(model["model_name"])
            alive += model["weight"] * each.p_alive(parameters, patterns)[0]
            within += model["weight"] * at_least(each, parameters, patterns, clock, np.ones(100))
        wanted[one["id"]] = alive, within
    predictions = run.engine.collect(run.inputs["cltv_predictions"]).to_pylist()
    now = {row["customer_id"]: row for row in predictions if row["month"] == JUNE.first_day}
    for name, row in now.items():
        row["p_alive"] = wanted[name][0]
    run.inputs["cltv_predictions"] = engine.from_arrow(
        pa.Table.from_pylist(predictions, schema=PREDICTIONS.arrow_with_month)
    )
    found = made(run)
    assert found.keys() == now.keys()
    ordered = sorted(((r["cltv_6m"] if n != "0011" else 0.0) for n, r in now.items()), reverse=True)
    soon = 0
    for one in customers:
        row, mine, (alive, within) = found[one["id"]], now[one["id"]], wanted[one["id"]]
        assert row["historic_value"] == sum(one["spent"]) - one["back"]
        assert row["historic_orders"] == sum(1 + i % 2 for i in range(len(one["days"])))
        share = run.settings.gross_margin if mine["gross_margin"] is None else mine["gross_margin"]
        assert row["historic_margin"] == pytest.approx(float(row["historic_value"]) * share)
        assert row["total_value"] == pytest.approx(float(row["historic_value"]) * share + mine["cltv_6m"])
        assert [row[f"predicted_value_{h}m"] for h in HORIZONS] == [mine[f"cltv_{h}m"] for h in HORIZONS]
        assert [row[f"expected_orders_{h}m"] for h in HORIZONS] == [mine[f"expected_purchases_{h}m"] for h in HORIZONS]
        assert (row["p_order_30d"], row["p_order_90d"]) == pytest.approx((within[29], within[89]), rel=1e-6)
        half = np.flatnonzero(within >= alive / 2)
        if len(half):
            soon += 1
            assert row["expected_next_order"] == ahead[half[0]]
        else:
            assert row["expected_next_order"] is None or row["expected_next_order"] > ahead[99]
        gaps = [(b - a).days for a, b in itertools.pairwise(one["days"])]
        assert row["median_days_between_orders"] == (statistics.median(gaps) if len(gaps) >= 2 else None)
        assert row["days_since_last_order"] == (end - one["days"][-1]).days
        was = int(one["id"]) % 3
        assert row["previous_rfm_segment"] == ("lost" if was else None)
        assert row["value_change"] == (pytest.approx(mine["cltv_6m"] - 5.0) if was else None)
        # Lapsed a month ago, and back only above the upper bound; new customers count as active.
        # By the model in which customers can leave; last month's models are not known.
        assert row["churn_state"] == by_hand([0.1 if was else None, (alive - 0.3) / 0.7], Scores())
        action = "Nothing" if mine["rfm_segment"] == "lost" else DEFAULT_ACTIONS[mine["rfm_segment"]]
        assert row["suggested_action"] == action
        if not (gave_back := one["back"] >= sum(one["spent"])):
            # Of sixty the first six are the first tenth.
            better = sum(value > mine["cltv_6m"] for value in ordered)
            assert abs(row["value_decile"] - (better // 6 + 1)) <= 1
        assert not gave_back or row["value_decile"] == 10
    assert soon > 5
    assert {row["churn_state"] for row in found.values()} >= {"active", "at risk"}
    deciles = [row["value_decile"] for row in found.values()]
    assert min(deciles) == 1
    assert max(deciles) == 10


@pytest.mark.embedded
def test_equal_values_share_a_decile(engine, tmp_path):
    run = run_of(engine, tmp_path, shop(40))
    rows = run.engine.collect(run.inputs["cltv_predictions"]).to_pylist()
    for row in rows:
        row["cltv_6m"] = 50.0 if int(row["customer_id"]) % 2 else 10.0
    run.inputs["cltv_predictions"] = engine.from_arrow(pa.Table.from_pylist(rows, schema=PREDICTIONS.arrow_with_month))
    found = made(run)
    by_value: dict[float, set[int]] = {}
    for row in found.values():
        if row["historic_value"] > 0:
            by_value.setdefault(row["predicted_value_6m"], set()).add(row["value_decile"])
    assert {value: len(deciles) for value, deciles in by_value.items()} == {50.0: 1, 10.0: 1}
    assert by_value[50.0] < by_value[10.0] or by_value[50.0].pop() < by_value[10.0].pop()


@pytest.mark.embedded
def test_without_a_spend_model_orders_decide_and_no_money_is_made_up(engine, tmp_path):
    found = made(run_of(engine, tmp_path, shop(60), money=False))
    money = ("predicted_value_3m", "predicted_value_6m", "total_value", "value_change")
    assert {row[name] for row in found.values() for name in money} == {None}
    assert min(row["historic_value"] for row in found.values()) >= 0
    kept = [row for row in found.values() if row["historic_value"] > 0]
    ranked = sorted(kept, key=lambda row: -row["expected_orders_6m"])
    assert [row["value_decile"] for row in ranked] == sorted(row["value_decile"] for row in kept)
    assert len({row["value_decile"] for row in ranked}) >= 9


@pytest.mark.embedded
def test_a_source_without_amounts_is_scored_by_orders(engine, tmp_path):
    found = made(run_of(engine, tmp_path, shop(30), money=False, counted=True))
    assert {row["historic_value"] for row in found.values()} == {None}
    assert {row["total_value"] for row in found.values()} == {None}
    assert len({row["value_decile"] for row in found.values()}) >= 9


@pytest.mark.embedded
def test_without_a_purchase_model_nobody_is_scored(engine, tmp_path):
    run = run_of(engine, tmp_path, shop(5))
    nothing = [{"model_name": "mbg_nbd", "role": "chosen", "status": "not_fitted", "seasonality": "none"}]
    run.inputs["purchase_model"] = engine.from_arrow(table(PURCHASE_MODEL, nothing))
    run.inputs["cltv_predictions"] = engine.from_arrow(with_month({}))
    assert made(run) == {}


def test_the_settings_have_an_action_for_every_segment():
    assert tuple(DEFAULT_ACTIONS) == RFM_SEGMENTS


# --- many states that change at once ---


def publish_before(run: MonthRun, schema, rows: list[dict]) -> None:
    """Publish rows as the month before's, with something in each column that must not be null."""
    some = {"string": "x", "int32": 1, "int64": 1, "float64": 0.5, "date": JUNE.first_day, "boolean": False}
    plain = {column.name: some[column.type] for column in schema.columns if not column.nullable}
    published = run.lake.table(schema)
    with published.begin(JUNE.shift(-1)) as staging:
        run.engine.write(
            run.engine.from_arrow(table(schema, [plain | row for row in rows])), schema, staging.new_file()
        )
        published.publish(staging.seal())


@pytest.mark.embedded
@pytest.mark.parametrize("models_changed", [True, False])
def test_it_is_told_whether_the_customers_changed_or_the_models(engine, tmp_path, models_changed):
    """As on CDNOW in December 1997, where a model by which nobody leaves after one purchase lost weight."""
    customers = shop(60)
    run = run_of(
        engine,
        tmp_path,
        customers,
        checks={"churn_state_change": 0.1},
        scores={"at_risk_below": 0.8, "active_above": 0.85},
    )
    then = [MODELS[0] | {"model_name": "bg_nbd", "weight": 0.4}, MODELS[1] | {"weight": 0.6}]
    then = then if models_changed else MODELS
    season = {f"season_{i + 1:02d}": s for i, s in enumerate(SEASON)}
    fitted = {"status": "fitted", "seasonality": "monthly", "populations": None, **season}
    publish_before(run, PURCHASE_MODEL, [fitted | model for model in then])
    states = dict.fromkeys((one["id"] for one in customers), "active")
    publish_before(
        run,
        customer_scores.scores_schema(HORIZONS),
        [{"customer_id": who, "churn_state": state} for who, state in states.items()],
    )

    def state_by(one: dict, models: list[dict]) -> str:
        first, last = one["days"][0], one["days"][-1]
        patterns = Patterns(
            *([value] for value in (len(one["days"]) - 1, passed(first, last), passed(first, JUNE.last_day)))
        )
        leaving, staying = models
        each = model_named(leaving["model_name"])
        alive = each.p_alive({name: leaving[name] for name in each.parameter_names}, patterns)[0]
        alive_of[one["id"]] = staying["weight"] + leaving["weight"] * alive
        # May is before: all were alive by all models.
        return by_hand([1.0, alive], run.settings.scores)

    alive_of: dict[str, float] = {}
    by_old = {one["id"]: state_by(one, then) for one in customers}
    by_new = {one["id"]: state_by(one, MODELS) for one in customers}
    rows = [{"customer_id": who, "p_alive": alive, "rfm_segment": "lost"} for who, alive in alive_of.items()]
    before = [row | {"p_alive": 1.0} for row in rows]
    run.inputs["cltv_predictions"] = engine.from_arrow(with_month({JUNE.shift(-1): before, JUNE: rows}))
    quiet = {one["id"]: (JUNE.last_day - one["days"][-1]).days for one in customers}
    schema = customer_scores.scores_schema(HORIZONS)
    scores = engine.from_arrow(
        table(
            schema,
            [
                {"customer_id": who, "churn_state": state, "days_since_last_order": quiet[who]}
                for who, state in by_new.items()
            ],
        )
    )
    [check] = [one for one in checks_of(HORIZONS)["customer_scores"] if one.name == "churn_states_steady"]
    found = audit(scores, [check], run)[0].verdict
    moved = {who for who, state in by_new.items() if state != "active"}
    silent = {who for who in moved if quiet[who] >= 30}
    by_models = {who for who in moved if by_old[who] == "active"}
    assert not found.passed
    assert found.facts["changed"] == len(moved) > 6
    assert found.facts["without_order"] == len(silent)
    assert found.facts["by_models"] == len(by_models)
    assert bool(by_models) is models_changed
    assert by_models != moved
    weights = "bg_nbd 40%, nbd 60%" if models_changed else "mbg_nbd 70%, nbd 30%"
    assert f"the models of 2011-05 ({weights}; now mbg_nbd 70%, nbd 30%)" in found.message
