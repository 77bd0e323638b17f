"""The purchase model over frequency and recency."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cltv_assets.models.pattern_predictions import predict_patterns
from cltv_assets.months import DAYS_PER_UNIT
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_model.facts import CustomerCounts, ModelView, dates

#: The matrices show this share of customers, because one bulk buyer would squeeze the others.
_SHOWN_SHARE = 0.999
_FREQUENCIES = (5, 40)
_RECENCIES = 40


@dataclass(frozen=True, eq=False)
class Matrices:
    """What the model says of each history, for customers first seen ``age`` ago.

    Parameters
    ----------
    frequency : int
        Largest number of repeat purchases shown; columns are 0 to this.
    age : float
        Calendar time since the first purchase of the oldest customers, in the time
        unit; rows are recencies from 0 to ``age``.
    months : int
        Horizon of ``purchases``.
    p_alive, purchases : arrays, shape (rows, columns)
        P(alive) and expected purchases; NaN where a history is impossible.
    """

    frequency: int
    age: float
    months: int
    p_alive: npt.NDArray[Any]
    purchases: npt.NDArray[Any]


def matrices(run: MonthRun, view: ModelView, counts: CustomerCounts) -> Matrices | None:
    """Evaluate the model over frequency and recency; ``None`` if the history is too short."""
    first, last = min(counts.by_first_day, default=run.month.last_day), run.month.last_day
    days = (last - first).days
    if days <= 0:
        return None
    frequency = _shown_frequency(counts.by_frequency)
    recencies = np.linspace(0.0, days, min(_RECENCIES, days + 1))
    x, t = (grid.ravel() for grid in np.meshgrid(np.arange(frequency + 1), recencies))
    # x purchases on x different days after the first need at least x days.
    possible = np.where(x == 0, t == 0, t >= x)
    every_day = dates([first + dt.timedelta(days=n) for n in range(days + 1)])
    clock = view.clock.elapsed(every_day[0], every_day)
    recency = np.interp(t[possible], np.arange(days + 1), clock)
    h = run.settings.horizons_months[-1]
    ahead = float(view.clock.elapsed(dates([last]), dates([run.month.shift(h).last_day]))[0])
    found = predict_patterns(
        view.mixture, x[possible], recency, np.full(len(recency), clock[-1]), [ahead], interval_horizons=[]
    )

    def grid(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        filled = np.full(len(x), np.nan)
        filled[possible] = values
        return filled.reshape(len(recencies), frequency + 1)

    age = days / DAYS_PER_UNIT[run.settings.time_unit]
    return Matrices(frequency, age, h, grid(found.p_alive), grid(found.expected_purchases[:, 0]))


def _shown_frequency(by_frequency: Mapping[int, int]) -> int:
    enough = _SHOWN_SHARE * sum(by_frequency.values())
    seen = largest = 0
    for frequency, n in sorted(by_frequency.items()):
        seen, largest = seen + n, frequency
        if seen >= enough:
            break
    least, most = _FREQUENCIES
    return min(max(largest, least), most)
