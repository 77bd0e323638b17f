"""Measure holdout error under each treatment of outliers and refunds.

``python -m bench.defaults cdnow`` or ``python -m bench.defaults csv cltv.yaml``: for
each origin the steps of the pipeline run on the lines up to it, and predicted
revenue is held against the same target whatever the treatment: the net spend
(purchases less refunds, nothing capped) of the following months.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from cltv_assets.engines import Engine, open_engine
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Outliers, Settings, load_settings
from cltv_assets.sources import open_source
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables import purchase_days, rfm_summary, spend_model
from cltv_assets.tables.cleaned_and_rejected import split
from cltv_assets.tables.cleaned_and_rejected.columns import CLEANED_TRANSACTIONS
from cltv_assets.tables.cltv_predictions import predict
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model import fit

OUTLIERS = {
    "none": Outliers(method="none"),
    "cap q0.999": Outliers(method="quantile", upper=0.999, action="cap"),
    "cap q0.99": Outliers(method="quantile", upper=0.99, action="cap"),
    "drop q0.999": Outliers(method="quantile", upper=0.999, action="drop"),
    "cap iqr 3": Outliers(method="iqr", iqr_factor=3.0, action="cap"),
}
REFUNDS = ("net", "drop")
CASES = {
    "cdnow": [("1997-09", 3), ("1997-09", 6), ("1997-12", 6)],
    "csv": [("2011-05", 3), ("2011-05", 6), ("2011-08", 3)],
}


def month_run(settings: Settings, engine: Engine, month: Month, **inputs: object) -> MonthRun:
    """Return a run without a lake: nothing here reads one."""
    return MonthRun(month, settings, engine, Lake("unused"), open_source(settings), inputs)


def days_until(settings: Settings, engine: Engine, last: Month, folder: Path) -> list[str]:
    """Write purchase_days of every month up to ``last``; return the files."""
    files = []
    for month in settings.first_month.until(last):
        landing = open_source(settings).land(month, folder / month.key)
        raw = engine.read_files(RAW_TRANSACTIONS, [str(path) for path in landing.files])
        both = split.make(month_run(settings, engine, month, raw_transactions=raw))
        days = purchase_days.make(
            month_run(settings, engine, month, cleaned_transactions=both[CLEANED_TRANSACTIONS.name])
        )
        path = str(folder / f"{month.key}.parquet")
        engine.write(days, PURCHASE_DAYS, path)
        engine.release()
        files.append(path)
    return files


def revenue(settings: Settings, files: list[str], origin: Month, horizon: int) -> pa.Table | str:
    """Predict undiscounted revenue of ``horizon`` months for each customer known at ``origin``."""
    engine = open_engine(settings)
    try:
        known = [path for path in files if Path(path).stem <= origin.key]
        run = month_run(settings, engine, origin, purchase_days=engine.read_files(PURCHASE_DAYS, known))
        run.inputs["rfm_summary"] = engine.cache(rfm_summary.make(run))
        run.inputs["purchase_model"] = engine.cache(fit.make(run))
        run.inputs["spend_model"] = engine.cache(spend_model.make(run))
        made = predict.make(run)
        return engine.collect(made.select("customer_id", value=made[f"expected_spend_{horizon}m"]))
    finally:
        engine.close()


def main(kind: str, config: str | None) -> None:
    """Print a row for each case and treatment."""
    base = load_settings(config, environ={}) if config else Settings()
    print("| case | refunds | outliers | MAE | RMSE | bias |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as temporary:
        last = max(Month.parse(origin).shift(h) for origin, h in CASES[kind])
        variants = {}
        for (name, outliers), refunds in itertools.product(OUTLIERS.items(), REFUNDS):
            settings = base.model_copy(update={"outliers": outliers, "refunds": refunds})
            engine = open_engine(settings)
            folder = Path(temporary) / f"{name} {refunds}"
            folder.mkdir()
            variants[name, refunds] = settings, days_until(settings, engine, last, folder)
            engine.close()
        target_files = variants["none", "net"][1]
        for origin_key, h in CASES[kind]:
            origin = Month.parse(origin_key)
            engine = open_engine(base)
            days = engine.read_files(PURCHASE_DAYS, target_files)
            span = days.filter(days.purchase_day.between(origin.shift(1).first_day, origin.shift(h).last_day))
            spent = engine.collect(
                span.group_by("customer_id").aggregate(actual=(span.spend - span.refunds).sum().cast("float64"))
            )
            actual = dict(zip(spent["customer_id"].to_pylist(), spent["actual"].to_pylist(), strict=True))
            engine.close()
            for (name, refunds), (settings, files) in variants.items():
                made = revenue(settings, files, origin, h)
                truth = np.array([actual.get(c, 0.0) for c in made["customer_id"].to_pylist()])
                error = made["value"].to_numpy() - truth
                print(
                    f"| {origin_key} +{h} | {refunds} | {name} | {np.abs(error).mean():.2f} "
                    f"| {np.sqrt((error**2).mean()):.2f} | {error.sum() / truth.sum():+.1%} |",
                    flush=True,
                )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
