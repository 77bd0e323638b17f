"""``cltv summary``: the results of a month, on one screen."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from typing import Any

import ibis
from rich.console import Console
from rich.table import Column, Table

from cltv_assets.cli.reading import LakeReader, named_or_newest, open_reader
from cltv_assets.cli.terminal import open_console
from cltv_assets.dagster_defs.instance import dagster_home
from cltv_assets.foreign import visible
from cltv_assets.models.gamma_gamma import NAME as GAMMA_GAMMA
from cltv_assets.models.purchase.registry import model_named
from cltv_assets.months import Month
from cltv_assets.report import REPORT, REPORT_FILE
from cltv_assets.settings import Settings
from cltv_assets.settings.component_file import COMPONENT_FILES
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.cleaned_and_rejected.columns import CLEANED_TRANSACTIONS, REJECTED_TRANSACTIONS
from cltv_assets.tables.cltv_predictions.columns import predictions_schema
from cltv_assets.tables.holdout_evaluation.cases import cases_of
from cltv_assets.tables.holdout_evaluation.columns import HOLDOUT_EVALUATION
from cltv_assets.tables.holdout_evaluation.outcomes import NAIVE_RATE
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.segment_summary import SEGMENT_SUMMARY
from cltv_assets.tables.segmentation import ALL, SCHEMES, VALUE_SEGMENTS
from cltv_assets.tables.spend_model.columns import SPEND_MODEL

_TOP = 10


def show_summary(settings: Settings, month: str | None) -> None:
    """Print the state of the lake and one month's figures.

    Raises
    ------
    MissingMonthsError
        If nothing is published.
    """
    console = open_console(at_least=110)
    predictions = predictions_schema(settings.horizons_months)
    with open_reader(settings) as reader:
        wanted = named_or_newest(reader, predictions, month)
        reader = reader.as_made(wanted)
        _lines(console, reader)
        _models(console, reader, wanted)
        _totals(console, reader, wanted)
        show_holdout(console, reader, wanted)
        _top_customers(console, reader, wanted)
        _where(console, reader, wanted)


def _lines(console: Console, reader: LakeReader) -> None:
    months = reader.months(RAW_TRANSACTIONS)
    raw, cleaned, rejected = (
        sum(reader.lake.table(schema).row_counts(months).values())
        for schema in (RAW_TRANSACTIONS, CLEANED_TRANSACTIONS, REJECTED_TRANSACTIONS)
    )
    console.rule(f"{len(months)} months, {months[0]} to {months[-1]}" if months else "no months", align="left")
    console.print(f"{raw:,} lines in = {cleaned:,} cleaned + {rejected:,} rejected")
    if rejected:
        table = reader.lake.table(REJECTED_TRANSACTIONS)
        lost = reader.engine.read_lake(REJECTED_TRANSACTIONS, table.files(months))
        by_reason = lost.group_by("reason").aggregate(lines=lost.count()).order_by(ibis.desc("lines"), "reason")
        for row in reader.engine.collect(by_reason).to_pylist():
            console.print(f"  {row['lines']:>9,}  {row['reason']}")


def _models(console: Console, reader: LakeReader, month: Month) -> None:
    console.rule(f"Models as of {month.last_day}", align="left")
    for schema in (PURCHASE_MODEL, SPEND_MODEL):
        rows = reader.engine.collect(reader.month(schema, month)).to_pylist()
        for row in sorted(rows, key=_place):
            _model(console, row)


def _place(row: dict[str, Any]) -> tuple[bool, float, str]:
    """Put the model that predicts first, and then those that predict beside it by their weights."""
    return row["role"] != "chosen", -(row.get("weight") or 0.0), row["model_name"]


def _model(console: Console, row: dict[str, Any]) -> None:
    name = f"{row['model_name']}, seasonal" if row.get("seasonality") == "monthly" else row["model_name"]
    if row["status"] == "not_fitted":
        console.print(f"{name} ({row['role']}): not fitted. {row['status_reason']}")
        return
    shown = ", ".join(_parameter(row, column) for column in _parameters(row["model_name"]))
    # At a limit the likelihood has no bound.
    likelihood = row["log_likelihood"]
    how_likely = "" if likelihood is None else f"; log-likelihood {likelihood:,.1f}"
    share = row.get("weight")
    role = row["role"] if not share or share == 1.0 else f"predicts, {share:.0%}"
    console.print(f"{name} ({role}): {shown}{how_likely} on {row['customers']:,} customers")
    for reason in (row["status_reason"], row.get("choice_reason")):
        if reason:
            console.print(f"  {reason}")


def _parameters(model: str) -> tuple[str, ...]:
    return ("p", "q", "v") if model == GAMMA_GAMMA else model_named(model).parameter_names


def _parameter(row: dict[str, Any], name: str) -> str:
    error = row[f"{name}_se"]
    return f"{name} {row[name]:.4g}" + (f" (se {error:.2g})" if error is not None else "")


def _totals(console: Console, reader: LakeReader, month: Month) -> None:
    """Print what the base and its segments are expected to buy and be worth."""
    if month not in reader.months(SEGMENT_SUMMARY):
        return
    rows = reader.engine.collect(reader.month(SEGMENT_SUMMARY, month)).to_pylist()
    longest = reader.settings.horizons_months[-1]
    console.rule(f"Totals and segments with 80 % intervals; segments: next {longest} months", align="left")
    if not rows:
        console.print("No predictions, hence no totals.")
        return
    # A month has money in all rows or in none.
    money = all(row["expected_value"] is not None for row in rows)
    if not money:
        console.print("No money: the spend model is not fitted. Tiers are by expected purchases.")
    value = (f"CLTV {reader.settings.currency}", "interval", "share") if money else ()
    figures = _right("customers", "purchases", "interval", *value, no_wrap=True)
    table = Table(Column("segment", no_wrap=True), *figures, box=None)
    order = {name: i for i, name in enumerate(name for _, names in SCHEMES.values() for name in names)}
    rows.sort(key=lambda row: (row["scheme"] != ALL, order.get(row["segment"], -1), row["horizon_months"]))
    for row in rows:
        base = row["scheme"] == ALL
        if row["customers"] and (base or row["horizon_months"] == longest):
            table.add_row(
                f"all, {row['horizon_months']} months" if base else _segment(row),
                f"{row['customers']:,}",
                *_amount(row, "purchases"),
                *((*_amount(row, "value"), f"{row['share_of_value']:.1%}") if money else ()),
            )
    console.print(table)


def _right(*headers: str, no_wrap: bool = False) -> list[Column]:
    return [Column(header, justify="right", no_wrap=no_wrap) for header in headers]


def _segment(row: dict[str, Any]) -> str:
    return f"{row['segment']} value" if row["scheme"] == "value" else str(row["segment"])


def _amount(row: dict[str, Any], what: str) -> tuple[str, str]:
    """Return an expected total and its interval."""
    low, high = (row[f"expected_{what}_{end}"] for end in ("low", "high"))
    return f"{row[f'expected_{what}']:,.0f}", f"{low:,.0f} to {high:,.0f}"


def show_holdout(console: Console, reader: LakeReader, month: Month) -> None:
    """Print how wrong the predictions were that ended with a month."""
    rows = reader.engine.collect(reader.month(HOLDOUT_EVALUATION, month)).to_pylist()
    console.rule(f"How wrong earlier predictions were, by {month.last_day}", align="left")
    if not rows:
        console.print("No prediction is old enough yet.")
        return
    figures = _right("predicted", "actual", "bias", "naive bias", "MAE", "naive MAE")
    table = Table(Column("made at", no_wrap=True), "target", *figures, box=None)
    # Another model may have predicted at each origin.
    for case in cases_of(rows):
        naive = case.contender(NAIVE_RATE)
        bias, naive_bias = (None if one is None else one.bias for one in (case.model, naive))
        table.add_row(
            f"{case.origin.last_day}, {case.horizon} months ahead",
            case.target,
            f"{case.model.predicted:,.0f}",
            f"{case.actual:,.0f}",
            "" if bias is None else f"{bias:+.1%}",
            "" if naive_bias is None else f"{naive_bias:+.1%}",
            f"{case.model.mae:.4f}",
            "" if naive is None else f"{naive.mae:.4f}",
        )
    console.print(table)


def _top_customers(console: Console, reader: LakeReader, month: Month) -> None:
    h = reader.settings.horizons_months[-1]
    unit = reader.settings.currency
    table = reader.month(predictions_schema(reader.settings.horizons_months), month)
    # Who gave back all that they bought is in the lowest tier, whatever they are expected to buy.
    lowest = table.value_segment == VALUE_SEGMENTS[-1]
    by = (ibis.desc(f"cltv_{h}m"), ibis.desc(f"expected_purchases_{h}m"))
    best = reader.engine.collect(table.order_by(lowest, *by, "customer_id").limit(_TOP)).to_pylist()
    money = all(row[f"cltv_{h}m"] is not None for row in best)
    who = "most valuable customers" if money else "customers who are expected to buy most"
    console.rule(f"The {_TOP} {who}, next {h} months", align="left")
    value = (f"order value {unit}", f"CLTV {unit}") if money else ()
    shown = Table("customer", *_right("frequency", "P(alive)", "purchases", *value), box=None)
    for row in best:
        shown.add_row(
            visible(row["customer_id"]),
            f"{row['frequency']:,}",
            f"{row['p_alive']:.3f}",
            f"{row[f'expected_purchases_{h}m']:.2f}",
            *((f"{row['expected_order_value']:,.2f}", f"{row[f'cltv_{h}m']:,.2f}") if money else ()),
        )
    console.print(shown)


def _opens_ui(settings: Settings) -> str:
    """Return what opens the UI on these settings: `make dev` is of a checkout, and shows the demo's lake."""
    if any((settings.home / name).is_file() for name in COMPONENT_FILES):
        return "dg dev"
    home, folder = (shlex.quote(str(path)) for path in (dagster_home(settings), settings.home))
    return f"cd {folder} && DAGSTER_HOME={home} dagster dev -m cltv_assets.definitions"


def _where(console: Console, reader: LakeReader, month: Month) -> None:
    console.rule("Next", align="left")
    root = reader.lake.root
    # The command as the reader can type it: `make demo` activates no environment.
    command = "cltv" if shutil.which("cltv") else os.path.relpath(sys.argv[0])
    report = reader.lake.files(REPORT.name).path(month, REPORT_FILE)
    demo = reader.settings.source.kind == "cdnow"
    hints = [
        ("Tables", f"{root}/<name>, one Delta table each"),
        ("Report", report),
        ("See the graph, checks and history", "make dev" if demo else _opens_ui(reader.settings)),
        ("Export", f"{command} export --month {month} --to predictions.csv"),
    ]
    if demo:
        own = f"write cltv.yaml (README.md, 'Your own data'), then {command} doctor and {command} run"
        hints.append(("Your own data", own))
    for what, text in hints:
        console.print(f"{what}: {text}", soft_wrap=True)
