"""Frequency-recency matrices, as lifetimes' ``plot_frequency_recency_matrix`` made them known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cltv_assets.figures import canvas
from cltv_assets.figures.svg import MUTED, TEXT
from cltv_assets.report.facts.matrices import Matrices

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.figure import Figure

_COLOURS = "viridis"
_BAR, _BAR_WIDTH, _BAR_LABELS = 14, 12, 44


def p_alive_figure(facts: Matrices, unit: str) -> Figure:
    """Draw P(alive) over frequency and recency."""
    steps = [0.0, 0.25, 0.5, 0.75, 1.0]
    return _heat_map(facts, facts.p_alive, unit, "P(alive)", steps, [f"{place:.2f}" for place in steps])


def purchases_figure(facts: Matrices, unit: str) -> Figure:
    """Draw the expected purchases over frequency and recency."""
    import numpy as np

    steps = canvas.round_steps(float(np.nanmax(facts.purchases)))
    digits = 0 if steps[1] >= 1 else (1 if steps[1] >= 0.1 else 2)
    return _heat_map(facts, facts.purchases, unit, "purchases", steps, [f"{place:,.{digits}f}" for place in steps])


def _heat_map(
    facts: Matrices, values: npt.NDArray[Any], unit: str, what: str, steps: list[float], labels: list[str]
) -> Figure:
    import numpy as np

    right = _BAR + _BAR_WIDTH + _BAR_LABELS
    figure, plot = canvas.axes(
        "Repeat purchases so far", f"Recency: {unit}s from first to last purchase", left=50, right=right
    )
    rows = values.shape[0]
    half = facts.age / (rows - 1) / 2
    plot.imshow(
        values,
        cmap=_COLOURS,
        vmin=0,
        vmax=steps[-1],
        # One pixel a cell: the page enlarges it without smoothing.
        interpolation="none",
        aspect="auto",
        origin="lower",
        extent=(-0.5, facts.frequency + 0.5, -half, facts.age + half),
    )
    across = canvas.thinned(facts.frequency + 1, 8)
    plot.xaxis.set_ticks(across, [str(place) for place in across])
    up = [place for place in canvas.round_steps(facts.age) if place <= facts.age]
    plot.yaxis.set_ticks(up, [f"{place:,.0f}" for place in up])
    box = plot.get_position()
    bar = figure.add_axes((box.x1 + _BAR / canvas.WIDTH, box.y0, _BAR_WIDTH / canvas.WIDTH, box.height))
    scale = np.linspace(0.0, 1.0, 64)[:, None]
    bar.imshow(scale, cmap=_COLOURS, interpolation="none", aspect="auto", origin="lower", extent=(0, 1, 0, steps[-1]))
    bar.set_frame_on(False)
    bar.xaxis.set_visible(False)
    bar.yaxis.set_ticks(steps, labels)
    bar.tick_params(axis="y", length=0, labelcolor=TEXT, labelsize=canvas.FONT, labelleft=False, labelright=True)
    figure.text(1 - 4 / canvas.WIDTH, 1 - 15 / canvas.HEIGHT, what, color=MUTED, fontsize=canvas.FONT, ha="right")
    return figure
