"""From customers' histories to fitted models: statistics in, parameters out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from cltv_assets import __version__
from cltv_assets.models.choosing.candidates import Contender
from cltv_assets.models.choosing.choice import choose_model
from cltv_assets.models.choosing.histories import Fold, Histories, OperationalTime
from cltv_assets.models.choosing.seasonality import MonthCounts
from cltv_assets.models.estimation.fits import PurchaseFit, SpendFit
from cltv_assets.models.estimation.fitting import fit_spend_model
from cltv_assets.models.purchase.registry import model_named
from cltv_assets.models.sufficient_statistics import SpendStatistics
from cltv_assets.months import Month
from cltv_assets.schemas import PURCHASE_DAYS, PURCHASE_MODEL, RFM_SUMMARY, SEASON_COLUMNS, SPEND_MODEL
from cltv_assets.settings import Settings
from cltv_assets.steps.month_run import MonthRun
from cltv_assets.transforms import folds, statistics
from cltv_assets.transforms.customers import DAYS_PER_UNIT

#: What a row says of the holdouts.
_STANDING = {
    "holdout_log_score": "log_score",
    "holdout_deficit": "deficit",
    "holdout_deficit_se": "deficit_se",
    "holdout_bias": "bias",
    "holdout_total_error": "total_error",
}


def _sorted(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    # Sums of floats depend on their order; a fixed one makes a re-run equal.
    return table.sort_by([(key, "ascending") for key in keys])


def collect_patterns(run: MonthRun, rfm: ir.Table) -> pa.Table:
    """Bring the distinct purchase patterns here, in a fixed order."""
    return _sorted(run.engine.collect(statistics.purchase_patterns(rfm)), statistics.PATTERN_KEY)


def purchase_model(run: MonthRun) -> ir.Table:
    """Fit all purchase models on all customers, compare them inside the history and choose one."""
    patterns = histories(collect_patterns(run, run.inputs[RFM_SUMMARY.name]), run.month)
    days = run.inputs[PURCHASE_DAYS.name]
    choice = choose_model(
        patterns,
        holdouts(run, days, patterns),
        month_counts(run, days),
        run.settings.purchase_model,
        run.settings.seasonality,
        DAYS_PER_UNIT[run.settings.time_unit],
    )
    common = {
        "time_unit": run.settings.time_unit,
        "observation_end": run.month.last_day,
        "model_version": __version__,
    }
    rows = [contender_row(choice.chosen) | {"role": "chosen", "choice_reason": choice.reason} | common]
    rows += [contender_row(other) | {"role": "comparison"} | common for other in choice.others]
    return run.engine.from_arrow(pa.Table.from_pylist(rows, schema=PURCHASE_MODEL.arrow))


def histories(patterns: pa.Table, month: Month) -> Histories:
    """Return patterns with their dates, as of the end of ``month``."""
    return Histories(
        frequency=patterns["frequency"].to_numpy(),
        first=patterns["first_purchase"].to_numpy().astype("datetime64[D]"),
        last=patterns["last_purchase"].to_numpy().astype("datetime64[D]"),
        weights=patterns["customers"].to_numpy().astype(np.float64),
        end=np.datetime64(month.last_day),
    )


def holdouts(run: MonthRun, days: ir.Table, known: Histories) -> list[Fold]:
    """Return the holdouts inside the month's history, newest first."""
    if not len(known.frequency):
        return []
    first = Month.of(known.first_day.astype(object))
    windows = folds.windows(first, run.month, min(run.settings.horizons_months))
    if not windows:
        return []
    customers = run.engine.cache(folds.customers_by_fold(days, run.month, windows))
    groups = _sorted(run.engine.collect(folds.fold_groups(customers, len(windows))), folds.GROUP_KEY)
    number = groups["fold"].to_numpy()
    found = []
    for k, window in enumerate(windows):
        part = groups.filter(pa.array(number == k))
        if len(part):
            found.append(
                Fold(histories(part, window.origin), part["bought"].to_numpy(), np.datetime64(window.last.last_day))
            )
    return found


def month_counts(run: MonthRun, days: ir.Table) -> MonthCounts:
    """Return all customers' purchase days by month."""
    counts = run.engine.collect(folds.purchases_by_month(days, run.month))
    years, months = (counts[name].to_numpy().astype(np.int64) for name in ("year", "month_of_year"))
    return MonthCounts.of(
        ((years - 1970) * 12 + months - 1).astype("datetime64[M]"), counts["purchases"].to_numpy().astype(np.float64)
    )


def spend_model(run: MonthRun) -> ir.Table:
    """Fit the Gamma-Gamma model on repeat customers of positive value."""
    rfm = run.inputs[RFM_SUMMARY.name]
    patterns = _sorted(run.engine.collect(statistics.spend_patterns(rfm)), ("frequency", "monetary_value"))
    excluded = run.engine.measure(rfm, {"excluded": statistics.excluded_spenders(rfm)})["excluded"]
    stats = SpendStatistics(
        frequency=patterns["frequency"].to_numpy(),
        monetary_value=patterns["monetary_value"].to_numpy(),
        weights=patterns["customers"].to_numpy().astype(np.float64),
    )
    row = _row(fit_spend_model(stats)) | {
        "role": "chosen",
        "excluded_customers": int(excluded),
        "observation_end": run.month.last_day,
        "model_version": __version__,
    }
    return run.engine.from_arrow(pa.Table.from_pylist([row], schema=SPEND_MODEL.arrow))


def contender_row(contender: Contender) -> dict[str, Any]:
    """Flatten a model and its standing among the others into columns of ``purchase_model``."""
    row = _row(contender.fit) | {"seasonality": "none", "holdout_folds": contender.folds}
    if contender.index is not None:
        row |= {"seasonality": "monthly"}
        row |= {name: float(value) for name, value in zip(SEASON_COLUMNS, contender.index, strict=True)}
    if contender.standing is not None:
        row |= {column: getattr(contender.standing, name) for column, name in _STANDING.items()}
    return row


def _row(fit: PurchaseFit | SpendFit) -> dict[str, Any]:
    """Flatten a fit into the columns of its table."""
    row: dict[str, Any] = {field.name: getattr(fit, field.name) for field in dataclasses.fields(fit)}
    row |= row.pop("parameters")
    row |= {f"{name}_se": error for name, error in row.pop("standard_errors").items()}
    covariance = row["log_covariance"]
    row["log_covariance"] = json.dumps(covariance) if covariance is not None else None
    return row


def purchase_fit(row: Mapping[str, Any]) -> PurchaseFit:
    """Return the fit that a row of ``purchase_model`` holds, by the clock of `operational_time`."""
    names = model_named(row["model_name"]).parameter_names
    apart = ("parameters", "standard_errors", "log_covariance")
    values: dict[str, Any] = {
        field.name: row[field.name] for field in dataclasses.fields(PurchaseFit) if field.name not in apart
    }
    covariance = row["log_covariance"]
    return PurchaseFit(
        **values,
        parameters={name: row[name] for name in names},
        standard_errors={name: row[f"{name}_se"] for name in names},
        log_covariance=json.loads(covariance) if covariance is not None else None,
    )


def operational_time(row: Mapping[str, Any], settings: Settings) -> OperationalTime:
    """Return the clock of a row of ``purchase_model``: plain time unless its model is seasonal."""
    index = [row[name] for name in SEASON_COLUMNS] if row["seasonality"] == "monthly" else None
    return OperationalTime(index, DAYS_PER_UNIT[settings.time_unit])
