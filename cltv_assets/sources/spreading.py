"""Parses large deliveries on many machines: each reads some stretches of files.

What a stretch holds is read, dated and written by the same code as on one machine, so the lines,
their numbers and their digests are the same. The parts stay on the lake's storage, out of every table's folder,
until a month is made from them.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from cltv_assets import __version__, errors
from cltv_assets.files.scratch import ScratchFolder
from cltv_assets.files.storage import LANDING_FOLDER, Storage
from cltv_assets.settings import Settings
from cltv_assets.sources.contents import MonthContent
from cltv_assets.sources.dating import Dater
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.meaning import Meaning
from cltv_assets.sources.parts import ROW_GROUP, MonthParts, Slot, part_of, weight
from cltv_assets.sources.reading import CuttingReader, Reader, Stretch, Survey, SurveyingReader, lines_of

if TYPE_CHECKING:
    from cltv_assets.engines.engine import RunQuery, RunTasks

#: Why a line has the month of its file, and 'dated' where it has its own.
Dating = Literal["dated", "malformed", "undatable", "future"]
#: Lines by file, month (None where they have none) and dating.
Counts: TypeAlias = Counter[tuple[str, int | None, Dating]]
#: A file, and which part of it; None for all.
Work: TypeAlias = tuple[SourceFile, Stretch | None]

#: Smaller deliveries are parsed by the driver, because starting Python processes takes longer.
SPREAD_BYTES = 64 << 20
#: Bytes of small files that one task parses.
UNIT_BYTES = 64 << 20
#: Bytes of a CSV file that one task surveys.
RANGE_BYTES = 16 << 20


@dataclass(frozen=True)
class Workers:
    """Other machines, and the storage that they share.

    Parameters
    ----------
    run : callable
        Runs a task for each number below a count on them, and returns the answers in order; see ``Engine.workers``.
    storage : Storage
        Where parts are left.
    query : callable, optional
        Runs a query on them; see ``Engine.querier``.
    """

    run: RunTasks
    storage: Storage
    query: RunQuery | None = None


@dataclass(frozen=True)
class Parsing:
    """How lines are parsed and filed. It travels to other machines."""

    settings: Settings
    reader: Reader
    day: dt.date
    first: int
    last: int
    block: int

    def parse(self, works: Iterable[Work], parts: MonthParts) -> Parsed:
        """File the lines of some files or stretches by month and count them."""
        counts: Counts = Counter()
        continued: Counter[str] = Counter()
        with closing(Dater(self.settings, self.day)) as dater:
            for lines in self._collected(works, continued):
                months, dating = _dated(lines, dater)
                found = pa.table({"name": lines["source_file"], "month": months, "dating": dating})
                for row in found.group_by(found.column_names).aggregate([([], "count_all")]).to_pylist():
                    counts[row["name"], row["month"], row["dating"]] += row["count_all"]
                parts.add(lines, months)
        return Parsed(counts, continued)

    def parts(self, folder: Path) -> MonthParts:
        """Return what files lines by month."""
        return MonthParts(folder, self.first, self.last, self.block)

    def _collected(self, works: Iterable[Work], continued: Counter[str]) -> Iterator[pa.Table]:
        """Yield the lines in larger batches; many small files share one."""
        waiting: list[pa.RecordBatch] = []
        count = 0
        for file, stretch in works:
            meaning = Meaning(self.settings.source, file.name)
            for batch in meaning.transactions(lines_of(self.reader, file, stretch)):
                waiting.append(batch)
                count += weight(batch)
                if count >= ROW_GROUP:
                    yield pa.Table.from_batches(waiting)
                    waiting, count = [], 0
            continued[file.name] += meaning.continued
        if waiting:
            yield pa.Table.from_batches(waiting)


@dataclass
class Parsed:
    """What tasks found and wrote.

    Counts of lines, and by file of those that continue the line before; digests by file, slot and block; the addresses
    of parts by slot.
    """

    counts: Counts = field(default_factory=Counter)
    continued: Counter[str] = field(default_factory=Counter)
    contents: dict[tuple[str, Slot, int], MonthContent] = field(default_factory=dict)
    parts: dict[Slot, list[str]] = field(default_factory=dict)

    def add(self, other: Parsed) -> None:
        """Take what another task found."""
        self.counts.update(other.counts)
        self.continued.update(other.continued)
        self.contents |= other.contents
        for slot, uris in other.parts.items():
            self.parts.setdefault(slot, []).extend(uris)

    def as_json(self) -> dict[str, Any]:
        """Return it as it travels."""
        contents = [[*place, content.lines, content.digest] for place, content in self.contents.items()]
        return {
            "counts": [[*place, lines] for place, lines in self.counts.items()],
            "continued": dict(self.continued),
            "contents": contents,
            "parts": list(self.parts.items()),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Parsed:
        """Read what `as_json` returned."""
        return cls(
            Counter({(name, month, dating): lines for name, month, dating, lines in value["counts"]}),
            Counter(value["continued"]),
            {(name, slot, block): MonthContent(*content) for name, slot, block, *content in value["contents"]},
            dict(value["parts"]),
        )


class NotSpreadError(Exception):
    """The workers cannot do it; the message says why and what would help."""


@dataclass(frozen=True)
class Sight:
    """What each piece of work looks at first: whether it is done by the driver's package on the driver's files."""

    source: Storage
    version: str = __version__

    def refusal(self, files: Iterable[SourceFile]) -> str | None:
        """Say why files cannot be read here as the driver would read them; None if they can."""
        if self.version != __version__:
            return (
                f"the executors have version {__version__} of this package and the driver {self.version}: "
                "install the driver's on every worker (docs/scaling.md)"
            )
        for file in files:
            try:
                found = self.source.stat(file.path)
            except (OSError, errors.CltvError):
                # Refused there counts as not there; the driver may still be let in.
                found = None
            # An object store lists times to the millisecond and answers for one object to the second.
            unit = 1 if self.source.local else 10**9
            if found is None or (found.size, found.mtime_ns // unit) != (file.size, file.mtime_ns // unit):
                return (
                    f"the executors do not find {file.path} as it is on the driver: put deliveries on storage "
                    "that all of them share"
                )
        return None


def spread(workers: Workers, source: Storage, parsing: Parsing, files: Sequence[SourceFile], folder: str) -> Parsed:
    """Parse files on the workers, with the parts in a folder of theirs.

    Raises
    ------
    NotSpreadError
        If they cannot see the files, or have another version of this package.
    SourceError
        If a file cannot be read as configured: the first such error in the order of the files and their lines.
    """
    sight = Sight(source)
    units = divided(workers, sight, parsing.reader, parsing.block, files)
    parsed = Parsed()
    for found in _run(workers, partial(_parse, sight, parsing, units, workers.storage, folder), len(units)):
        parsed.add(Parsed.from_json(found))
    return parsed


def divided(
    workers: Workers, sight: Sight, reader: Reader, block: int, files: Sequence[SourceFile]
) -> list[list[Work]]:
    """Divide the work: a stretch of a large file is a unit, and so are several small files."""
    surveys: dict[str, list[Survey]] = {file.name: [] for file in files}
    if isinstance(reader, SurveyingReader):
        ranges = [(file, *span) for file in files for span in reader.ranges(file, RANGE_BYTES)]
        answers = _run(workers, partial(_survey, sight, reader, ranges), len(ranges))
        for (file, *_), survey in zip(ranges, answers, strict=True):
            surveys[file.name].append(Survey(**survey))
    units: list[list[Work]] = []
    size = UNIT_BYTES
    for file in files:
        cut = reader.stretches(file, block, surveys[file.name]) if isinstance(reader, CuttingReader) else None
        stretches = cut or [None]
        for stretch in stretches:
            share = file.size // len(stretches)
            if size + share > UNIT_BYTES or len(stretches) > 1:
                units.append([])
                size = 0
            units[-1].append((file, stretch))
            size = UNIT_BYTES if len(stretches) > 1 else size + share
    return units


def _run(workers: Workers, task: Callable[[int], bytes], count: int) -> list[dict[str, Any]]:
    """Return what tasks found; raise what the first one met."""
    answers = [json.loads(answer) for answer in workers.run(task, count)] if count else []
    for answer in answers:
        if "refused" in answer:
            raise NotSpreadError(answer["refused"])
    for answer in answers:
        if "error" in answer:
            raise getattr(errors, answer["error"])(answer["problem"], answer["remedy"], quoted=answer["quoted"])
    return [answer["found"] for answer in answers]


def _survey(sight: Sight, reader: SurveyingReader, ranges: Sequence[tuple[SourceFile, int, int]], number: int) -> bytes:
    """Survey a range of a file. Runs on executors."""
    file, begin, end = ranges[number]
    return _answer(sight, [file], lambda: asdict(reader.survey(file, begin, end)))


def _parse(
    sight: Sight, parsing: Parsing, units: Sequence[Sequence[Work]], storage: Storage, folder: str, number: int
) -> bytes:
    """Parse a unit into parts on the shared storage. Runs on executors."""

    def parsed() -> dict[str, Any]:
        with ScratchFolder("unit") as local:
            with parsing.parts(local) as parts:
                found = parsing.parse(units[number], parts)
            found.contents = parts.contents()
            storage.make_folder(folder)
            for slot in parts.slots():
                # A task that is tried again writes under new names, and only the answer says which ones count.
                found.parts[slot] = [f"{folder}/{number}-{slot}-{uuid.uuid4().hex}.parquet"]
                storage.move_in(local / part_of(slot), found.parts[slot][0])
        return found.as_json()

    return _answer(sight, (file for file, _ in units[number]), parsed)


def _answer(sight: Sight, files: Iterable[SourceFile], work: Callable[[], dict[str, Any]]) -> bytes:
    """Return what a piece of work found, or why it could not be done, as JSON."""
    refusal = sight.refusal(files)
    try:
        answer = {"refused": refusal} if refusal else {"found": work()}
    except errors.CltvError as error:
        told = {"problem": error.problem, "remedy": error.remedy, "quoted": error.quoted}
        answer = {"error": type(error).__name__, **told}
    return json.dumps(answer).encode()


def new_folder(storage: Storage) -> str:
    """Return where the parts of one landing go."""
    return storage.uri(LANDING_FOLDER, uuid.uuid4().hex)


def _dated(lines: pa.Table, dater: Dater) -> tuple[pa.Array, pa.Array]:
    """Return each line's own month index, null where it has none, and its dating."""
    months, in_future = dater.date(lines["transacted_at"])
    future = pc.fill_null(in_future, False)
    dating = pc.case_when(
        pc.make_struct(pc.is_valid(lines["source_text"].combine_chunks()), pc.is_null(months), future),
        pa.scalar("malformed"),
        pa.scalar("undatable"),
        pa.scalar("future"),
        pa.scalar("dated"),
    )
    return pc.if_else(future, pa.scalar(None, pa.int32()), months), dating
