"""What was delivered, kept and rejected; and how to read the report."""

from __future__ import annotations

from cltv_assets.figures import wording
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
    before = data.before
    content = {
        "before": before
        if before is not None and before.lines_in is not None and before.rejected is not None
        else None,
        "lines_in": wording.count(facts.lines_in),
        "cleaned": wording.count(facts.cleaned_lines),
        "rejected": wording.count(facts.rejected_lines),
        "delivered": facts.lines_in,
        "by_reason": facts.rejected,
        "reasons": REASONS,
    }
    return Section("quality", "Data quality", headline, content)


def guide(data: ReportData) -> Section:
    """Return the glossary."""
    unit = data.settings.time_unit
    settings = data.settings
    tiers = settings.segments
    return Section(
        "guide",
        "How to read this",
        "How to read this",
        {
            "unit": unit,
            "end": wording.day(data.month),
            "no_payback": not data.paid,
            "no_channels": data.new_customers is None or not data.new_customers.by_value,
            "tiers": f"top {wording.share(tiers.top)}, high to {wording.share(tiers.high)}, middle to "
            f"{wording.share(tiers.middle)}, low the rest",
        },
    )
