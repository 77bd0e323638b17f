"""The purchase model in its usual form, as frequency-recency matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cltv_assets.figures import canvas, wording
from cltv_assets.report.data import ReportData
from cltv_assets.report.facts.matrices import Matrices
from cltv_assets.report.sections.section import Drawing, Picture, Section
from cltv_assets.tables.fitted_rows import in_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Below this P(alive) the model doubts that a customer is still there.
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
            Drawing(
                lambda: p_alive_figure(facts, unit),
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
            Drawing(
                lambda: purchases_figure(facts, unit),
                "expected",
                f"Heat map of expected purchases in the next {wording.months(facts.months)} by repeat purchases and "
                f"recency; highest at the upper right with {most}.",
            ),
            f"Highest for those who bought most and most lately: {most} purchases with {often} repeat purchases and "
            "the last one today.",
        ),
    )


def p_alive_figure(facts: Matrices, unit: str) -> Figure:
    """Draw P(alive) over frequency and recency."""
    steps = [0.0, 0.25, 0.5, 0.75, 1.0]
    return _heat_map(facts, facts.p_alive, unit, "P(alive)", steps, [f"{place:.2f}" for place in steps])


def purchases_figure(facts: Matrices, unit: str) -> Figure:
    """Draw the expected purchases over frequency and recency."""
    steps = canvas.round_steps(float(np.nanmax(facts.purchases)))
    digits = 0 if steps[1] >= 1 else (1 if steps[1] >= 0.1 else 2)
    return _heat_map(facts, facts.purchases, unit, "purchases", steps, [f"{place:,.{digits}f}" for place in steps])


def _heat_map(
    facts: Matrices, values: npt.NDArray[Any], unit: str, what: str, steps: list[float], labels: list[str]
) -> Figure:
    figure, plot = canvas.axes(
        "Repeat purchases so far", f"Recency: {unit}s from first to last purchase", left=50, right=canvas.BAR_ROOM
    )
    rows = values.shape[0]
    half = facts.age / (rows - 1) / 2
    plot.imshow(
        values,
        cmap=canvas.HEAT,
        vmin=0,
        vmax=steps[-1],
        # One pixel for each cell; the page enlarges it without smoothing.
        interpolation="none",
        aspect="auto",
        origin="lower",
        extent=(-0.5, facts.frequency + 0.5, -half, facts.age + half),
    )
    across = canvas.thinned(facts.frequency + 1, 8)
    plot.xaxis.set_ticks(across, [str(place) for place in across])
    up = [place for place in canvas.round_steps(facts.age) if place <= facts.age]
    plot.yaxis.set_ticks(up, [f"{place:,.0f}" for place in up])
    canvas.colour_bar(figure, plot, steps, labels, what)
    return figure
