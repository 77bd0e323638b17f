"""A made shop of a few customers, and its tables for one month."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from cltv_assets.columns import MONTH
from cltv_assets.engines import Engine
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import open_source
from cltv_assets.tables import all_schemas
from cltv_assets.tables.fitted_models import SEASON_COLUMNS
from cltv_assets.tables.month_run import MonthRun
from cltv_assets_tests.report.made_rows import HORIZONS, NOW, new_customer_rows

SCHEMAS = {schema.name: schema for schema in all_schemas(HORIZONS)}
BG_NBD = {"r": 0.4, "alpha": 25.0, "a": 0.8, "b": 2.5}
GAMMA_GAMMA = {"p": 6.25, "q": 3.74, "v": 15.44}
#: Columns of ``purchase_model`` that speak of one model only.
OF_ONE_MODEL = (
    *BG_NBD,
    *SEASON_COLUMNS,
    "choice_reason",
    *(f"holdout_{what}" for what in ("log_score", "deficit", "deficit_se", "bias")),
)
LINES_IN = 1_234
REJECTED = {"missing_customer": 30, "duplicate": 4}
STATUS = {"status": "fitted", "status_reason": None}
TIERS = ("top", "high", "middle", "low")
#: Customers of March's tiers (rows) by those of April; "new" and "gone" are at the ends.
MOVES = {
    ("top", "top"): 7, ("top", "high"): 2, ("high", "top"): 3, ("high", "low"): 1, ("low", "middle"): 4,
    ("new", "low"): 5, ("middle", "gone"): 6,
}  # fmt: skip
RFM_MOVES = {("champions", "at risk"): 4, ("loyal", "loyal"): 9}
#: What a month without a spend model does not have, by table.
MONEY = {
    "cltv_predictions": ("cltv_", "expected_spend_", "expected_order_value", "gross_margin"),
    "segment_summary": ("expected_value", "share_of_value"),
    "segment_movement": ("value_now",),
    "new_customer_value": ("expected_value", "discounted_value", "repeat_order_value", "holdout_predicted_value"),
}
NOT_FITTED = {"status": "not_fitted", "status_reason": "4 repeat customers; a fit needs 10"}


@dataclass(frozen=True)
class Customer:
    """Purchase days, the first one first, and made-up predictions."""

    id: str
    days: tuple[dt.date, ...]
    p_alive: float
    value: float
    segment: str = "low"
    rfm: str = "loyal"
    spend: int = 10
    churn: str = "active"

    @property
    def cohort(self) -> dt.date:
        return self.days[0].replace(day=1)

    @property
    def frequency(self) -> int:
        return len(self.days) - 1

    @property
    def recency(self) -> int:
        return (self.days[-1] - self.days[0]).days

    @property
    def age(self) -> int:
        return (NOW.last_day - self.days[0]).days


def crowd(n: int = 60, seed: int = 5) -> tuple[Customer, ...]:
    """Draw customers of January to March, some of whom came back until April."""
    chance = random.Random(seed)
    found = []
    for i in range(n):
        first = dt.date(1997, 1, 1) + dt.timedelta(days=chance.randrange(85))
        later = {
            first + dt.timedelta(days=chance.randrange(1, 34)) for _ in range(chance.choice([0, 0, 0, 1, 2, 5, 9]))
        }
        found.append(
            Customer(
                f"C{i:03d}",
                tuple(sorted({first, *later})),
                chance.random(),
                round(chance.lognormvariate(3, 1.2), 2),
                chance.choice(TIERS),
                chance.choice(["champions", "lost", "loyal"]),
                10 + i,
            )
        )
    return tuple(found)


@dataclass(frozen=True)
class Shop:
    """What is in the month's tables."""

    customers: tuple[Customer, ...] = field(default_factory=crowd)
    predicted: bool = True
    money: bool = True
    purchase: dict[str, Any] = field(default_factory=lambda: {**STATUS, **BG_NBD})
    spend: dict[str, Any] = field(default_factory=lambda: {**STATUS, **GAMMA_GAMMA})
    null: dict[str, Any] = field(default_factory=lambda: {**STATUS, "r": 0.3, "alpha": 40.0, "aic": 2400.0})
    holdout: tuple[dict[str, Any], ...] = ()
    others: tuple[dict[str, Any], ...] = ()
    moves: dict[tuple[str, str], int] = field(default_factory=lambda: dict(MOVES))
    new_customers: dict[str, float] = field(default_factory=dict)
    payback: tuple[dict[str, Any], ...] = ()
    lines_in: int = LINES_IN
    rejected: dict[str, int] = field(default_factory=lambda: dict(REJECTED))

    def changed(self, **changes: Any) -> Shop:
        return replace(self, **changes)

    @property
    def compared(self) -> bool:
        return any(before != "new" for before, _ in self.moves)

    def without_models(self) -> Shop:
        nothing = {**NOT_FITTED, "aic": None, "log_likelihood": None}
        return self.changed(predicted=False, purchase=nothing, spend=nothing, null=nothing)

    def without_money(self) -> Shop:
        reason = "every customer has the same mean order value"
        nothing = dict.fromkeys((*GAMMA_GAMMA, "aic", "log_likelihood", "expected_order_value"))
        return self.changed(money=False, spend={**NOT_FITTED, "status_reason": reason, **nothing})

    def tables(self) -> dict[str, pa.Table]:
        rows: dict[str, Sequence[dict[str, Any]]] = {
            "raw_transactions": [_line(i) for i in range(self.lines_in)],
            "rejected_transactions": self._rejected(),
            "purchase_days": [_day(c, d) for c in self.customers for d in c.days],
            "rfm_summary": [_rfm(customer) for customer in self.customers],
            "purchase_model": self._purchase_rows(),
            "spend_model": [self._spend_row()],
            "cltv_predictions": [_prediction(c) for c in self.customers if self.predicted],
            "segment_summary": self._segments() if self.predicted else [],
            "segment_movement": self._moves() if self.predicted else [],
            "cohort_value": self._cohorts(),
            "customer_scores": [_score(c) for c in self.customers if self.predicted],
            "new_customer_value": new_customer_rows(self.new_customers) if self.predicted else [],
            "acquisition_payback": self.payback,
            "holdout_evaluation": self.holdout,
        }
        made = {name: pa.Table.from_pylist(list(found), schema=SCHEMAS[name].arrow) for name, found in rows.items()}
        if not self.money:
            for name, prefixes in MONEY.items():
                made[name] = _emptied(made[name], prefixes)
        scores = made["customer_scores"]
        months = pa.array([NOW.first_day] * len(scores), pa.date32())
        return made | {
            "purchase_days": _with_month(made["purchase_days"]),
            "customer_scores": scores.append_column(MONTH, months),
        }

    def run(self, engine: Engine, lake: Path, **settings: Any) -> MonthRun:
        chosen = Settings(currency="EUR", horizons_months=HORIZONS, lake_uri=str(lake), **settings)
        inputs = {name: engine.from_arrow(table) for name, table in self.tables().items()}
        return MonthRun(NOW, chosen, engine, Lake(chosen.lake_root), open_source(chosen), inputs)

    def publish(self, engine: Engine, lake: Path, month: Month, names: Sequence[str]) -> None:
        """Put tables into a lake as an earlier month."""
        for name in names:
            table = Lake(str(lake)).table(SCHEMAS[name])
            table.ensure()
            staging = table.begin(month)
            engine.write(engine.from_arrow(self.tables()[name]), SCHEMAS[name], staging.new_file())
            table.publish(staging.seal())

    def _rejected(self) -> list[dict[str, Any]]:
        reasons = [reason for reason, lines in self.rejected.items() for _ in range(lines)]
        return [{**_line(i), "reason": reason} for i, reason in enumerate(reasons)]

    def _purchase_row(self) -> dict[str, Any]:
        return {
            "model_name": "bg_nbd",
            "role": "chosen",
            "log_likelihood": -1000.5,
            "aic": 2009.0,
            "patterns": 9,
            "customers": len(self.customers),
            "repeat_customers": sum(c.frequency > 0 for c in self.customers),
            "repeat_purchases": sum(c.frequency for c in self.customers),
            "time_unit": "day",
            "observation_end": NOW.last_day,
            "model_version": "0",
            "seasonality": "none",
            "truncated": False,
            "holdout_folds": 0,
            "r_se": 0.0125,
            **self.purchase,
        }

    def _purchase_rows(self) -> list[dict[str, Any]]:
        others = [
            {
                **self._purchase_row(),
                **dict.fromkeys(OF_ONE_MODEL),
                "role": "comparison",
                "seasonality": "none",
                **other,
            }
            for other in self.others
        ]
        return [self._purchase_row(), self._null_row(), *others]

    def _segments(self) -> list[dict[str, Any]]:
        """Sum the customers; intervals are a tenth to both sides."""
        schemes = [("all", "all", list(self.customers))]
        schemes += [("value", name, [c for c in self.customers if c.segment == name]) for name in TIERS]
        schemes += [
            ("rfm", name, [c for c in self.customers if c.rfm == name])
            for name in sorted({c.rfm for c in self.customers})
        ]
        whole = sum(customer.value for customer in self.customers)
        rows = []
        for scheme, name, inside in schemes:
            for h in HORIZONS:
                value = sum(customer.value for customer in inside) * h / HORIZONS[-1]
                row: dict[str, Any] = {
                    "scheme": scheme,
                    "segment": name,
                    "horizon_months": h,
                    "customers": len(inside),
                    "share_of_customers": len(inside) / max(len(self.customers), 1),
                    "share_of_value": value / (whole * h / HORIZONS[-1]) if whole else 0.0,
                    "customers_before": len(inside) - 2 if self.compared else None,
                }
                for end, factor in (("", 1.0), ("_low", 0.9), ("_high", 1.1)):
                    row[f"expected_value{end}"] = value * factor
                    row[f"expected_purchases{end}"] = value * factor / 12.5
                rows.append(row)
        return rows

    def _cohorts(self) -> list[dict[str, Any]]:
        """Count customers by month of the first purchase; spend is margin, intervals are a tenth to both sides."""
        rows = []
        for cohort in sorted({customer.cohort for customer in self.customers}):
            inside = [customer for customer in self.customers if customer.cohort == cohort]
            spent = bought = 0
            common = {"attribute": "all", "attribute_value": "all", "cohort": cohort, "customers": len(inside)}
            months = list(Month(cohort).until(NOW))
            for age, month in enumerate(months):
                days = [(one, day) for one in inside for day in one.days if Month.of(day) == month]
                spent, bought = spent + sum(one.spend for one, _ in days), bought + len(days)
                active = len({one.id for one, _ in days})
                rows.append({
                    **common, "age_months": age, "kind": "realised", "active_customers": active,
                    "retention": active / len(inside), "orders": len(days), "purchases": len(days),
                    "revenue": sum(one.spend for one, _ in days), "margin": sum(one.spend for one, _ in days),
                    "cumulative_purchases": float(bought), "cumulative_revenue": spent, "cumulative_margin": spent,
                    "cumulative_value_per_customer": spent / len(inside),
                })  # fmt: skip
            for h in HORIZONS if self.predicted else ():
                value = round(sum(one.value for one in inside) * h / HORIZONS[-1], 2)
                row: dict[str, Any] = {
                    **common,
                    "age_months": len(months) - 1 + h,
                    "kind": "predicted",
                    "horizon_months": h,
                }
                for end, factor in (("", 1.0), ("_low", 0.9), ("_high", 1.1)):
                    row[f"expected_purchases{end}"] = value * factor / 12.5
                    row[f"cumulative_purchases{end}"] = bought + value * factor / 12.5
                    if self.money:
                        row[f"expected_margin{end}"] = decimal_unless(end, value * factor)
                        row[f"cumulative_margin{end}"] = decimal_unless(end, spent + value * factor)
                        row[f"cumulative_value_per_customer{end}"] = (spent + value * factor) / len(inside)
                rows.append(row)
        return rows

    def _moves(self) -> list[dict[str, Any]]:
        return [
            {
                "scheme": scheme,
                "from_segment": before,
                "to_segment": now,
                "customers": n,
                "value_before": 10.0 * n,
                "value_now": 20.0 * n,
            }
            for scheme, moves in (("value", self.moves), ("rfm", RFM_MOVES if self.compared else {}))
            for (before, now), n in moves.items()
        ]

    def _null_row(self) -> dict[str, Any]:
        return {
            **self._purchase_row(),
            **dict.fromkeys(OF_ONE_MODEL),
            "model_name": "nbd",
            "role": "comparison",
            **self.null,
        }

    def _spend_row(self) -> dict[str, Any]:
        return {
            "model_name": "gamma_gamma",
            "role": "chosen",
            "log_likelihood": -500.0,
            "aic": 1006.0,
            "patterns": 9,
            "customers": 20,
            "excluded_customers": 0,
            "expected_order_value": 35.2189,
            "frequency_value_correlation": 0.05,
            "observation_end": NOW.last_day,
            "model_version": "0",
            **self.spend,
        }


def decimal_unless(end: str, amount: float) -> Any:
    """Return money as its column has it: ends of intervals are floats."""
    return amount if end else Decimal(f"{amount:.4f}")


def _emptied(table: pa.Table, prefixes: tuple[str, ...]) -> pa.Table:
    for i, column in enumerate(table.schema):
        if column.name.startswith(prefixes):
            table = table.set_column(i, column, pa.nulls(len(table), column.type))
    return table


def _with_month(days: pa.Table) -> pa.Table:
    months = pa.array([day.replace(day=1) for day in days["purchase_day"].to_pylist()], pa.date32())
    return days.append_column(MONTH, months)


def _line(number: int) -> dict[str, Any]:
    return {"source_file": "shop.csv", "source_line": number + 2}


def _day(customer: Customer, day: dt.date) -> dict[str, Any]:
    return {
        "customer_id": customer.id,
        "purchase_day": day,
        "order_count": 1,
        "line_count": 1,
        "spend": customer.spend,
        "refunds": 0,
    }


def _rfm(customer: Customer) -> dict[str, Any]:
    return {
        "customer_id": customer.id,
        "frequency": customer.frequency,
        "recency": float(customer.recency),
        "T": float(customer.age),
        "monetary_value": 10.0,
        "first_purchase": customer.days[0],
        "last_purchase": customer.days[-1],
        "order_count": len(customer.days),
        "total_spend": 10,
        "repeat_spend": 0,
        "total_refunds": 0,
        "is_repeat": customer.frequency > 0,
        "r_score": 1,
        "f_score": 1,
        "m_score": 1,
    }


def _prediction(customer: Customer) -> dict[str, Any]:
    row: dict[str, Any] = {
        "customer_id": customer.id,
        "frequency": customer.frequency,
        "recency": float(customer.recency),
        "T": float(customer.age),
        "monetary_value": 10.0,
        "p_alive": customer.p_alive,
        "expected_order_value": 12.5,
        "value_segment": customer.segment,
        "rfm_segment": customer.rfm,
        "model_name": "bg_nbd+gamma_gamma",
        "model_version": "0",
    }
    for h in HORIZONS:
        value = customer.value * h / HORIZONS[-1]
        for end, factor in (("", 1.0), ("_low", 0.5), ("_high", 2.0)):
            row[f"cltv_{h}m{end}"] = value * factor
            row[f"expected_purchases_{h}m{end}"] = value * factor / 12.5
        row[f"expected_spend_{h}m"] = 2 * value
    return row


def _score(customer: Customer) -> dict[str, Any]:
    return {
        "customer_id": customer.id,
        "p_alive": customer.p_alive,
        "churn_state": customer.churn,
        "value_segment": customer.segment,
        "rfm_segment": customer.rfm,
        "historic_orders": len(customer.days),
    }
