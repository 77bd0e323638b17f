"""Random dirty files: every record is in exactly one month or counted outside.

The files are made record by record, so that the line each begins at is known by
construction; Python's csv module, told nothing, must see the same.
"""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cltv_assets.files.storage import Storage
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import TransactionSource
from cltv_assets.sources.csv_files import CsvReader
from cltv_assets_tests.sources.conftest import COLUMNS, HEADER, TODAY, landed

FIRST, LAST = "2024-01", "2024-05"
DATED = [f"{month}-0{day}" for month in ("2024-01", "2024-02", "2024-05") for day in (1, 9)]
OUTSIDE = ["2023-12-31", "2020-02-29", "2024-06-01", "2024-06-16"]
LOOSE = ["", "soon", "2024-02-30", "2024-13-01", "2024-06-17", "9999-12-31", "0000-01-01"]

text = st.text(st.sampled_from('ab ,"\n\r;é\0\t'), max_size=5)


@dataclass(frozen=True)
class Record:
    fields: tuple[str, ...]
    quoted: bool

    def text(self) -> str:
        # By hand: csv.writer leaves a lone carriage return unquoted.
        return ",".join(self._written(value) for value in self.fields)

    def _written(self, value: str) -> str:
        if self.quoted or set(value) & set(',"\r\n'):
            return '"' + value.replace('"', '""') + '"'
        return value


good = st.builds(
    lambda a, when, b, quoted: Record((a, "c", when, b), quoted),
    text, st.sampled_from([*DATED, *OUTSIDE, *LOOSE]), text, st.booleans(),
)  # fmt: skip
unsplit = st.builds(Record, st.lists(text, max_size=7).map(tuple).filter(lambda t: len(t) not in (0, 4)), st.just(True))
files = st.tuples(
    st.lists(st.one_of(good, good, unsplit, st.none()), max_size=25), st.sampled_from(["\n", "\r\n"]), st.booleans()
)


def physical_lines(written: str) -> int:
    return written.replace("\r\n", "\n").replace("\r", "\n").count("\n")


def expected_of(records: list[Record | None], written: str) -> tuple[dict[int, Record], list[int]]:
    """Return records by the line they begin at, and the lines that csv says they begin at."""
    reader = csv.reader(io.StringIO(written, newline=""))
    starts, at = [], 1
    for row in reader:
        if row and at > 1:
            starts.append(at)
        at = reader.line_num + 1
    return dict(zip(starts, [r for r in records if r is not None], strict=True)), starts


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(files, min_size=1, max_size=4))
def test_every_record_is_somewhere_once(deliveries: list[tuple[list[Record | None], str, bool]]) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        check(deliveries, folder)
    finally:
        shutil.rmtree(folder)


def check(deliveries: list[tuple[list[Record | None], str, bool]], folder: Path) -> None:
    (folder / "in").mkdir()
    written: dict[tuple[str, int], Record] = {}
    for number, (records, end, end_at_last) in enumerate(deliveries):
        parts, line = [HEADER], 2
        for record in records:
            part = record.text() if record else ""
            if record:
                written[f"{number}.csv", line] = record
            line += 1 + physical_lines(part)
            parts.append(part)
        content = end.join(parts) + (end if end_at_last else "")
        by_line, starts = expected_of(records, content)
        assert starts == [at for name, at in written if name == f"{number}.csv"]
        assert list(by_line.values()) == [record for record in records if record]
        (folder / f"in/{number}.csv").write_bytes(content.encode())

    options = {"source": {"kind": "csv", "path": "in", "columns": COLUMNS}, "start_month": FIRST, "home": folder}
    configured = Settings.model_validate(options)
    storage = Storage("/")
    source = TransactionSource(configured, storage, str(folder / "in"), partial(CsvReader, storage), TODAY)
    try:
        found: dict[tuple[str, int], str] = {}
        for month in Month.parse(FIRST).until(Month.parse(LAST)):
            for row in landed(source, month.key, folder):
                place = row["source_file"], row["source_line"]
                assert place not in found
                found[place] = month.key
                record = written[place]
                if len(record.fields) == 4:
                    expected = dict(
                        zip(("transaction_id", "customer_id", "transacted_at", "amount"), record.fields, strict=True)
                    )
                    assert {name: row[name] or "" for name in expected} == expected
                    assert row["source_text"] is None
                else:
                    assert row["source_text"] == record.text()
        outside = {p for p, r in written.items() if len(r.fields) == 4 and r.fields[2] in OUTSIDE}
        assert found.keys() | outside == written.keys()
        assert not found.keys() & outside
        for place, month_key in found.items():
            record = written[place]
            if len(record.fields) == 4 and record.fields[2] in DATED:
                assert month_key == record.fields[2][:7]
            else:
                # csv counts 2020 and 2024-06 too: the month of most readable lines, clipped to the range.
                readable = Counter(
                    r.fields[2][:7]
                    for p, r in written.items()
                    if p[0] == place[0] and len(r.fields) == 4 and r.fields[2] in DATED + OUTSIDE
                )
                usual = min(readable, key=lambda key: (-readable[key], key), default=FIRST)
                assert month_key == min(max(usual, FIRST), LAST)
        landing = source.land(Month.parse(FIRST), folder / "again")
        counts = Counter(written[place].fields[2] < "2024" for place in outside)
        assert (landing.before_first, landing.after_last) == (counts[True], counts[False])
        assert source.line_counts() == {
            month: sum(key == month.key for key in found.values())
            for month in Month.parse(FIRST).until(Month.parse(LAST))
        }
    finally:
        source.close()
