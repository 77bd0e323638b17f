"""Made-up shops, with customers of the models' own kinds and of others; the logs of CDNOW and Online Retail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bench.holdout.purchases import PurchaseLog
from bench.published import cdnow
from cltv_assets.models.arrays import FloatArray, IntArray

_YEAR = 365.25
_START = np.datetime64("2021-01-01", "D")
#: Months after the last one looked at, to hold predictions against.
AHEAD = 6


@dataclass(frozen=True)
class Shop:
    """Purchases, and the months at whose ends they are looked at.

    Parameters
    ----------
    name, kind : str
        The kind is the model that the customers follow, or what else they do.
    log : PurchaseLog
    months : tuple of datetime64[M]
        Consecutive; all but real logs go on for six months after the last one.
    """

    name: str
    kind: str
    log: PurchaseLog
    months: tuple[np.datetime64, ...]


#: Made-up shops of each kind.
KINDS = {"bg_nbd": 10, "mbg_nbd": 10, "pareto_nbd": 10, "two kinds": 5, "lognormal": 5, "good and bad months": 5}


def made_up(most: int, months: int = 6) -> Iterator[Shop]:
    """Yield at most ``most`` shops of each of `KINDS`.

    They have 1,000 to 4,000 customers, and 18 to 30 months at the last of the ``months`` that are looked at.
    """
    for at, (kind, number) in enumerate(KINDS.items()):
        for each in range(min(number, most)):
            rng = np.random.default_rng([at, each])
            length = int(rng.integers(18, 31))
            first = _START.astype("datetime64[M]")
            end = (first + length + AHEAD).astype("datetime64[D]") - 1
            log = _customers_of(rng, kind, int(rng.integers(1_000, 4_001)), end)
            last = first + length - 1
            yield Shop(f"{kind} {each + 1}", kind, log, tuple(last - k for k in range(months - 1, -1, -1)))


def _customers_of(rng: np.random.Generator, kind: str, customers: int, end: np.datetime64) -> PurchaseLog:
    days = float((end - _START).astype(np.int64))
    # Half of the shops open with the data, half grow evenly.
    share = rng.choice([0.4, 1.0])
    first = np.sort(rng.uniform(0.0, share * days, customers))
    ends = days - first
    shape, yearly = rng.uniform(0.3, 1.2), rng.uniform(2.0, 10.0)
    rate = rng.gamma(shape, yearly / shape / _YEAR, customers)
    a, mean = rng.uniform(0.3, 1.2), rng.uniform(0.08, 0.4)
    coin = rng.beta(a, a * (1.0 - mean) / mean, customers)
    s, median = rng.uniform(0.4, 1.2), rng.uniform(0.4, 3.0)
    beta = median / (2.0 ** (1.0 / s) - 1.0) * _YEAR
    lifetime = rng.exponential(1.0 / rng.gamma(s, 1.0 / beta, customers))
    if kind in ("bg_nbd", "mbg_nbd"):
        who, when = by_coin(rng, rate, coin, ends, after_first=kind == "mbg_nbd")
    elif kind == "pareto_nbd":
        who, when = by_lifetime(rng, rate, lifetime, ends)
    elif kind == "two kinds":
        half = rng.random(customers) < 0.5
        who, when = by_coin(rng, rate, coin, ends * half, after_first=True)
        others = by_lifetime(rng, rate, lifetime, ends * ~half)
        who, when = np.concatenate((who, others[0])), np.concatenate((when, others[1]))
    elif kind == "lognormal":
        rate = yearly / _YEAR * rng.lognormal(-0.5, 1.0, customers)
        loyal = rng.random(customers) < 0.3
        who, when = by_lifetime(rng, rate, rng.exponential(np.where(loyal, 4.0, 0.4) * _YEAR), ends)
    else:
        who, when = by_lifetime(rng, 1.5 * rate, lifetime, ends)
        # A campaign, a strike: all customers buy more in one month and less in another.
        level = np.minimum(rng.lognormal(-0.02, 0.2, int(days / 30.4) + 2) / 1.5, 1.0)
        kept = rng.random(len(who)) < level[((first[who] + when) / 30.4).astype(np.int64)]
        who, when = who[kept], when[kept]
    customer = np.concatenate((np.arange(customers), who))
    day = np.floor(np.concatenate((first, first[who] + when))).astype(np.int64)
    return PurchaseLog.of(customer, _START + day.astype("timedelta64[D]"))


def by_coin(
    rng: np.random.Generator, rate: FloatArray, stops: FloatArray, ends: FloatArray, *, after_first: bool
) -> tuple[IntArray, FloatArray]:
    """Return customers and times of repeat purchases of those who may stop after each one."""
    clock = np.zeros(len(rate))
    buying = np.flatnonzero(rng.random(len(rate)) >= stops) if after_first else np.arange(len(rate))
    who, when = [], []
    while len(buying):
        clock[buying] += rng.exponential(1.0 / rate[buying])
        buying = buying[clock[buying] <= ends[buying]]
        who.append(buying)
        when.append(clock[buying])
        buying = buying[rng.random(len(buying)) >= stops[buying]]
    return np.concatenate(who), np.concatenate(when)


def by_lifetime(
    rng: np.random.Generator, rate: FloatArray, lifetime: FloatArray, ends: FloatArray
) -> tuple[IntArray, FloatArray]:
    """Return customers and times of repeat purchases of those who stop at a time of their own."""
    watched = np.minimum(lifetime, ends)
    who = np.repeat(np.arange(len(rate)), rng.poisson(rate * watched))
    return who, rng.random(len(who)) * watched[who]


def _months(first: str, last: str) -> tuple[np.datetime64, ...]:
    return tuple(np.arange(np.datetime64(first, "M"), np.datetime64(last, "M") + 1))


def cdnow_log() -> Shop:
    """Return all customers of CDNOW, 1997-01 to 1998-06."""
    lines = cdnow.days_of(*cdnow.MASTER)
    codes = pd.factorize(lines["customer"])[0].astype(np.int64)
    log = PurchaseLog.of(codes, lines["day"].to_numpy().astype("datetime64[D]"))
    return Shop("CDNOW", "real", log, _months("1997-09", "1998-03"))


def online_retail(folder: Path) -> Shop:
    """Return UCI Online Retail, 2010-12 to 2011-12, from its CSV files; cancelled orders are left out."""
    columns = ["InvoiceNo", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"]
    parts = [pd.read_csv(file, usecols=columns, dtype=str) for file in sorted(folder.glob("*.csv"))]
    lines = pd.concat(parts).dropna(subset=["CustomerID"])
    kept = ~lines["InvoiceNo"].str.startswith("C")
    kept &= (lines["Quantity"].astype(float) > 0) & (lines["UnitPrice"].astype(float) > 0)
    lines = lines[kept]
    day = pd.to_datetime(lines["InvoiceDate"]).to_numpy().astype("datetime64[D]")
    codes = pd.factorize(lines["CustomerID"])[0].astype(np.int64)
    return Shop("Online Retail", "real", PurchaseLog.of(codes, day), _months("2011-05", "2011-08"))
