"""A small consistent month: rows of every table that pass every check, and how a table of it is audited."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa
from scipy.special import hyp2f1

from cltv_assets.columns import TableSchema
from cltv_assets.engines import Engine
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.tables import all_schemas, checks_of
from cltv_assets.tables.check import Check, Finding, audit
from cltv_assets.tables.cltv_predictions.columns import money_columns
from cltv_assets.tables.month_run import MonthRun

MONTH = Month.parse("2011-03")
DAY = dt.date(2011, 3, 5)
TABLES = {table.name: table for table in all_schemas([3, 6, 12])}

FIT = {
    "model_name": "bg_nbd", "role": "chosen", "status": "fitted", "status_reason": None, "log_likelihood": -100.0,
    "aic": 208.0, "gradient_norm": 1e-9, "hessian_positive_definite": True, "iterations": 9, "starts_agreeing": 4,
    "patterns": 2, "observation_end": MONTH.last_day, "model_version": "0",
}  # fmt: skip
PURCHASE = {
    **FIT, "r": 0.25, "alpha": 30.0, "a": 0.7, "b": 2.0, "r_se": 0.01, "alpha_se": 1.0, "a_se": 0.1, "b_se": 0.2,
    "customers": 2, "repeat_customers": 1, "repeat_purchases": 1, "time_unit": "day", "seasonality": "none",
    "truncated": False, "holdout_folds": 0,
}  # fmt: skip
NULL_MODEL = {**PURCHASE, "model_name": "nbd", "role": "comparison", "log_likelihood": -150.0, "a": None, "b": None}
SPEND = {
    **FIT, "model_name": "gamma_gamma", "p": 6.0, "q": 4.0, "v": 15.0, "p_se": 1.0, "q_se": 0.3, "v_se": 4.0,
    "customers": 1, "excluded_customers": 0, "mean_order_value": 20.0, "expected_order_value": 30.0,
    "frequency_value_correlation": 0.1,
}  # fmt: skip
LINE = {
    "transaction_id": "1", "customer_id": "a", "transacted_at": dt.datetime(2011, 3, 5, tzinfo=dt.UTC),
    "purchase_day": DAY, "kind": "purchase", "quantity": Decimal(1), "amount": Decimal(5),
    "amount_delivered": Decimal(5), "source_file": "f", "source_line": 2,
}  # fmt: skip
RAW = {"transaction_id": "1", "customer_id": "a", "transacted_at": "2011-03-05", "source_file": "f", "source_line": 2}
RFM = {
    "customer_id": "a", "frequency": 1, "recency": 3.0, "T": 26.0, "monetary_value": 5.0, "first_purchase": DAY,
    "last_purchase": dt.date(2011, 3, 8), "order_count": 2, "total_spend": Decimal(9), "repeat_spend": Decimal(5),
    "total_refunds": Decimal(0), "is_repeat": True, "r_score": 5, "f_score": 5, "m_score": 5,
}  # fmt: skip
NEW = {
    **RFM, "customer_id": "b", "frequency": 0, "recency": 0.0, "monetary_value": 0.0, "last_purchase": DAY,
    "is_repeat": False, "total_spend": Decimal(1), "repeat_spend": Decimal(0),
}  # fmt: skip


def prediction(customer: str, **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "customer_id": customer, "frequency": 1, "recency": 3.0, "T": 26.0, "monetary_value": 5.0, "p_alive": 0.7,
        "expected_order_value": 20.0, "gross_margin": 1.0, "value_segment": "low", "rfm_segment": "lost",
        "model_name": "bg_nbd+gamma_gamma",
        "model_version": "0",
    }  # fmt: skip
    for h in (3, 6, 12):
        row |= {f"expected_purchases_{h}m": 0.1 * h, f"expected_purchases_{h}m_low": 0.0}
        row |= {
            f"expected_purchases_{h}m_high": 2.0,
            f"expected_spend_{h}m": 2.0 * h,
            f"cltv_{h}m": 2.0 * h,
            f"cltv_{h}m_low": 0.0,
            f"cltv_{h}m_high": 40.0,
        }
    return row | changes


def moneyless(customer: str, **changes: Any) -> dict[str, Any]:
    """Return a prediction of a month without a spend model."""
    columns = (*money_columns((3, 6, 12)), "gross_margin")
    return prediction(customer, **dict.fromkeys(columns), model_name="bg_nbd+none") | changes


def segment(scheme: str, name: str, horizon: int, customers: int, **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "scheme": scheme, "segment": name, "horizon_months": horizon, "customers": customers,
        "share_of_customers": customers / 2, "share_of_value": customers / 2, "customers_before": customers,
    }  # fmt: skip
    for what, each in (("purchases", 0.1 * horizon), ("value", 2.0 * horizon)):
        total = customers * each
        row |= {f"expected_{what}": total, f"expected_{what}_low": total / 2, f"expected_{what}_high": total * 2}
    return row | changes


def move(scheme: str, old: str, new: str, customers: int) -> dict[str, Any]:
    row = {"scheme": scheme, "from_segment": old, "to_segment": new, "customers": customers}
    return row | {"value_before": 1.0, "value_now": 24.0 * customers}


def cohort(age: int, horizon: int | None = None, **changes: Any) -> dict[str, Any]:
    """Return a row of the only cohort, in which customers a and b spent 10 in three orders."""
    row: dict[str, Any] = {
        "attribute": "all", "attribute_value": "all", "cohort": MONTH.first_day, "age_months": age, "kind": "realised",
        "horizon_months": horizon, "customers": 2, "cumulative_purchases": 3.0, "cumulative_revenue": Decimal(10),
        "cumulative_margin": Decimal(10), "cumulative_value_per_customer": 5.0,
    }  # fmt: skip
    if horizon is None:
        row |= {"active_customers": 2, "retention": 1.0, "orders": 3, "purchases": 3}
        return row | {"revenue": Decimal(10), "margin": Decimal(10), **changes}
    row |= {"kind": "predicted", "expected_value": Decimal(4 * horizon)}
    for what, expected in (
        ("purchases", 0.2 * horizon),
        ("revenue", Decimal(4 * horizon)),
        ("margin", Decimal(4 * horizon)),
    ):
        row[f"expected_{what}"] = expected
        row[f"cumulative_{what}"] += expected
        for end, factor in (("low", 0.5), ("high", 2.0)):
            row[f"expected_{what}_{end}"] = float(expected) * factor
            row[f"cumulative_{what}_{end}"] = float(row[f"cumulative_{what}"]) * factor
    for end in ("", "_low", "_high"):
        row[f"cumulative_value_per_customer{end}"] = float(row[f"cumulative_margin{end}"]) / 2
    return row | changes


def cohorts(**changes: Any) -> list[dict[str, Any]]:
    """Return the rows of a good month, with changes of the realised one."""
    return [cohort(0, **changes), *(cohort(h, h) for h in (3, 6, 12))]


def ahead(**changes: Any) -> list[dict[str, Any]]:
    """Return the rows of a good month, with changes of the last predicted one."""
    return [cohort(0), cohort(3, 3), cohort(6, 6), cohort(12, 12, **changes)]


def score(customer: str, **changes: Any) -> dict[str, Any]:
    spent = {"a": "9", "b": "1"}[customer]
    row: dict[str, Any] = {
        "customer_id": customer, "historic_value": Decimal(spent),
        "historic_margin": float(spent), "historic_orders": 2,
        "p_order_30d": 0.2,
        "total_value": float(spent) + 24.0, "expected_next_order": dt.date(2011, 5, 1), "p_order_90d": 0.4,
        "days_since_last_order": 23, "p_alive": 0.7, "churn_state": "active", "value_decile": 1,
        "value_segment": "low", "rfm_segment": "lost", "suggested_action": "Nothing",
    }  # fmt: skip
    for h in (3, 6, 12):
        row |= {f"predicted_value_{h}m": 2.0 * h, f"expected_orders_{h}m": 0.1 * h}
    return row | changes


def payback(**changes: Any) -> list[dict[str, Any]]:
    """Return what the only cohort cost and is worth, with changes of the row at 12 months."""
    row: dict[str, Any] = {
        "attribute": "all", "attribute_value": "all", "cohort": MONTH.first_day, "age_months": 0, "spend": Decimal(6),
        "customers": 2, "new_customers_reported": 2, "cac": 3.0, "value_so_far": 5.0, "payback": "paid back",
        "payback_age": 0.0, "payback_age_low": 0.0, "payback_age_high": 0.0, "too_young": True,
    }  # fmt: skip
    ends = {"ltv": 1.0, "ltv_low": 0.5, "ltv_high": 2.0}
    rows = []
    for h in (3, 6, 12):
        worth = {name: (5.0 + 2.0 * h) * factor for name, factor in ends.items()}
        ratios = {name.replace("ltv", "ltv_to_cac"): value / 3.0 for name, value in worth.items()}
        rows.append(row | {"horizon_months": h} | worth | ratios)
    return [*rows[:2], rows[2] | changes]


def changed_segment(**changes: Any) -> list[dict[str, Any]]:
    """Return a good summary but for its low value tier at 12 months."""
    rows = GOOD["segment_summary"]
    return [row | changes if (row["segment"], row["horizon_months"]) == ("low", 12) else row for row in rows]


def repeats_of_new(days: int) -> float:
    """Return E[X(t)] of the model in `PURCHASE`, equation 9 of Fader, Hardie and Lee (2005)."""
    r, alpha, a, b = (PURCHASE[name] for name in ("r", "alpha", "a", "b"))
    share = (alpha / (alpha + days)) ** r * hyp2f1(r, b, a + b - 1, days / (alpha + days))
    return float((a + b - 1) / (a - 1) * (1 - share))


def new_customer(horizon: int, days: int, **changes: Any) -> dict[str, Any]:
    orders = 1 + repeats_of_new(days)
    row: dict[str, Any] = {
        "attribute": "all", "attribute_value": "all", "horizon_months": horizon, "customers": 2, "last_acquired": DAY,
        "cohort_customers": 2, "expected_orders": orders, "expected_orders_low": 1.0, "expected_orders_high": 3.0,
        "first_order_value": 25.0, "first_order_value_se": 5.0, "repeat_order_value": 30.0, "gross_margin": 1.0,
    }  # fmt: skip
    for name, value in (("expected_value", 30 * orders - 5), ("discounted_value", 29 * orders - 5)):
        row |= {name: value, f"{name}_low": value / 2, f"{name}_high": 2 * value}
    return row | changes


def changed_new(**changes: Any) -> list[dict[str, Any]]:
    """Return what a new customer is worth, with the longest horizon changed."""
    *rest, last = GOOD["new_customer_value"]
    return [*rest, last | changes]


def metric(name: str, model: str, value: float, **changes: Any) -> dict[str, Any]:
    row = {"origin_month": dt.date(2010, 12, 1), "horizon_months": 3, "target": "purchases", "customers": 2}
    return row | {"model_name": model, "metric": name, "value": value} | changes


def bought(customer: str, day: dt.date, spend: str) -> dict[str, Any]:
    row = {"customer_id": customer, "purchase_day": day, "order_count": 1, "line_count": 1}
    return row | {"spend": Decimal(spend), "refunds": Decimal(0)}


def every_day(first: int, last: int) -> list[dict[str, Any]]:
    return [bought("a", dt.date(2011, 3, day), "1") for day in range(first, last + 1)]


NO_SPEND = {**SPEND, "status": "not_fitted", "status_reason": "4 repeat customers; a fit needs 10"}

#: A small consistent month: rows by table.
GOOD: dict[str, list[dict[str, Any]]] = {
    "raw_transactions": [RAW, {**RAW, "source_line": 3}, {**RAW, "source_line": 4}],
    "cleaned_transactions": [LINE, {**LINE, "source_line": 3, "customer_id": "b", "amount": Decimal(1)}],
    "rejected_transactions": [{**RAW, "source_line": 4, "reason": "zero_amount"}],
    "purchase_days": [bought("a", DAY, "4"), bought("a", dt.date(2011, 3, 8), "5"), bought("b", DAY, "1")],
    "repeat_customers": [
        {
            "customer_id": "a", "purchase_day_count": 2, "order_count": 2, "spend": Decimal(9), "refunds": Decimal(0),
            "first_purchase": DAY, "last_purchase": dt.date(2011, 3, 8), "window_start": dt.date(2010, 4, 1),
            "window_end": MONTH.last_day,
        }
    ],
    "rfm_summary": [RFM, NEW],
    "customer_attributes": [],
    "acquisition_costs": [
        {"attribute": "all", "attribute_value": "all", "spend": Decimal(6), "new_customers_reported": 2},
    ],
    "acquisition_payback": payback(),
    "purchase_model": [PURCHASE, NULL_MODEL],
    "spend_model": [SPEND],
    "cltv_predictions": [prediction("a"), prediction("b")],
    "segment_summary": [
        segment(scheme, name, h, n)
        for scheme, name, n in (("all", "all", 2), ("value", "low", 2), ("value", "top", 0), ("rfm", "lost", 2))
        for h in (3, 6, 12)
    ],
    "segment_movement": [
        move("value", "top", "low", 1), move("value", "new", "low", 1),
        move("rfm", "champions", "lost", 1), move("rfm", "new", "lost", 1),
    ],
    "cohort_value": cohorts(),
    "new_customer_value": [new_customer(3, 91), new_customer(6, 183), new_customer(12, 366)],
    "customer_scores": [score("a"), score("b")],
    "holdout_evaluation": [
        metric("rmse", "bg_nbd+gamma_gamma", 0.5), metric("rmse", "naive_rate", 0.6), metric("rmse", "nbd", 0.4),
        metric("relative_bias", "bg_nbd+gamma_gamma", -0.1), metric("interval_coverage", "bg_nbd+gamma_gamma", 0.9),
    ],
}  # fmt: skip
# purchase_days is checked against cleaned lines of its own, so that its sums are those of GOOD.
LINES_OF_DAYS = [
    {**LINE, "amount": Decimal(4)}, {**LINE, "source_line": 3, "amount": Decimal(6)},
]  # fmt: skip


class Given(Mapping[str, ir.Table]):
    """Tables that the engine gets when somebody first asks for them: a check reads few, and each costs Spark a view.

    Parameters
    ----------
    engine : Engine
    tables : mapping of str to pyarrow.Table or list of dict
        Lists are rows of the tables of ``TABLES``.
    """

    def __init__(self, engine: Engine, tables: Mapping[str, pa.Table | list[dict[str, Any]]]) -> None:
        self._engine, self._tables = engine, tables
        self._handed: dict[str, ir.Table] = {}

    def __getitem__(self, name: str) -> ir.Table:
        if name not in self._handed:
            given = self._tables[name]
            whole = given if isinstance(given, pa.Table) else arrow(TABLES[name], given)
            self._handed[name] = self._engine.from_arrow(whole)
        return self._handed[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)


@dataclass(frozen=True)
class Audited:
    """A table and its checks, of which only those that are asked for are run: a query costs more than its rows."""

    table: ir.Table
    checks: dict[str, Check]
    run: MonthRun

    def __getitem__(self, name: str) -> Finding:
        # Beside another: what some checks measure is no aggregate of the table itself, which alone is no query.
        return audit(self.table, [self.checks["unique_grain"], self.checks[name]], self.run)[1]

    def all(self) -> dict[str, Finding]:
        """Return what every check found, by its name."""
        return {found.check.name: found for found in audit(self.table, [*self.checks.values()], self.run)}


def audited(name: str, inputs: Mapping[str, ir.Table], run: MonthRun) -> Audited:
    return Audited(inputs[name], {check.name: check for check in checks_of([3, 6, 12])[name]}, run)


def two_months(now: list[dict[str, Any]]) -> pa.Table:
    """Return predictions with those of a month before, as a window is read."""
    before = [prediction("a", value_segment="top", rfm_segment="champions")]
    months = ((dt.date(2011, 2, 1), before), (MONTH.first_day, now))
    rows = [row | {"month": day} for day, made in months for row in made]
    return pa.Table.from_pylist(rows, schema=TABLES["cltv_predictions"].arrow_with_month)


class NoSource:
    has_files = True

    def file_lines(self, names):
        return {}

    def line_counts(self, months):
        return {}

    def skipped_files(self):
        return []

    def unused_columns(self):
        return []


def publish(engine: Engine, lake: Lake, table: TableSchema, rows: list[dict[str, Any]]) -> None:
    """Publish rows as the month's version of before."""
    with lake.table(table).begin(MONTH) as staging:
        engine.write(engine.from_arrow(arrow(table, rows)), table, staging.new_file())
        lake.table(table).publish(staging.seal())


def arrow(table: TableSchema, rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=table.arrow)
