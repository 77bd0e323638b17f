"""How many lines were delivered and rejected, and what the UI shows of them."""

from __future__ import annotations

from dataclasses import dataclass

from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.cleaned_and_rejected.columns import CLEANED_TRANSACTIONS, REJECTED_TRANSACTIONS
from cltv_assets.tables.highlights import Highlights, money
from cltv_assets.tables.month_run import MonthRun


@dataclass(frozen=True)
class LineCounts:
    """The month's lines.

    Parameters
    ----------
    lines_in : int
        Delivered lines.
    rejected : tuple of (str, int)
        Each reason and its number of lines, the most frequent first.
    """

    lines_in: int
    rejected: tuple[tuple[str, int], ...]

    @property
    def rejected_lines(self) -> int:
        """Lines rejected for any reason."""
        return sum(lines for _, lines in self.rejected)

    @property
    def cleaned_lines(self) -> int:
        """Lines kept; a blocking check ensures that the cleaned table has exactly so many."""
        return self.lines_in - self.rejected_lines


def line_counts(run: MonthRun) -> LineCounts:
    """Count the month's lines in the engine."""
    raw, rejected = run.inputs[RAW_TRANSACTIONS.name], run.inputs[REJECTED_TRANSACTIONS.name]
    lines = run.engine.measure(raw, {"lines": raw.count()})["lines"]
    by_reason = run.engine.collect(rejected.group_by("reason").aggregate(lines=rejected.count())).to_pylist()
    reasons = sorted(((row["reason"], row["lines"]) for row in by_reason), key=lambda one: (-one[1], one[0]))
    return LineCounts(lines, tuple(reasons))


def cleaned_highlights(run: MonthRun) -> Highlights:
    """Return the customers who bought, and for how much."""
    lines = run.inputs[CLEANED_TRANSACTIONS.name]
    found = run.engine.measure(lines, {"customers": lines.customer_id.nunique(), "amount": lines.amount.sum()})
    numbers: dict[str, object] = {"customers": found["customers"]}
    if not run.settings.source.counted:
        numbers[f"net_amount_{run.settings.currency}"] = money(found["amount"])
    return Highlights(numbers)


def rejected_highlights(run: MonthRun) -> Highlights:
    """Return the share of lines rejected, and their number by reason."""
    counts = line_counts(run)
    share = counts.rejected_lines / counts.lines_in if counts.lines_in else 0.0
    rows = [{"reason": reason, "lines": lines} for reason, lines in counts.rejected]
    says = "Rejected lines by reason, the most frequent first. The table holds each with its text and the reason."
    return Highlights({"share_of_delivered_lines": round(share, 6)}, {"lines_by_reason": (rows, says)})
