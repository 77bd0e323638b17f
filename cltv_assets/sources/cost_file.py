"""Reads what was spent to win new customers: a small CSV file, each line checked."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from cltv_assets.errors import SourceError
from cltv_assets.files.storage import Storage
from cltv_assets.months import Month
from cltv_assets.settings.costs import AcquisitionCosts
from cltv_assets.sources.header import find_columns
from cltv_assets.sources.reading import reading

#: More is no cost of a shop, and would not fit the column.
_MOST = Decimal(10) ** 13
_MONTH = re.compile(r"^\s*(\d{4})-(\d{2})(?:-(\d{2}))?\s*$")


@dataclass(frozen=True)
class CostLine:
    """One line of the file: its number, month, value of the attribute (None without one), spend and customers."""

    line: int
    month: Month
    value: str | None
    spend: Decimal
    new_customers: int | None


def read_costs(storage: Storage, path: str, settings: AcquisitionCosts) -> list[CostLine]:
    """Return all lines of the file.

    Raises
    ------
    SourceError
        If it is gone, lacks a column, or a line cannot be read; the first such line is named.
    """
    with reading(storage, path), storage.open_stream(path) as stream:
        data = stream.read()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SourceError(f"{path} is not text in UTF-8.", "Save it as CSV in UTF-8.") from None
    records = csv.reader(io.StringIO(text, newline=""), delimiter=settings.delimiter)
    header = next(records, None)
    if header is None:
        raise SourceError(f"{path} is empty: it has not even a header.", "Name month and spend in its first line.")
    wanted = {name: f"acquisition_costs.columns.{column}" for column, name in settings.columns.items()}
    places = find_columns(header, wanted, f"{path}, line 1", settings.delimiter)
    at = {str(column): places[name] for column, name in settings.columns.items()}
    return list(_lines(records, at, path, settings.decimal_separator))


def _lines(records: Iterator[list[str]], at: Mapping[str, int], path: str, mark: str) -> Iterator[CostLine]:
    while True:
        try:
            fields = next(records, None)
        except csv.Error as error:
            raise SourceError(f"{path}: {error}.", "Save it as plain CSV.") from None
        if fields is None:
            return
        if not any(field.strip() for field in fields):
            continue
        where = f"{path}, line {records.line_num}"  # type: ignore[attr-defined]
        if len(fields) <= max(at.values()):
            raise SourceError(f"{where}: it has {len(fields)} fields.", "Fill every column, or remove the line.")
        value = fields[at["value"]].strip() if "value" in at else None
        if value == "":
            raise SourceError(f"{where}: no value of the attribute.", "Write 'unknown' where it is not known.")
        customers = fields[at["new_customers"]].strip() if "new_customers" in at else ""
        if customers and not customers.isdecimal():
            raise SourceError(f"{where}: '{customers}' is no number of customers.", "Write a whole number, or nothing.")
        yield CostLine(
            records.line_num,  # type: ignore[attr-defined]
            _month(fields[at["month"]], where),
            value,
            _spend(fields[at["spend"]], where, mark),
            int(customers) if customers else None,
        )


def _month(text: str, where: str) -> Month:
    found = _MONTH.match(text)
    try:
        if found:
            return Month(dt.date(int(found[1]), int(found[2]), int(found[3] or 1)).replace(day=1))
    except ValueError:
        pass
    raise SourceError(f"{where}: '{text}' is no month.", "Write it as 2024-03, or a day of it as 2024-03-31.")


def _spend(text: str, where: str, mark: str) -> Decimal:
    plain = text.strip().replace(mark, ".")
    try:
        if re.fullmatch(r"-?\d+(\.\d{0,4})?", plain) and abs(spend := Decimal(plain)) < _MOST:
            return spend
    except InvalidOperation:
        pass
    raise SourceError(
        f"{where}: '{text}' is no amount.",
        "Write it with up to four decimals, without currency and thousands separators; see "
        "acquisition_costs.decimal_separator.",
    )
