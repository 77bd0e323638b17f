"""The purchase model drawn: its matrices, and its expectations beside what happened."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cltv_assets.months import Month
from cltv_assets.report.facts.population import CustomerCounts
from cltv_assets.schemas import PURCHASE_DAYS
from cltv_assets.steps.month_run import MonthRun
from cltv_assets.transforms.customers import DAYS_PER_UNIT

if TYPE_CHECKING:
    import numpy.typing as npt

    from cltv_assets.models.fits import PurchaseFit

#: Repeat purchases counted one by one in the histogram; the last class takes the rest.
LAST_CLASS = 7
#: The matrices show this share of customers; a lone bulk buyer would squeeze the others.
_SHOWN_SHARE = 0.999
_FREQUENCIES = (5, 40)
_RECENCIES = 40


@dataclass(frozen=True, eq=False)
class Matrices:
    """The model's view of a history, for customers first seen ``age`` ago.

    Parameters
    ----------
    frequency : int
        Largest number of repeat purchases shown; columns are 0 to this.
    age : float
        T of the oldest customers, in the time unit; rows are recencies from 0 to it.
    months : int
        Horizon of ``purchases``.
    p_alive, purchases : arrays, shape (rows, columns)
        NaN where no customer can be.
    """

    frequency: int
    age: float
    months: int
    p_alive: npt.NDArray[Any]
    purchases: npt.NDArray[Any]


@dataclass(frozen=True)
class Histogram:
    """Customers by repeat purchases, counted and as the model has it.

    Parameters
    ----------
    actual : tuple of int
        Customers with 0, 1, … repeat purchases, the last class with that many or more.
    expected : tuple of float or None
        The same of the model; ``None`` where it is not fitted.
    """

    actual: tuple[int, ...]
    expected: tuple[float, ...] | None


@dataclass(frozen=True)
class Tracking:
    """Cumulative repeat purchases at month ends.

    Parameters
    ----------
    months : tuple of Month
        From the first purchase's month to the horizon's end.
    actual : tuple of int
        Up to the observation end, so shorter than ``months``.
    expected : tuple of float or None
        E[X(t)] summed over customers acquired so far; ``None`` where not fitted.
    """

    months: tuple[Month, ...]
    actual: tuple[int, ...]
    expected: tuple[float, ...] | None


def matrices(run: MonthRun, fit: PurchaseFit, counts: CustomerCounts) -> Matrices | None:
    """Evaluate the model over frequency and recency; ``None`` without an age to speak of."""
    import numpy as np

    from cltv_assets.models.predict import predict_patterns

    unit = DAYS_PER_UNIT[run.settings.time_unit]
    days = (run.month.last_day - min(counts.by_first_day)).days
    if days <= 0:
        return None
    frequency = _shown_frequency(counts.by_frequency)
    recencies = np.linspace(0.0, days, min(_RECENCIES, days + 1))
    x, t = (grid.ravel() for grid in np.meshgrid(np.arange(frequency + 1), recencies))
    # x purchases on x different days after the first need x days at least.
    possible = np.where(x == 0, t == 0, t >= x)
    h = run.settings.horizons_months[-1]
    found = predict_patterns(
        fit,
        x[possible],
        t[possible] / unit,
        np.full(int(possible.sum()), days / unit),
        [run.month.days_to_end_of(h) / unit],
        interval_horizons=[],
    )

    def grid(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        filled = np.full(len(x), np.nan)
        filled[possible] = values
        return filled.reshape(len(recencies), frequency + 1)

    return Matrices(frequency, days / unit, h, grid(found.p_alive), grid(found.expected_purchases[:, 0]))


def _shown_frequency(by_frequency: Mapping[int, int]) -> int:
    enough = _SHOWN_SHARE * sum(by_frequency.values())
    seen = largest = 0
    for frequency, n in sorted(by_frequency.items()):
        seen, largest = seen + n, frequency
        if seen >= enough:
            break
    least, most = _FREQUENCIES
    return min(max(largest, least), most)


def histogram(run: MonthRun, fit: PurchaseFit | None, counts: CustomerCounts) -> Histogram:
    """Count customers by repeat purchases, and let the model do the same.

    The model's count is exact: the sum of P(X(T) = n) over the customers' ages, from
    the same tail probabilities as the prediction intervals, seen from a customer's
    first day (x = 0, T = 0).
    """
    actual = [counts.by_frequency.get(n, 0) for n in range(LAST_CLASS)]
    actual.append(sum(n for frequency, n in counts.by_frequency.items() if frequency >= LAST_CLASS))
    if fit is None:
        return Histogram(tuple(actual), None)
    import numpy as np

    from cltv_assets.models.purchase_model import Patterns, at_least
    from cltv_assets.models.registry import purchase_model

    age = np.array([(run.month.last_day - day).days for day in counts.by_first_day], dtype=np.float64)
    customers = np.array(list(counts.by_first_day.values()), dtype=np.float64)
    # Who came on the last day has had no time: certainly none.
    had_time = age > 0
    ages, weights = age[had_time] / DAYS_PER_UNIT[run.settings.time_unit], customers[had_time]
    n, classes = len(ages), np.arange(1, LAST_CLASS + 1, dtype=np.float64)
    newcomers = Patterns(np.zeros(n * LAST_CLASS, dtype=np.int64), *(np.zeros(n * LAST_CLASS) for _ in range(2)))
    model = purchase_model(fit.model_name)
    tail = at_least(model, fit.usable_parameters(), newcomers, np.repeat(ages, LAST_CLASS), np.tile(classes, n))
    at_least = np.concatenate(([customers.sum()], weights @ tail.reshape(n, LAST_CLASS)))
    return Histogram(tuple(actual), tuple(float(v) for v in at_least - np.append(at_least[1:], 0.0)))


def tracking(run: MonthRun, fit: PurchaseFit | None, counts: CustomerCounts) -> Tracking | None:
    """Accumulate repeat purchases by month; ``None`` without customers."""
    if not counts.by_first_day:
        return None
    past = list(Month.of(min(counts.by_first_day)).until(run.month))
    months = (*past, *(run.month.shift(k) for k in range(1, run.settings.horizons_months[-1] + 1)))
    actual = _actual(run, past, counts.by_first_day)
    return Tracking(months, actual, None if fit is None else _expected(run, fit, months, counts.by_first_day))


def _actual(run: MonthRun, months: list[Month], first_days: Mapping[dt.date, int]) -> tuple[int, ...]:
    days = run.inputs[PURCHASE_DAYS.name]
    bought = days.filter((days.order_count > 0) & (days.purchase_day <= run.month.last_day))
    counted = bought.group_by(year=bought.purchase_day.year(), calendar_month=bought.purchase_day.month()).aggregate(
        n=bought.count()
    )
    purchases = {
        Month(dt.date(row["year"], row["calendar_month"], 1)): row["n"]
        for row in run.engine.collect(counted).to_pylist()
    }
    for day, n in first_days.items():
        purchases[Month.of(day)] = purchases.get(Month.of(day), 0) - n
    total, cumulative = 0, []
    for month in months:
        total += purchases.get(month, 0)
        cumulative.append(total)
    return tuple(cumulative)


def _expected(
    run: MonthRun, fit: PurchaseFit, months: tuple[Month, ...], first_days: Mapping[dt.date, int]
) -> tuple[float, ...]:
    """Sum E[X(t)] over customers at each month's end; t runs from the first purchase."""
    import numpy as np

    from cltv_assets.models.predict import predict_patterns

    first = min(first_days)
    horizon = (months[-1].last_day - first).days
    if horizon <= 0:
        return (0.0,) * len(months)
    days = np.arange(1, horizon + 1) / DAYS_PER_UNIT[run.settings.time_unit]
    newcomer = predict_patterns(fit, [0], [0.0], [0.0], days, interval_horizons=[])
    by_age = np.concatenate(([0.0], newcomer.expected_purchases[0]))
    begun = np.array([(day - first).days for day in first_days])
    customers = np.array(list(first_days.values()), dtype=np.float64)
    ends = [(month.last_day - first).days for month in months]
    return tuple(float(customers @ by_age[np.maximum(end - begun, 0)]) for end in ends)
