"""What damage to the lake means: which months of which tables are lost, and the command that makes them again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from cltv_assets.errors import CltvError, EngineError, LakeError
from cltv_assets.lake import Lake
from cltv_assets.lake.damage import Damage
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables import TABLES, lake_schemas
from cltv_assets.tables.refused_lines import REFUSED_LINES

#: Files that a message names.
_SHOWN = 3
#: How Arrow and the stores say that a file is gone or torn, where an error of ours wraps it.
_TORN = re.compile(r"No such file|[Pp]arquet|[Tt]hrift|magic|NO_SUCH_KEY|NoSuchKey|404|[Cc]orrupt|[Dd]ecompress")


class Lost(Protocol):
    """A month of a table that must be made again."""

    @property
    def table(self) -> str: ...  # noqa: D102 - as in `Damage`
    @property
    def month(self) -> Month: ...  # noqa: D102


def commands(settings: Settings, lost: Iterable[Lost], given: str = "") -> list[str]:
    """Return what to run, in order: a command for each stretch of months that have lost the same tables.

    What is made from kept tables is made from them, with what is made from it; ``raw_transactions`` from the source.
    """
    by_month: dict[Month, set[str]] = {}
    for one in lost:
        by_month.setdefault(one.month, set()).add(one.table)
    stretches: list[tuple[Month, Month, str]] = []
    for month, tables in sorted(by_month.items()):
        select = _selection(settings, tables)
        if stretches and stretches[-1][1] == month.shift(-1) and stretches[-1][2] == select:
            stretches[-1] = stretches[-1][0], month, select
        else:
            stretches.append((month, month, select))
    return [f"cltv run --from {first} --to {last}{select}{given}" for first, last, select in stretches]


def sentences(damage: Sequence[Damage]) -> list[str]:
    """Return a sentence for each damaged file: table, month, file, what is wrong and what is lost."""
    return [
        f"Table {one.table}, month {one.month}: the file {one.file} {one.what}; its {one.rows:,} "
        f"row{'s are' if one.rows != 1 else ' is'} lost."
        for one in damage
    ]


def error_of(settings: Settings, damage: Sequence[Damage]) -> LakeError:
    """Return the error to raise where damaged files were met."""
    said = sentences(damage[:_SHOWN])
    if len(damage) > _SHOWN:
        said.append(f"And {len(damage) - _SHOWN} more files.")
    return LakeError(" ".join(said), f"To make it again, run {', then '.join(commands(settings, damage))}")


@contextmanager
def damage_explained(settings: Settings, lake: Lake) -> Iterator[None]:
    """Raise a ``LakeError`` that names damaged files where reading failed because of them.

    Engines and readers each say in their own words, or with a wrong value, that a file is torn. So after an error
    the files that were handed out for reading are compared with what was published.
    """
    try:
        yield
    except Exception as error:
        # Most of our own errors say what is wrong already.
        torn = isinstance(error, EngineError) or (isinstance(error, LakeError) and _TORN.search(_cause(error)))
        if isinstance(error, CltvError) and not torn:
            raise
        damage = read_and_damaged(settings, lake)
        if not damage:
            raise
        raise error_of(settings, damage) from error


def read_and_damaged(settings: Settings, lake: Lake) -> list[Damage]:
    """Return the damaged ones of the files that were handed out for reading."""
    handed_out = {name: set(files) for name, files in lake.opener.handed_out.items()}
    found: list[Damage] = []
    for schema in lake_schemas(settings.horizons_months):
        files = handed_out.get(schema.name)
        if files:
            found += (one for one in lake.table(schema).verify(files=files).damage if one.file in files)
    return found


def _cause(error: BaseException) -> str:
    return "" if error.__cause__ is None else str(error.__cause__)


def _selection(settings: Settings, tables: set[str]) -> str:
    """Return the option that selects tables with what is made from them; empty for all assets."""
    # The step that refuses a month writes why, and nobody knows which one that was.
    if tables & {RAW_TRANSACTIONS.name, REFUSED_LINES.name}:
        return ""
    above: dict[str, set[str]] = {}
    for table in TABLES:
        given = {one.table for one in table.inputs(settings)}
        above[table.name] = given.union(*(above[name] for name in given))
    made_with = {table.name: table.made_with for table in TABLES if table.made_with}
    first = {made_with.get(name, name) for name in tables}
    chosen = [table.name for table in TABLES if table.name in first and not above[table.name] & first]
    return f" --select {','.join(f'{name}+' for name in chosen)}"
