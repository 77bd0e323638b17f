"""The month's fitted purchase model with its clock, and what it expects of newcomers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cltv_assets.report.facts.fitted import FittedModel
from cltv_assets.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cltv_assets.models.choosing.operational_time import OperationalTime
    from cltv_assets.models.estimation.fits import PurchaseFit

#: On a seasonal clock hardly two customers have the same age; beyond so many ages
#: expectations are read off a grid, where they are straight lines but for 1e-6.
_MOST_AGES = 3_000


@dataclass(frozen=True, eq=False)
class ModelView:
    """A purchase model that can predict.

    Parameters
    ----------
    fit : PurchaseFit
    clock : OperationalTime
        What recency, T and horizons are measured on.
    truncated : bool
        Whether it speaks of repeat customers only.
    """

    fit: PurchaseFit
    clock: OperationalTime
    truncated: bool


def model_view(model: FittedModel, settings: Settings) -> ModelView | None:
    """Return the model as it predicts; ``None`` where it is not fitted."""
    if not model.usable:
        return None
    from cltv_assets.tables.purchase_model.reading import operational_time, purchase_fit

    return ModelView(purchase_fit(model.row), operational_time(model.row, settings), model.truncated)


def dates(days: Sequence[dt.date]) -> npt.NDArray[np.datetime64]:
    """Return days as the clock takes them."""
    import numpy as np

    return np.array(days, dtype="datetime64[D]")


def newcomers_expected(view: ModelView, first_days: Mapping[dt.date, int], ends: Sequence[dt.date]) -> npt.NDArray[Any]:
    """Sum E[X(t)] over customers at each end; t runs from the first purchase.

    Parameters
    ----------
    view : ModelView
    first_days : mapping of date to int
        Customers by first purchase day, at least one.
    ends : sequence of date, length n

    Returns
    -------
    array of float64, shape (n,)
        Expected repeat purchases so far.
    """
    import numpy as np

    from cltv_assets.models.predict import predict_patterns

    customers = np.array(list(first_days.values()), dtype=np.float64)
    ages = np.maximum(view.clock.elapsed(dates(list(first_days))[:, None], dates(ends)[None, :]), 0.0)
    distinct, place = np.unique(ages, return_inverse=True)
    known = distinct if len(distinct) <= _MOST_AGES else np.linspace(0.0, distinct[-1], _MOST_AGES)
    expected = np.zeros(len(known))
    later = known > 0
    if later.any():
        newcomer = predict_patterns(view.fit, [0], [0.0], [0.0], known[later], interval_horizons=[])
        expected[later] = newcomer.expected_purchases[0]
    by_age = np.interp(distinct, known, expected)[place].reshape(ages.shape)
    return np.asarray(customers @ by_age, dtype=np.float64)
