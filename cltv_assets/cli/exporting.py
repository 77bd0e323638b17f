"""``cltv export``: rows of a month, chosen by segment and column, to a file or into a table of a database."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import typer

from cltv_assets.cli.configuration import settings_to_read
from cltv_assets.cli.export_databases import is_database, write_table
from cltv_assets.cli.reading import named_or_newest, open_reader, settings_as_made
from cltv_assets.cli.whole_file import ENDINGS, write_whole
from cltv_assets.columns import MONTH, TableSchema
from cltv_assets.errors import ConfigError
from cltv_assets.settings import Settings
from cltv_assets.tables import all_schemas
from cltv_assets.tables.segmentation import SCHEMES


def export_rows(
    config: Path | None,
    month: str | None,
    to: str,
    *,
    table: str,
    segments: Sequence[str],
    columns: str | None,
    raw_text: bool = False,
    delete_missing: bool = False,
    password_variable: str,
) -> None:
    """Write a month's rows of ``table`` to ``to``, sorted by what identifies them.

    The rows are streamed, so memory does not limit the number of customers.

    Parameters
    ----------
    config : Path or None
        The settings' file.
    month : str or None
        ``YYYY-MM``; None for the newest month.
    to : str
        A file, an object on S3, or a table of a database.
    table : str
        Name of the table.
    segments : sequence of str
        RFM and value segments; with both, a customer is in one of each.
    columns : str or None
        Names with commas between them; None for all.
    raw_text, delete_missing, password_variable
        See `write_whole` and `write_table`.

    Raises
    ------
    ConfigError
        If a name is unknown or the target cannot be written.
    LakeError
        If the store refuses it.
    MissingMonthsError
        If the month is not published.
    """
    database = is_database(to)
    if not database and not to.endswith(ENDINGS):
        raise ConfigError(
            f"--to {to} ends in neither .csv nor .parquet, and is no database.",
            "Give it one of these endings, or write postgresql://user@host/database/table, "
            "mysql://user@host/database/table or file.duckdb/table.",
        )
    if delete_missing and not database:
        raise ConfigError("--delete-missing is for databases.", "A file holds the selected rows only; leave it out.")
    settings = settings_to_read(config)
    schema = _schema_of(settings, table)
    wanted_segments = _segments_of(schema, segments)
    with open_reader(settings) as reader:
        wanted = named_or_newest(reader, schema, month)
        # With the columns that the month was made with.
        schema = _schema_of(settings_as_made(settings, reader.lake, wanted), table)
        chosen = _columns_of(schema, columns, database=database)
        rows = reader.month(schema, wanted)
        for column, names in wanted_segments.items():
            rows = rows.filter(rows[column].isin(names))
        rows = rows.order_by(list(schema.grain)).select(*chosen)
        arrow = rows.schema().to_pyarrow()
        what = "predictions" if table == "cltv_predictions" else f"rows of {table}"
        if not database:
            written, harmless = write_whole(reader.engine.stream(rows), arrow, settings, to, raw_text=raw_text)
            typer.echo(f"{written:,} {what} of {wanted} written to {to}")
            if harmless:
                typer.echo(
                    f"{harmless:,} texts that a spreadsheet would take for a formula got a leading apostrophe; "
                    "--raw-text leaves them as they are."
                )
            return
        found = write_table(
            to,
            table,
            pa.RecordBatchReader.from_batches(arrow, reader.engine.stream(rows)),
            schema.grain,
            delete_missing=delete_missing,
            password_variable=password_variable,
        )
        gone = f"{found.deleted:,} deleted" if delete_missing else f"{found.left:,} others left"
        typer.echo(
            f"{found.inserted + found.changed + found.same:,} {what} of {wanted}: {found.inserted:,} inserted, "
            f"{found.changed:,} changed, {found.same:,} the same, {gone}"
        )


def _schema_of(settings: Settings, table: str) -> TableSchema:
    schemas = {schema.name: schema for schema in all_schemas(settings.horizons_months)}
    if table not in schemas:
        raise ConfigError(f"There is no table '{table}'{_near(table, schemas)}", f"Choose among {', '.join(schemas)}.")
    return schemas[table]


def _columns_of(schema: TableSchema, columns: str | None, *, database: bool) -> list[str]:
    """Return the columns to write: of a database's table always its key, and the month only if it is asked for."""
    known = [*schema.column_names, MONTH]
    if columns is None:
        # The month changes in every row, and rows that have not changed should not be written.
        return known[:-1] if database else known
    chosen = [name.strip() for name in columns.split(",")]
    for name in chosen:
        if name not in known:
            raise ConfigError(
                f"The table {schema.name} has no column '{name}'{_near(name, known)}",
                f"Its columns are {', '.join(known)}.",
            )
    if len(set(chosen)) != len(chosen):
        raise ConfigError("--columns names a column twice.", "Name each once.")
    return [*(name for name in schema.grain if name not in chosen), *chosen] if database else chosen


def _segments_of(schema: TableSchema, segments: Sequence[str]) -> dict[str, list[str]]:
    """Return the segments by the column that holds them."""
    found: dict[str, list[str]] = {}
    known = {name: column for column, names in SCHEMES.values() for name in names}
    for name in segments:
        if name not in known:
            raise ConfigError(f"There is no segment '{name}'{_near(name, known)}", f"There are {', '.join(known)}.")
        if known[name] not in schema.column_names:
            raise ConfigError(
                f"The table {schema.name} has no segments.", "Leave --segment out, or export customer_scores."
            )
        found.setdefault(known[name], []).append(name)
    return found


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 3, 0.6)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
