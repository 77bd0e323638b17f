"""Why a month was refused: what its blocking checks found, kept where readers of the lake can see it.

A refused month is not published, so what is wrong with it stands in none of its tables. This table is no
asset: a step that refuses a month writes here, and empties its part when it publishes the month.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from cltv_assets.columns import MONEY, Column, TableSchema
from cltv_assets.errors import ConcurrentPublishError
from cltv_assets.figures.wording import moment
from cltv_assets.lake import Lake
from cltv_assets.lake.fence import Fence
from cltv_assets.months import Month
from cltv_assets.sources.delivered import DELIVERED, NOT_COUNTED, SOURCE_TEXT
from cltv_assets.tables.check import Finding
from cltv_assets.tables.month_run import MonthRun

#: Lines shown for each reason.
SAMPLES = 3
#: What is shown of a line. A check of another table has some of these only.
_OF_LINE = ("source_file", "source_line", *(column.name for column in DELIVERED), SOURCE_TEXT.name, NOT_COUNTED.name)
#: Reasons that a message lists.
_SHOWN_REASONS = 5
#: Steps of one month that end at the same moment write one after the other.
_ATTEMPTS = 5
_MOST_MONEY = Decimal(10) ** 14
#: The column that a reason is about. Its value is shown from the lake; what Dagster records names the column alone.
_TELLING = {"date": "transacted_at", "total": "amount"} | {
    name: name for name in ("quantity", "unit_price", "amount", "currency", "not_counted")
}

REFUSED_LINES = TableSchema(
    "refused_lines",
    "Why months are not published: a row for each reason of each blocking check that failed at a month's last try, "
    f"and up to {SAMPLES} of its lines below it. Empty for a month that is published. No asset: the step that "
    "refuses a month writes it.",
    ("table_name", "check_name", "reason", "sample"),
    (
        Column("table_name", "string", "The table that was not published."),
        Column("check_name", "string", "The check that failed."),
        Column("message", "string", "What the check says."),
        Column("reason", "string", "Why lines were rejected, where the check counts them.", nullable=True),
        Column("sample", "int32", f"0 for the reason itself, 1 to {SAMPLES} for a line as an example."),
        Column("lines", "int64", "Lines, or rows, with this reason; null in samples.", "lines", nullable=True),
        Column(
            "value", MONEY, "What they are worth, where it can be read; null in samples.", "currency", nullable=True
        ),
        Column("source_file", "string", "File of the sample.", nullable=True),
        Column("source_line", "int64", "Its line number in that file.", "lines", nullable=True),
        *DELIVERED,
        SOURCE_TEXT,
        NOT_COUNTED,
    ),
)


@dataclass(frozen=True)
class Reason:
    """Why a check refused a month, or one of its reasons.

    Parameters
    ----------
    table, check, message : str
        Which check, and what it says.
    reason : str or None
        Why lines were rejected, where the check counts them.
    lines : int or None
        How many lines or rows.
    value : Decimal or None
        What they are worth, where it can be read.
    samples : sequence of dict
        Some of them, with the columns of the table that are about a line.
    """

    table: str
    check: str
    message: str
    reason: str | None = None
    lines: int | None = None
    value: Decimal | None = None
    samples: Sequence[Mapping[str, Any]] = field(default_factory=list)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield its rows in the table."""
        about = {"table_name": self.table, "check_name": self.check, "message": self.message, "reason": self.reason}
        yield about | {"sample": 0, "lines": self.lines, "value": self.value}
        for number, line in enumerate(self.samples, 1):
            yield about | {"sample": number, **line}

    def sentence(self, *, values: bool) -> str:
        """Return reason, count, value and where some of the lines are; empty if nothing was counted.

        With ``values`` it quotes the lines.
        """
        if self.lines is None:
            return ""
        what = f"{self.reason}, {_counted(self.lines, 'line')}" if self.reason else _counted(self.lines, "row")
        worth = "" if self.value is None else f" worth {self.value:,.2f}"
        telling = next((name for word, name in _TELLING.items() if word in (self.reason or "")), "")
        places = [
            f"{line['source_file']} line {line['source_line']}"
            + (f" ({telling}{f' {line[telling]!r}' if values else ''})" if line.get(telling) else "")
            for line in self.samples
            if line.get("source_file")
        ]
        return what + worth + (f", such as {', '.join(places)}" if places else "")


def reasons_of(finding: Finding, name: str, table: ir.Table, run: MonthRun) -> list[Reason]:
    """Return why a check that failed refuses a month, the most frequent reason first.

    Parameters
    ----------
    finding : Finding
        The check's verdict.
    name : str
        Of the table that it checked.
    table : ibis table
        What was written of it.
    run : MonthRun
        The month's run, as the check saw it.
    """
    whole = name, finding.check.name, finding.verdict.message
    if finding.check.examples is None:
        return [Reason(*whole)]
    found = finding.check.examples(table, run)
    if tuple(found.columns) != tuple(table.columns):
        if "reason" not in table.columns or "reason" not in found.columns:
            return [Reason(*whole)]
        # The check counts rejected lines by reason.
        found = table
    grouped = found if "reason" in found.columns else found.mutate(reason=ibis.null("string"))
    money = grouped["value"] if "value" in grouped.columns else ibis.null(MONEY)
    totals = grouped.mutate(_money=money.cast("decimal(38, 4)")).group_by("reason")
    counted = totals.aggregate(lines=ibis._.count(), value=ibis._["_money"].sum())
    shown = [column for column in _OF_LINE if column in grouped.columns]
    order = [column for column in ("source_file", "source_line") if column in shown] or list(grouped.columns[:1])
    nth = ibis.row_number().over(ibis.window(group_by="reason", order_by=order))
    few = grouped.mutate(_nth=nth).filter(ibis._["_nth"] < SAMPLES).order_by("_nth").select("reason", *shown)
    samples: dict[str | None, list[dict[str, Any]]] = {}
    for row in run.engine.collect(few).to_pylist():
        samples.setdefault(row.pop("reason"), []).append({key: _as_stored(key, value) for key, value in row.items()})
    rows = sorted(run.engine.collect(counted).to_pylist(), key=lambda row: (-row["lines"], row["reason"] or ""))
    return [
        Reason(*whole, row["reason"], row["lines"], _money(row["value"]), samples.get(row["reason"], []))
        for row in rows
    ] or [Reason(*whole)]


def explained(reasons: Sequence[Reason], *, values: bool = False) -> str:
    """Return the reasons of one month as a paragraph: what each check says, then its reasons.

    With ``values`` it quotes what stands in some lines, for a reader of the lake: Dagster must not record that.
    """
    parts = []
    for table, check in dict.fromkeys((one.table, one.check) for one in reasons):
        own = [one for one in reasons if (one.table, one.check) == (table, check)]
        counted = "; ".join(filter(None, (one.sentence(values=values) for one in own[:_SHOWN_REASONS])))
        more = len(own) - _SHOWN_REASONS
        counted += f"; and {more} rarer reason{'s' if more > 1 else ''}" if more > 0 else ""
        parts.append(f"{table}.{check}: {own[0].message}" + (f" Found: {counted}." if counted else ""))
    return " ".join(parts)


def what_stays(lake: Lake, schema: TableSchema, month: Month, zone: ZoneInfo) -> str:
    """Return what readers see of a month that was refused, such as ``2026-09 as of 3 November 2026, 14:05 stays``."""
    table = lake.table(schema)
    at = table.published_at(month)
    if at is not None:
        return f"{month} as of {moment(at.astimezone(zone))} stays"
    return f"{month} stays without rows" if table.is_published(month) else f"there is no earlier {month}"


def keep(
    lake: Lake, month: Month, tables: Collection[str], reasons: Iterable[Reason], fences: Sequence[Fence] = ()
) -> None:
    """Replace what stands about some tables of a month; without reasons it is removed.

    ``fences`` were noted before the reasons were found.

    Raises
    ------
    ErasedMeanwhileError
        If a customer was erased since then.
    LakeError
        If the lake cannot be written.
    """
    fresh = [row for reason in reasons for row in reason.rows()]
    table = lake.table(REFUSED_LINES)
    for attempt in range(1, _ATTEMPTS + 1):
        # Usually nothing stands there, and nothing is to be written: the table need not even exist.
        if not fresh and not table.files([month]):
            return
        try:
            with table.begin(month) as staging:
                # What is damaged is replaced by what is known now.
                damaged = bool(table.verify([month]).damage)
                # In this order: this table is fenced last.
                for fence in fences:
                    fence.check()
                held = [] if damaged else _rows(lake, month)
                rows = [row for row in held if row["table_name"] not in tables] + fresh
                if len(rows) == len(held) and not fresh and not damaged:
                    return
                if rows:
                    file, schema = lake.storage.path(staging.new_file()), REFUSED_LINES.arrow
                    written = pa.Table.from_pylist(rows, schema)
                    pq.write_table(written, file, filesystem=lake.storage.filesystem, compression="zstd")
                table.publish(staging.seal())
        except ConcurrentPublishError:
            if attempt == _ATTEMPTS:
                raise
        else:
            return


def reasons_kept(lake: Lake, month: Month) -> list[Reason]:
    """Return why a month was refused, as the table says; nothing where the table is damaged."""
    if lake.table(REFUSED_LINES).verify([month]).damage:
        return []
    found: dict[tuple[str, str, str | None], Reason] = {}
    rows = _rows(lake, month)
    for row in sorted(rows, key=lambda row: row["sample"]):
        place = row["table_name"], row["check_name"], row["reason"]
        if row["sample"] == 0:
            found[place] = Reason(
                row["table_name"], row["check_name"], row["message"], row["reason"], row["lines"], row["value"]
            )
        elif place in found:
            line = {name: row[name] for name in _OF_LINE}
            found[place] = Reason(**{**vars(found[place]), "samples": [*found[place].samples, line]})
    return list(found.values())


def _rows(lake: Lake, month: Month) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for path in lake.table(REFUSED_LINES).files([month]):
        with lake.storage.asking(path), lake.storage.open(path) as source:
            rows += pq.ParquetFile(source).read().to_pylist()
    return rows


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _as_stored(name: str, value: Any) -> Any:
    # A typed table has numbers and times where the delivery has text.
    return value if value is None or name == "source_line" else str(value)


def _money(value: Decimal | None) -> Decimal | None:
    return value if value is None or abs(value) < _MOST_MONEY else None
