"""What the Dagster UI shows of a month besides its state: numbers, pictures, example rows, links."""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import ibis.expr.types as ir

from cltv_assets.columns import MONTH, TableSchema
from cltv_assets.dagster_defs.failures import recordable as recordable_error
from cltv_assets.figures import wording
from cltv_assets.files.storage import month_folder
from cltv_assets.foreign import for_markdown, without_credentials
from cltv_assets.tables.check import Finding
from cltv_assets.tables.highlights import Highlights
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.recording import places, recordable, recordable_rows
from cltv_assets.tables.refused_lines import REFUSED_LINES, Reason
from cltv_assets.tables.segmentation import ALL
from cltv_assets.tables.table import Table

#: Variable with the address that serves the reports, if any: the UI serves no files, and browsers refuse file:// links.
REPORT_URL_VARIABLE = "CLTV_REPORT_URL"

_PREVIEW_ROWS = 5
#: Column of tables that have rows for each value of an attribute, and for all customers.
_BY_ATTRIBUTE = "attribute_value"
#: More columns than this would be wider than a screen.
_WIDE = 8
#: The most characters in a cell. Sentences of ours are shorter; a text that was delivered has no bound.
_CELL = 1000
#: The command that opens a month's report.
_SHOW = "cltv report --month"


def in_paragraphs(description: str) -> str:
    """Return a description with its first sentence apart, which is all that a node of the graph shows."""
    return description.replace(". ", ".\n\n", 1)


def column_schema(table: TableSchema) -> dg.TableSchema:
    """Return the table's columns as Dagster shows them."""
    columns = [
        dg.TableColumn(
            column.name,
            column.type,
            description=column.meaning + (f" [{column.unit}]" if column.unit else ""),
            constraints=dg.TableColumnConstraints(nullable=column.nullable),
        )
        for column in table.columns
    ]
    month = dg.TableColumn(MONTH, "date", description="The partition: first day of the month.")
    return dg.TableSchema(columns=[*columns, month])


def check_result(asset: dg.AssetKey, finding: Finding, more: Mapping[str, Any] | None = None) -> dg.AssetCheckResult:
    """Return a finding as Dagster records it: sentence, numbers, and where the offending rows stand.

    Parameters
    ----------
    asset : AssetKey
        The asset that is checked.
    finding : Finding
        The check's verdict, and the rows that it found.
    more : mapping, optional
        Further metadata.
    """
    metadata = shown(finding.verdict.facts) | dict(more or {})
    if examples := recordable_rows(finding.examples):
        metadata["examples"] = dg.MetadataValue.md(markdown_table(examples, "Some of the rows that it found."))
    # A month that is refused says by its reasons where lines stand.
    told = finding.verdict.message + ("" if finding.blocks else places(finding.examples))
    return dg.AssetCheckResult(
        passed=finding.verdict.passed,
        asset_key=asset,
        check_name=finding.check.name,
        severity=dg.AssetCheckSeverity.ERROR if finding.is_error else dg.AssetCheckSeverity.WARN,
        description=for_markdown(told),
        metadata=metadata,
    )


def refusal_metadata(reasons: Sequence[Reason], run: MonthRun) -> dict[str, Any]:
    """Return why a month is refused as metadata: the reasons, and where some lines of each stand."""
    rows = [row for reason in reasons if reason.lines is not None for row in reason.rows()]
    if not reasons:
        return {}
    place = run.lake.table(REFUSED_LINES).uri
    found: dict[str, Any] = {"refused_lines": f"{place}/{month_folder(run.month)}"}
    if rows:
        told = [name for name in recordable_rows(rows)[0] if any(row.get(name) for row in rows)]
        shown_rows = [{name: row.get(name) for name in told} for row in rows]
        says = f"{wording.month_name(run.month)}. Why it is refused, and where some lines of each reason stand."
        found["reasons"] = dg.MetadataValue.md(markdown_table(shown_rows, says))
    return found


def metadata_of(table: Table, written: ir.Table, run: MonthRun) -> dict[str, Any]:
    """Return what a materialisation shows of its month, besides what publishing adds.

    Parameters
    ----------
    table : Table
        The table that was made.
    written : ibis table
        The month's rows as written.
    run : MonthRun
        The month's run; its inputs include the written tables.
    """
    schema = table.schema_for(run.settings.horizons_months)
    metadata = which_month(run, schema) | _highlights(table, run) | shown(run.notes)
    if recordable(written.columns) != list(written.columns):
        # Its rows are customers or lines: highlights and counts tell of all of them together.
        return metadata
    of_all = _BY_ATTRIBUTE in written.columns
    if of_all:
        # A value that one customer has may tell who that is.
        written = written.filter(written.attribute == ALL)
    first = written.order_by(list(schema.grain)).limit(_PREVIEW_ROWS)
    preview = run.engine.collect(first).to_pylist()
    says = f"The first rows{' of all customers' if of_all else ''} by {', '.join(schema.grain)}."
    if len(schema.columns) > _WIDE:
        preview, says = (
            _turned(preview),
            f"{says} Each is a column here; columns of the table without a value are left out.",
        )
    return metadata | {"preview": _captioned(run, says, preview)}


def which_month(run: MonthRun, schema: TableSchema) -> dict[str, Any]:
    """Return the month of a materialisation, and whether a later one is published.

    The UI calls what was made last the latest materialisation, although it may be an older month that was made again.

    Parameters
    ----------
    run : MonthRun
        The month's run.
    schema : TableSchema
        The table whose published months are looked at.
    """
    newest = max([run.month, *run.lake.table(schema).months()])
    later = "" if newest == run.month else f" (not the newest month, which is {newest}: see Partitions)"
    return {"month": f"{run.month}{later}"}


def _turned(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a line for each column that has a value."""
    names = [name for name in (rows[0] if rows else ()) if any(row[name] is not None for row in rows)]
    return [{"column": name} | {f"row {place}": row[name] for place, row in enumerate(rows, 1)} for name in names]


def _highlights(table: Table, run: MonthRun) -> dict[str, Any]:
    """Return the month's highlights, or why there are none: they never stop a month that passed its checks."""
    if table.highlights is None:
        return {}
    try:
        return highlights_metadata(table.highlights(run), run)
    except Exception as error:
        told = recordable_error(error)
        logging.getLogger(__name__).warning("No highlights of %s, %s: %s", table.name, run.month, told)
        return {"highlights": f"could not be made: {told}"}


def report_metadata(run: MonthRun, schema: TableSchema, path: str, size: int, essentials: Highlights) -> dict[str, Any]:
    """Return what the report's materialisation shows: where it is, and its main figures.

    Parameters
    ----------
    run : MonthRun
        The report's run.
    schema : TableSchema
        A table that the report reads.
    path : str
        Where the file is.
    size : int
        The file's size in bytes.
    essentials : Highlights
        The report's main figures.
    """
    base = without_credentials(os.environ.get(REPORT_URL_VARIABLE, ""), "").rstrip("/")
    name = path.rsplit("/", 1)[-1]
    report = (
        {"report": dg.MetadataValue.url(f"{base}/{month_folder(run.month)}/{name}")}
        if base
        else {"report": dg.MetadataValue.path(path), "open_with": f"{_SHOW} {run.month}"}
    )
    shown_of_it = report | highlights_metadata(essentials, run)
    return which_month(run, schema) | shown_of_it | {"dagster/uri": path, "bytes": size}


def highlights_metadata(found: Highlights, run: MonthRun) -> dict[str, Any]:
    """Return numbers, tables and, unless ``run`` leaves them out, pictures as metadata; Dagster plots the numbers."""
    metadata = shown(found.numbers)
    for name, (rows, says) in found.tables.items():
        metadata[name] = _captioned(run, says, rows)
    if found.pictures and not run.pictures:
        return metadata | {
            "pictures": f"drawn in the month's report by {_SHOW} {run.month}, and here if the month is made by itself"
        }
    month = wording.month_name(run.month)
    return metadata | {name: picture(draw(), f"{month}. {says}") for name, (draw, says) in found.pictures.items()}


def _captioned(run: MonthRun, says: str, rows: Sequence[Mapping[str, Any]]) -> dg.MarkdownMetadataValue:
    """Return a table of the month below what it shows."""
    return dg.MetadataValue.md(markdown_table(rows, f"{wording.month_name(run.month)}. {says}"))


def picture(png: bytes, says: str) -> dg.MarkdownMetadataValue:
    """Return a PNG that the UI shows without fetching anything.

    Parameters
    ----------
    png : bytes
        A small picture, because Dagster's database keeps it with the event.
    says : str
        What the picture shows, in words.
    """
    says = for_markdown(says)
    return dg.MetadataValue.md(f"![{says}](data:image/png;base64,{base64.b64encode(png).decode()})\n\n{says}")


def shown(facts: Mapping[str, object]) -> dict[str, Any]:
    """Turn facts into metadata: numbers stay numbers, the rest becomes readable."""
    found: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, bool | int | float | str):
            found[name] = value
        elif isinstance(value, Mapping):
            found[name] = dg.MetadataValue.json({str(key): inner for key, inner in value.items()})
        elif value is not None:
            found[name] = str(value)
    return found


def markdown_table(rows: Sequence[Mapping[str, Any]], says: str = "") -> str:
    """Return rows as a Markdown table below its caption; what stands in them is shown, and never taken for markup."""
    caption = f"{for_markdown(says)}\n\n" if says else ""
    if not rows:
        return f"{caption}_no rows_"
    names = list(rows[0])

    def cell(value: object) -> str:
        if isinstance(value, float):
            return f"{value:.6g}"
        text = str("" if value is None else value)
        return for_markdown(text if len(text) <= _CELL else f"{text[: _CELL - 1]}…")

    lines = ["| " + " | ".join(map(for_markdown, names)) + " |", "|" + " --- |" * len(names)]
    lines += ["| " + " | ".join(cell(row[name]) for name in names) + " |" for row in rows]
    return caption + "\n".join(lines)
