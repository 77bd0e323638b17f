"""``cltv scenario``: a month's totals under other discount rates, margins and horizons. The lake is only read."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from cltv_assets.cli.configuration import settings_to_read
from cltv_assets.cli.reading import LakeReader, configured_source, named_or_newest, open_reader
from cltv_assets.cli.terminal import open_console
from cltv_assets.errors import ConfigError
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables.cltv_predictions.columns import predictions_schema
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.scenario import Scenario, scenario_rows, scenarios_of
from cltv_assets.tables.segmentation import ALL
from cltv_assets.tables.spend_model.columns import SPEND_MODEL

#: Characters of a line: a narrower table would lose its first columns.
_WIDTH = 140

#: Columns of the file, in order.
COLUMNS = (
    "month", "discount_rate", "gross_margin", "configured", "horizon_months", "scheme", "segment", "customers",
    "expected_purchases", "expected_purchases_low", "expected_purchases_high", "expected_value", "expected_value_low",
    "expected_value_high",
)  # fmt: skip


def show_scenarios(
    config: Path | None,
    month: str | None,
    discount_rates: Sequence[float],
    margins: Sequence[float],
    horizons: Sequence[int],
    to: Path | None,
) -> None:
    """Print a month's totals under every combination of rates and margins, and write them to a file if it is named.

    Raises
    ------
    ConfigError
        If the file cannot be written.
    MissingMonthsError
        If the month is not published.
    """
    if to is not None and to.suffix != ".csv":
        raise ConfigError(f"--to {to} does not end in .csv.", "Give it this ending.")
    settings = settings_to_read(config)
    with open_reader(settings) as reader:
        wanted = named_or_newest(reader, predictions_schema(settings.horizons_months), month)
        rows = rows_of_month(reader, wanted, discount_rates, margins, horizons)
    console = open_console(at_least=_WIDTH)
    if not rows:
        console.print(f"{wanted} has no predictions, hence no scenarios.")
        return
    _show(console, settings, wanted, rows)
    if to is not None:
        _write(to, rows)
        console.print(f"{len(rows):,} rows, with the RFM segments, written to {to}")


def rows_of_month(
    reader: LakeReader,
    month: Month,
    discount_rates: Sequence[float],
    margins: Sequence[float],
    horizons: Sequence[int],
) -> list[dict[str, Any]]:
    """Return the totals of a published month, with `COLUMNS`, those of the configured rate and margin first.

    Parameters
    ----------
    discount_rates, margins : sequence of float
        Empty for the configured ones.
    horizons : sequence of int
        In months; empty for the configured ones.
    """
    settings = reader.settings
    schemas = (predictions_schema(settings.horizons_months), PURCHASE_MODEL, SPEND_MODEL)
    inputs = {schema.name: reader.month(schema, month) for schema in schemas}
    inputs["cltv_predictions"] = reader.engine.cache(inputs["cltv_predictions"])
    run = MonthRun(month, settings, reader.engine, reader.lake, configured_source(settings), inputs)
    ahead = sorted(set(horizons or settings.horizons_months))
    found = []
    # Whoever names the configured margin means it, unless the source gives customers margins of their own.
    own = settings.source.margin_column is not None
    asked = [None if not own and margin == settings.gross_margin else margin for margin in margins]
    configured = Scenario(settings.annual_discount_rate, None)
    for scenario in scenarios_of(configured, discount_rates, asked):
        said = {
            "month": month.key,
            "discount_rate": scenario.discount_rate,
            "gross_margin": _margin(scenario, settings),
            "configured": scenario == configured,
        }
        found += [said | row for row in scenario_rows(run, scenario, ahead)]
    return found


def _margin(scenario: Scenario, settings: Settings) -> float | str:
    if scenario.margin is not None:
        return scenario.margin
    return "each customer's own" if settings.source.margin_column is not None else settings.gross_margin


def _show(console: Console, settings: Settings, month: Month, rows: Sequence[dict[str, Any]]) -> None:
    """Print the base at each horizon, and the value tiers at the longest one."""
    money = rows[0]["expected_value"] is not None
    longest = max(row["horizon_months"] for row in rows)
    console.rule(f"Customers of {month} under other assumptions", align="left")
    ahead = ", ".join(map(str, settings.horizons_months))
    margin = _margin(Scenario(settings.annual_discount_rate, None), settings)
    console.print(
        f"Configured: annual_discount_rate {settings.annual_discount_rate:g}, gross_margin {_number(margin)}, "
        f"horizons_months {ahead}."
    )
    names = ["customers", "purchases", "80 % interval"]
    names += [f"CLTV {settings.currency}", "80 % interval", "configured"] if money else []
    figures = [Column(name, justify="right", no_wrap=True) for name in names]
    said_of = [Column(name, no_wrap=True) for name in ("rate", "margin", "months", "segment")]
    table = Table(*said_of, *figures, box=None)
    base = {_place(row): row["expected_value"] for row in rows if row["configured"]}
    for row in rows:
        tier = row["scheme"] == "value" and row["horizon_months"] == longest and row["customers"]
        if row["scheme"] != ALL and not tier:
            continue
        shown = [f"{row['customers']:,}", *_amount(row, "purchases")]
        if money:
            shown += [*_amount(row, "value"), "" if row["configured"] else f"{base[_place(row)]:,.0f}"]
        name = "all" if row["scheme"] == ALL else f"{row['segment']} value"
        said = (f"{row['discount_rate']:g}", _number(row["gross_margin"]), f"{row['horizon_months']}")
        table.add_row(*said, name, *shown)
    console.print(table)
    console.print(
        "The first rows have the configured rate and margin; the last column is their value beside others. Intervals "
        "are of the total of those customers: their chance, the parameters' uncertainty and the models' error in "
        "holdouts inside the history, of three months at most. Beyond the longest horizon that holdout_evaluation has "
        "judged, they are the models' word.",
        soft_wrap=True,
    )


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _place(row: dict[str, Any]) -> tuple[int, str, str]:
    return row["horizon_months"], row["scheme"], row["segment"]


def _amount(row: dict[str, Any], what: str) -> tuple[str, str]:
    low, high = (row[f"expected_{what}_{end}"] for end in ("low", "high"))
    return f"{row[f'expected_{what}']:,.0f}", f"{low:,.0f} to {high:,.0f}"


def _write(to: Path, rows: Sequence[dict[str, Any]]) -> None:
    try:
        with to.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise ConfigError(
            f"{to} cannot be written: {os.strerror(error.errno) if error.errno else error}.", "Choose another file."
        ) from None
