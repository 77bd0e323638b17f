"""``cltv views``: a DuckDB file with the lake's tables as views, for clients that know nothing of the lake.

The views name the files of the published versions. So they show one state of the lake,
whatever is published meanwhile, until ``cltv vacuum`` deletes files that were replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import typer

from cltv_assets.cli.analysis.published import CATALOGUE, PublishedTable, catalogue, published_tables
from cltv_assets.cli.configuration import settings_to_read
from cltv_assets.cli.reading import open_lake
from cltv_assets.cli.whole_file import replacing_whole
from cltv_assets.columns import MONTH
from cltv_assets.engines.duckdb_files import query_over
from cltv_assets.errors import ConfigError
from cltv_assets.files.storage import Storage

#: The oldest version of DuckDB's files, which every later client opens.
_STORAGE_VERSION = "v1.0.0"


def write_views(config: Path | None, to: Path) -> None:
    """Write the views and say what they show.

    Raises
    ------
    ConfigError
        If the file cannot be written, or is another's.
    LakeError
        If the lake cannot be read, or holds nothing yet.
    """
    settings = settings_to_read(config)
    lake = open_lake(settings)
    if "://" in str(to).replace(":/", "://"):
        raise ConfigError(f"--to {to} is an address.", "Name a file of this machine.")
    _check_replaceable(to)
    tables = published_tables(settings, lake)
    with replacing_whole(Storage(str(to), None, ConfigError), str(to)) as path:
        _write(path, tables, lake.storage)
    newest = max((table.newest for table in tables if table.newest), default=None)
    typer.echo(
        f"{to}: {len(tables)} tables to {newest}. It shows the lake as it is now; "
        "run this command again after a run or a vacuum."
    )


def _check_replaceable(to: Path) -> None:
    """Refuse to replace a file that this command did not write."""
    if not to.exists():
        return
    try:
        with duckdb.connect(str(to), read_only=True) as connection:
            if connection.execute(
                "SELECT 1 FROM duckdb_tables() WHERE table_name = $name", {"name": CATALOGUE}
            ).fetchone():
                return
    except (duckdb.Error, OSError) as error:
        raise ConfigError(
            f"{to} is there and cannot be opened as a DuckDB file of views ({str(error).splitlines()[0]}).",
            "Choose another name, or close the program that writes to it.",
        ) from None
    raise ConfigError(f"{to} is a DuckDB file that cltv views did not write.", "Choose another name.")


def _write(path: Path, tables: Sequence[PublishedTable], storage: Storage) -> None:
    with duckdb.connect() as connection:
        if not storage.local:
            _reach_store(connection, storage)
        place = str(path).replace("'", "''")
        connection.execute(f"ATTACH '{place}' AS analysis (STORAGE_VERSION '{_STORAGE_VERSION}')")
        connection.execute("USE analysis")
        for table in tables:
            for name, files, description in table.views():
                over = query_over(table.schema, files, hive=True, filesystem=storage.filesystem)
                connection.execute(f'CREATE VIEW "{name}" AS {over}')
                connection.execute(f'COMMENT ON VIEW "{name}" IS {_text(description)}')
                for column in table.schema.columns:
                    meaning = f"{column.meaning} ({column.unit})" if column.unit else column.meaning
                    connection.execute(f'COMMENT ON COLUMN "{name}"."{column.name}" IS {_text(meaning)}')
                about = "The partition: first day of the month."
                connection.execute(f'COMMENT ON COLUMN "{name}"."{MONTH}" IS {_text(about)}')
        connection.register("listed", catalogue(tables))
        connection.execute(f"CREATE TABLE {CATALOGUE} AS SELECT *, now() AS views_made_at FROM listed")  # noqa: S608
        connection.execute("USE memory")
        connection.execute("DETACH analysis")


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _reach_store(connection: duckdb.DuckDBPyConnection, storage: Storage) -> None:
    """Let DuckDB look at files on S3 by Arrow: a view is bound when it is made."""
    from fsspec.implementations.arrow import ArrowFSWrapper

    class OnStore(ArrowFSWrapper):  # type: ignore[misc] # it has no types
        """Arrow's file system under the name that addresses on S3 begin with."""

        protocol = "s3"

    connection.register_filesystem(OnStore(storage.filesystem))
