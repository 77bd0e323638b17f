"""From delivered lines to the RFM summary."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path

import ibis.expr.types as ir

from cltv_assets.schemas import CLEANED_TRANSACTIONS, PURCHASE_DAYS, RAW_TRANSACTIONS, REJECTED_TRANSACTIONS
from cltv_assets.steps.month_run import MonthRun
from cltv_assets.transforms import cleaning, customers
from cltv_assets.transforms.quantiles import binned_money_counts, quantiles, value_counts

#: Metadata of ``raw_transactions``: file name to what of it was landed for the month.
SOURCE_FILES = "source_files"
_QUINTILES = (0.2, 0.4, 0.6, 0.8)


def raw_transactions(run: MonthRun, landing_folder: Path) -> list[Path]:
    """Land the month's delivered lines.

    Parameters
    ----------
    run : MonthRun
    landing_folder : Path
        Where the lines may lie until they are written to the lake.

    Returns
    -------
    list of Path
        Local parquet files with the table's columns. No engine has touched them: one on a
        cluster could not see them before they are in the lake.
    """
    folder = Path(tempfile.mkdtemp(dir=landing_folder))
    landing = run.source.land(run.month, folder)
    run.notes.update({name: getattr(landing, name) for name in ("lines", "late", "malformed", "undatable", "future")})
    run.notes["files_searched"] = landing.source_files
    # The record of what was landed: what the sensor for source files compares with.
    run.notes[SOURCE_FILES] = {name: record.as_json() for name, record in landing.records.items()}
    # Lines that no month holds: shown with every month, so that nothing is lost in silence.
    outside = {name: getattr(landing, name) for name in ("before_first", "after_last", "out_of_reach")}
    run.notes["lines_of_no_month"] = {name: count for name, count in outside.items() if count} or "none"
    return landing.files


def split_transactions(run: MonthRun) -> dict[str, ir.Table]:
    """Return cleaned and rejected lines: two halves of one verdict."""
    classified = run.engine.cache(cleaning.classify(run.inputs[RAW_TRANSACTIONS.name], run.month, run.settings))
    bound = outlier_bound(run, classified)
    treated = cleaning.treat_outliers(classified, bound)
    if bound.upper is not None:
        run.notes["outlier_bound"] = float(bound.upper)
    return {
        CLEANED_TRANSACTIONS.name: cleaning.cleaned_transactions(treated),
        REJECTED_TRANSACTIONS.name: cleaning.rejected_transactions(treated),
    }


def outlier_bound(run: MonthRun, classified: ir.Table) -> cleaning.OutlierBound:
    """Read the month's outlier bound off its own purchase lines."""
    rule = run.settings.outliers
    if rule.method == "none":
        return cleaning.OutlierBound(None, rule.action)
    amounts = cleaning.purchase_amounts(classified)
    counts = run.engine.collect(binned_money_counts(amounts, amounts.amount))
    if rule.method == "quantile":
        found = quantiles(counts, [rule.upper])
        return cleaning.OutlierBound(found[0] if found else None, rule.action)
    found = quantiles(counts, [0.25, 0.75])
    if not found:
        return cleaning.OutlierBound(None, rule.action)
    q25, q75 = found
    upper = q75 + Decimal(str(rule.iqr_factor)) * (q75 - q25)
    return cleaning.OutlierBound(upper.quantize(Decimal("0.0001")), rule.action)


def purchase_days(run: MonthRun) -> ir.Table:
    """Merge the month's purchases into customer-days."""
    return customers.purchase_days(run.inputs[CLEANED_TRANSACTIONS.name])


def repeat_customers(run: MonthRun) -> ir.Table:
    """Keep customers with two or more purchase days in the trailing window."""
    days = run.inputs[PURCHASE_DAYS.name]
    return customers.repeat_customers(days, run.month, run.settings.repeat_window_months)


def rfm_summary(run: MonthRun) -> ir.Table:
    """Summarise every customer as of the month's end."""
    days = run.inputs[PURCHASE_DAYS.name]
    observed = run.engine.cache(customers.observed_customers(days, run.month, run.settings))

    def bounds(column: str) -> list[object]:
        return quantiles(run.engine.collect(value_counts(observed, observed[column])), _QUINTILES)

    spend = quantiles(run.engine.collect(binned_money_counts(observed, observed.total_spend)), _QUINTILES)
    thresholds = customers.ScoreThresholds(bounds("last_purchase"), bounds("frequency"), spend)
    return customers.rfm_summary(observed, thresholds)
