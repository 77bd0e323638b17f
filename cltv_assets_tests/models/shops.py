"""Made-up shops whose customers buy by a known calendar, and what a month of them knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cltv_assets.models.arrays import FloatArray, IntArray
from cltv_assets.models.choosing.histories import Fold, Histories
from cltv_assets.models.choosing.older_base import SOON_DAYS, SoonAgain
from cltv_assets.models.choosing.regularity import DayCounts, Intervals
from cltv_assets.models.choosing.seasonality import MonthCounts
from cltv_assets_tests.models.conftest import regular_purchases

#: A shop with a Christmas: intensities of the calendar months.
CHRISTMAS = np.array([0.7, 0.7, 0.8, 0.9, 1.0, 0.9, 0.8, 0.8, 1.0, 1.1, 1.5, 1.8])
FLAT = np.ones(12)


@dataclass(frozen=True)
class Shop:
    """Purchases, one row a customer and day, ascending by customer and day."""

    customer: IntArray
    day: np.ndarray

    def histories(self, end: str) -> Histories:
        """Return distinct histories up to ``end``, counted by hand."""
        first, last, count = self._known(end)
        return _grouped(first, last, count - 1, np.zeros_like(count), np.datetime64(end))[0]

    def fold(self, origin: str, until: str) -> Fold:
        """Return what was known at ``origin``, and what was bought up to ``until``."""
        first, last, count = self._known(origin)
        later = (self.day > np.datetime64(origin)) & (self.day <= np.datetime64(until))
        known = np.unique(self.customer[self.day <= np.datetime64(origin)])
        bought = np.bincount(self.customer[later], minlength=self.customer.max() + 1)[known]
        histories, counts = _grouped(first, last, count - 1, bought, np.datetime64(origin))
        return Fold(histories, counts, np.datetime64(until))

    def folds(self, end: str, months: int = 3, number: int = 3) -> list[Fold]:
        """Return holdouts of so many months, the newest ending at ``end``, a month's last day."""
        month = np.datetime64(end, "M")
        last_days = [str((month - months * k + 1).astype("datetime64[D]") - 1) for k in range(number + 1)]
        return [self.fold(last_days[k + 1], last_days[k]) for k in range(number)]

    def since(self, start: str) -> Shop:
        """Return what data know that begin on ``start``."""
        known = self.day >= np.datetime64(start)
        return Shop(np.unique(self.customer[known], return_inverse=True)[1], self.day[known])

    def counts(self) -> MonthCounts:
        """Return all purchases by month."""
        months, purchases = np.unique(self.day.astype("datetime64[M]"), return_counts=True)
        return MonthCounts.of(months, purchases.astype(np.float64))

    def intervals(self, end: str = "2199-12-31") -> Intervals:
        """Return the days between purchases up to ``end``, counted by hand."""
        known = self.day <= np.datetime64(end)
        customer, day = self.customer[known], self.day[known].astype(np.int64)
        gaps = [np.diff(each) for each in np.split(day, np.flatnonzero(np.diff(customer)) + 1)]
        last_two = np.array([each[-2:] for each in gaps if len(each) > 1], dtype=np.int64).reshape(-1, 2)
        every = np.concatenate(gaps)
        return Intervals(
            *(DayCounts(*np.unique(days, return_counts=True)) for days in (every, last_two, last_two.sum(axis=1)))
        )

    def _known(self, end: str) -> tuple[np.ndarray, np.ndarray, IntArray]:
        known = self.day <= np.datetime64(end)
        _, at, count = np.unique(self.customer[known], return_index=True, return_counts=True)
        days = self.day[known]
        return days[at], days[at + count - 1], count


def _grouped(
    first: np.ndarray, last: np.ndarray, frequency: IntArray, bought: IntArray, end: np.datetime64
) -> tuple[Histories, IntArray]:
    rows = np.column_stack((frequency, first.astype(np.int64), last.astype(np.int64), bought))
    distinct, weights = np.unique(rows, axis=0, return_counts=True)
    dates = distinct[:, 1:3].astype("datetime64[D]")
    return Histories(distinct[:, 0], dates[:, 0], dates[:, 1], weights.astype(np.float64), end), distinct[:, 3]


def simulate(
    seed: int,
    customers: int,
    index: FloatArray = FLAT,
    *,
    start: str = "2001-01-01",
    years: int = 4,
    acquired: float = 3.0,
    rates: tuple[float, float] = (0.6, 30.0),
    dropout: tuple[float, float] | None = (0.8, 3.0),
    after_first: bool = False,
    growth: float = 1.0,
) -> Shop:
    """Let customers buy, day by day, by the BG/NBD's own story times the calendar.

    Each day a customer still active buys with probability 1 - exp(-rate x index of the
    month), and after each repeat purchase a coin may end it all. No clock is changed here.

    Parameters
    ----------
    seed : int
    customers : int
        Their first purchases are spread evenly over the first ``acquired`` years.
    index : array, shape (12,)
    start, years
        The days simulated.
    rates : pair of float
        r, and alpha in days.
    dropout : pair of float or None
        a and b; None where nobody stops.
    after_first : bool
        Whether the first purchase may be the last: the MBG/NBD's story.
    growth : float
        What everybody's intensity is multiplied by within a year; it is 1 at the end.
    """
    rng = np.random.default_rng(seed)
    days = np.arange(np.datetime64(start), np.datetime64(start) + int(365.25 * years), dtype="datetime64[D]")
    intensity = index[days.astype("datetime64[M]").astype(np.int64) % 12]
    intensity = intensity * growth ** (np.arange(1 - len(days), 1) / 365.25)
    first = rng.integers(0, int(365.25 * acquired), customers)
    rate = rng.gamma(rates[0], 1.0 / rates[1], customers)
    stops = rng.beta(*dropout, customers) if dropout else np.zeros(customers)
    active = rng.random(customers) >= stops if after_first else np.ones(customers, dtype=bool)
    who, when = [np.arange(customers)], [first]
    for number, today in enumerate(intensity):
        buying = np.flatnonzero(active & (first < number) & (rng.random(customers) < -np.expm1(-rate * today)))
        who.append(buying)
        when.append(np.full(len(buying), number))
        active[buying[rng.random(len(buying)) < stops[buying]]] = False
    customer, day = np.concatenate(who), np.concatenate(when)
    order = np.lexsort((day, customer))
    return Shop(customer[order], days[day[order]])


def simulate_regular(
    seed: int,
    customers: int,
    k: int,
    rates: tuple[float, float],
    dropout: tuple[float, float] | None,
    *,
    start: str = "2001-01-01",
    years: float = 2.0,
    after_first: bool = True,
) -> Shop:
    """Let customers buy at Erlang-k intervals of k steps at rates of Gamma(r, alpha in days): MBG/CNBD-k's own story.

    First purchases are spread evenly over all days; purchases of a day are merged.
    """
    rng = np.random.default_rng(seed)
    first = rng.uniform(0.0, 365.25 * years, customers)
    rate = rng.gamma(rates[0], 1.0 / rates[1], customers)
    stops = rng.beta(*dropout, customers) if dropout else np.zeros(customers)
    active = rng.random(customers) >= stops if after_first else np.ones(customers, dtype=bool)
    who, when, _ = regular_purchases(rng, k, rate, stops, 365.25 * years - first, active)
    customer = np.concatenate((np.arange(customers), who))
    day = np.floor(np.concatenate((first, first[who] + when))).astype(np.int64)
    rows = np.unique(np.column_stack((customer, day)), axis=0)
    return Shop(rows[:, 0], np.datetime64(start) + rows[:, 1])


@dataclass(frozen=True)
class OlderShop:
    """What data see of a shop that was there before, and the truth.

    Parameters
    ----------
    shop : Shop
        Purchases from the data's first day to its last one, `end`.
    end : str
        Last day of the data.
    older : array of bool
        By customer: whether their first purchase lies before the data.
    alive : array of bool
        Whether they still buy at the end.
    bought : int
        What they bought in the 365 days after it.
    """

    shop: Shop
    end: str
    older: np.ndarray
    alive: np.ndarray
    bought: int


def simulate_older(
    seed: int,
    customers: int,
    rates: tuple[float, float],
    *,
    dropout: tuple[float, float] | None = None,
    lifetimes: tuple[float, float] | None = None,
    before: float = 5.0,
    seen: float = 1.0,
    decline: float = 0.0,
) -> OlderShop:
    """Let customers buy in continuous time, by the BG/NBD's story or the Pareto/NBD's, and show the last years of it.

    Parameters
    ----------
    seed, customers : int
        Of the whole time.
    rates : pair of float
        r, and alpha in days.
    dropout : pair of float, optional
        a and b; without them ``lifetimes`` are s, and beta in days.
    lifetimes : pair of float, optional
    before, seen : float
        Years before the data, and in them.
    decline : float
        By how much the log of the arrivals falls in the whole time; 0 for even ones.
    """
    rng = np.random.default_rng(seed)
    past, now = round(before * 365), round(seen * 365)
    share = rng.random(customers)
    share = -np.log1p(-share * -np.expm1(-decline)) / decline if decline else share
    at = share * (past + now) - past
    born, rate = at.copy(), rng.gamma(rates[0], 1.0 / rates[1], customers)
    stops = rng.beta(*dropout, customers) if dropout else np.zeros(customers)
    death = np.full(customers, np.inf)
    if lifetimes:
        death = born + rng.exponential(1.0 / rng.gamma(lifetimes[0], 1.0 / lifetimes[1], customers))
    who, when, buying = [np.arange(customers)], [at.copy()], np.arange(customers)
    while len(buying):
        at[buying] += rng.exponential(1.0 / rate[buying])
        buying = buying[(at[buying] < now + 365) & (at[buying] < death[buying])]
        who.append(buying)
        when.append(at[buying])
        stopped = rng.random(len(buying)) < stops[buying]
        death[buying[stopped]] = at[buying[stopped]]
        buying = buying[~stopped]
    rows = np.unique(np.column_stack((np.concatenate(who), np.floor(np.concatenate(when)).astype(np.int64))), axis=0)
    known = rows[(rows[:, 1] >= 0) & (rows[:, 1] < now)]
    ids, customer = np.unique(known[:, 0], return_inverse=True)
    start = np.datetime64("2022-01-01")
    return OlderShop(
        Shop(customer, start + known[:, 1]),
        str(start + now - 1),
        born[ids] < 0,
        death[ids] > now,
        int((np.isin(rows[:, 0], ids) & (rows[:, 1] >= now)).sum()),
    )


def soon_again(shop: Shop, end: str) -> SoonAgain:
    """Count purchases soon after the first one, customer by customer."""
    known = shop.day <= np.datetime64(end)
    _, at, place = np.unique(shop.customer[known], return_index=True, return_inverse=True)
    first = shop.day[known][at]
    age = (shop.day[known] - first[place]).astype(np.int64)
    soon = np.bincount(place, weights=(age > 0) & (age <= SOON_DAYS))
    days, of = np.unique(first, return_inverse=True)
    return SoonAgain(days, *(np.bincount(of, weights=each) for each in (np.ones(len(soon)), soon, soon**2)))
