"""CDNOW as the models see it, from the files inside ``lifetimes``, and customers simulated by definition."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cltv_assets.models.sufficient_statistics import FloatArray, IntArray, PurchaseStatistics, SpendStatistics

CALIBRATION_END = pd.Timestamp("1997-09-30")
HOLDOUT_END = pd.Timestamp("1998-06-30")


@dataclass(frozen=True)
class Histories:
    """Customers' calibration histories in days, and what they bought in the holdout."""

    frequency: IntArray
    recency: FloatArray
    T: FloatArray
    first_day: FloatArray  # days since 1997-01-01
    holdout: FloatArray
    repeat_days: FloatArray  # days since 1997-01-01 of every repeat purchase, holdout included

    def statistics(self, unit: float = 1.0) -> PurchaseStatistics:
        """Return one entry a customer."""
        return PurchaseStatistics(self.frequency, self.recency / unit, self.T / unit, np.ones(len(self.T)))


def dataset(name: str) -> Path:
    """Return the path of a file of lifetimes, without importing lifetimes."""
    spec = importlib.util.find_spec("lifetimes")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "datasets" / name


def histories(frame: pd.DataFrame) -> Histories:
    """Merge same-day purchases and split at the calibration end."""
    days = frame.drop_duplicates().sort_values(["customer", "day"])
    first = days.groupby("customer")["day"].transform("min")
    calibration = days[days["day"] <= CALIBRATION_END].groupby("customer")["day"].agg(["min", "max", "size"])
    holdout = days[days["day"] > CALIBRATION_END].groupby("customer").size().reindex(calibration.index, fill_value=0)
    start = pd.Timestamp("1997-01-01")
    return Histories(
        frequency=(calibration["size"] - 1).to_numpy(dtype=np.int64),
        recency=(calibration["max"] - calibration["min"]).dt.days.to_numpy(dtype=np.float64),
        T=(CALIBRATION_END - calibration["min"]).dt.days.to_numpy(dtype=np.float64),
        first_day=(calibration["min"] - start).dt.days.to_numpy(dtype=np.float64),
        holdout=holdout.to_numpy(dtype=np.float64),
        repeat_days=(days.loc[days["day"] > first, "day"] - start).dt.days.to_numpy(dtype=np.float64),
    )


@pytest.fixture(scope="session")
def sample() -> Histories:
    """The 1/10 sample of 2,357 customers."""
    text = pd.read_csv(
        dataset("CDNOW_sample.txt"), sep=r"\s+", header=None, usecols=[1, 2], names=["customer", "day"], dtype=str
    )
    return histories(text.assign(day=pd.to_datetime(text["day"], format="%Y%m%d")))


@pytest.fixture(scope="session")
def master() -> Histories:
    """All 23,570 customers."""
    text = pd.read_csv(
        dataset("CDNOW_master.txt"), sep=r"\s+", header=None, skiprows=1, usecols=[0, 1], names=["customer", "day"],
        dtype=str,
    )  # fmt: skip
    return histories(text.assign(day=pd.to_datetime(text["day"], format="%Y%m%d")))


@pytest.fixture(scope="session")
def summary() -> pd.DataFrame:
    """The sample summarised in weeks, as published."""
    return pd.read_csv(dataset("cdnow_customers_summary.csv"))


@pytest.fixture(scope="session")
def weeks(summary: pd.DataFrame) -> PurchaseStatistics:
    """One entry a customer of the published summary."""
    x, t_x, age = (summary[name].to_numpy() for name in ("frequency", "recency", "T"))
    return PurchaseStatistics(x, t_x, age, np.ones(len(x)))


@pytest.fixture(scope="session")
def spend_summary() -> pd.DataFrame:
    """The published summary with mean transaction values."""
    return pd.read_csv(dataset("cdnow_customers_summary_with_transactions.csv"))


@pytest.fixture(scope="session")
def spend(spend_summary: pd.DataFrame) -> SpendStatistics:
    """One entry a repeat customer."""
    repeat = spend_summary[spend_summary["x"] > 0]
    return SpendStatistics(repeat["x"].to_numpy(), repeat["zbar"].to_numpy(), np.ones(len(repeat)))


def grouped(statistics: PurchaseStatistics) -> PurchaseStatistics:
    """Return the same customers with equal patterns merged."""
    rows = np.column_stack((statistics.frequency, statistics.recency, statistics.T))
    patterns, index = np.unique(rows, axis=0, return_inverse=True)
    return PurchaseStatistics(
        patterns[:, 0], patterns[:, 1], patterns[:, 2], np.bincount(index, weights=statistics.weights)
    )


def simulate_purchases(
    rng: np.random.Generator, rates: FloatArray, dropouts: FloatArray, ages: FloatArray
) -> tuple[IntArray, FloatArray]:
    """Return counts and last purchase times within ``ages``, event by event.

    The model's own definition: exponential gaps, and after each purchase a coin that
    ends it all.
    """
    counts, last, clock = np.zeros(len(ages), dtype=np.int64), np.zeros(len(ages)), np.zeros(len(ages))
    buying = np.arange(len(ages))
    while len(buying):
        clock[buying] += rng.exponential(1.0 / rates[buying])
        buying = buying[clock[buying] <= ages[buying]]
        counts[buying] += 1
        last[buying] = clock[buying]
        buying = buying[rng.random(len(buying)) >= dropouts[buying]]
    return counts, last


def simulate_pareto(
    rng: np.random.Generator, rates: FloatArray, dropout_rates: FloatArray, ages: FloatArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return counts, last purchase times within ``ages`` and lifetimes of Pareto/NBD customers.

    By definition: an exponential lifetime, and purchases at uniform times within it.
    """
    lifetimes = rng.exponential(1.0 / dropout_rates)
    watched = np.minimum(lifetimes, ages)
    counts = rng.poisson(rates * watched)
    # The largest of x uniform times.
    last = np.where(counts > 0, watched * rng.random(len(ages)) ** (1.0 / np.maximum(counts, 1)), 0.0)
    return counts.astype(np.int64), last, lifetimes
