"""The platform's own graph over the year, month by month, as ``cltv run`` runs it in one process.

``python -m bench.engines.pipeline SETTINGS OUT month|kept``: every month's lines are landed, cleaned
and merged into purchase days once. The last month then runs to its report. One earlier
month is modelled too, so that the last one has predictions to hold against what
happened; its stages are told apart.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.engines.population import CURRENCY, MONTHS
from bench.engines.stages import Stage, Stages
from cltv_assets.cli.runner import MonthRunner
from cltv_assets.columns import TableSchema
from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets.engines.spark_session import spark_session
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables.cltv_predictions.columns import predictions_schema
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.spend_model.columns import SPEND_MODEL

_OF_EVERY_MONTH = ["raw_transactions", "cleaned_transactions", "rejected_transactions", "purchase_days"]
_FOR_THE_HOLDOUT = ["repeat_customers", "rfm_summary", "purchase_model", "spend_model", "cltv_predictions"]
#: Three months before the last: the shortest horizon then ends with the last month.
EARLIER = MONTHS[-4]
MODELLED = MONTHS[-1]


def settings_for(source: Path, home: Path, engine: dict[str, Any]) -> Settings:
    """Return the settings of a run.

    Parameters
    ----------
    source : Path
        Folder of the months' Parquet files.
    home : Path
        Folder for the lake and Dagster's instance.
    engine : dict
        ``engine`` and what belongs to it.
    """
    columns = {
        "transaction_id": "order_id",
        "customer_id": "customer",
        "transacted_at": "ordered_at",
        "quantity": "quantity",
        "unit_price": "price",
    }
    return Settings.model_validate(
        {
            "source": {"kind": "parquet", "path": str(source / "{month}.parquet"), "columns": columns},
            "start_month": MONTHS[0],
            "end_month": MODELLED,
            "currency": CURRENCY,
            "home": str(home),
            **engine,
        }
    )


def run(settings: Settings, out: Path) -> None:
    """Run the year.

    Raises
    ------
    RuntimeError
        If a month fails.
    """
    stages = Stages(out)
    with open_instance(settings) as instance:
        with stages.stage("start"):
            preparing = MonthRunner(settings, instance, _OF_EVERY_MONTH)
            earlier = MonthRunner(settings, instance, _OF_EVERY_MONTH + _FOR_THE_HOLDOUT)
            whole = MonthRunner(settings, instance)
        for key in MONTHS:
            runner = {EARLIER: earlier, MODELLED: whole}.get(key, preparing)
            result = runner.run(Month.parse(key))
            for stage in _stages_of_last_run(instance, key):
                stages.add(stage)
            if not result.succeeded:
                raise RuntimeError(f"{key} failed: {' '.join(result.errors)}")
            print(f"{key} {result.seconds:.1f} s, {len(result.warnings)} warnings", flush=True)
            if key == MODELLED:
                print("\n".join(result.warnings), flush=True)
    stages.finish(_answer(settings))


def _stages_of_last_run(instance: dg.DagsterInstance, month: str) -> list[Stage]:
    """Return how long each step of the newest run took, checks and publishing included."""
    (run,) = instance.get_runs(limit=1)
    ended = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_SUCCESS)
    stages = []
    for entry in ended:
        took = entry.get_dagster_event().step_success_data.duration_ms / 1000
        name = str(entry.step_key)
        stages.append(Stage(name, entry.timestamp - took, entry.timestamp, month))
    return stages


def _answer(settings: Settings) -> dict[str, float]:
    """Return what the last month came to, read from the lake without the engine."""
    purchase, spend = (_chosen(settings, schema) for schema in (PURCHASE_MODEL, SPEND_MODEL))
    customers, totals = 0, {"expected_purchases_12m": 0.0, "cltv_12m": 0.0}
    for file in _files(settings, predictions_schema(settings.horizons_months)):
        for batch in pq.ParquetFile(file).iter_batches(columns=list(totals)):
            customers += batch.num_rows
            for name in totals:
                totals[name] += pc.sum(batch[name]).as_py() or 0.0
    return {
        "customers": customers,
        **{name: purchase[name] for name in ("r", "alpha", "a", "b")},
        **{name: spend[name] for name in ("p", "q", "v")},
        "purchases_12m": totals["expected_purchases_12m"],
        "cltv_12m": totals["cltv_12m"],
    }


def _chosen(settings: Settings, schema: TableSchema) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [
        row for file in _files(settings, schema) for row in pq.ParquetFile(file).read().to_pylist()
    ]
    return next(row for row in rows if row["role"] == "chosen")


def _files(settings: Settings, schema: TableSchema) -> list[str]:
    return Lake(settings.lake_root).table(schema).files([Month.parse(MODELLED)])


if __name__ == "__main__":
    given = Settings.model_validate_json(Path(sys.argv[1]).read_text())
    with spark_session(given) as claim:
        if given.engine == "spark" and sys.argv[3] == "kept":
            claim.session()
        run(given, Path(sys.argv[2]))
