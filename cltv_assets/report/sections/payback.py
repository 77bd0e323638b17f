"""What customers cost beside what they bring, and when the cost has come back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cltv_assets.figures import wording
from cltv_assets.months import Month
from cltv_assets.report.data import ReportData
from cltv_assets.report.facts.acquisition import Paid
from cltv_assets.report.sections.section import Section, margin_in_words
from cltv_assets.tables.acquisition_payback import (
    BEYOND,
    EXPECTED,
    FEW_CUSTOMERS,
    NO_CUSTOMERS,
    PAID_BACK,
    YOUNG_MONTHS,
)

#: Values of the costs' attribute, and newest cohorts, that are shown.
_VALUES, _COHORTS = 12, 12


def section(data: ReportData) -> Section | None:
    """Return what customers cost and bring; None without costs."""
    if not data.paid:
        return None
    everyone, *by_value = data.paid
    content = {
        "currency": data.settings.currency,
        "horizon": wording.months(data.horizon),
        "everyone": everyone,
        "by_value": by_value[:_VALUES],
        "left_out": max(len(by_value) - _VALUES, 0),
        "cohorts": [
            {
                "row": row,
                "name": wording.short_month(Month(row["cohort"])),
                "payback": _in_words(row),
                "ages": _ages(row),
            }
            for row in reversed(everyone.cohorts[-_COHORTS:])
        ],
        "older": max(len(everyone.cohorts) - _COHORTS, 0),
        "young": f"younger than {wording.months(YOUNG_MONTHS)} or has fewer than {FEW_CUSTOMERS} customers",
        "margin": margin_in_words(data.settings),
        "written": wording.amounts(everyone.spend),
    }
    return Section("payback", "Payback", _headline(data, everyone), content)


def _headline(data: ReportData, everyone: Paid) -> str:
    if everyone.ltv is None or everyone.cac is None:
        return "What customers cost is known, what comes of it not yet"
    cac, ltv = (wording.money(number, data.settings.currency) for number in (everyone.cac, everyone.ltv))
    return (
        f"A customer costs {cac} and is expected to have brought {ltv} by {wording.months(data.horizon)} from now: "
        f"{_ratio(everyone)}"
    )


def _ratio(paid: Paid) -> str:
    return wording.NOTHING if paid.ratio is None else f"{wording.decimal(paid.ratio)} times the cost"


def _in_words(row: Mapping[str, Any]) -> str:
    """Say when a cohort's cost has come back."""
    age = row["payback_age"]
    told = {
        PAID_BACK: f"paid back in month {wording.count(age)}",
        EXPECTED: f"expected in month {wording.decimal(age, 1)}",
        BEYOND: "not within the horizon",
        NO_CUSTOMERS: "no customers",
    }.get(row["payback"], "not known")
    return f"{told}; too young to judge" if row["too_young"] and row["payback"] != NO_CUSTOMERS else told


def _ages(row: Mapping[str, Any]) -> str:
    """Return the interval of an age that is expected."""
    if row["payback"] != EXPECTED or row["payback_age_low"] is None:
        return ""
    low, high = row["payback_age_low"], row["payback_age_high"]
    return f"{wording.decimal(low, 1)} to {'beyond the horizon' if high is None else wording.decimal(high, 1)}"
