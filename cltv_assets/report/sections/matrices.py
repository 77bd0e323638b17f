"""The purchase model as people know it: frequency-recency matrices."""

from __future__ import annotations

from cltv_assets.figures import wording
from cltv_assets.figures.svg import svg
from cltv_assets.report.data import ReportData
from cltv_assets.report.facts.matrices import Matrices
from cltv_assets.report.figures.matrices import p_alive_figure, purchases_figure
from cltv_assets.report.sections.section import Picture, Section
from cltv_assets.tables.fitted_rows import in_words

#: A P(alive) below this is a doubt.
_DOUBT = 0.5


def section(data: ReportData) -> Section:
    """Return the two heat maps."""
    name, facts = "Frequency and recency", data.matrices
    if facts is None:
        model = data.models.purchase
        missing = (
            "All customers came on the month's last day: there is no history to draw yet."
            if model.usable
            else f"The purchase model could not be fitted: {in_words(model.reason)}"
        )
        return Section("matrices", name, "No matrices this month", {"missing": missing})
    unit = data.settings.time_unit
    headline = (
        "Whoever bought often and lately will buy most; whoever bought often and then fell silent has probably left"
        if _silence_tells(facts)
        else "The model takes nearly everyone to be still a customer, however long the silence"
    )
    age = wording.quantity(facts.age, unit, 0 if unit == "day" else 1)
    content = {"missing": "", "age": age, "frequency": wording.count(facts.frequency)}
    return Section("matrices", name, headline, content, _pictures(facts, unit))


def _silence_tells(facts: Matrices) -> bool:
    """Whether the model doubts anyone who came back and then stopped."""
    import numpy as np

    return bool(np.nanmin(facts.p_alive) < _DOUBT)


def _pictures(facts: Matrices, unit: str) -> tuple[Picture, ...]:
    often = facts.frequency
    now, long_ago = facts.p_alive[-1, often], facts.p_alive[len(facts.p_alive) // 2, often]
    silent = (
        ""
        if long_ago != long_ago
        else f" With {often} repeat purchases and the last one today it is {wording.probability(float(now))}, "
        f"after {wording.quantity(facts.age / 2, unit)} of silence {wording.probability(float(long_ago))}."
    )
    most = wording.decimal(float(facts.purchases[-1, often]), 1)
    return (
        Picture(
            "Probability of still being a customer",
            svg(
                p_alive_figure(facts, unit),
                "alive",
                f"Heat map of P(alive) by repeat purchases and recency; highest at the upper edge.{silent}",
            ),
            (
                "The longer the silence (further down), the less likely, and the sooner so the more often one used to "
                f"buy.{silent}"
                if _silence_tells(facts)
                else f"No history makes the model doubt that a customer is still one.{silent}"
            ),
        ),
        Picture(
            f"Expected purchases in the next {wording.months(facts.months)}",
            svg(
                purchases_figure(facts, unit),
                "expected",
                f"Heat map of expected purchases in the next {wording.months(facts.months)} by repeat purchases and "
                f"recency; highest at the upper right with {most}.",
            ),
            f"Highest for those who bought most and most lately: {most} purchases with {often} repeat purchases and "
            "the last one today.",
        ),
    )
