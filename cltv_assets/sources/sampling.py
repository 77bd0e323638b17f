"""Reads the first lines of files that nobody has described yet, and finds out what form they have."""

from __future__ import annotations

import collections
import csv
import glob
import itertools
import json
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from cltv_assets.errors import SourceError
from cltv_assets.sources.databases import form_of
from cltv_assets.sources.json_files import fields_of
from cltv_assets.sources.proposing import formats_together
from cltv_assets.sources.tables import MonthsOfTable

_KINDS = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".parquet": "parquet",
    **dict.fromkeys((".xlsx", ".xlsm", ".xls", ".ods"), "excel"),
}  # fmt: skip
_PACKED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
#: How exports write that nothing stands there.
_NOTHING = {"", "\\N", "NULL", "null", "NaN", "nan", "None"}
#: Lines at the beginning and at the end of each file that are looked at, and rows of a table.
_FIRST, _LAST = 20_000, 1_000
#: Characters that hold the lines by which the form of a file is told.
_HEAD = 1 << 20


@dataclass
class Sample:
    """The first and last lines of files, as text, with what was found out about their form: setting, value and note.

    ``joined`` has columns that are one when joined by a blank, by the name that both have here; ``ends`` has times
    between which all lie, where ``rows`` may lack the last.
    """

    kind: str
    options: list[tuple[str, Any, str]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    rows: list[dict[str, str]] = field(default_factory=list)
    joined: dict[str, list[str]] = field(default_factory=dict)
    ends: list[str] = field(default_factory=list)

    def join(self, first: str, second: str) -> str:
        """Add two columns as one, and return its name."""
        name = f"{first} {second}"
        self.joined[name] = [first, second]
        for row in self.rows:
            row[name] = f"{row.get(first, '')} {row.get(second, '')}".strip()
        return name

    def values(self, name: str) -> list[str]:
        """Return what stands in a column, without what means nothing."""
        return [text for row in self.rows if (text := row.get(name, "").strip()) not in _NOTHING]

    def dates(self, name: str) -> list[str]:
        """Return what may be times: a row of totals has a word there."""
        return [text for text in self.values(name) if re.search(r"\d", text)]


def sample_of(table: MonthsOfTable, kind: str) -> Sample:
    """Return some rows of a table."""
    sample = Sample(kind)
    for lines in table.some(_FIRST):
        sample.names = list(lines.columns)
        columns = [texts.to_pylist() for texts in lines.columns.values()]
        rows = zip(*columns, strict=True)
        sample.rows += [{n: text or "" for n, text in zip(sample.names, row, strict=True)} for row in rows]
    return sample


def files_at(path: str) -> list[Path]:
    """Return the files of a path; raise a ``SourceError`` if there is none."""
    found = sorted(Path(path).rglob("*")) if Path(path).is_dir() else [Path(name) for name in sorted(glob.glob(path))]  # noqa: PTH207
    files = [file for file in found if file.is_file() and not file.name.startswith((".", "_", "cltv."))]
    if not files:
        raise SourceError(f"There is no file at {path}.", "Give the path of a file, a folder or a glob in quotes.")
    return files


def sampled(file: Path) -> Sample:
    """Return the first lines of a file, with the columns that its folders name."""
    sample = _read(file)
    for part in file.parent.parts:
        name, equals, value = part.partition("=")
        if equals and name not in sample.names:
            sample.names.append(name)
            for row in sample.rows:
                row[name] = value
    return sample


def _read(file: Path) -> Sample:
    packing = _PACKED.get(file.suffix.lower())
    kind = _KINDS.get((file.with_suffix("") if packing else file).suffix.lower(), "csv")
    try:
        if kind == "parquet":
            table = pq.read_table(file, partitioning=None)
            last = max(_FIRST, table.num_rows - _LAST)
            table = pa.concat_tables([table.slice(0, _FIRST), table.slice(last)])
            return _of_rows(kind, table.column_names, [list(row.values()) for row in table.to_pylist()])
        if kind == "excel":
            lines = _sheet(file)
            at = _header_at(lines)
            sample = _of_rows(kind, [str(name) for name in lines[at]], _ends(lines[at + 1 :]))
            sample.options += [("skip_rows", at, "lines before the header")] if at else []
            return sample
        data = file.read_bytes()
        if form_of(data[:16]) is not None:
            raise SourceError(f"{file} is a database.", "Name its table: cltv init FILE --table TABLE.")
        if packing:
            data = pa.CompressedInputStream(pa.BufferReader(data), packing).read()
        if file.suffix.lower() == ".zip":
            with zipfile.ZipFile(file) as archive:
                member = Path(next(name for name in sorted(archive.namelist()) if not name.endswith("/")))
                data = archive.read(str(member))
                if packing := _PACKED.get(member.suffix.lower()):
                    data = pa.CompressedInputStream(pa.BufferReader(data), packing).read()
                kind = _KINDS.get((member.with_suffix("") if packing else member).suffix.lower(), "csv")
        text, encoding = _decoded(data)
        if kind == "jsonl":
            objects = [dict(fields_of(json.loads(line))) for line in _ends(text.splitlines()) if line.strip()]
            names = list(dict.fromkeys(name for each in objects for name in each))
            return _of_rows(kind, names, [[each.get(name) for name in names] for each in objects])
        return _of_csv(text, encoding)
    except (OSError, ValueError, IndexError, zipfile.BadZipFile) as error:
        raise SourceError(f"{file} cannot be read: {error}.", "Write cltv.yaml by hand: see docs/data_in.md.") from None


def _ends(rows: Iterable[Any]) -> list[Any]:
    """Return the first and the last rows."""
    left = iter(rows)
    return [*itertools.islice(left, _FIRST), *collections.deque(left, _LAST)]


def _sheet(file: Path) -> list[list[Any]]:
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError:
        raise SourceError(
            f"{file} is a workbook, and source.kind excel needs the extra excel.",
            "Install it: pip install 'cltv-assets[excel]'.",
        ) from None
    try:
        rows: list[list[Any]] = CalamineWorkbook.from_path(str(file)).get_sheet_by_index(0).to_python()
        return rows
    except CalamineError as error:
        raise ValueError(error) from None


def _of_rows(kind: str, names: list[str], rows: list[list[Any]]) -> Sample:
    return Sample(
        kind,
        names=[name for name in names if name],
        rows=[
            {name: "" if value is None else str(value) for name, value in zip(names, row, strict=False) if name}
            for row in rows
        ],
    )


def _header_at(rows: Sequence[Sequence[Any]]) -> int:
    """Return which of the first rows is the header: the first that is as full as most, or fuller."""
    filled = [sum(cell not in ("", None) for cell in row) for row in rows[:50]]
    usual = collections.Counter(count for count in filled if count > 1).most_common(1)
    return next((at for at, count in enumerate(filled) if usual and count >= usual[0][0]), 0)


def _decoded(data: bytes) -> tuple[str, str]:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16"), "utf-16"
    try:
        return data.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        pass
    for encoding in ("cp1252", "cp932"):
        try:
            return data.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return data.decode("cp1252", "replace"), "cp1252"


def _of_csv(text: str, encoding: str) -> Sample:
    head = text[:_HEAD].splitlines()[:50]
    escape = "\\" if '\\"' in text else None

    # A record ends with its line where quotes are ordinary characters: some line has one that is never closed. Only
    # in lists between tabs: elsewhere a note of several lines is usual, and a tab may stand in it.
    plain = "\t" in "".join(head[:1]) and any(line.count('"') % 2 for line in text.splitlines())
    quoting: Literal[0, 3] = csv.QUOTE_NONE if plain else csv.QUOTE_MINIMAL

    def widths(delimiter: str) -> list[int]:
        return [len(row) for row in csv.reader(head, delimiter=delimiter, escapechar=escape, quoting=quoting)]

    def agreement(delimiter: str) -> tuple[int, int]:
        width, count = collections.Counter(widths(delimiter)).most_common(1)[0]
        return (count, width) if width > 1 else (0, 0)

    delimiter = max(",;\t|", key=agreement)
    wide = collections.Counter(widths(delimiter)).most_common(1)[0][0]
    # One by one, because a list of them, or a buffer, takes several times as much memory.
    lines = (found[0] for found in re.finditer(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text))
    rows = _ends(csv.reader(lines, delimiter=delimiter, escapechar=escape, quoting=quoting))
    fits = [len(row) > 1 and abs(len(row) - wide) <= 1 and 2 * sum(map(bool, row)) > len(row) for row in rows[:50]]
    skipped = fits.index(True) if True in fits else 0
    names = [name.strip() for name in rows[skipped]]
    body = [row for row in rows[skipped + 1 :] if row]
    if len(names) == 1 and re.search(r"\w[,;\t|]\w", names[0]):
        raise ValueError("each line stands in quotes as a whole; take these quotes off")
    headerless = any(formats_together([name]) for name in names if name)
    if headerless:
        names, body = [str(at) for at in range(1, len(names) + 1)], [rows[skipped], *body]
    sample = _of_rows("csv", names, body)
    uneven = sum(len(row) != len(names) for row in body)
    for setting, value, note, said in (
        ("delimiter", delimiter, f"{len(body) - uneven:,} of {len(body):,} lines have {len(names)} fields",
         delimiter != ","),
        ("encoding", encoding, "? not UTF-8; are letters with accents right?", encoding != "utf-8"),
        ("skip_rows", skipped, "lines before the header", skipped > 0),
        ("header", False, "? the first line holds values; name the columns by their positions", headerless),
        ("escape", escape, "a backslash stands before quotes", escape is not None),
        ("quoting", "none", "? some lines have a quote that is not closed", plain),
        ("ragged", "pad", f"? {uneven:,} lines have more or fewer fields than the header", uneven > 0),
    ):  # fmt: skip
        if said:
            sample.options.append((setting, value, note))
    return sample
