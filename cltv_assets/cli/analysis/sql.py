"""``cltv sql``: what a query gives, on the screen or in a file."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from cltv_assets.cli.analysis.asking import asked
from cltv_assets.cli.analysis.printing import print_csv, print_json, print_table, refuse_for_csv
from cltv_assets.cli.analysis.published import published_tables
from cltv_assets.cli.configuration import settings_to_read
from cltv_assets.cli.reading import open_lake
from cltv_assets.cli.whole_file import check_ending, write_whole
from cltv_assets.errors import ConfigError
from cltv_assets.foreign import visible
from cltv_assets.tables.damage import damage_explained

#: The form that people read; the others are for programs.
TABLE = "table"
FORMATS = (TABLE, "csv", "json")


def answer(config: Path | None, query: str | None, file: Path | None, form: str, to: str | None, limit: int) -> None:
    """Run a query over the lake's published tables and show or write its rows.

    Raises
    ------
    ConfigError
        If the command does not say what to ask, or where the answer can go.
    QueryError
        If the query is wrong.
    LakeError
        If the lake cannot be read, or holds nothing yet.
    """
    if form not in FORMATS:
        raise ConfigError(f"--format {form} is none of {', '.join(FORMATS)}.", "Give one of these.")
    if to is not None:
        check_ending(to)
    text = _text(query, file)
    settings = settings_to_read(config)
    lake = open_lake(settings)
    with (
        damage_explained(settings, lake),
        asked(text, published_tables(settings, lake), lake.storage, settings.duckdb_memory_limit) as rows,
    ):
        if to is not None:
            if to.endswith(".csv"):
                refuse_for_csv(rows.schema)
            written, harmless = write_whole(rows.batches, rows.schema, settings, to)
            typer.echo(f"{written:,} row{'' if written == 1 else 's'} written to {to}")
            if harmless:
                typer.echo(f"{harmless:,} texts that a spreadsheet would take for a formula got a leading apostrophe.")
        elif form == TABLE:
            print_table(rows, limit)
        elif form == "json":
            print_json(rows)
        else:
            print_csv(rows)


def _text(query: str | None, file: Path | None) -> str:
    if (query is None) == (file is None):
        raise ConfigError(
            "There must be one question." if query is None else "There are two questions: one as text, one in a file.",
            'Give it as text (cltv sql "SELECT …"), in a file (-f FILE), or on standard input (cltv sql -).',
        )
    if query is not None:
        return sys.stdin.read() if query == "-" else query
    assert file is not None
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.", "Name a file with one SELECT.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{file} is no text in UTF-8 ({visible(str(error))}).", "Save it as UTF-8, and name a file with one SELECT."
        ) from None
