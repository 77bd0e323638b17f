"""The month as delivered."""

from __future__ import annotations

import functools
import operator
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow.parquet as pq

from cltv_assets.files.scratch import process_folder
from cltv_assets.sources import Landing
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.common_checks import usual_volume
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.nothing_lost import nothing_lost
from cltv_assets.tables.table import DATA_PLATFORM, INGESTION, SOURCE, Table

#: Name of a month's note that records what was landed of each file. The source file sensor compares with it.
SOURCE_FILES = "source_files"
#: Name of a month's note of how many lines lie inside quoted fields of others.
CONTINUED = "lines_inside_fields"
#: Name of a month's note of files that hold nothing.
EMPTY_FILES = "empty_files"


def make(run: MonthRun) -> list[Path] | ir.Table:
    """Land the month's delivered lines.

    Returns
    -------
    list of Path or ibis table
        Local parquet files with the table's columns. No engine reads them here, because
        an engine on a cluster cannot see them before they are in the lake. Or a table of those lines that
        the engine's own machines have parsed.
    """
    folder = Path(tempfile.mkdtemp(dir=run.scratch() if run.scratch else process_folder()))
    landing = run.source.land(run.month, folder)
    run.notes.update({name: getattr(landing, name) for name in ("lines", "late", "malformed", "undatable", "future")})
    run.notes[CONTINUED] = landing.continued
    if landing.empty:
        run.notes[EMPTY_FILES] = list(landing.empty)
    run.notes["files_searched"] = landing.source_files
    # The sensor for source files compares with this record of what was landed.
    run.notes[SOURCE_FILES] = {name: record.as_json() for name, record in landing.records.items()}
    # Lines that belong to no month are shown with every month, so that no loss goes unnoticed.
    outside = {name: getattr(landing, name) for name in ("before_first", "after_last", "out_of_reach")}
    run.notes["lines_of_no_month"] = {name: count for name, count in outside.items() if count} or "none"
    return _union(run, landing) if landing.parts else landing.files


def _union(run: MonthRun, landing: Landing) -> ir.Table:
    """Return all lines as the engine sees them: those that were parsed here are small, and go to it."""
    tables = []
    for part in landing.parts:
        table = run.engine.read_files(RAW_TRANSACTIONS, part.uris)
        tables.append(table if part.names is None else table.filter(table.source_file.isin(sorted(part.names))))
    tables += [
        run.engine.from_arrow(pq.read_table(file, schema=RAW_TRANSACTIONS.arrow, partitioning=None))
        for file in landing.files
    ]
    return ibis.union(*tables) if len(tables) > 1 else tables[0]


@check("The month has at least one line.", measures=lambda table, _run: {"rows": table.count()}, blocking=False)
def month_has_lines(values: Values, run: MonthRun) -> Verdict:
    """Warn about a month without any line, which is allowed but rarely intended."""
    rows = values["rows"]
    if rows:
        return Verdict(True, f"{rows:,} lines delivered for {run.month}.", {"rows": rows})
    message = f"No line at all is dated in {run.month}: see whether the delivery is complete."
    return Verdict(False, message, {"rows": 0})


@check("Earlier months hold every line that the source now has for them.", blocking=False)
def late_lines(_values: Values, run: MonthRun) -> Verdict:
    """Warn when earlier months have lines in the source that the lake lacks."""
    settings = run.settings
    earlier = list(settings.first_month.until(run.month.shift(-1)))
    if settings.source.path and "{month}" in settings.source.path:
        # Each delivery must be read, so look back only as far as late lines are accepted.
        earlier = earlier[-settings.source.late_months :] if settings.source.late_months else []
    table = run.lake.table(RAW_TRANSACTIONS)
    held = table.row_counts(sorted(table.published(earlier)))
    delivered = run.source.line_counts(sorted(held))
    waiting = {m.key: delivered.get(m, 0) - rows for m, rows in held.items() if delivered.get(m, 0) != rows}
    if not waiting:
        return Verdict(True, f"The {len(held)} earlier months looked at hold every delivered line.")
    came = {month: count for month, count in waiting.items() if count > 0}
    gone = {month: count for month, count in waiting.items() if count < 0}
    said = []
    if came:
        commands = f"cltv run --from {min(came)} --to {run.month}"
        said.append(
            f"Since earlier months were run lines have come for them: {_signed(came)}. To take them: {commands}"
        )
    if gone:
        said.append(
            f"The source has fewer lines of earlier months than are published: {_signed(gone)}. If that is not meant, "
            "bring them back; cltv status names the files"
        )
    return Verdict(False, ". ".join(said), {"late_lines": waiting})


def _signed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{month} {count:+,}" for month, count in counts.items())


#: Share of orders in two files from which exports overlap; an order's later refund may be in a later file.
_OVERLAP = 0.02


def _orders_in_files(raw: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    landed = run.notes.get(SOURCE_FILES)
    once = run.settings.source.duplicates == "drop_across_files"
    numbered = "transaction_id" in run.settings.source.mapping
    if (once and not numbered) or (isinstance(landed, dict) and len(landed) < 2):
        return {}
    order = ["transaction_id"]
    if once:
        return _orders_that_changed(raw)
    if not numbered:
        order = ["customer_id", "transacted_at", "amount", "quantity", "unit_price"]
    orders = (
        raw.filter(raw[order[0]].notnull())
        .group_by(order)
        .aggregate(first=raw.source_file.min(), last=raw.source_file.max())
    )
    twice = orders["first"] != orders["last"]
    null = ibis.null("string")
    whole = orders.aggregate(
        orders=orders.count(),
        twice=twice.cast("int64").sum(),
        first=ibis.ifelse(twice, orders["first"], null).min(),
        last=ibis.ifelse(twice, orders["last"], null).max(),
    )
    return {name: whole[name].as_scalar() for name in whole.columns}


def _orders_that_changed(raw: ir.Table) -> dict[str, ir.Scalar]:
    """Count orders that several files hold with the same time and other lines, amounts or states."""
    # A refund that a later file brings has a later time.
    key = ["transaction_id", "transacted_at"]
    raw = raw.filter(raw.transaction_id.notnull())
    value = ibis.coalesce(raw.amount, raw.unit_price, ibis.literal(""))
    held = raw.group_by([*key, "source_file"]).aggregate(
        lines=raw.count(), counted=raw.not_counted.isnull().cast("int64").sum(), least=value.min(), most=value.max()
    )
    facts = ("lines", "counted", "least", "most")
    orders = held.group_by(key).aggregate(
        first=held.source_file.min(),
        last=held.source_file.max(),
        changed=functools.reduce(operator.or_, (held[name].min() != held[name].max() for name in facts)),
    )
    null = ibis.null("string")
    whole = orders.aggregate(
        orders=orders.count(),
        changed=orders.changed.cast("int64").sum(),
        first=ibis.ifelse(orders.changed, orders["first"], null).min(),
        last=ibis.ifelse(orders.changed, orders["last"], null).max(),
    )
    return {name: whole[name].as_scalar() for name in whole.columns}


def _lines_of_several_files(raw: ir.Table, run: MonthRun) -> ir.Table:
    """Return lines of orders that several files hold."""
    key = ["transaction_id" if "transaction_id" in run.settings.source.mapping else "customer_id", "transacted_at"]
    orders = raw.group_by(key).aggregate(files=raw.source_file.nunique())
    lines = raw.semi_join(orders.filter(orders.files > 1), key)
    places = lines.select("source_file", "source_line", text=lines[key[0]])
    return places.order_by("text", "source_file", "source_line")


@check(
    "No delivery is there twice, and none overlaps another.",
    measures=_orders_in_files,
    examples=_lines_of_several_files,
    blocking=False,
    of_sample=True,
)
def delivered_once(values: Values, run: MonthRun) -> Verdict:
    """Warn when the same orders are in several files."""
    orders, twice, changed = (values.get(name) or 0 for name in ("orders", "twice", "changed"))
    if changed:
        return Verdict(
            False,
            f"{changed:,} of {orders:,} orders are in several files with other lines, amounts or states; "
            f"the files are {values['first']} to {values['last']}. source.duplicates: "
            "drop_across_files drops equal lines only, so the older state counts too: keep the newest export alone, or "
            "take each order's newest lines by source.query.",
            {"orders_that_changed": changed},
        )
    if not twice or twice < _OVERLAP * orders:
        return Verdict(True, f"{twice:,} of {orders:,} orders are in more than one file.")
    message = (
        f"{twice:,} of {orders:,} orders are in more than one file; the files are "
        f"{values['first']} to {values['last']}. A file was delivered twice, or exports overlap: remove the file, or "
        "set source.duplicates: drop_across_files, which counts equal lines of two files once."
    )
    if run.settings.source.duplicates == "drop_exact":
        message += " drop_exact also drops equal lines of one order."
    return Verdict(False, message, {"orders_in_several_files": twice})


@check("Every column that would change the numbers is used.", blocking=False, of_sample=True)
def unused_columns(_values: Values, run: MonthRun) -> Verdict:
    """Warn about columns of the delivery that look like states, refunds or flags and are not mapped."""
    said = run.source.unused_columns()
    return Verdict(not said, " ".join(said) or "No other column of the delivery looks as if it mattered.")


#: Share of the lines in quoted fields of others from which somebody should look.
_MANY_CONTINUED = 0.05
#: Endings of files that may be deliveries.
_DELIVERIES = re.compile(
    r"\.(csv|tsv|txt|dat|jsonl?|ndjson|xml|xlsx?|xlsm|ods|parquet|zip|7z|rar|tar|tgz|gz|bz2|zst|xz)$", re.I
)


@check(
    "Every delivered file is read, and every line is one of its own.",
    measures=lambda table, _run: {"lines": table.count(), "first": table.source_file.min()},
    blocking=False,
    of_sample=True,
)
def read_whole(values: Values, run: MonthRun) -> Verdict:
    """Warn about files that are not read, and about many lines inside quoted fields of others."""
    skipped = [name for name in run.source.skipped_files() if _DELIVERIES.search(name)]
    noted = run.notes.get(CONTINUED)
    continued, lines = noted if isinstance(noted, int) else 0, values["lines"]
    said = []
    if skipped:
        shown = ", ".join(skipped[:3]) + (f" and {len(skipped) - 3:,} more" if len(skipped) > 3 else "")
        said.append(
            f"Not read, because of their ending or place: {shown}. Set source.kind and source.path to what holds "
            "deliveries, or take these files away."
        )
    if continued > _MANY_CONTINUED * (continued + lines):
        said.append(
            f"{continued:,} lines beside {lines:,} lie inside quoted fields of others, in {values['first']} or a file "
            "with it: if they are no notes or addresses of several lines, a quote opens nothing there; set "
            "source.quoting: none, or source.escape."
        )
    noted = run.notes.get(EMPTY_FILES)
    empty = noted if isinstance(noted, list | tuple) else ()
    if empty:
        shown = ", ".join(empty[:3]) + (f" and {len(empty) - 3:,} more" if len(empty) > 3 else "")
        said.append(f"Empty, without even a header: {shown}. Deliver them again with their lines, or remove them.")
    facts = {CONTINUED: continued, "files_not_read": len(skipped), EMPTY_FILES: len(empty)}
    return Verdict(not said, " ".join(said) or "Every file is read.", facts)


TABLE = Table(
    schema=RAW_TRANSACTIONS,
    inputs=lambda _settings: (),
    make=make,
    checks=(
        month_has_lines,
        nothing_lost,
        usual_volume(RAW_TRANSACTIONS),
        late_lines,
        read_whole,
        unused_columns,
        delivered_once,
    ),
    group=INGESTION,
    owner=DATA_PLATFORM,
    kinds=(SOURCE, "deltalake"),
    half="preprocess",
)
