"""Repeat purchases week by week, beside what the models expect: this month's and an earlier one's."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cltv_assets.models.pattern_predictions import predict_patterns
from cltv_assets.months import Month
from cltv_assets.tables.fitted_rows import FittedModel
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.purchase_model.facts import CustomerCounts, ModelView, dates, model_view

#: On a seasonal clock almost all customers have different ages. Above this number of ages,
#: expectations are interpolated on a grid, with an error of about 1e-6.
_MOST_AGES = 3_000
_WEEK = dt.timedelta(days=7)
#: Least number of days ahead that are drawn; a longer history draws as many as it has.
_AHEAD = 91


@dataclass(frozen=True)
class Earlier:
    """An earlier month's model over the same weeks.

    Parameters
    ----------
    month : Month
        The month at whose end it was fitted. What it expects after that is a forecast.
    model : str
        Its name in the tables.
    expected : tuple of float
        Cumulative, at the same ends as the actual purchases. It knows when each customer
        first came, but nothing else that happened after its month.
    ended : int
        Index of the first week end at or after the month's end.
    """

    month: Month
    model: str
    expected: tuple[float, ...]
    ended: int


@dataclass(frozen=True)
class Tracking:
    """Cumulative repeat purchases at week ends.

    Parameters
    ----------
    ends : tuple of date
        Seven days apart, with the observation end among them; the first is before any purchase.
    actual : tuple of int
        Cumulative, up to the observation end, so it is shorter than ``ends``.
    expected : tuple of float or None
        E[X(t)] summed over customers acquired so far; ``None`` where the model is not
        fitted or describes a filtered extract.
    earlier : Earlier or None
        An earlier model's view; ``None`` where no published one can predict.
    """

    ends: tuple[dt.date, ...]
    actual: tuple[int, ...]
    expected: tuple[float, ...] | None
    earlier: Earlier | None

    @property
    def now(self) -> int:
        """Index of the observation end."""
        return len(self.actual) - 1

    @property
    def earlier_line(self) -> tuple[float, ...] | None:
        """The earlier model's expectation; ``None`` without one."""
        return None if self.earlier is None else self.earlier.expected


def tracking(run: MonthRun, view: ModelView | None, counts: CustomerCounts) -> Tracking | None:
    """Accumulate repeat purchases by week; ``None`` without customers."""
    firsts = counts.by_first_day
    if not firsts:
        return None
    last, first = run.month.last_day, min(firsts)
    history = max((last - first).days, 1)
    ahead = min(run.month.days_to_end_of(run.settings.horizons_months[-1]), max(_AHEAD, history))
    past, future = -(-history // 7), ahead // 7
    # The first end is before the first purchase, so that the curves begin at zero.
    past += int(last - past * _WEEK >= first)
    ends = tuple(last + n * _WEEK for n in range(-past, future + 1))
    seen = ends[: past + 1]
    expected = None
    if view is not None and not view.truncated:
        expected = tuple(float(n) for n in _newcomers_expected(view, firsts, ends))
    return Tracking(ends, _actual(run, seen, counts), expected, _earlier(run, seen, counts))


def _actual(run: MonthRun, ends: tuple[dt.date, ...], counts: CustomerCounts) -> tuple[int, ...]:
    """Count purchase days beyond each customer's first, up to each end."""
    days = run.inputs[PURCHASE_DAYS.name]
    bought = days.filter((days.order_count > 0) & (days.purchase_day <= run.month.last_day))
    counted = run.engine.collect(bought.group_by("purchase_day").aggregate(n=bought.count())).to_pylist()
    repeats = {row["purchase_day"]: row["n"] for row in counted}
    for day, n in counts.by_first_day.items():
        repeats[day] = repeats.get(day, 0) - n
    by_week = [0] * len(ends)
    for day, n in repeats.items():
        by_week[len(ends) - 1 - (ends[-1] - day) // _WEEK] += n
    total, cumulative = 0, []
    for n in by_week:
        total += n
        cumulative.append(total)
    return tuple(cumulative)


def _earlier(run: MonthRun, ends: tuple[dt.date, ...], counts: CustomerCounts) -> Earlier | None:
    """Compute what the oldest model that a horizon reaches back to expects for the same weeks."""
    for horizon in reversed(run.settings.horizons_months):
        table = run.earlier(PURCHASE_MODEL, horizon)
        if table is None:
            continue
        view = model_view([FittedModel(row, ()) for row in run.engine.collect(table).to_pylist()], run.settings)
        if view is None or view.truncated:
            continue
        month = run.month.shift(-horizon)
        ended = next(i for i, end in enumerate(ends) if end >= month.last_day)
        expected = _newcomers_expected(view, counts.by_first_day, ends)
        return Earlier(month, view.mixture.name, tuple(float(n) for n in expected), ended)
    return None


def _newcomers_expected(
    view: ModelView, first_days: Mapping[dt.date, int], ends: Sequence[dt.date]
) -> npt.NDArray[Any]:
    """Sum E[X(t)] over customers at each end; t runs from the first purchase.

    Parameters
    ----------
    view : ModelView
        The model that gives E[X(t)].
    first_days : mapping of date to int
        Customers by first purchase day, at least one.
    ends : sequence of date, length n
        Days up to which purchases are counted.

    Returns
    -------
    array of float64, shape (n,)
        Expected repeat purchases so far.
    """
    customers = np.array(list(first_days.values()), dtype=np.float64)
    ages = np.maximum(view.clock.elapsed(dates(list(first_days))[:, None], dates(ends)[None, :]), 0.0)
    distinct, place = np.unique(ages, return_inverse=True)
    known = distinct if len(distinct) <= _MOST_AGES else np.linspace(0.0, distinct[-1], _MOST_AGES)
    expected = np.zeros(len(known))
    later = known > 0
    if later.any():
        newcomer = predict_patterns(view.mixture, [0], [0.0], [0.0], known[later], interval_horizons=[])
        expected[later] = newcomer.expected_purchases[0]
    by_age = np.interp(distinct, known, expected)[place].reshape(ages.shape)
    return np.asarray(customers @ by_age, dtype=np.float64)
