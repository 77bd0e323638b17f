"""Reading Excel workbooks: every sheet is a file of its own, with the row numbers that Excel shows."""

from __future__ import annotations

import datetime as dt
import importlib
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from itertools import islice
from typing import Any

from cltv_assets.errors import EmptyFileError, SourceError
from cltv_assets.files.storage import Storage
from cltv_assets.settings import Source
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.header import find_columns, other_places, require_header_here
from cltv_assets.sources.reading import SEARCHED, Lines, Members, in_batches, reading, values_in_path, with_path_values

_OTHER_SHEETS = "If the sheet holds something else, name those to read in source.sheet."


class ExcelReader:
    """Reads workbooks with the sheets and columns that ``source`` names."""

    suffixes: tuple[str, ...] = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")

    def __init__(self, storage: Storage, source: Source) -> None:
        self._storage = storage
        self._source = source
        self._wanted = source.wanted
        self._listed: dict[SourceFile, Members] = {}

    def members(self, file: SourceFile) -> Members:
        """Return the sheets that are read: those of ``source.sheet``, or all visible ones with one of the columns."""
        if file.size == 0:
            return Members(None)
        if file not in self._listed:
            with self._open(file) as workbook:
                known = _calamine()
                sheets = [one for one in workbook.sheets_metadata if one.typ == known.SheetTypeEnum.WorkSheet]
                there = [sheet.name for sheet in sheets]
                visible = [sheet.name for sheet in sheets if sheet.visible == known.SheetVisibleEnum.Visible]
                if unknown := [name for name in self._source.sheet if name not in there]:
                    raise SourceError(
                        f"{file.path} has no sheet '{unknown[0]}'. Its sheets are {', '.join(there)}.",
                        "Correct source.sheet.",
                    )
                found = [name for name in visible if self._has_columns(workbook, name)]
            # With none at all, reading the first one says what it lacks.
            read = self._source.sheet or tuple(found) or tuple((visible or there)[:1])
            self._listed[file] = Members(read, tuple(name for name in there if name not in read))
        return self._listed[file]

    def columns(self, file: SourceFile) -> tuple[str, ...]:
        """Return the header's names, and those that the file's path gives."""
        with self._open(file) as workbook:
            names = self._header(file, _rows(workbook, file.member))[0]
        return (*filter(None, names), *(name for name in values_in_path(file) if name not in names))

    def read(self, file: SourceFile) -> Iterator[Lines]:
        """Yield all rows of a sheet that are not blank."""
        with self._open(file) as workbook:
            rows = _rows(workbook, file.member)
            _, places, first = self._header(file, rows)
            found = ((number, [_text(row[place]) for place in places.values()]) for number, row in (*first, *rows))
            yield from with_path_values(in_batches(list(places), found), file, self._wanted)

    def _header(
        self, file: SourceFile, rows: Iterator[tuple[int, Sequence[Any]]]
    ) -> tuple[list[str], dict[str, int], list[tuple[int, Sequence[Any]]]]:
        """Take the header's row; return the names, where the read ones are, and the first row if it is no header."""
        number, row = next(((n, row) for n, row in rows if n > self._source.skip_rows), (0, []))
        where, given = f"{file.address}, row {number}", values_in_path(file)
        if not number:
            raise EmptyFileError(
                f"{file.address} is empty: it has not even a header.",
                "Fill the sheet, or name those to read in source.sheet.",
            )
        names = [(_text(cell) or "").strip() if self._source.header else str(at) for at, cell in enumerate(row, 1)]
        if self._source.header:
            further = ((n, [_text(cell) or "" for cell in cells]) for n, cells in islice(rows, SEARCHED))
            require_header_here(names, [name for name in self._wanted if name.strip() not in given], where, further)
        places = find_columns(names, self._wanted, where, given=given, hint=_OTHER_SHEETS)
        places |= other_places(names, self._source)
        return names, places, [] if self._source.header else [(number, row)]

    def _has_columns(self, workbook: Any, sheet: str) -> bool:
        """Whether a row where a header could be names a wanted column."""
        rows = list(islice(_rows(workbook, sheet), self._source.skip_rows + SEARCHED))
        if not self._source.header:
            return bool(rows)
        wanted = {name.strip() for name in self._wanted}
        return any(wanted.intersection((_text(cell) or "").strip() for cell in row) for _, row in rows)

    @contextmanager
    def _open(self, file: SourceFile) -> Iterator[Any]:
        calamine = _calamine()
        with reading(self._storage, file.path):
            if file.size == 0:
                raise EmptyFileError(f"{file.path} is empty (0 bytes).", "Deliver it again, or remove it.")
            try:
                yield calamine.CalamineWorkbook.from_filelike(io.BytesIO(self._storage.read(file.path)))
            except calamine.PasswordError:
                raise SourceError(f"{file.path} has a password.", "Save the workbook without one.") from None
            except calamine.CalamineError as error:
                raise SourceError(
                    f"{file.path} is not a readable Excel workbook: {' '.join(str(error).split())}.",
                    "Deliver it again; if it is text, set source.kind: csv.",
                ) from None


def _calamine() -> Any:
    try:
        return importlib.import_module("python_calamine")
    except ImportError:
        raise SourceError(
            "Reading Excel workbooks needs the extra excel.",
            "Install it (pip install 'cltv-assets[excel]'), or export the sheets as CSV.",
        ) from None


def _rows(workbook: Any, sheet: str | None) -> Iterator[tuple[int, Sequence[Any]]]:
    """Yield the rows that are not blank, with their numbers in Excel and with all cells from column A on."""
    opened = workbook.get_sheet_by_name(sheet)
    before = [""] * opened.start[1] if opened.start else []
    for number, row in enumerate(opened.iter_rows(), 1):
        if any(cell != "" for cell in row):
            yield number, before + row


def _text(cell: Any) -> str | None:
    """Return a cell's value: dates in ISO form, numbers without an exponent and, if they are whole, without a point."""
    if isinstance(cell, str):
        return cell or None
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        text = repr(cell)
        return format(Decimal(text), "f").removesuffix(".0") if "e" in text else text.removesuffix(".0")
    if isinstance(cell, dt.timedelta):
        minutes, seconds = divmod(int(cell.total_seconds()), 60)
        return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
    return str(cell)
