"""Puts the sections together into one page."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from cltv_assets import __version__
from cltv_assets.figures import wording
from cltv_assets.figures.models import histogram_figure
from cltv_assets.figures.svg import png
from cltv_assets.figures.value import concentration_figure
from cltv_assets.report.data import ReportData
from cltv_assets.report.sections import (
    channels,
    cohorts,
    customers,
    holdout,
    matrices,
    models,
    payback,
    quality,
    segments,
    todo,
    tracking,
    value,
)
from cltv_assets.report.sections.cautions import cautions
from cltv_assets.report.sections.section import Section
from cltv_assets.tables.fitted_rows import in_words

if TYPE_CHECKING:
    import jinja2

#: The report, in reading order. Each has a template named after its anchor. A section is None where there is nothing
#: to show in it; the guide then says how to get it.
SECTIONS: dict[str, Callable[[ReportData], Section | None]] = {
    "todo": todo.section,
    "value": value.section,
    "cohorts": cohorts.section,
    "channels": channels.section,
    "payback": payback.section,
    "segments": segments.section,
    "customers": customers.section,
    "tracking": tracking.section,
    "calibration": holdout.calibration,
    "holdout": holdout.section,
    "matrices": matrices.section,
    "models": models.section,
    "quality": quality.section,
    "guide": quality.guide,
}


#: The id of what a page without pictures says instead.
_UNDRAWN = "not-drawn"


def render(data: ReportData, drawn: bool = True) -> str:
    """Return the page as one self-contained HTML document; unless ``drawn``, words stand for its pictures."""
    sections = sections_of(data)
    return (
        _environment()
        .get_template("page.html")
        .render(
            title=page_title(data),
            month=wording.month_name(data.month),
            end=wording.day(data.month),
            currency=data.settings.currency,
            version=__version__,
            sections=sections,
            names={one.anchor: one.name for one in sections},
            cautions=cautions(data),
            drawn=drawn,
            undrawn=_UNDRAWN,
            key=data.month.key,
        )
    )


def sections_of(data: ReportData) -> list[Section]:
    """Return the sections that the page has, in reading order."""
    return [section for build in SECTIONS.values() if (section := build(data)) is not None]


def is_drawn(page: str) -> bool:
    """Return whether a rendered page has its pictures."""
    return f'<p id="{_UNDRAWN}">' not in page


def page_title(data: ReportData) -> str:
    """Return the document's title."""
    return f"Customer lifetime value, {data.month.key}"


def key_plot(data: ReportData) -> tuple[Callable[[], bytes], str]:
    """Return what draws one small picture of the month as PNG, the concentration of predicted value, and its caption.

    Without predictions it shows P(alive); without a purchase model, how often
    customers came back.
    """
    if data.value is not None and (curve := data.value.predicted.concentration) is not None:
        return (
            lambda: png(concentration_figure(curve.customers, curve.value, curve.marked)),
            f"Customers in order of the value predicted for the next {wording.months(data.horizon)}, the most valuable "
            "first, and the share of all value that they hold. On the dashed line all would be worth the same: the "
            "further above it, the more depends on few.",
        )
    if (found := data.matrices) is not None:
        return (
            lambda: png(matrices.p_alive_figure(found, data.settings.time_unit)),
            "Probability that a customer still buys, 0 to 1, by repeat purchases and by the time from the first to the "
            "last one.",
        )
    return (
        lambda: png(histogram_figure(data.histogram.actual, data.histogram.expected)),
        "Customers by their number of repeat purchases up to the month's end.",
    )


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cltv_assets.report", ""),
        # Customer ids and reasons are foreign text, so escape them in every template.
        autoescape=True,
        # A missing name is a mistake and must not become empty text.
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    spelled = (
        wording.amount,
        wording.change,
        wording.count,
        wording.day,
        wording.decimal,
        wording.months,
        wording.percent,
        wording.probability,
        wording.signed,
        wording.significant,
        wording.too_many,
        in_words,
    )
    environment.filters.update({one.__name__: one for one in spelled})
    environment.globals["nothing"] = wording.NOTHING
    return environment
