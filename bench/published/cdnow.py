"""CDNOW as the published figures were computed from it: files of the package ``lifetimes``."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from cltv_assets.models.arrays import FloatArray, IntArray
from cltv_assets.models.sufficient_statistics import PurchaseStatistics, SpendStatistics

CALIBRATION_END = pd.Timestamp("1997-09-30")
_START = pd.Timestamp("1997-01-01")
#: The files: name, columns of customer and day, lines before the first.
SAMPLE = ("CDNOW_sample.txt", [1, 2], 0)
MASTER = ("CDNOW_master.txt", [0, 1], 1)


@dataclass(frozen=True)
class Sample:
    """Customers' histories in days, with what they bought in the holdout.

    Parameters
    ----------
    frequency, recency, T : arrays, shape (n,)
        Up to the calibration's end; times in days.
    first_day : array, shape (n,)
        Of the first purchase, in days since 1997-01-01.
    holdout : array, shape (n,)
        Purchase days after the calibration.
    repeat_days : array
        Days since 1997-01-01 of every repeat purchase, those of the holdout included.
    """

    frequency: FloatArray
    recency: FloatArray
    T: FloatArray
    first_day: FloatArray
    holdout: FloatArray
    repeat_days: FloatArray

    def statistics(self, unit: float = 1.0) -> PurchaseStatistics:
        """Return one entry for each distinct history, with times in units of so many days."""
        rows = np.column_stack((self.frequency, self.recency / unit, self.T / unit))
        patterns, weights = np.unique(rows, axis=0, return_counts=True)
        x, t_x, age = patterns.T
        return PurchaseStatistics(x.astype(np.int64), t_x, age, weights.astype(np.float64))


def sample() -> Sample:
    """Read the 1/10 sample."""
    return _read(*SAMPLE)


def master() -> Sample:
    """Read all customers."""
    return _read(*MASTER)


def purchase_days() -> tuple[IntArray, npt.NDArray[np.datetime64]]:
    """Return customer and day of all purchase days, ascending."""
    lines = pd.read_csv(
        _dataset("CDNOW_master.txt"), sep=r"\s+", header=None, skiprows=1, usecols=[0, 1], names=["customer", "day"]
    )
    days = lines.drop_duplicates().sort_values(["customer", "day"])
    at = pd.to_datetime(days["day"].astype(str), format="%Y%m%d").to_numpy().astype("datetime64[D]")
    return days["customer"].to_numpy(), at


def weeks() -> PurchaseStatistics:
    """Read the summary of the sample in weeks, as it was published."""
    table = pd.read_csv(_dataset("cdnow_customers_summary.csv"))
    x, t_x, age = (table[name].to_numpy() for name in ("frequency", "recency", "T"))
    return PurchaseStatistics(x, t_x, age, np.ones(len(x)))


def spend() -> tuple[SpendStatistics, pd.DataFrame]:
    """Read the published summary with mean transaction values: repeat customers, and all rows."""
    table = pd.read_csv(_dataset("cdnow_customers_summary_with_transactions.csv"))
    repeat = table[table["x"] > 0]
    return SpendStatistics(repeat["x"].to_numpy(), repeat["zbar"].to_numpy(), np.ones(len(repeat))), table


def days_of(name: str, columns: list[int], skip: int) -> pd.DataFrame:
    """Read customers and their purchase days, each day once."""
    lines = pd.read_csv(
        _dataset(name), sep=r"\s+", header=None, skiprows=skip, usecols=columns, names=["customer", "day"], dtype=str
    )
    return lines.assign(day=pd.to_datetime(lines["day"], format="%Y%m%d")).drop_duplicates()


def _read(name: str, columns: list[int], skip: int) -> Sample:
    days = days_of(name, columns, skip)
    first = days.groupby("customer")["day"].transform("min")
    known = days[days["day"] <= CALIBRATION_END].groupby("customer")["day"].agg(["min", "max", "size"])
    later = days[days["day"] > CALIBRATION_END].groupby("customer").size().reindex(known.index, fill_value=0)
    return Sample(
        frequency=_floats(known["size"] - 1),
        recency=_floats((known["max"] - known["min"]).dt.days),
        T=_floats((CALIBRATION_END - known["min"]).dt.days),
        first_day=_floats((known["min"] - _START).dt.days),
        holdout=_floats(later),
        repeat_days=_floats((days.loc[days["day"] > first, "day"] - _START).dt.days),
    )


def _floats(values: pd.Series) -> FloatArray:
    return np.asarray(values, dtype=np.float64)


def _dataset(name: str) -> Path:
    """Return a file of lifetimes without importing it: that takes seconds."""
    spec = importlib.util.find_spec("lifetimes")
    if spec is None or spec.origin is None:
        raise SystemExit("The package lifetimes is not installed; it is part of requirements.lock.")
    return Path(spec.origin).parent / "datasets" / name
