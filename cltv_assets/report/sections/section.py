"""What a section of the report is, and what sections say in a month without predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from markupsafe import Markup

from cltv_assets.figures import wording
from cltv_assets.figures.svg import svg
from cltv_assets.report.data import ReportData
from cltv_assets.report.facts.value import ASKED, WorthKeeping
from cltv_assets.settings import Settings
from cltv_assets.tables.fitted_rows import named

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """A drawing that is made when the page is; the parameters are those of `svg`."""

    figure: Callable[[], Figure]
    name: str
    label: str

    def svg(self) -> str:
        """Return an ``<svg>`` element, safe to insert."""
        return svg(self.figure(), self.name, self.label)


@dataclass(frozen=True)
class Picture:
    """One drawing with its words.

    Parameters
    ----------
    title : str
        What is seen.
    drawing : Drawing
        What is drawn.
    caption : str
        How to read it.
    """

    title: str
    drawing: Drawing
    caption: str


@dataclass(frozen=True)
class Section:
    """One section, ready for its template.

    Parameters
    ----------
    anchor : str
        Its id on the page; the template is ``<anchor>.html``.
    name : str
        For the table of contents.
    headline : str
        What is seen, in a line.
    content : mapping
        What the template shows, as ``c``.
    pictures : tuple of Picture
        Shown after the section's text.
    """

    anchor: str
    name: str
    headline: str
    content: Mapping[str, object] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()


def foreign(text: str) -> Markup:
    """Return text that is not ours, such as a channel's name: escaped, and left alone by the page's audit."""
    return Markup("<bdi data-foreign>{}</bdi>").format(text)


def much(data: ReportData, number: float) -> str:
    """Return an amount of what is predicted: money, or purchases where no money is."""
    if data.value is not None and data.value.predicted.money:
        return wording.money(number, data.settings.currency)
    return in_purchases(number)


def in_purchases(number: float) -> str:
    """Return a number of purchases."""
    return wording.quantity(round(number), "purchase")


def who_is_asked(keep: WorthKeeping) -> str:
    """Say which customers are worth keeping."""
    low, high = (wording.decimal(bound) for bound in keep.bounds)
    return f"the {wording.listing(ASKED)} value tiers with a P(alive) between {low} and {high}"


def margin_in_words(settings: Settings) -> str:
    """Say which share of spend is margin."""
    of_all = f"the gross margin of {wording.share(settings.gross_margin)}"
    if settings.source.margin_column is not None:
        return f"each customer's own margin, by the costs of what they bought ({of_all} until any is known)"
    return of_all


def why_no_money(data: ReportData) -> str:
    """Say in one sentence why purchases are predicted and money is not."""
    why = f"the spend model could not be fitted ({named(data.models.spend.reason)})"
    if data.settings.source.counted:
        why = "the source has no amounts"
    return f"Purchases and P(alive) are predicted, money is not: {why}. Value tiers are by expected purchases."


def why_no_predictions(data: ReportData) -> str:
    """Say in one sentence why nobody has a prediction."""
    model = data.models.purchase
    if not model.usable:
        return f"There are no predictions this month: the purchase model could not be fitted ({named(model.reason)})."
    if data.settings.population == "repeat" and data.now.customers:
        return "There are no predictions this month: population is 'repeat', and no customer bought twice lately."
    return "There are no predictions this month: there are no customers to predict."
