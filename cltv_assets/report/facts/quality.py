"""What was delivered and what was turned away."""

from __future__ import annotations

from dataclasses import dataclass

from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.cleaned_and_rejected.columns import REJECTED_TRANSACTIONS
from cltv_assets.tables.month_run import MonthRun


@dataclass(frozen=True)
class Quality:
    """The month's lines.

    Parameters
    ----------
    lines_in : int
        Delivered.
    rejected : tuple of (str, int)
        Lines by reason, most first.
    """

    lines_in: int
    rejected: tuple[tuple[str, int], ...]

    @property
    def rejected_lines(self) -> int:
        """Lines rejected for any reason."""
        return sum(lines for _, lines in self.rejected)

    @property
    def cleaned_lines(self) -> int:
        """Lines kept: a blocking check holds the cleaned table to this number."""
        return self.lines_in - self.rejected_lines


def quality(run: MonthRun) -> Quality:
    """Count the month's lines in the engine."""
    raw, rejected = run.inputs[RAW_TRANSACTIONS.name], run.inputs[REJECTED_TRANSACTIONS.name]
    lines = run.engine.measure(raw, {"lines": raw.count()})["lines"]
    by_reason = run.engine.collect(rejected.group_by("reason").aggregate(lines=rejected.count())).to_pylist()
    return Quality(lines, tuple(sorted(((r["reason"], r["lines"]) for r in by_reason), key=lambda r: (-r[1], r[0]))))
