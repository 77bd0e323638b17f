"""Statistics with fewer, coarser patterns: enough to find the neighbourhood of a maximum.

A search from several starts tells whether a maximum is the only one. That needs the
likelihood's shape, not its last digits, so it runs on patterns whose times are merged into cells.
The search that gives the estimate starts from what it finds and runs on all patterns.
"""

from __future__ import annotations

import numpy as np

from cltv_assets.models.estimation.statistics import FloatArray, PurchaseStatistics

#: With fewer patterns, merging them saves nothing.
WORTHWHILE = 1_000

#: Cells that the largest T is cut into. A cell keeps its means, so that the error is of second order in its width.
_CELLS = 32


def coarsened(statistics: PurchaseStatistics) -> PurchaseStatistics | None:
    """Merge patterns of equal frequency whose recency and T lie in the same cells.

    Parameters
    ----------
    statistics : PurchaseStatistics

    Returns
    -------
    PurchaseStatistics or None
        The same customers and purchases in fewer patterns, at the mean times of the
        cells; None where that would save less than half of them.
    """
    n = len(statistics.frequency)
    if n < WORTHWHILE:
        return None
    weights, width = statistics.weights, float(statistics.T.max()) / _CELLS
    again = statistics.frequency > 0
    recency = np.zeros(n)
    recency[again] = _at_cells(statistics.recency[again], weights[again], width)
    # A last purchase does not come after the end, not even by a cell's mean.
    age = np.maximum(_at_cells(statistics.T, weights, width), recency)
    # One whole number for each (frequency, recency, T): sorting those is ten times as fast as sorting rows.
    recencies, at_recency = np.unique(recency, return_inverse=True)
    ages, at_age = np.unique(age, return_inverse=True)
    codes = (statistics.frequency * len(recencies) + at_recency) * len(ages) + at_age
    _, first, index = np.unique(codes, return_index=True, return_inverse=True)
    if len(first) > n / 2:
        return None
    merged = np.bincount(index, weights=weights).astype(np.float64)
    return PurchaseStatistics(statistics.frequency[first], recency[first], age[first], merged)


def _at_cells(times: FloatArray, weights: FloatArray, width: float) -> FloatArray:
    """Move times to the mean of their cell, the same for all frequencies: models share work between equal times."""
    cells = np.floor(times / width).astype(np.int64)
    total = np.bincount(cells, weights=weights)
    means = np.bincount(cells, weights=weights * times) / np.where(total > 0, total, 1.0)
    return np.asarray(means[cells], dtype=np.float64)
