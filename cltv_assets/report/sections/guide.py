"""How to read the report."""

from __future__ import annotations

from cltv_assets.figures import wording
from cltv_assets.report.data import ReportData
from cltv_assets.report.sections.section import Section


def section(data: ReportData) -> Section:
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
            "margin": wording.share(settings.gross_margin),
            "rate": wording.share(settings.annual_discount_rate),
            "net": settings.refunds == "net",
            "tiers": f"top {wording.share(tiers.top)}, high to {wording.share(tiers.high)}, middle to "
            f"{wording.share(tiers.middle)}, low the rest",
        },
    )
