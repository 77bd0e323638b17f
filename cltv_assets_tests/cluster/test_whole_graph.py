"""The whole graph on each engine and storage gives the tables of the embedded run on a folder.

Each run is ``cltv run`` in a process of its own with a ``cltv.yaml`` that differs in
engine and storage only, as a team's would that changes two settings.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cltv_assets.settings import Settings
from cltv_assets.tables.cleaned_and_rejected.columns import REJECTED_TRANSACTIONS
from cltv_assets.tables.cleaned_and_rejected.verdict import REASONS
from cltv_assets_tests.cluster.tables import differences, rows
from cltv_assets_tests.conftest import SHOP_COLUMNS
from cltv_assets_tests.e2e.running import cltv
from cltv_assets_tests.e2e.shop import HEADER, lines_of_shop, months_of

Make = Callable[..., Settings]

SOAK = pytest.mark.soak
#: Engine, storage and shop; each is held against the embedded engine on a folder.
RUNS = [
    ("duckdb", "s3", "dirty"),
    pytest.param("spark", "local", "dirty", marks=SOAK),
    pytest.param("cluster", "s3", "dirty", marks=SOAK),
    pytest.param("connect", "s3", "dirty", marks=SOAK),
    pytest.param("duckdb", "s3", "cdnow", marks=SOAK),
    pytest.param("spark", "local", "cdnow", marks=SOAK),
    pytest.param("spark", "local", "online retail", marks=SOAK),
    pytest.param("cluster", "s3", "cdnow", marks=SOAK),
    pytest.param("connect", "s3", "cdnow", marks=SOAK),
]
#: UCI Online Retail (D. Chen, CC BY 4.0), one CSV a day, which is not part of this repository.
ONLINE_RETAIL = Path(__file__).parents[3] / "shared" / "data" / "online_retail_daily"
RUN_SECONDS = 600


@pytest.fixture(scope="module")
def dirty_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two months with every reason to reject a line."""
    folder = tmp_path_factory.mktemp("dirty") / "shop"
    folder.mkdir()
    for month, lines in lines_of_shop(months_of("2011-01", 2), customers=60).items():
        day = month.first_day.replace(day=20)
        twice = ("X1", "C001", f"{day} 11:00:00", "1", "7.00")
        with (folder / f"{month}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow((*HEADER, "currency"))
            # The line with too many fields stays one: a field for the currency would not mend it.
            writer.writerows((*line, "GBP") for line in [*lines, twice, twice])
            writer.writerow(("X2", "C001", f"{day} 11:00:00", "1", "7.00", "EUR"))
            writer.writerow(("X3", "C002", f"{day} 11:00:00", "2", "99999.00", "GBP"))
            writer.writerow(("X5", "C" * 201, f"{day} 11:00:00", "1", "7.00", "GBP"))
            writer.writerow(("X4", "C\u00e9line \U0001f6d2", f"{day} 23:59:59", "3", '"1,234.50"', "GBP"))
    return folder


@pytest.fixture(scope="module")
def scenarios(dirty_shop: Path) -> dict[str, dict[str, Any]]:
    """Return settings by name, without engine and storage."""
    shop = {
        "source": {"kind": "csv", "path": str(dirty_shop), "columns": SHOP_COLUMNS},
        "start_month": "2011-01",
        "end_month": "2011-02",
        "currency": "GBP",
        "time_zone": "Europe/London",
        "horizons_months": [1],
    }
    strict_source = shop["source"] | {"columns": SHOP_COLUMNS | {"currency": "currency"}, "duplicates": "drop_exact"}
    strict = {"refunds": "drop", "outliers": {"method": "quantile", "upper": 0.98, "action": "drop"}}
    return {
        "dirty": shop | strict | {"source": strict_source},
        "cdnow": {"end_month": "1997-01", "horizons_months": [1]},
        "online retail": shop
        | {
            "source": {
                "kind": "csv",
                "path": str(ONLINE_RETAIL / "2010-12-*.csv"),
                "columns": {
                    "transaction_id": "InvoiceNo",
                    "customer_id": "CustomerID",
                    "transacted_at": "InvoiceDate",
                    "quantity": "Quantity",
                    "unit_price": "UnitPrice",
                },
                "cancellation_prefix": "C",
            },
            "start_month": "2010-12",
            "end_month": "2010-12",
        },
    }


def run(settings: Settings, home: Path, *months: str) -> None:
    """Run months, by default all, as a user would."""
    home.mkdir(parents=True, exist_ok=True)
    values = settings.model_dump(mode="json", exclude_defaults=True, exclude={"home"})
    (home / "cltv.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    done = cltv("run", *months, cwd=home, timeout=RUN_SECONDS)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.fixture(scope="module")
def reference(
    scenarios: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Settings]:
    """Return the embedded run of a scenario, made when first asked for."""
    made: dict[str, Settings] = {}

    def of(name: str) -> Settings:
        if name not in made:
            home = tmp_path_factory.mktemp("reference")
            made[name] = Settings.model_validate({"home": home, "lake_uri": str(home / "lake")} | scenarios[name])
            run(made[name], home)
        return made[name]

    return of


@pytest.mark.parametrize(("engine", "storage", "shop"), RUNS)
def test_equal_tables(
    engine: str,
    storage: str,
    shop: str,
    cluster_settings: Make,
    scenarios: dict[str, dict[str, Any]],
    reference: Callable[[str], Settings],
    tmp_path: Path,
) -> None:
    settings = cluster_settings(engine, storage, **scenarios[shop])
    run(settings, tmp_path)
    months = [month.key for month in settings.first_month.until(settings.last_month())]
    assert differences(reference(shop), settings, months) == []


def test_a_connect_server_and_a_cluster_make_a_month_each(
    cluster_settings: Make,
    scenarios: dict[str, dict[str, Any]],
    reference: Callable[[str], Settings],
    tmp_path: Path,
) -> None:
    on_connect, on_cluster = (cluster_settings(engine, "s3", **scenarios["dirty"]) for engine in ("connect", "cluster"))
    # One lake: the second month looks back on what another Spark wrote.
    on_cluster = on_cluster.model_copy(update={"lake_uri": on_connect.lake_uri})
    run(on_connect, tmp_path, "--to", "2011-01")
    run(on_cluster, tmp_path, "--from", "2011-02")
    assert differences(reference("dirty"), on_cluster, ["2011-01", "2011-02"]) == []


def test_the_dirty_shop_has_every_reason(reference: Callable[[str], Settings]) -> None:
    settings = reference("dirty")
    found = {row["reason"] for row in rows(settings, REJECTED_TRANSACTIONS, ["2011-01", "2011-02"])}
    # The dirty shop's settings leave no line out and know no totals of orders.
    assert found == set(REASONS) - {"not_counted", "repeated_total", "differing_total"}
