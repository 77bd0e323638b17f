"""Compares predictions whose horizon has passed with what then happened."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from cltv_assets.columns import MONTH
from cltv_assets.models.measures import Ordered, gini_correlation
from cltv_assets.months import Month
from cltv_assets.tables.holdout_evaluation.columns import HOLDOUT_EVALUATION
from cltv_assets.tables.holdout_evaluation.outcomes import (
    MODEL,
    NBD,
    Holdout,
    Series,
    binned,
    outcomes,
    series_of,
    trend,
)
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.segment_summary import SEGMENT_SUMMARY


def make(run: MonthRun) -> ir.Table:
    """Return one row for each metric and each horizon that ends with this month."""
    predictions, days = run.inputs["cltv_predictions"], run.inputs[PURCHASE_DAYS.name]
    names, with_money, predicted = _model_names(run, predictions)
    rates = _nbd_parameters(run) if names else {}
    cases = [
        Holdout(origin, h, rates.get(origin), origin in with_money)
        for h in run.settings.horizons_months
        if (origin := run.month.shift(-h), h) in predicted
    ]
    rows: list[dict[str, Any]] = []
    if cases:
        intervals = _total_intervals(run)
        tables = [(case, outcomes(_of_month(predictions, case.origin), days, case, run.settings)) for case in cases]
        found = run.engine.collect(binned(tables)).sort_by([("series", "ascending"), ("bin", "ascending")])
        for case, groups in _by_case(cases, found):
            rows += _rows(case, names[case.origin], groups, intervals.get((case.origin, case.horizon)))
    return run.engine.from_arrow(pa.Table.from_pylist(rows, schema=HOLDOUT_EVALUATION.arrow))


def past_evaluations(run: MonthRun, months: int = 24) -> ir.Table | None:
    """Return the published evaluations of up to ``months`` months before this one, as one table.

    Returns
    -------
    ibis table or None
        ``holdout_evaluation`` with its ``month`` column and ``contender``, see
        `trend`; None where no earlier month is published.
    """
    table = run.lake.table(HOLDOUT_EVALUATION)
    first = max(run.month.shift(-months), run.settings.first_month)
    published = sorted(table.published(list(first.until(run.month.shift(-1)))))
    if not published:
        return None
    return trend(run.engine.read_lake(HOLDOUT_EVALUATION, table.files(published)))


def _of_month(table: ir.Table, month: Month) -> ir.Table:
    return table.filter(table[MONTH] == month.first_day)


def _model_names(run: MonthRun, predictions: ir.Table) -> tuple[dict[Month, str], set[Month], set[tuple[Month, int]]]:
    """Return the model that predicted in each month, the months with money, and the months with each horizon.

    Months without predictions have none of them; months that were made for other horizons lack some.
    """
    horizons = run.settings.horizons_months
    found = run.engine.collect(
        predictions.group_by(MONTH).aggregate(
            name=predictions.model_name.max(),
            money=predictions.expected_order_value.count(),
            **{f"made_{h}": predictions[f"expected_purchases_{h}m"].count() for h in horizons},
        )
    ).to_pylist()
    rows = {Month.of(row[MONTH]): row for row in found}
    return (
        {month: row["name"] for month, row in rows.items()},
        {month for month, row in rows.items() if row["money"]},
        {(month, h) for month, row in rows.items() for h in horizons if row[f"made_{h}"]},
    )


def _nbd_parameters(run: MonthRun) -> dict[Month, tuple[float, float]]:
    """Return r and alpha of each origin's NBD without seasons, where it was fitted."""
    models = run.inputs[PURCHASE_MODEL.name]
    wanted = models.filter(
        (models.model_name == NBD) & (models.seasonality == "none") & models.r.notnull() & models.alpha.notnull()
    )
    rows = run.engine.collect(wanted.select(MONTH, "r", "alpha")).to_pylist()
    return {Month.of(row[MONTH]): (row["r"], row["alpha"]) for row in rows}


def _total_intervals(run: MonthRun) -> dict[tuple[Month, int], dict[str, Any]]:
    """Return what each origin predicted for the whole base, by origin and horizon."""
    segments = run.inputs[SEGMENT_SUMMARY.name]
    rows = run.engine.collect(segments.filter(segments.scheme == "all")).to_pylist()
    return {(Month.of(row[MONTH]), row["horizon_months"]): row for row in rows}


class _Groups:
    """One series' customers by binned prediction, as arrays in ascending order."""

    def __init__(self, table: pa.Table) -> None:
        self._columns = {name: np.asarray(table[name].to_numpy(), dtype=np.float64) for name in table.column_names}

    def total(self, name: str) -> float:
        """Return the sum of a column over all bins, rounded once."""
        return math.fsum(self._columns[name])

    def ordered(self, name: str) -> Ordered:
        """Return a column's sums in the order of the prediction."""
        return Ordered(self._columns["customers"], self._columns[name])


def _by_case(cases: list[Holdout], found: pa.Table) -> Iterator[tuple[Holdout, dict[Series, _Groups]]]:
    """Split the sorted rows into series and yield them by evaluation."""
    numbered = series_of(cases)
    edges = np.searchsorted(found["series"].to_numpy(), np.arange(len(numbered) + 1))
    columns = found.drop_columns(["series", "bin"])
    for case in cases:
        yield (
            case,
            {
                series: _Groups(columns.slice(edges[i], edges[i + 1] - edges[i]))
                for i, series in enumerate(numbered)
                if series.holdout == case
            },
        )


def _rows(
    case: Holdout, model_name: str, groups: dict[Series, _Groups], interval: dict[str, Any] | None
) -> Iterator[dict[str, Any]]:
    for series, group in groups.items():
        if series.contender is None:
            continue
        actual = groups[Series(case, series.target, None)].ordered("actual")
        metrics = _metrics(group, actual)
        if series.contender == MODEL:
            metrics["interval_coverage"] = group.total("inside") / group.total("customers")
            held = group.total("held") / group.total("customers")
            # Predictions of earlier versions do not say what outcomes at an interval's end count for.
            metrics["interval_coverage_randomised"] = None if math.isnan(held) else held
            metrics |= _total_interval(series.target, group.total("predicted"), interval)
        for metric, value in metrics.items():
            if value is not None:
                yield {
                    "origin_month": case.origin.first_day,
                    "horizon_months": case.horizon,
                    "target": series.target,
                    "model_name": model_name if series.contender == MODEL else series.contender,
                    "metric": metric,
                    "value": value,
                    "customers": round(group.total("customers")),
                }


def _metrics(group: _Groups, actual: Ordered) -> dict[str, float | None]:
    """Return the metrics of one contender; None where a metric is not defined."""
    customers, predicted, happened = (group.total(name) for name in ("customers", "predicted", "actual"))
    by_prediction = group.ordered("actual")
    metrics: dict[str, float | None] = {
        "mae": group.total("absolute_error") / customers,
        "rmse": math.sqrt(group.total("squared_error") / customers),
        "total_predicted": predicted,
        "total_actual": happened,
        # If nothing was bought, or more was returned than bought, a relative error has no base.
        "relative_bias": predicted / happened - 1 if happened > 0 else None,
        "normalised_gini": gini_correlation(by_prediction, actual),
        "top_decile_capture": by_prediction.top_decile_share(),
    }
    for side, ordered in (("predicted", group.ordered("predicted")), ("actual", by_prediction)):
        for i, mean in enumerate(ordered.decile_means(), start=1):
            metrics[f"decile_{i:02d}_{side}"] = float(mean)
    return metrics


def _total_interval(target: str, predicted: float, interval: dict[str, Any] | None) -> dict[str, float | None]:
    """Return the base's 80 % interval in the target's own terms.

    The interval of purchases is used as predicted. The interval of value is discounted
    and includes the margin; the ratio of the two expectations converts it to spend.
    """
    if interval is None:
        return {}
    if target == "purchases":
        return {"total_low": interval["expected_purchases_low"], "total_high": interval["expected_purchases_high"]}
    if not (interval["expected_value"] or 0.0) > 0:
        return {}
    undone = predicted / interval["expected_value"]
    return {
        "total_low": interval["expected_value_low"] * undone,
        "total_high": interval["expected_value_high"] * undone,
    }
