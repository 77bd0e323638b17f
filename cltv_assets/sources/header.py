"""Finds the columns that the settings name in a header, and says what is wrong where it cannot."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence

from cltv_assets.errors import SourceError
from cltv_assets.settings import Source

_NO_HEADER = "If no line names them, set source.header: false and name the columns by their position: 1, 2, …"
#: Other delimiters to suggest, with the spelling that YAML needs.
_DELIMITERS = {",": '","', ";": '";"', "\t": '"\\t"', "|": '"|"', ":": '":"'}
#: Largest number of column names that an error message quotes.
_SHOWN = 30


def require_header_here(
    header: Sequence[str],
    wanted: Collection[str],
    where: str,
    further: Iterable[tuple[int, Sequence[str]]],
    delimiter: str | None = None,
) -> None:
    """Refuse a header that lacks columns if they stand in a line further down.

    Parameters
    ----------
    header, wanted, where, delimiter
        As for `find_columns`.
    further : iterable of tuple
        Number and fields of the next lines; they are taken only if a column lacks.
    """
    names = {name.strip() for name in wanted}
    if names <= {name.strip() for name in header}:
        return
    for number, fields in further:
        if names <= {name.strip() for name in fields} or (delimiter and _better_delimiter(fields, names, delimiter)):
            raise SourceError(
                f"{where}: the columns do not stand there, but in line {number}.",
                f"Set source.skip_rows: {number - 1}.",
            )


def find_columns(
    header: Sequence[str],
    wanted: Mapping[str, str],
    where: str,
    delimiter: str | None = None,
    given: Collection[str] = (),
    hint: str = "",
) -> dict[str, int]:
    """Return the position of each wanted column in a header.

    Names are compared without surrounding blanks. A repeated name is an error only if
    it is wanted, because the other columns are not read.

    Parameters
    ----------
    header : sequence of str
        The names as delivered.
    wanted : mapping of str to str
        The source's name of a column to the setting that asks for it, see ``Source.wanted``.
    where : str
        File and line, for messages.
    delimiter : str, optional
        What the header was split by, if it is text.
    given : collection of str
        Columns that need not stand there, because the file's path names them.
    hint : str
        A further remedy.

    Raises
    ------
    SourceError
        If a column is missing or appears twice.
    """
    names = [name.strip() for name in header]
    missing = [name for name in wanted if name.strip() not in names and name.strip() not in given]
    if missing:
        other = _better_delimiter(header, [name.strip() for name in wanted], delimiter) if delimiter else None
        if other:
            raise SourceError(
                f"{where}: the header is not separated by {_DELIMITERS.get(delimiter or '', repr(delimiter))} "
                f"but by {_DELIMITERS[other]}.",
                f"Set source.delimiter: {_DELIMITERS[other]}.",
            )
        inner = next(csv.reader(names, delimiter=delimiter)) if delimiter and len(names) == 1 else []
        if len(inner) > 1 and set(missing) <= {name.strip() for name in inner}:
            raise SourceError(
                f"{where}: each line stands in quotes as a whole, so it has one field.",
                'Take these quotes off, for example: sed -E \'s/^"(.*)"\\r?$/\\1/; s/""/"/g\' FILE > NEW_FILE.',
            )
        data = delimiter and len(missing) == len(wanted) and any(name[:1].isdigit() for name in names)
        raise _missing(names, {name: wanted[name] for name in missing}, where, hint=_NO_HEADER if data else hint)
    for name, setting in wanted.items():
        if (count := names.count(name.strip())) > 1:
            raise SourceError(
                f"{where}: the column '{name.strip()}' stands there {count} times, and {setting} could mean any of "
                "them.",
                "Deliver the file with distinct names. Or, for CSV and Excel, name the columns by their position: "
                "set source.header: false, and count the header in source.skip_rows.",
            )
    return {name: names.index(name.strip()) for name in wanted if name.strip() in names}


def other_places(header: Sequence[str], source: Source) -> dict[str, int]:
    """Return the places of the columns that no setting uses and that are kept all the same.

    A column without a name, or with the name of one before it, is told by its position, counted from 1.
    """
    found: dict[str, int] = {}
    used = {name.strip() for name in source.wanted}
    for at, delivered in enumerate(header):
        name = delivered.strip() or str(at + 1)
        if name not in used and source.keeps(name):
            found[f"{name} ({at + 1})" if name in found else name] = at
    return found


def _missing(names: Sequence[str], missing: Mapping[str, str], where: str, hint: str) -> SourceError:
    parts, hints = [], []
    for name, setting in missing.items():
        parts.append(f"'{name}' ({setting})")
        by_case = {other.lower(): other for other in names}
        near = difflib.get_close_matches(name.lower(), by_case, 1)
        if near:
            hints.append(f"For '{name}' did you mean '{by_case[near[0]]}'?")
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    there = f"The columns there are {', '.join(names[:_SHOWN])}{more}"
    # What stands there without a header may be a customer's line.
    hints.append(f"Correct {_section(missing)}." if hint == _NO_HEADER else f"{there}; correct {_section(missing)}.")
    hints += [hint] if hint else []
    noun = "column" if len(parts) == 1 else "columns"
    quoted = f"{there}." if hint == _NO_HEADER else ""
    return SourceError(f"{where}: no {noun} {' and '.join(parts)}.", " ".join(hints), quoted=quoted)


def _section(wanted: Mapping[str, str]) -> str:
    """Return the section of the settings that names some columns."""
    section = next(iter(wanted.values())).partition(".")[0]
    return section if section in ("customers", "acquisition_costs") else "source.columns"


def _better_delimiter(header: Sequence[str], wanted: Iterable[str], delimiter: str) -> str | None:
    """Return a delimiter that splits the header into the configured columns."""
    text = delimiter.join(header)
    for other in _DELIMITERS:
        if other != delimiter and set(wanted) <= {part.strip().strip('"') for part in text.split(other)}:
            return other
    return None
