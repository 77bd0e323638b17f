"""Sufficient statistics: all that a likelihood needs to know about the customers.

A purchase likelihood depends on a customer only through (frequency, recency, T), a spend
likelihood only through (frequency, monetary value). Customers who are alike in these are one entry
with a weight. The fit is the same to the last digit, and its cost stops growing with the number of
customers. Here are also the names of the arrays and functions that all models pass around.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from cltv_assets.errors import ModelError
from cltv_assets.models.arrays import BoolArray, FloatArray, IntArray
from cltv_assets.models.distinct import Distinct

#: Parameter values by name.
Parameters = Mapping[str, float]

#: Log parameters in; the log-likelihood and its gradient by log parameters out.
Objective = Callable[[FloatArray], tuple[float, FloatArray]]

#: No customer has bought on more days than this. A larger number is in a wrong unit, and
#: tables of running sums up to it would not fit into memory.
MAX_FREQUENCY = 1_000_000

#: With fewer repeat customers no fit is tried. Samples of CDNOW show how little so few
#: timings tell: of 40 samples with about 10 repeat customers 2 had a proper BG/NBD maximum,
#: of 40 with about 20 repeat customers 10 had, of 40 with about 100 repeat customers 37.
MIN_REPEAT_CUSTOMERS = 10

#: With fewer patterns, merging them saves nothing.
WORTHWHILE = 1_000

#: Cells that the largest T is cut into. A cell keeps its means, so the error is of second order in its width.
_CELLS = 32

_REMEDY = "Look at the rfm_summary rows these statistics were grouped from; its bounds check names such rows."


@dataclass(frozen=True, eq=False)
class PurchaseStatistics:
    """How often and when customers bought, one entry for each distinct pattern.

    Parameters
    ----------
    frequency : array of int64, shape (n,)
        Repeat purchases: purchase days minus one.
    recency : array of float64, shape (n,)
        Time from the first to the last purchase, in the time unit of ``T``.
    T : array of float64, shape (n,)
        Time from the first purchase to the observation end.
    weights : array of float64, shape (n,)
        Customers of this pattern.

    Raises
    ------
    ModelError
        If lengths differ, or a value is not finite, lies outside
        0 <= recency <= T, has a recency without a repeat purchase, a fractional
        or negative frequency, or a weight that is not positive.
    """

    frequency: IntArray
    recency: FloatArray
    T: FloatArray
    weights: FloatArray

    def __post_init__(self) -> None:
        values = _columns(self)
        _refuse_impossible_pattern(values)
        _refuse(values["weights"] <= 0, "weights", values["weights"], "is not positive")
        _keep(self, values)

    @property
    def customers(self) -> int:
        """Customers of all patterns."""
        return round(float(self.weights.sum()))

    @property
    def repeat_customers(self) -> int:
        """Customers with a repeat purchase."""
        return round(float(self.weights[self.frequency > 0].sum()))

    @property
    def repeat_purchases(self) -> int:
        """Repeat purchases of all customers."""
        return round(inner(self.weights, self.frequency))

    @property
    def distinct_patterns(self) -> int:
        """Patterns that differ, whatever the grouping they came in."""
        return _distinct_rows(self.frequency, self.recency, self.T)

    def has_patterns(self, least: int) -> bool:
        """Return whether at least so many patterns differ; mostly the first ones suffice to tell."""
        first = slice(0, 100 * least)
        few = _distinct_rows(self.frequency[first], self.recency[first], self.T[first])
        return few >= least or self.distinct_patterns >= least

    @cached_property
    def ages(self) -> Distinct[FloatArray]:
        """Distinct values of T: all models need them, and finding them is a sort."""
        return Distinct.of(self.T)

    @cached_property
    def recencies(self) -> Distinct[FloatArray]:
        """Distinct recencies."""
        return Distinct.of(self.recency)

    @property
    def mean_age(self) -> float:
        """Mean of T over customers, in the time unit; 0 without customers."""
        return inner(self.weights, self.T) / float(self.weights.sum()) if len(self.weights) else 0.0

    @cached_property
    def scaled(self) -> PurchaseStatistics:
        """The same customers with times in units of their mean age."""
        scale = self.mean_age
        return PurchaseStatistics(self.frequency, self.recency / scale, self.T / scale, self.weights)

    @cached_property
    def coarsened(self) -> PurchaseStatistics | None:
        """Merge patterns of equal frequency whose recency and T lie in the same cells.

        A search from several starts tells whether a maximum is the only one. That needs the shape of
        the likelihood and not its last digits, so it runs on these fewer patterns.

        Returns
        -------
        PurchaseStatistics or None
            The same customers and purchases, at the mean times of the cells; None where
            that would save less than half of the patterns.
        """
        n = len(self.frequency)
        if n < WORTHWHILE:
            return None
        weights, width = self.weights, float(self.T.max()) / _CELLS
        again = self.frequency > 0
        recency = np.zeros(n)
        recency[again] = _at_cells(self.recency[again], weights[again], width)
        # A last purchase does not come after the end, not even by the mean of a cell.
        age = np.maximum(_at_cells(self.T, weights, width), recency)
        # One whole number for each (frequency, recency, T): sorting those is ten times as fast as sorting rows.
        recencies, at_recency = np.unique(recency, return_inverse=True)
        ages, at_age = np.unique(age, return_inverse=True)
        codes = (self.frequency * len(recencies) + at_recency) * len(ages) + at_age
        _, first, index = np.unique(codes, return_index=True, return_inverse=True)
        if len(first) > n / 2:
            return None
        merged = np.bincount(index, weights=weights).astype(np.float64)
        return PurchaseStatistics(self.frequency[first], recency[first], age[first], merged)

    def of_at_least(self, frequency: int) -> PurchaseStatistics:
        """Return those with so many repeat purchases or more."""
        kept = self.frequency >= frequency
        if kept.all():
            return self
        return PurchaseStatistics(self.frequency[kept], self.recency[kept], self.T[kept], self.weights[kept])

    def why_too_few(self, parameters: int) -> str | None:
        """Return why a purchase model of so many parameters cannot be tried, or None if it can."""
        if self.customers == 0:
            return "no customers"
        if self.repeat_customers == 0:
            return "no customer has bought on a second day"
        if self.repeat_customers < MIN_REPEAT_CUSTOMERS:
            return f"{self.repeat_customers} repeat customers; a fit needs {MIN_REPEAT_CUSTOMERS}"
        if self.mean_age <= 0:
            return "every customer's first purchase is on the last day"
        # With no more patterns than parameters, the likelihood is an interpolation.
        if not self.has_patterns(parameters + 1):
            return f"{self.distinct_patterns} distinct purchase histories; a fit needs {parameters + 1}"
        return None


@dataclass(frozen=True, eq=False)
class SpendStatistics:
    """What repeat customers spent on a purchase, one entry for each distinct pattern or bin.

    Parameters
    ----------
    frequency : array of int64, shape (n,)
        Repeat purchases, one or more.
    monetary_value : array of float64, shape (n,)
        Mean spend of a repeat purchase, positive, in currency.
    weights : array of float64, shape (n,)
        Customers of this pattern.

    Raises
    ------
    ModelError
        If lengths differ, or a value is not finite or not positive.
    """

    frequency: IntArray
    monetary_value: FloatArray
    weights: FloatArray

    def __post_init__(self) -> None:
        values = _columns(self)
        _refuse_impossible_frequency(values["frequency"])
        for name, array in values.items():
            _refuse(array <= 0, name, array, "is not positive")
        _keep(self, values)

    @property
    def customers(self) -> int:
        """Customers of all patterns."""
        return round(float(self.weights.sum()))

    @property
    def mean_order_value(self) -> float:
        """Mean spend of a repeat purchase, each purchase counted once, in currency; 0 without customers."""
        purchases = self.weights * self.frequency
        return inner(purchases, self.monetary_value) / float(purchases.sum()) if len(purchases) else 0.0

    @property
    def prices(self) -> int:
        """How many mean order values the customers have, to nine digits."""
        values = np.sort(self.monetary_value)
        return int(np.count_nonzero(np.diff(values) > 1e-9 * values[1:]) + 1) if len(values) else 0

    def in_units_of(self, scale: float) -> SpendStatistics:
        """Return the same customers with values divided by ``scale``."""
        return SpendStatistics(self.frequency, self.monetary_value / scale, self.weights)

    def why_too_few(self, parameters: int) -> str | None:
        """Return why a spend model of so many parameters cannot be tried, or None if it can."""
        if self.customers == 0:
            return "no repeat customer with a positive order value"
        if self.customers < MIN_REPEAT_CUSTOMERS:
            return f"{self.customers} repeat customers; a fit needs {MIN_REPEAT_CUSTOMERS}"
        if self.prices == 1:
            return None
        distinct = _distinct_rows(self.frequency, self.monetary_value)
        if distinct < parameters + 1:
            return f"{distinct} distinct pairs of frequency and order value; a fit needs {parameters + 1}"
        return None


@dataclass(frozen=True, eq=False)
class Patterns:
    """Histories of customers to predict from.

    Parameters
    ----------
    frequency : array of int64, shape (n,)
        Repeat purchases.
    recency, T : arrays of float64, shape (n,)
        In the time unit of the model's fit.

    Raises
    ------
    ModelError
        If no customer's history can look like this; see `PurchaseStatistics`.
    """

    frequency: IntArray
    recency: FloatArray
    T: FloatArray

    def __post_init__(self) -> None:
        values = _columns(self)
        _refuse_impossible_pattern(values)
        _keep(self, values)

    def __len__(self) -> int:
        return len(self.frequency)

    @classmethod
    def unchecked(cls, frequency: npt.NDArray[Any], recency: npt.NDArray[Any], T: npt.NDArray[Any]) -> Patterns:
        """Return patterns without looking at their values: for rows checked before, and grids of a plot."""
        patterns = object.__new__(cls)
        _keep(patterns, {"frequency": frequency, "recency": recency, "T": T})
        return patterns

    @classmethod
    def newcomer(cls) -> Patterns:
        """Return one customer on the day of the first purchase."""
        return cls.unchecked(np.zeros(1), np.zeros(1), np.zeros(1))

    def take(self, rows: IntArray) -> Patterns:
        """Return the patterns of the given rows."""
        return Patterns.unchecked(self.frequency[rows], self.recency[rows], self.T[rows])


def inner(weights: npt.NDArray[Any], values: npt.NDArray[Any]) -> float:
    """Return the sum of products, by NumPy's pairwise sum instead of BLAS.

    BLAS splits long products over threads. The last digits then depend on the number of cores, and on
    a busy machine the threads' waiting made a fit to 40,000 patterns take 6.2 s instead of 0.04 s.
    """
    return float(np.sum(weights * values))


def _columns(record: PurchaseStatistics | SpendStatistics | Patterns) -> dict[str, FloatArray]:
    """Return the columns as float64 arrays of one length, every value finite."""
    values = {field.name: np.asarray(getattr(record, field.name), dtype=np.float64) for field in fields(record)}
    shapes = {name: array.shape for name, array in values.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
        told = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ModelError(f"The statistics' columns differ in shape: {told}.", "Hand over columns of one length.")
    for name, array in values.items():
        _refuse(~np.isfinite(array), name, array, "is not a finite number")
    return values


def _keep(record: PurchaseStatistics | SpendStatistics | Patterns, values: Mapping[str, npt.NDArray[Any]]) -> None:
    """Set the columns of a frozen record, the frequency in whole numbers and the others as floats."""
    for name, array in values.items():
        kind = np.int64 if name == "frequency" else np.float64
        object.__setattr__(record, name, array.astype(kind, copy=False))


def _refuse_impossible_frequency(frequency: FloatArray) -> None:
    _refuse(frequency < 0, "frequency", frequency, "is negative")
    _refuse(frequency != np.floor(frequency), "frequency", frequency, "is not a whole number")
    _refuse(frequency > MAX_FREQUENCY, "frequency", frequency, f"is above {MAX_FREQUENCY:,} purchases")


def _refuse_impossible_pattern(values: Mapping[str, FloatArray]) -> None:
    frequency, recency, age = (values[name] for name in ("frequency", "recency", "T"))
    _refuse_impossible_frequency(frequency)
    _refuse(recency < 0, "recency", recency, "is negative")
    _refuse(recency > age, "recency", recency, "is larger than T: the last purchase lies after the observation end")
    _refuse((frequency == 0) & (recency > 0), "recency", recency, "is positive without a repeat purchase")


def _refuse(bad: BoolArray, name: str, values: FloatArray, problem: str) -> None:
    """Raise `ModelError` naming the first bad entry, if there is any."""
    if bad.any():
        first = int(np.argmax(bad))
        raise ModelError(
            f"{name} {values[first]:g} of pattern {first + 1} {problem} ({int(bad.sum())} of {len(bad)} patterns).",
            _REMEDY,
        )


def _distinct_rows(*keys: npt.NDArray[np.generic]) -> int:
    if len(keys[0]) == 0:
        return 0
    order = np.lexsort(keys)
    changed = np.zeros(len(order) - 1, dtype=np.bool_)
    for key in keys:
        ordered = key[order]
        changed |= ordered[1:] != ordered[:-1]
    return 1 + int(changed.sum())


def _at_cells(times: FloatArray, weights: FloatArray, width: float) -> FloatArray:
    """Move times to the mean of their cell, the same for all frequencies: models share work between equal times."""
    cells = np.floor(times / width).astype(np.int64)
    total = np.bincount(cells, weights=weights)
    means = np.bincount(cells, weights=weights * times) / np.where(total > 0, total, 1.0)
    return np.asarray(means[cells], dtype=np.float64)
