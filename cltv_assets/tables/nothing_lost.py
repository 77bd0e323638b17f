"""Whether a month that is made again lacks what is published of it: lines, or what they are worth.

Lines are counted first, because a count costs nothing. A delivery may also have as many lines as before whose amounts
are gone, zero or far smaller. That is looked at line by line, and both versions are valued by the settings of today, so
that a change of settings is no loss.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from cltv_assets.sources.delivered import GRAIN_OF_LINES, RAW_TRANSACTIONS
from cltv_assets.sources.losses import WHOLE, Loss
from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.cleaned_and_rejected.columns import CLEANED_TRANSACTIONS, REJECTED_TRANSACTIONS
from cltv_assets.tables.cleaned_and_rejected.split import classified_lines
from cltv_assets.tables.cleaned_and_rejected.verdict import DELIBERATE
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.refused_lines import reasons_kept
from cltv_assets.tables.same_rows import digest_of

#: What a line says, however its file is called: it may come under another name, or in a file of several.
_SAYS = ("transaction_id", "customer_id", "transacted_at", "quantity", "unit_price", "amount", "source_text")
#: Changed lines that are worth less than this share of what they were are no correction.
_KEPT_WORTH = 0.5
#: So many lines of one file may change in whatever way, if the month as a whole keeps enough.
_FEW = 20
#: A line counts for no more than so many usual ones.
_LARGE = 10
#: What a line is worth: all of it, and without the excess of large ones.
_VALUES = ("worth", "weight")
#: Files that a message names.
_SHOWN = 5


@check(
    "No published line is lost: no file is gone, empty or far smaller than it was, and what changed is worth enough."
)
def nothing_lost(_values: Values, run: MonthRun) -> Verdict:
    """Refuse a month whose delivery lacks lines that are published, or their value, unless that is accepted."""
    table = run.lake.table(RAW_TRANSACTIONS)
    damaged = bool(table.verify([run.month]).damage)
    published = None if damaged else _published(run)
    if published is None and not damaged:
        return Verdict(True, f"{run.month} was not published before.")
    written, share = run.inputs[RAW_TRANSACTIONS.name], run.settings.checks.max_lost_share
    by_file = run.source.has_files and not damaged
    # Of a damaged month the log still knows how many lines it had.
    whole = {WHOLE: table.row_counts([run.month])[run.month]}
    before = _Version(whole, {}) if published is None else _version(published, run, by_file)
    now = _version(written, run, by_file)
    had, has = before.lines, now.lines
    smaller = {name for name, lines in had.items() if has.get(name, 0) < lines}
    # A table is there, whatever it holds.
    left = has | run.source.file_lines(smaller) if by_file else dict.fromkeys(had, 0) | has
    loss = Loss.of(had, has, left, share)
    if loss is not None and by_file and published is not None:
        # Renamed, delivered again in another file, or delivered twice before: counted by what the lines say.
        missing = _without_like(published.filter(published.source_file.isin(sorted(smaller))), written, run)
        found = {name: max(has.get(name, 0), had[name] - missing.get(name, _NONE).lines) for name in smaller}
        loss = Loss.of(had, {**has, **found}, left, share)
    if loss is not None:
        facts = {"lines_before": loss.had, "lines_lost": loss.lost, "files": {f.name: f.lost for f in loss.files}}
        return _lost(
            f"{loss.lost:,} of {loss.had:,} published lines of {run.month} are not delivered any more: "
            f"{loss.sentence()}.",
            facts,
            run,
        )
    # Usually no file says anything else than before.
    changed = before.changed(now)
    if published is not None and changed and (cheaper := _worth_lost(published, written, had, changed, run)):
        return _lost(*cheaper, run)
    text = f"{sum(has.values()):,} lines; {sum(had.values()):,} were published before"
    return Verdict(True, f"{text}, and no more than {share:.0%} of them are gone.")


def _lost(message: str, facts: dict[str, Any], run: MonthRun) -> Verdict:
    if run.accept_loss:
        return Verdict(False, f"{message} The loss is accepted.", facts | {"accepted": True}, accepted=True)
    remedy = (
        "Bring them back, or look whether source.path and the other settings of the source still read all. If the "
        f"loss is meant: cltv run --from {run.month} --accept-loss {run.month}, or accept_loss: true in the run's "
        "configuration of this step."
    )
    return Verdict(False, f"{message} {remedy}", facts)


def _published(run: MonthRun) -> ir.Table | None:
    """Return the month's lines as they are published; None if none are."""
    published = run.earlier(RAW_TRANSACTIONS, 0)
    split = (CLEANED_TRANSACTIONS, REJECTED_TRANSACTIONS)
    refused = {reason.table for reason in reasons_kept(run.lake, run.month)}
    if published is None or refused.isdisjoint(schema.name for schema in split):
        return published
    # Somebody mends this delivery, which was landed and then refused. Nothing was made of more than these lines.
    made = [run.earlier(schema, 0) for schema in split]
    places = [table.select("source_file", "source_line") for table in made if table is not None]
    if len(places) < len(split):
        return None
    return published.semi_join(ibis.union(*places), ["source_file", "source_line"])


def _named(lines: ir.Table, by_file: bool) -> ir.Table:
    """Return lines with the file that messages name."""
    # A table has no files of its own; how its rows lie in units is not the user's.
    return lines if by_file else lines.mutate(source_file=ibis.literal(WHOLE))


@dataclass(frozen=True)
class _Version:
    """What a version of the month has of each file: lines, and a digest of what they say."""

    lines: dict[str, int]
    digests: dict[str, int]

    def changed(self, now: _Version) -> set[str]:
        return {name for name, digest in self.digests.items() if now.digests.get(name) != digest}


def _version(lines: ir.Table, run: MonthRun, by_file: bool) -> _Version:
    lines = _named(lines, by_file)
    counted = lines.group_by("source_file").aggregate(lines=lines.count(), digest=digest_of(lines, _SAYS, _SAYS))
    rows = run.engine.collect(counted).to_pylist()
    return _Version(
        {row["source_file"]: row["lines"] for row in rows}, {row["source_file"]: row["digest"] for row in rows}
    )


@dataclass(frozen=True)
class _Lines:
    """Some lines: how many, what they are worth, and that without the excess of single large ones."""

    lines: int = 0
    worth: float = 0.0
    weight: float = 0.0

    def __add__(self, other: _Lines) -> _Lines:
        return _Lines(self.lines + other.lines, self.worth + other.worth, self.weight + other.weight)

    def is_far_less_than(self, other: _Lines) -> bool:
        return self.weight < _KEPT_WORTH * other.weight


_NONE = _Lines()


def _without_like(lines: ir.Table, others: ir.Table, run: MonthRun) -> dict[str, _Lines]:
    """Return the lines of each file whose like is not among others, with what they are worth if they are valued."""
    sums = {name: lines[name].sum() if name in lines.columns else ibis.literal(0.0) for name in _VALUES}
    own = lines.group_by([*_SAYS, "source_file"]).aggregate(own=ibis._.count(), **sums)
    like = others.group_by(list(_SAYS)).aggregate(like=ibis._.count())
    both = own.left_join(like, [own[name].identical_to(like[name]) for name in _SAYS])
    missing = ibis.greatest(both["own"] - both["like"].fill_null(0), 0)
    parts = {name: (both[name] * missing / both["own"]).sum() for name in _VALUES}
    counted = both.group_by("source_file").aggregate(lines=missing.sum(), **parts)
    rows = run.engine.collect(counted.filter(counted.lines > 0)).to_pylist()
    return {row["source_file"]: _Lines(row["lines"], *(row[name] for name in _VALUES)) for row in rows}


def _worth_lost(
    published: ir.Table, written: ir.Table, had: Mapping[str, int], files: Collection[str], run: MonthRun
) -> tuple[str, dict[str, Any]] | None:
    """Return what to say where many lines changed, and those that stand there now are worth far less."""
    share, lines, by_file = run.settings.checks.max_lost_share, sum(had.values()), run.source.has_files
    if run.settings.source.counted or share == 1:
        return None
    own = _named(published, by_file)
    changed = _without_like(own.filter(own.source_file.isin(sorted(files))), written, run)
    most = max(share, _KEPT_WORTH)
    suspect = {name for name, gone in changed.items() if gone.lines >= max(_FEW, most * had[name])}
    whole = sum(changed.values(), _NONE).lines > share * lines
    if not (whole or suspect):
        return None
    before, now = (_named(one, by_file) for one in _valued(published, written, run))
    gone, come = _without_like(before, now, run), _without_like(now, before, run)
    all_gone, all_come = (sum(found.values(), _NONE) for found in (gone, come))
    cheaper = {name for name in suspect if come.get(name, _NONE).is_far_less_than(gone[name])}
    if whole and all_come.is_far_less_than(all_gone):
        cheaper |= {name for name, one in gone.items() if come.get(name, _NONE).weight < one.weight}
    if not cheaper:
        return None
    lost = {name: gone[name].weight - come.get(name, _NONE).weight for name in cheaper}
    names = sorted(cheaper, key=lambda name: (-lost[name], name))
    named = ", ".join(
        f"{name} (of {had[name]:,} lines {gone[name].lines:,} changed, {_in_words(gone[name], come.get(name, _NONE))})"
        for name in names[:_SHOWN]
    )
    more = len(names) - _SHOWN
    named += f" and {more:,} more file{'s' if more > 1 else ''}" if more > 0 else ""
    facts = {
        "lines_before": lines,
        "lines_changed": all_gone.lines,
        "value_before": round(all_gone.worth, 2),
        "value_now": round(all_come.worth, 2),
        "files": {name: gone[name].lines for name in names},
    }
    return f"Published lines of {run.month} were delivered again with far less value: {named}.", facts


def _in_words(gone: _Lines, come: _Lines) -> str:
    if come.worth < gone.worth:
        return f"worth {gone.worth:,.2f} before and {come.worth:,.2f} now"
    return f"worth {gone.weight:,.2f} before and {come.weight:,.2f} now without the excess of single large lines"


def _valued(published: ir.Table, written: ir.Table, run: MonthRun) -> tuple[ir.Table, ir.Table]:
    """Add what each line is worth by today's settings, and that with single large ones cut."""
    before, now = _worth(published, run), _worth(written, run)
    # One line that is typed wrong must not hide what the others lost.
    logarithms = {"mean": before.worth.nullif(0.0).ln().mean()}
    usual = run.engine.measure(before, logarithms)["mean"]
    most = _LARGE * math.exp(usual) if usual is not None else 0.0
    cut = [lines.mutate(weight=ibis.least(lines.worth, ibis.literal(most))) for lines in (before, now)]
    return cut[0], cut[1]


def _worth(lines: ir.Table, run: MonthRun) -> ir.Table:
    """Add what each line is worth, whatever its sign; nothing where it cannot be taken.

    What the settings leave out has its value: it is there, and nobody lost it.
    """
    judged = classified_lines(run.engine, lines, run.month, run.settings)
    counts = judged.reason.isnull() | judged.reason.isin(DELIBERATE)
    worth = ibis.ifelse(counts, judged.delivered.abs().cast("float64"), 0.0).fill_null(0.0)
    values = judged.select(*GRAIN_OF_LINES, worth=worth)
    same_line = [lines[name].identical_to(values[name]) for name in GRAIN_OF_LINES]
    return run.engine.cache(lines.inner_join(values, same_line).select("source_file", "worth", *_SAYS))
