"""A made-up shop of known parameters, day by day, and a month of it as the steps of the graph see it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import hyp2f1

from cltv_assets.columns import MONTH
from cltv_assets.engines import Engine
from cltv_assets.lake import Lake
from cltv_assets.models.estimation.fitting import fit_purchase_model
from cltv_assets.models.sufficient_statistics import PurchaseStatistics
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables import rfm_summary, spend_model
from cltv_assets.tables.fitted_models import row_of_fit
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.new_customer_value.make import rows_of
from cltv_assets.tables.patterns import collect_patterns
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.spend_model.columns import SPEND_MODEL


@dataclass(frozen=True)
class Channel:
    """Customers alike: BG/NBD by days, mean order value, first order over later ones, and how many."""

    name: str
    customers: int
    r: float = 0.6
    alpha: float = 60.0
    a: float = 0.8
    b: float = 2.5
    order: float = 40.0
    first: float = 0.7

    def repeats(self, days: float) -> float:
        """Return E[X(t)], equation 9 of Fader, Hardie and Lee (2005), in its closed form."""
        z = days / (self.alpha + days)
        share = (self.alpha / (self.alpha + days)) ** self.r
        return (
            (self.a + self.b - 1) / (self.a - 1) * (1 - share * float(hyp2f1(self.r, self.b, self.a + self.b - 1, z)))
        )


def simulate(channels: Sequence[Channel], start: dt.date, end: dt.date, seed: int) -> tuple[pa.Table, pa.Table]:
    """Return ``purchase_days`` of customers who come evenly from ``start`` to ``end``, and each one's channel."""
    rng = np.random.default_rng(seed)
    length = (end - start).days
    rows, attributes, number = [], [], 0
    for channel in channels:
        for _ in range(channel.customers):
            name = f"c{number:06}"
            number += 1
            attributes.append({"customer_id": name, "attribute": "channel", "value": channel.name})
            # Gamma-Gamma with p = 6 and q = 4: customers' means are inverse gamma, and their mean is p v / 3.
            mean = channel.order * 3.0 / rng.gamma(4.0)
            rate, stops = rng.gamma(channel.r, 1 / channel.alpha), rng.beta(channel.a, channel.b)
            at = float(rng.integers(0, length + 1))
            spent = {int(at): channel.first * mean * rng.gamma(6.0) / 6.0}
            while (at := at + rng.exponential(1 / rate)) <= length:
                day = int(np.ceil(at))
                spent[day] = spent.get(day, 0.0) + mean * rng.gamma(6.0) / 6.0
                if rng.random() < stops:
                    break
            rows += [
                {
                    "customer_id": name, "purchase_day": start + dt.timedelta(days=day), "order_count": 1,
                    "line_count": 1, "spend": Decimal(f"{max(amount, 0.01):.2f}"), "refunds": Decimal(0),
                }
                for day, amount in spent.items() if day <= length
            ]  # fmt: skip
    return (
        pa.Table.from_pylist(rows, schema=PURCHASE_DAYS.arrow),
        pa.Table.from_pylist(attributes),
    )


#: What a row of ``purchase_model`` needs beside a fit.
ROW = {
    "role": "chosen", "seasonality": "none", "truncated": False, "holdout_folds": 3, "holdout_total_error": 0.05,
    "repeat_customers": 9, "repeat_purchases": 9, "customers": 9, "patterns": 9, "time_unit": "day",
}  # fmt: skip


def settings_of(**changes: Any) -> Settings:
    """Return settings of a shop whose data begin with 2010."""
    source = {"kind": "csv", "path": "shop", "columns": {"customer_id": "c", "transacted_at": "t", "amount": "a"}}
    values = {"source": source, "start_month": "2010-01", "horizons_months": (3, 6, 12), "gross_margin": 0.5}
    return Settings.model_validate(values | changes)


def run_of(
    engine: Engine, days: pa.Table, month: Month, settings: Settings, *horizons: int, row: dict[str, Any] | None = None
) -> MonthRun:
    """Return a run of the table with what it reads of the month, and of those that ``horizons`` began with.

    Parameters
    ----------
    row : dict, optional
        The row of ``purchase_model`` in all of these months; fitted by BG/NBD if it is not given.
    """
    parts: dict[str, list[pa.Table]] = {}
    table = engine.cache(engine.from_arrow(days))
    for each in sorted({month, *(month.shift(-h) for h in horizons)}):
        inputs = {PURCHASE_DAYS.name: table.filter(table.purchase_day <= each.last_day)}
        run = MonthRun(each, settings, engine, Lake("unused"), None, inputs)  # type: ignore[arg-type]
        inputs["rfm_summary"] = engine.cache(rfm_summary.make(run))
        filled = {column.name: None for column in PURCHASE_MODEL.columns} | (row or fitted(run))
        models = pa.Table.from_pylist([filled], schema=PURCHASE_MODEL.arrow)
        inputs[PURCHASE_MODEL.name] = engine.from_arrow(models)
        inputs[SPEND_MODEL.name] = engine.cache(spend_model.make(run))
        for name in ("rfm_summary", PURCHASE_MODEL.name, SPEND_MODEL.name):
            made = engine.collect(inputs[name])
            stamp = pa.array([each.first_day] * len(made), pa.date32())
            parts.setdefault(name, []).append(made.append_column(MONTH, stamp))
    found = {name: engine.from_arrow(pa.concat_tables(tables)) for name, tables in parts.items()}
    found[PURCHASE_DAYS.name] = table.filter(table.purchase_day <= month.last_day)
    return MonthRun(month, settings, engine, Lake("unused"), None, found)  # type: ignore[arg-type]


def fitted(run: MonthRun) -> dict[str, Any]:
    """Return the row of a BG/NBD fitted to the month's customers, without the comparisons that the table has."""
    patterns = collect_patterns(run, run.inputs["rfm_summary"])
    columns = (patterns[name].to_numpy() for name in ("frequency", "recency", "T"))
    weights = patterns["customers"].to_numpy().astype(np.float64)
    return row_of_fit(fit_purchase_model(PurchaseStatistics(*columns, weights))) | ROW


def by_key(run: MonthRun, attributes: pa.Table | None = None) -> dict[tuple[str, int], dict[str, Any]]:
    """Return the table's rows by attribute's value and horizon."""
    known = None if attributes is None else run.engine.from_arrow(attributes)
    return {(row["attribute_value"], row["horizon_months"]): row for row in rows_of(run, known)}
