"""The month as delivered."""

from __future__ import annotations

import tempfile
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow.parquet as pq

from cltv_assets.sources import Landing
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.common_checks import usual_volume
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.table import DATA_PLATFORM, INGESTION, SOURCE, Table

#: Name of a month's note that records what was landed of each file. The source file sensor compares with it.
SOURCE_FILES = "source_files"


def make(run: MonthRun) -> list[Path] | ir.Table:
    """Land the month's delivered lines.

    Returns
    -------
    list of Path or ibis table
        Local parquet files with the table's columns. No engine reads them here, because
        an engine on a cluster cannot see them before they are in the lake. Or a table of those lines that
        the engine's own machines have parsed.
    """
    folder = Path(tempfile.mkdtemp(dir=run.scratch() if run.scratch else None))
    landing = run.source.land(run.month, folder)
    run.notes.update({name: getattr(landing, name) for name in ("lines", "late", "malformed", "undatable", "future")})
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
    tables += [run.engine.from_arrow(pq.read_table(file, schema=RAW_TRANSACTIONS.arrow)) for file in landing.files]
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
    shown = ", ".join(f"{month} {count:+,}" for month, count in waiting.items())
    commands = f"cltv run --from {min(waiting)} --to {run.month}"
    message = f"Since earlier months were run their lines have changed: {shown}. To take them: {commands}"
    return Verdict(False, message, {"late_lines": waiting})


TABLE = Table(
    schema=RAW_TRANSACTIONS,
    inputs=lambda _settings: (),
    make=make,
    checks=(month_has_lines, usual_volume(RAW_TRANSACTIONS), late_lines),
    group=INGESTION,
    owner=DATA_PLATFORM,
    kinds=(SOURCE, "deltalake"),
    half="preprocess",
)
