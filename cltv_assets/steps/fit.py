"""From the RFM summary to fitted models: statistics in, parameters out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from cltv_assets import __version__
from cltv_assets.models.fits import PurchaseFit, SpendFit
from cltv_assets.models.fitting import fit_purchase_model, fit_spend_model
from cltv_assets.models.registry import purchase_model as purchase_model_named
from cltv_assets.models.statistics import PurchaseStatistics, SpendStatistics
from cltv_assets.schemas import PURCHASE_MODEL, RFM_SUMMARY, SPEND_MODEL
from cltv_assets.steps.month_run import MonthRun
from cltv_assets.transforms import statistics

#: The model that predicts, and the one without dropout that it is held against.
CHOSEN, NULL_MODEL = "bg_nbd", "nbd"


def _sorted(table: pa.Table, keys: tuple[str, ...]) -> pa.Table:
    # Sums of floats depend on their order; a fixed one makes a re-run equal.
    return table.sort_by([(key, "ascending") for key in keys])


def collect_patterns(run: MonthRun, rfm: ir.Table) -> pa.Table:
    """Bring the distinct purchase patterns here, in a fixed order."""
    return _sorted(run.engine.collect(statistics.purchase_patterns(rfm)), statistics.PATTERN_KEY)


def purchase_statistics(patterns: pa.Table) -> PurchaseStatistics:
    """Return patterns as the models take them."""
    return PurchaseStatistics(
        frequency=patterns["frequency"].to_numpy(),
        recency=patterns["recency"].to_numpy(),
        T=patterns["T"].to_numpy(),
        weights=patterns["customers"].to_numpy().astype(np.float64),
    )


def purchase_model(run: MonthRun) -> ir.Table:
    """Fit the purchase model and its null model on all customers."""
    stats = purchase_statistics(collect_patterns(run, run.inputs[RFM_SUMMARY.name]))
    common = {
        "time_unit": run.settings.time_unit,
        "observation_end": run.month.last_day,
        "model_version": __version__,
        "seasonality": "none",
        "truncated": False,
        "holdout_folds": 0,
    }
    fits = [(CHOSEN, "chosen"), (NULL_MODEL, "comparison")]
    rows = [_row(fit_purchase_model(stats, name)) | {"role": role} | common for name, role in fits]
    return run.engine.from_arrow(pa.Table.from_pylist(rows, schema=PURCHASE_MODEL.arrow))


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


def _row(fit: PurchaseFit | SpendFit) -> dict[str, Any]:
    """Flatten a fit into the columns of its table."""
    row: dict[str, Any] = {field.name: getattr(fit, field.name) for field in dataclasses.fields(fit)}
    row |= row.pop("parameters")
    row |= {f"{name}_se": error for name, error in row.pop("standard_errors").items()}
    return row


def purchase_fit(row: Mapping[str, Any]) -> PurchaseFit:
    """Return the fit that a row of ``purchase_model`` holds: the inverse of ``_row``."""
    names = purchase_model_named(row["model_name"]).parameter_names
    values: dict[str, Any] = {
        field.name: row[field.name]
        for field in dataclasses.fields(PurchaseFit)
        if field.name not in ("parameters", "standard_errors")
    }
    return PurchaseFit(
        **values,
        parameters={name: row[name] for name in names},
        standard_errors={name: row[f"{name}_se"] for name in names},
    )
