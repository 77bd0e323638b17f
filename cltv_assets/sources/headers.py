"""Finding the configured columns in a file's header, and explaining why not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

from cltv_assets.errors import SourceError
from cltv_assets.settings import CanonicalName

#: What else separates fields, with the spelling that YAML needs.
_DELIMITERS = {",": '","', ";": '";"', "\t": '"\\t"', "|": '"|"', ":": '":"'}
#: Column names that an error message quotes at most.
_SHOWN = 30


def find_columns(
    header: Sequence[str], columns: Mapping[CanonicalName, str], where: str, delimiter: str | None = None
) -> dict[CanonicalName, int]:
    """Return the position of each configured column.

    Names are compared without surrounding blanks. A name that stands twice is an
    error only where it is a configured one: the others are not read.

    Parameters
    ----------
    header : sequence of str
        The names as delivered.
    columns : mapping
        Canonical name to the source's column name.
    where : str
        File and line, for messages.
    delimiter : str, optional
        What the header was split by, where it was.

    Raises
    ------
    SourceError
        If a column is missing, or stands there twice.
    """
    names = [name.strip() for name in header]
    wanted = {canonical: name.strip() for canonical, name in columns.items()}
    missing = {canonical: name for canonical, name in wanted.items() if name not in names}
    if missing:
        other = _better_delimiter(header, wanted.values(), delimiter) if delimiter else None
        if other:
            raise SourceError(
                f"{where}: the header is not separated by {_DELIMITERS.get(delimiter or '', repr(delimiter))} "
                f"but by {_DELIMITERS[other]}.",
                f"Set source.delimiter: {_DELIMITERS[other]}.",
            )
        raise _missing(names, missing, where)
    for canonical, name in wanted.items():
        if (count := names.count(name)) > 1:
            raise SourceError(
                f"{where}: the column '{name}' stands there {count} times, and source.columns.{canonical} could "
                "mean any of them.",
                "Deliver the file with distinct column names.",
            )
    return {canonical: names.index(name) for canonical, name in wanted.items()}


def _missing(names: Sequence[str], missing: Mapping[CanonicalName, str], where: str) -> SourceError:
    parts, hints = [], []
    for canonical, name in missing.items():
        parts.append(f"'{name}' (source.columns.{canonical})")
        by_case = {other.lower(): other for other in names}
        near = difflib.get_close_matches(name.lower(), by_case, 1)
        if near:
            hints.append(f"For '{name}' did you mean '{by_case[near[0]]}'?")
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    hints.append(f"The columns there are {', '.join(names[:_SHOWN])}{more}; correct source.columns.")
    noun = "column" if len(parts) == 1 else "columns"
    return SourceError(f"{where}: no {noun} {' and '.join(parts)}.", " ".join(hints))


def _better_delimiter(header: Sequence[str], wanted: Iterable[str], delimiter: str) -> str | None:
    """Return a delimiter that splits the header into the configured columns."""
    text = delimiter.join(header)
    for other in _DELIMITERS:
        if other != delimiter and set(wanted) <= {part.strip().strip('"') for part in text.split(other)}:
            return other
    return None
