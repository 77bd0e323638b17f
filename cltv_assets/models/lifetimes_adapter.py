"""Our fits as ``lifetimes`` fitters, for its plots and for code written against it.

``lifetimes`` is archived and wrong in places: NaN where a + b < 1, overflow at high
frequency. The fitters returned here carry our parameters and override what is wrong
with our formulas; everything else of its API works as its documentation says. The
library takes three seconds to import, so it is imported when first asked for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cltv_assets.errors import ModelError
from cltv_assets.models.estimation.fits import PurchaseFit, SpendFit
from cltv_assets.models.purchase.beta_geometric import BgNbd
from cltv_assets.models.sufficient_statistics import FloatArray, Patterns, PurchaseStatistics, SpendStatistics


def as_lifetimes(fit: PurchaseFit | SpendFit, statistics: PurchaseStatistics | SpendStatistics | None = None) -> Any:
    """Return a ``lifetimes`` fitter with this fit's parameters.

    Parameters
    ----------
    fit : PurchaseFit or SpendFit
        Of the BG/NBD or the Gamma-Gamma model.
    statistics : PurchaseStatistics or SpendStatistics, optional
        What it was fitted to; becomes the fitter's ``data``, a row a customer, which
        some of the plots need. Leave it out for large populations.

    Returns
    -------
    lifetimes.BetaGeoFitter or lifetimes.GammaGammaFitter

    Raises
    ------
    ModelError
        If the model was not fitted, ``lifetimes`` has no such model, or the
        statistics are another model's.
    """
    parameters = fit.usable_parameters()
    if isinstance(fit, SpendFit):
        fitter = _spend_fitter(statistics)
    elif fit.model_name == BgNbd.name:
        fitter = _purchase_fitter(parameters, statistics)
    else:
        raise ModelError(
            f"lifetimes has no fitter for the model '{fit.model_name}'.", "Hand over a bg_nbd or gamma_gamma fit."
        )
    errors = {name: math.nan if error is None else error for name, error in fit.standard_errors.items()}
    fitter.params_ = pd.Series(parameters)
    fitter.standard_errors_ = pd.Series(errors)
    fitter.confidence_intervals_ = pd.DataFrame(
        {
            "lower 95% bound": fitter.params_ - 1.96 * fitter.standard_errors_,
            "upper 95% bound": fitter.params_ + 1.96 * fitter.standard_errors_,
        }
    )
    # lifetimes keeps the mean over customers, with the sign turned.
    fitter._negative_log_likelihood_ = -(fit.log_likelihood or 0.0) / fit.customers
    return fitter


def _purchase_fitter(parameters: Mapping[str, float], statistics: object) -> Any:
    from lifetimes import BetaGeoFitter
    from lifetimes.generate_data import beta_geometric_nbd_model

    model = BgNbd()

    class StableBetaGeoFitter(BetaGeoFitter):  # type: ignore[misc]
        """``BetaGeoFitter`` with the formulas of ``cltv_assets.models.purchase.bg_nbd``."""

        def conditional_expected_number_of_purchases_up_to_time(
            self, t: npt.ArrayLike, frequency: npt.ArrayLike, recency: npt.ArrayLike, T: npt.ArrayLike
        ) -> FloatArray:
            """Return the expected purchases in the next ``t``; arguments broadcast."""
            times, x, t_x, ages = np.broadcast_arrays(t, frequency, recency, T)
            patterns = Patterns.unchecked(x.ravel(), t_x.ravel(), ages.ravel())
            distinct, which = np.unique(times.ravel().astype(np.float64), return_inverse=True)
            expected = np.empty(len(patterns))
            for position, time in enumerate(distinct):
                rows = np.flatnonzero(which == position)
                expected[rows] = model.expected_purchases(parameters, patterns.take(rows), np.array([time]))[:, 0]
            result: FloatArray = expected.reshape(times.shape)
            return result

        def conditional_probability_alive(
            self, frequency: npt.ArrayLike, recency: npt.ArrayLike, T: npt.ArrayLike
        ) -> FloatArray:
            """Return P(alive), at least one-dimensional as the original's; arguments broadcast."""
            x, t_x, ages = np.broadcast_arrays(*np.atleast_1d(frequency, recency, T))
            patterns = Patterns.unchecked(x.ravel(), t_x.ravel(), ages.ravel())
            alive: FloatArray = model.p_alive(parameters, patterns).reshape(x.shape)
            return alive

        def expected_number_of_purchases_up_to_time(self, t: npt.ArrayLike) -> FloatArray:
            """Return the expected repeat purchases of a new customer within ``t``."""
            times = np.asarray(t, dtype=np.float64)
            newcomer = Patterns.unchecked(np.zeros(1), np.zeros(1), np.zeros(1))
            expected: FloatArray = model.expected_purchases(parameters, newcomer, times.ravel())[0].reshape(times.shape)
            return expected

    fitter = StableBetaGeoFitter()
    fitter.predict = fitter.conditional_expected_number_of_purchases_up_to_time
    if statistics is not None:
        if not isinstance(statistics, PurchaseStatistics):
            raise _other_statistics("purchase")
        fitter.data = _a_row_a_customer(
            {"frequency": statistics.frequency, "recency": statistics.recency, "T": statistics.T}, statistics.weights
        )
        ages = fitter.data["T"].to_numpy()
        r, alpha, a, b = (parameters[name] for name in BgNbd.parameter_names)
        fitter.generate_new_data = lambda size=1: beta_geometric_nbd_model(ages, r, alpha, a, b, size=size)
    return fitter


def _spend_fitter(statistics: object) -> Any:
    from lifetimes import GammaGammaFitter

    fitter = GammaGammaFitter()
    if statistics is not None:
        if not isinstance(statistics, SpendStatistics):
            raise _other_statistics("spend")
        fitter.data = _a_row_a_customer(
            {"monetary_value": statistics.monetary_value, "frequency": statistics.frequency}, statistics.weights
        )
    return fitter


def _a_row_a_customer(columns: Mapping[str, npt.NDArray[Any]], weights: FloatArray) -> pd.DataFrame:
    """Return lifetimes' ``data``. Its plots count rows and ignore weights, so patterns are repeated."""
    times = weights.round().astype(np.int64)
    return pd.DataFrame({name: np.repeat(values, times) for name, values in columns.items()}).assign(weights=1)


def _other_statistics(kind: str) -> ModelError:
    return ModelError(f"A {kind} fit needs {kind} statistics.", "Hand over the statistics that it was fitted to.")
