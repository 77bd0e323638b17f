"""What was delivered, kept and turned away."""

from __future__ import annotations

from cltv_assets.report import wording
from cltv_assets.report.data import ReportData
from cltv_assets.report.sections.section import Section
from cltv_assets.tables.cleaned_and_rejected.verdict import REASONS


def section(data: ReportData) -> Section:
    """Return the month's lines and why some were rejected."""
    facts = data.quality
    share = facts.rejected_lines / facts.lines_in if facts.lines_in else None
    if not facts.lines_in:
        headline = "Nothing was delivered this month"
    elif not facts.rejected_lines:
        headline = f"All {wording.count(facts.lines_in)} lines delivered were usable"
    else:
        headline = f"{wording.percent(share)} of the {wording.count(facts.lines_in)} lines delivered were rejected"
    content = {
        "lines_in": wording.count(facts.lines_in),
        "cleaned": wording.count(facts.cleaned_lines),
        "rejected": wording.count(facts.rejected_lines),
        "reasons": [
            {
                "reason": reason,
                "text": REASONS.get(reason, ""),
                "lines": wording.count(lines),
                "share": wording.percent(lines / facts.lines_in, 2),
            }
            for reason, lines in facts.rejected
        ],
    }
    return Section("quality", "Data quality", headline, content)
