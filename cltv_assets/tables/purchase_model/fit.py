"""Fits the purchase models on customers' histories."""

from __future__ import annotations

import json
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from cltv_assets import __version__
from cltv_assets.models.choosing.candidates import Contender
from cltv_assets.models.choosing.choice import choose_model
from cltv_assets.models.choosing.histories import Fold, Histories
from cltv_assets.models.choosing.seasonality import MonthCounts
from cltv_assets.models.purchase.registry import model_named
from cltv_assets.months import DAYS_PER_UNIT, Month
from cltv_assets.tables.fitted_models import SEASON_COLUMNS, row_of_fit
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.patterns import collect_patterns, in_order
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.purchase_model.fold_histories import histories
from cltv_assets.tables.purchase_model.folds import (
    FOLD_KEY,
    customers_by_fold,
    fold_groups,
    purchases_by_month,
    windows,
)
from cltv_assets.tables.purchase_model.groups import group_columns
from cltv_assets.tables.purchase_model.intervals import purchase_intervals
from cltv_assets.tables.purchase_model.older_customers import older_columns
from cltv_assets.tables.rfm_summary import RFM_SUMMARY

#: Columns that say how a model did in the holdouts.
_STANDING = {
    "holdout_log_score": "log_score",
    "holdout_deficit": "deficit",
    "holdout_deficit_se": "deficit_se",
    "holdout_bias": "bias",
    "holdout_total_error": "total_error",
}


def make(run: MonthRun) -> ir.Table:
    """Fit all purchase models on all customers, compare them inside the history and weigh them."""
    known = histories(collect_patterns(run, run.inputs[RFM_SUMMARY.name]), run.month)
    days = run.inputs[PURCHASE_DAYS.name]
    between = purchase_intervals(run, days)
    choice = choose_model(
        known,
        holdouts(run, days, known),
        month_counts(run, days),
        run.settings.purchase_model,
        run.settings.seasonality,
        DAYS_PER_UNIT[run.settings.time_unit],
        between,
    )
    common = {
        "time_unit": run.settings.time_unit,
        "observation_end": run.month.last_day,
        "model_version": __version__,
        "regularity": between.shape,
    }
    chosen = {"role": "chosen", "choice_reason": choice.reason} | older_columns(run, days, known, choice)
    rows = [contender_row(choice.chosen) | chosen | common]
    rows += [contender_row(other) | {"role": "comparison"} | common for other in choice.others]
    if "populations" in chosen and rows[0]["weight"] < 1.0:
        # Two populations are known of one model only.
        for row in rows:
            row["weight"] = float(row["role"] == "chosen")
        rows[0]["choice_reason"] += f" Because of history_before_start {choice.chosen.name} predicts alone."
    elif "populations" not in chosen:
        groups, why = group_columns(run, days, known, choice)
        rows[0]["choice_reason"] = f"{rows[0]['choice_reason']} {why}".strip()
        for row in rows:
            row["customer_groups"] = groups.get(row["model_name"]) if row["weight"] > 0.0 else None
    return run.engine.from_arrow(pa.Table.from_pylist(rows, schema=PURCHASE_MODEL.arrow))


def holdouts(run: MonthRun, days: ir.Table, known: Histories) -> list[Fold]:
    """Return the holdouts inside the month's history, newest first."""
    if not len(known.frequency):
        return []
    first = Month.of(known.first_day.astype(object))
    periods = windows(first, run.month, min(run.settings.horizons_months))
    if not periods:
        return []
    customers = run.engine.cache(customers_by_fold(days, run.month, periods))
    groups = in_order(run.engine.collect(fold_groups(customers, len(periods))), FOLD_KEY)
    number = groups["fold"].to_numpy()
    found = []
    for k, period in enumerate(periods):
        part = groups.filter(pa.array(number == k))
        if len(part):
            found.append(
                Fold(histories(part, period.origin), part["bought"].to_numpy(), np.datetime64(period.last.last_day))
            )
    return found


def month_counts(run: MonthRun, days: ir.Table) -> MonthCounts:
    """Return all customers' purchase days by month."""
    counts = run.engine.collect(purchases_by_month(days, run.month))
    years, months = (counts[name].to_numpy().astype(np.int64) for name in ("year", "month_of_year"))
    return MonthCounts.of(
        ((years - 1970) * 12 + months - 1).astype("datetime64[M]"), counts["purchases"].to_numpy().astype(np.float64)
    )


def contender_row(contender: Contender) -> dict[str, Any]:
    """Flatten a model and its standing among the others into columns of ``purchase_model``."""
    row = row_of_fit(contender.fit) | {"seasonality": "none", "weight": contender.weight}
    row |= {"holdout_folds": contender.folds, "k": model_named(contender.name).k}
    if contender.index is not None:
        row |= {"seasonality": "monthly"}
        row |= {name: float(value) for name, value in zip(SEASON_COLUMNS, contender.index, strict=True)}
    if contender.standing is not None:
        row |= {column: getattr(contender.standing, name) for column, name in _STANDING.items()}
        row["holdout_errors"] = json.dumps(contender.standing.errors)
    return row
