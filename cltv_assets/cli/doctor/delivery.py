"""The source: whether it can be read, and whether what was read can be what was meant.

A sample goes through the real cleaning, and the checks of the tables that tell something of a sample judge it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import ibis.expr.types as ir

from cltv_assets.cli.doctor import Finding, failed, ok, warning
from cltv_assets.cli.reading import configured_source
from cltv_assets.dagster_defs.resources.platform import Platform
from cltv_assets.dagster_defs.resources.s3 import object_store_for
from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.errors import CltvError, SourceError
from cltv_assets.files.scratch import ScratchFolder
from cltv_assets.lake import Lake
from cltv_assets.months import Span
from cltv_assets.settings import Settings
from cltv_assets.settings.source import TABLE_KINDS
from cltv_assets.sources import SourceReport, TransactionSource, storage_of
from cltv_assets.sources.customer_file import read_customers
from cltv_assets.tables import TABLES
from cltv_assets.tables.acquisition_costs import lines_now
from cltv_assets.tables.check import Finding as Audited
from cltv_assets.tables.check import audit
from cltv_assets.tables.cleaned_and_rejected.split import (
    OutlierBound,
    classified_lines,
    kept_lines,
    lost_lines,
    treat_outliers,
)
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.raw_transactions import CONTINUED, EMPTY_FILES

_REFUSED = "Mend it first: until then months are refused."
_WARNED = "Mend it before the first run; a check warns in each month until then."
#: Skipped files that are named.
_LISTED = 8
#: Values of a sample that a finding quotes.
_QUOTED = 3


def look_at_source(settings: Settings) -> Iterator[Finding]:
    """Yield what is found of the source, and of a sample of its lines."""
    try:
        with _opened(settings) as source:
            report = source.inspect()
            yield ok("source", _shown(settings, report))
            for found in _audited(settings, source, report):
                name, text = found.check.name, found.verdict.message + _quoted(found.examples)
                yield failed(name, SourceError(text, _REFUSED)) if found.blocks else warning(name, text, _WARNED)
    except CltvError as error:
        yield failed("source", error)


def look_beside_source(settings: Settings) -> Iterator[Finding]:
    """Yield what is found of the customers' file and of the acquisition costs, where the settings name them."""
    objects = object_store_for(settings)
    customers, costs = settings.customers, settings.acquisition_costs
    if customers.path is not None:
        try:
            storage, path = storage_of(settings.absolute(customers.path), objects)
            lines = read_customers(storage, path, customers, settings.source).num_rows
            yield ok("customers", f"{lines:,} lines at {customers.path}")
        except CltvError as error:
            yield failed("customers", error)
    if costs.path is not None:
        try:
            yield ok("acquisition_costs", f"{len(lines_now(settings, objects)):,} lines at {costs.path}")
        except CltvError as error:
            yield failed("acquisition_costs", error)


def require_source(settings: Settings) -> None:
    """Return if a run could take the source.

    Raises
    ------
    SourceError
        If the doctor would fail: a run would be refused, or reject nearly everything.
    """
    with _opened(settings) as source:
        for found in _audited(settings, source, source.inspect(), warnings=False):
            raise SourceError(found.verdict.message + _quoted(found.examples), _REFUSED)


@contextmanager
def _opened(settings: Settings) -> Iterator[TransactionSource]:
    """Give the source; a query over files with the machines that run it: its files may be too large for this one."""
    if settings.engine != "spark" or not settings.source.paths:
        yield configured_source(settings)
        return
    objects = object_store_for(settings)
    with closing(Platform(settings, (lambda: objects) if objects else None)) as platform:
        yield platform.source()


def _shown(settings: Settings, report: SourceReport) -> str:
    # A table is listed as its months, and their sizes are rows.
    units = ("months", "rows") if settings.source.kind in TABLE_KINDS else ("files", "bytes")
    text = f"{report.files:,} {units[0]}, {report.bytes:,} {units[1]} at {report.path}"
    if report.sampled_lines:
        unusable = report.malformed + report.undatable + report.future
        of = f"of {report.sampled_lines:,} {'' if report.whole else 'sampled '}lines"
        text += f"; {of} {unusable:,} have no usable date"
        if report.first_month and report.last_month:
            text += f", the others run from {report.first_month} to {report.last_month}"
    if report.before_first:
        text += f"; {report.before_first:,} lie before start_month {settings.first_month} and are left out"
    if report.after_last:
        text += f"; {report.after_last:,} lie after {settings.last_month()} and are left out"
    if report.last_month and report.last_month.shift(2) < settings.last_month():
        text += f"; months go on to {settings.last_month()}: "
        text += "if the data end before, set end_month to the last one that is whole"
    if report.skipped:
        more = f" and {len(report.skipped) - _LISTED:,} more" if len(report.skipped) > _LISTED else ""
        text += f"; not read: {', '.join(report.skipped[:_LISTED])}{more}"
    if kept := [name for name in report.columns if settings.source.keeps(name)]:
        more = f" and {len(kept) - _LISTED:,} more" if len(kept) > _LISTED else ""
        text += f"; kept in other_columns: {', '.join(kept[:_LISTED])}{more} (source.keep_other_columns)"
    if report.missing_deliveries:
        text += f"; no delivery for {', '.join(month.key for month in report.missing_deliveries)}"
    return text


def _audited(
    settings: Settings, source: TransactionSource, report: SourceReport, *, warnings: bool = True
) -> Iterator[Audited]:
    """Clean the sample and yield the checks that it fails, of those that a sample can fail."""
    # The reader files lines of the future by their file; here they are judged by their day.
    span = Span(dt.date(1000, 1, 1), dt.datetime.now(settings.zone).date() + dt.timedelta(days=1))
    month = report.last_month or settings.first_month
    with ScratchFolder("empty") as empty, closing(DuckDBEngine(settings.duckdb_memory_limit)) as engine:
        run = MonthRun(month, settings, engine, Lake(str(empty)), source)
        tables = _sample_tables(engine, report, span, settings)
        run = replace(run, inputs=tables, notes={CONTINUED: report.continued, EMPTY_FILES: report.empty})
        for table in TABLES:
            checks = [check for check in table.checks if check.of_sample and (warnings or check.blocking)]
            for found in audit(tables[table.name], checks, run) if checks else ():
                if not found.verdict.passed:
                    yield found


def _sample_tables(
    engine: DuckDBEngine, report: SourceReport, span: Span, settings: Settings
) -> Mapping[str, ir.Table]:
    raw = engine.from_arrow(report.sample)
    treated = treat_outliers(classified_lines(engine, raw, span, settings), OutlierBound(None, "cap"))
    halves = engine.cache(kept_lines(treated)), engine.cache(lost_lines(treated))
    return dict(zip(("raw_transactions", "cleaned_transactions", "rejected_transactions"), (raw, *halves), strict=True))


def _quoted(examples: Sequence[Mapping[str, Any]]) -> str:
    """Return examples as places and texts."""
    places = [f"{row['source_file']}, line {row['source_line']}: {row['text']!r}" for row in examples if "text" in row]
    return f" Such as {'; '.join(places[:_QUOTED])}." if places else ""
