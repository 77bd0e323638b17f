"""Many customers: nothing customer-sized passes through the driver, and no query runs in one task or in Python."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables import all_schemas
from cltv_assets.tables.cleaned_and_rejected.columns import CLEANED_TRANSACTIONS
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.repeat_customers import REPEAT_CUSTOMERS
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.spend_model.columns import SPEND_MODEL
from cltv_assets_tests.cluster.apart import Apart
from cltv_assets_tests.cluster.big_lake import Size, make_lake, watched_run
from cltv_assets_tests.e2e.running import values_in

MONTHS = [Month.parse("2011-01").shift(i) for i in range(6)]
LAST = MONTHS[-1]
WINDOW_MONTHS = 2
MIB = 1 << 20
RUN_SECONDS = 1200
ASSETS = [
    CLEANED_TRANSACTIONS.name,
    PURCHASE_DAYS.name,
    REPEAT_CUSTOMERS.name,
    RFM_SUMMARY.name,
    PURCHASE_MODEL.name,
    SPEND_MODEL.name,
    "cltv_predictions",
]
#: Operators that run Python on the cluster.
_PYTHON = re.compile(r"BatchEvalPython|ArrowEvalPython|\w*InPandas|\w*InArrow|PythonUDF|\w*Python\b")
#: A window whose rows, however sorted, all come to one task.
_WINDOW_IN_ONE_TASK = re.compile(r"Window \[[^\n]*\n(?:[^\n]*(?:Sort|Project|Filter) [^\n]*\n)*[^\n]*SinglePartition")


@pytest.mark.parametrize(
    ("engine", "size", "transactions"),
    [
        ("spark", Size(60_000, MONTHS, every=7, prices=8), 400_000),
        pytest.param("cluster", Size(2_100_000, MONTHS), 20_000_000, marks=pytest.mark.soak),
    ],
    ids=["small", "twenty million"],
)
def test_nothing_customer_sized_passes_through_the_driver(
    cluster_settings: Callable[..., Settings], tmp_path: Path, engine: str, size: Size, transactions: int
) -> None:
    values = values_in(end_month=LAST.key, repeat_window_months=WINDOW_MONTHS, horizons_months=[3])
    settings = cluster_settings(engine, "local", **values)
    conf = {"spark.driver.memory": "1g", "spark.executor.memory": "1g", "spark.sql.shuffle.partitions": "16"}
    spark = settings.spark.model_copy(update={"conf": settings.spark.conf | conf})
    settings = settings.model_copy(update={"spark": spark})
    assert make_lake(settings, size) >= transactions

    with Apart(watched_run, settings, LAST.key, ASSETS) as apart:
        watched = apart.result(RUN_SECONDS)
    assert watched.errors == []

    lake = Lake(settings.lake_root)
    tables = {schema.name: lake.table(schema) for schema in all_schemas(settings.horizons_months)}
    rows = {name: tables[name].row_counts([LAST])[LAST] for name in ASSETS}
    assert rows[RFM_SUMMARY.name] == rows["cltv_predictions"] > 0.95 * size.customers
    assert rows[CLEANED_TRANSACTIONS.name] > transactions / 20

    largest = max(count for _, count in watched.collected)
    assert largest < rows[RFM_SUMMARY.name] / 5, "something customer-sized came to the driver"
    # All but the models' patterns and the counted values are measures and previews.
    assert sum(count > 1_000 for _, count in watched.collected) <= 12, sorted(c for _, c in watched.collected)[-15:]

    assert len(watched.plans) > len(ASSETS)
    for table, plan in watched.plans:
        assert not _PYTHON.search(plan), f"{table}: Python over rows\n{plan[:2000]}"
        assert not _WINDOW_IN_ONE_TASK.search(plan), f"{table}: a window in one task\n{plan[:2000]}"

    window = {month.key for month in MONTHS[-WINDOW_MONTHS:]}
    assert watched.inputs[REPEAT_CUSTOMERS.name] == window, "files of other months are not even opened"

    for name in ASSETS:
        files = [Path(file) for file in tables[name].files([LAST])]
        sizes = [file.stat().st_size / MIB for file in files]
        assert 1 <= len(files) <= 4, f"{name}: {len(files)} files"
        # More than one only where there is more than a small file's worth.
        assert len(files) == 1 or min(sizes) > 16, f"{name}: {sizes} MiB"
        assert max(sizes) < 512, f"{name}: {sizes} MiB"
    assert [len(tables[name].files([LAST])) for name in (PURCHASE_MODEL.name, SPEND_MODEL.name)] == [1, 1]
