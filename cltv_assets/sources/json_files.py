"""Reading JSON lines: an object on each line, whose fields keep the spelling that they were written in.

Python's own decoder gives numbers as text. DuckDB and Arrow are faster, but `12.50` becomes `12.5` on the way.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cltv_assets.errors import SourceError
from cltv_assets.files.storage import Storage
from cltv_assets.settings import Source
from cltv_assets.sources.csv_blocks import Blocks
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.header import find_columns
from cltv_assets.sources.reading import Lines, Stretch, in_batches, values_in_path, with_path_values
from cltv_assets.sources.text_files import TextReader, endings

_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)
_TEXTS = {str, type(None)}
#: Lines whose names are the file's columns.
_SAMPLED = 1_000
#: Holds the other fields of a line among those that the settings name; no name of a field is a blank.
_OTHERS = " "
#: Settings of columns that an object may lack because nothing happened yet: no refund, no cancellation.
_SPARSE = ("source.columns.refund_amount", "source.columns.refunded_at", "source.columns.attributes", "source.where")


class JsonReader(TextReader):
    """Reads files with a JSON object on each line; ``customer.id`` is the field `id` of the field `customer`."""

    suffixes = endings(".jsonl", ".ndjson", ".json")
    what = "a file of JSON lines"

    def __init__(self, storage: Storage, source: Source) -> None:
        super().__init__(storage, source)
        self._keeps: dict[str, bool] = {}

    def columns(self, file: SourceFile) -> tuple[str, ...]:
        """Return the names in the first objects, nested ones by dots, but not lists, and those that the path gives."""
        with self._blocks(file) as (blocks, _):
            names = self._names(file, blocks)
        plain = (name for name, is_plain in names.items() if is_plain)
        return (*plain, *(name for name in values_in_path(file) if name not in names))

    def whole_lines(self, data: bytes) -> bool:
        """Whether a cut after any line feed of some whole lines is safe: strings hold no line breaks."""
        return data.count(b"\r") == data.count(b"\r\n")

    def read(self, file: SourceFile, stretch: Stretch | None = None) -> Iterator[Lines]:
        """Yield all lines or those of a stretch; those that are no objects of plain values keep their text."""
        with self._blocks(file, stretch) as (start, blocks):
            names, given = self._names(file, start), values_in_path(file)
            fields = [name for name in self._wanted if name in names or name.strip() not in given]
            found = in_batches([*fields, _OTHERS], self._records(blocks, fields))
            yield from with_path_values(map(_apart, found), file, self._wanted)

    def _names(self, file: SourceFile, blocks: Blocks) -> dict[str, bool]:
        """Look at the first lines without taking them, and require the wanted columns there; lists are not plain."""
        lines: list[str] = []
        while len(lines) < _SAMPLED and (line := blocks.next_line()) is not None:
            lines.append(line)
        blocks.return_lines(lines)
        objects = [found for line in lines if isinstance(found := _decoded(line), dict)]
        names: dict[str, bool] = {}
        for name, value in (pair for found in objects for pair in fields_of(found)):
            names[name] = names.get(name, True) and not isinstance(value, list)
        texts = [line.strip() for line in lines if not line.isspace()]
        if texts and not objects:
            whole = (
                "is one JSON array"
                if texts[0].startswith("[")
                else f"holds no JSON object in its first {len(lines):,} lines"
            )
            raise SourceError(
                f"{file.address} {whole}, where each line must hold an object.",
                "Write one object to a line, without a comma after it (jq -c '.[]' does).",
            )
        if objects:
            where = f"{file.address}, first {len(objects):,} objects"
            find_columns(list(names), self._required(names), where, given=values_in_path(file))
        return names

    def _required(self, names: Mapping[str, bool]) -> dict[str, str]:
        """Return the columns that must be there: none that comes with some lines only, if its name is not mistyped."""
        ids = self._source.mapping["customer_id"]
        others = [name for name in names if name not in self._wanted]

        def is_sparse(name: str, setting: str) -> bool:
            one_of_several = name in ids and any(other in names for other in ids)
            return (one_of_several or setting in _SPARSE) and not difflib.get_close_matches(name, others, 1, 0.8)

        return {
            name: setting for name, setting in self._wanted.items() if name in names or not is_sparse(name, setting)
        }

    def _records(self, blocks: Blocks, fields: Sequence[str]) -> Iterator[tuple[int, Sequence[str | None] | str]]:
        while (line := blocks.next_line()) is not None:
            if not line.isspace():
                row = self._row(line, fields)
                yield blocks.line - 1, line.removesuffix("\n").removesuffix("\r") if row is None else row

    def _row(self, line: str, fields: Sequence[str]) -> list[str | None] | None:
        """Return the fields of a line and the others as JSON; None if it is no object, or a field no plain value."""
        found = _decoded(line)
        if not isinstance(found, dict):
            return None
        row = [found.get(name) for name in fields]
        if not _TEXTS.issuperset(map(type, row)) or None in row:
            row = [_plain(found, name) for name in fields]
            if not _TEXTS.issuperset(map(type, row)):
                return None
        # Half of a pair of characters is no text.
        if "\\u" in line and not _is_text("".join(filter(None, row))):
            return None
        return [*row, self._others(found)]

    def _others(self, found: dict[str, Any]) -> str | None:
        """Return the fields that are kept beside those of the settings; lists stay lists."""
        if self._source.keep_other_columns is False:
            return None
        keeps, kept = self._keeps, {}
        for name, value in fields_of(found):
            if name not in keeps:
                keeps[name] = self._source.keeps(name)
            if keeps[name] and value is not None and value != "":
                kept[name] = _spelled(value)
        text = json.dumps(kept, ensure_ascii=False) if kept else None
        # Half of a pair of characters is no text, but may be written as one.
        return text if text is None or text.isascii() or _is_text(text) else json.dumps(kept)


def _apart(lines: Lines) -> Lines:
    columns = dict(lines.columns)
    return replace(lines, others=columns.pop(_OTHERS), columns=columns)


def _spelled(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _decoded(line: str) -> Any:
    text = line.strip(" \t\r\n")
    try:
        found, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return found if end == len(text) else None


def fields_of(found: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield an object's fields, those of objects inside by names with dots."""
    for name, value in found.items():
        if isinstance(value, dict):
            yield from fields_of(value, f"{before}{name}.")
        else:
            yield before + name, value


def _plain(found: Any, name: str) -> Any:
    """Return a field, by its name or by the names of those that it is nested in, with `true` and `false` as text."""
    for part in [name] if name in found else name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return _spelled(found)
