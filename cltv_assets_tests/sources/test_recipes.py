"""Each recipe of docs/sources reads a file of its shape to what it comes to, to the cent."""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import new_source
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.sources.proposal import propose
from cltv_assets.tables.cleaned_and_rejected.split import (
    OutlierBound,
    classified_lines,
    kept_lines,
    lost_lines,
    treat_outliers,
)
from cltv_assets_tests.sources.shapes import NO_REFUNDS, SHAPES, Figures, figures, orders

RECIPES = Path(__file__).parents[2] / "docs/sources"


def settings_of(recipe: str, folder: Path) -> Settings:
    values = yaml.safe_load((RECIPES / f"{recipe}.yaml").read_text())
    if recipe == "postgresql":
        # The same table in a file: the way to a server is tested with the servers.
        del values["source"]["url_variable"]
        values["source"]["path"] = "shop.db"
    return Settings.model_validate(values | {"home": folder})


def test_every_recipe_has_a_shape() -> None:
    assert {file.stem for file in RECIPES.glob("*.yaml")} == set(SHAPES)


def read(settings: Settings, folder: Path) -> tuple[Figures, set[str]]:
    """Land and clean the months of a source; return what they come to, and why lines do not count."""
    source = new_source(settings, dt.date(2024, 6, 15))
    cleaned: list[dict[str, Any]] = []
    uncounted: set[str] = set()
    with closing(DuckDBEngine()) as engine:
        for month in Month.parse("2024-01").until(Month.parse("2024-03")):
            landing = source.land(month, folder / f"landed-{month}")
            raw = pa.concat_tables(pq.read_table(file, schema=RAW_TRANSACTIONS.arrow) for file in landing.files)
            lines = classified_lines(engine, engine.from_arrow(raw), month, settings)
            treated = treat_outliers(lines, OutlierBound(None, "cap"))
            kept, lost = (engine.collect(half(treated)) for half in (kept_lines, lost_lines))
            assert kept.num_rows + lost.num_rows == raw.num_rows
            assert not set(lost["reason"].to_pylist()) & {"malformed_line", "invalid_date", "invalid_amount"}
            uncounted |= {text for text in lost["not_counted"].to_pylist() if text}
            cleaned += kept.to_pylist()
            engine.release()
    source.close()
    bought = [row for row in cleaned if row["kind"] == "purchase"]
    found = Figures(
        len({row["customer_id"] for row in bought}),
        len({row["transaction_id"] for row in bought}),
        sum((row["amount"] for row in bought), Decimal(0)),
        -sum((row["amount"] for row in cleaned if row["kind"] == "refund"), Decimal(0)),
        len({(row["customer_id"], row["purchase_day"]) for row in bought}),
    )
    return found, uncounted


@pytest.mark.parametrize("recipe", SHAPES)
def test_a_recipe_reads_its_shape(recipe: str, tmp_path: Path) -> None:
    log = orders()
    SHAPES[recipe](log, tmp_path)
    found, uncounted = read(settings_of(recipe, tmp_path), tmp_path)
    # A state that stands on the first line of an order is that of all its lines.
    assert recipe == "sap" or not any(text.endswith(": empty") for text in uncounted)
    wanted = figures(log)
    if recipe in NO_REFUNDS:
        wanted = replace(wanted, refunds=Decimal(0))
    assert found == wanted


@pytest.mark.parametrize("shape", ["shopify", "woocommerce", "stripe", "square", "amazon", "magento", "event_log"])
def test_what_is_proposed_for_a_shape_reads_it(shape: str, tmp_path: Path) -> None:
    log = orders()
    SHAPES[shape](log, tmp_path)
    (file,) = tmp_path.iterdir()
    proposed = yaml.safe_load(propose(str(file)))
    # What a proposal can only ask.
    asked = yaml.safe_load((RECIPES / f"{shape}.yaml").read_text())
    given = {name: asked[name] for name in ("currency", "time_zone") if name in asked}
    if shape == "magento":
        proposed["source"]["time_zone"] = "UTC"
    found, _ = read(Settings.model_validate(proposed | given | {"home": tmp_path}), tmp_path)
    wanted = figures(log)
    if shape in NO_REFUNDS:
        wanted = replace(wanted, refunds=Decimal(0))
    assert found == wanted
