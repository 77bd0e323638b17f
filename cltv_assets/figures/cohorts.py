"""Customers by the month of their first purchase: who came back, and what they bring by age."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cltv_assets.figures import canvas
from cltv_assets.figures.canvas import DASHED, Key
from cltv_assets.figures.svg import FIRST, MUTED, SECOND, THIRD

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Height of a row of the heat map, of its frame and of a name, in points.
_ROW, _FRAME, _NAME = 11, 100, 16
_LEAST_HEIGHT = 200
#: Width of a month's name.
_LEFT = 74
_COLOURS = (FIRST, SECOND, THIRD, MUTED)
_BAND = 0.18


def retention_figure(cohorts: Sequence[tuple[str, Sequence[float]]]) -> Figure:
    """Draw as a heat map which share of each cohort's customers ordered at which age.

    Parameters
    ----------
    cohorts : sequence of (name, shares)
        Oldest first; the share at each age from 0 on. Age 0, in which everybody ordered, is left out. At least
        one cohort has an age of 1.
    """
    known = [(name, shares[1:]) for name, shares in cohorts if len(shares) > 1]
    ages = max(len(shares) for _, shares in known)
    grid = np.full((len(known), ages), np.nan)
    for place, (_, shares) in enumerate(known):
        grid[place, : len(shares)] = shares
    steps = canvas.round_steps(float(np.nanmax(grid)))
    height = max(_LEAST_HEIGHT, _FRAME + _ROW * len(known))
    figure, plot = canvas.axes(
        "Months since the month of the first purchase",
        "Month of the first purchase",
        _LEFT,
        canvas.BAR_ROOM,
        height=height,
    )
    plot.imshow(
        grid,
        cmap=canvas.HEAT,
        vmin=0,
        vmax=steps[-1],
        interpolation="none",
        aspect="auto",
        extent=(0.5, ages + 0.5, len(known) - 0.5, -0.5),
    )
    across = [place + 1 for place in canvas.thinned(ages, 8)]
    plot.xaxis.set_ticks(across, [str(place) for place in across])
    down = canvas.thinned(len(known), max(1, (height - _FRAME) // _NAME))
    plot.yaxis.set_ticks(down, [known[place][0] for place in down])
    digits = 0 if steps[1] >= 0.01 else 1
    canvas.colour_bar(figure, plot, steps, [f"{place:.{digits}%}" for place in steps], "ordered")
    return figure


def curves_figure(
    cohorts: Sequence[tuple[str, Sequence[float], Sequence[tuple[int, float, float, float]]]], what: str
) -> Figure:
    """Draw what a customer of each cohort brought by age, and dashed what is expected, with its interval as a band.

    Parameters
    ----------
    cohorts : sequence of (name, realised, ahead)
        Oldest first, four at most: cumulative figures at each age from 0; then age, expectation and both ends of
        its interval at each horizon.
    what : str
        The vertical axis, with its unit.
    """
    every = [value for _, realised, ahead in cohorts for value in (*realised, *(point[3] for point in ahead))]
    every += [point[2] for _, _, ahead in cohorts for point in ahead]
    most, least = max(every), min(0.0, *every)
    keys = [Key(colour, name) for (name, _, _), colour in zip(cohorts, _COLOURS, strict=False)]
    if any(ahead for _, _, ahead in cohorts):
        keys.append(Key(MUTED, "expected", "dashed"))
    figure, plot = canvas.axes(
        "Months since the month of the first purchase", what, canvas.margin(most, least), 30, keys
    )
    last = max((ahead[-1][0] if ahead else len(realised) - 1) for _, realised, ahead in cohorts)
    plot.set_xlim(0, max(last, 1))
    canvas.upwards(plot, most, least)
    ages = canvas.thinned(last + 1, 8)
    plot.xaxis.set_ticks(ages, [str(age) for age in ages])
    for (_, realised, ahead), colour in zip(cohorts, _COLOURS, strict=False):
        now = len(realised) - 1
        plot.plot(range(now + 1), realised, color=colour, linewidth=2.5, clip_on=False)
        if not ahead:
            continue
        # The tail begins where the realised line ends, and so does its interval.
        points = [(now, realised[now], realised[now], realised[now]), *ahead]
        at, mean, low, high = zip(*points, strict=True)
        plot.fill_between(at, low, high, color=colour, alpha=_BAND, linewidth=0)
        plot.plot(at, mean, color=colour, linewidth=2, linestyle=DASHED)
    return figure
