"""Our fits as ``lifetimes`` fitters, for its plots and for code written against it.

``lifetimes`` is archived and wrong in places: NaN where a + b < 1, overflow at high frequency. The
fitters returned here carry our parameters and replace what is wrong by our formulas; the rest of its API
works as its documentation says. The library takes three seconds to import, so it is imported when
first asked for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cltv_assets.errors import ModelError
from cltv_assets.models import gamma_gamma
from cltv_assets.models.arrays import FloatArray
from cltv_assets.models.estimation.fits import PurchaseFit, SpendFit
from cltv_assets.models.purchase.registry import PurchaseModel, model_named
from cltv_assets.models.sufficient_statistics import Patterns, PurchaseStatistics, SpendStatistics

#: Our model's name to the fitter of lifetimes and to its function that simulates customers.
_FITTERS = {
    "bg_nbd": ("BetaGeoFitter", "beta_geometric_nbd_model"),
    "mbg_nbd": ("ModifiedBetaGeoFitter", "modified_beta_geometric_nbd_model"),
    "pareto_nbd": ("ParetoNBDFitter", "pareto_nbd_model"),
    gamma_gamma.NAME: ("GammaGammaFitter", None),
}


def as_lifetimes(
    fit: PurchaseFit | SpendFit | Mapping[str, Any],
    data: pd.DataFrame | PurchaseStatistics | SpendStatistics | None = None,
) -> Any:
    """Return a ``lifetimes`` fitter with the parameters of a fit.

    Parameters
    ----------
    fit : PurchaseFit, SpendFit or mapping
        Of BG/NBD, MBG/NBD, Pareto/NBD or Gamma-Gamma. A mapping is a row of the table
        ``purchase_model`` or ``spend_model``.
    data : DataFrame, PurchaseStatistics or SpendStatistics, optional
        What it was fitted to, such as the month's ``rfm_summary``: becomes the fitter's ``data``, a row
        for each customer, which some of the plots need. Leave it out for large populations.

    Returns
    -------
    BetaGeoFitter, ModifiedBetaGeoFitter, ParetoNBDFitter or GammaGammaFitter
        Of ``lifetimes``. Times are in the time unit of the fit.

    Raises
    ------
    ModelError
        If the model was not fitted, ``lifetimes`` has no such model, the row's model is seasonal, or
        the data are another model's.
    """
    import lifetimes
    from lifetimes import generate_data

    name, parameters, errors, mean_log_likelihood = _told_by_row(fit) if isinstance(fit, Mapping) else _told_by_fit(fit)
    class_name, simulate = _FITTERS[name]
    fitter_class = getattr(lifetimes, class_name)
    columns: tuple[str, ...] = ("frequency", "monetary_value")
    if simulate is None:
        fitter = fitter_class()
    else:
        fitter = type(fitter_class.__name__, (_OurFormulas, fitter_class), {"our_model": model_named(name)})()
        fitter.predict = fitter.conditional_expected_number_of_purchases_up_to_time
        columns = ("frequency", "recency", "T")
    fitter.params_ = pd.Series(parameters)
    fitter.standard_errors_ = pd.Series({key: math.nan if one is None else one for key, one in errors.items()})
    fitter.confidence_intervals_ = pd.DataFrame(
        {
            "lower 95% bound": fitter.params_ - 1.96 * fitter.standard_errors_,
            "upper 95% bound": fitter.params_ + 1.96 * fitter.standard_errors_,
        }
    )
    fitter._negative_log_likelihood_ = -mean_log_likelihood
    if data is not None:
        fitter.data = _a_row_for_each_customer(data, columns)
        if simulate is not None:
            ages, made = fitter.data["T"].to_numpy(), getattr(generate_data, simulate)
            fitter.generate_new_data = lambda size=1: made(ages, *parameters.values(), size=size)
    return fitter


class _OurFormulas:
    """What our formulas replace in the fitters of ``lifetimes``. Arguments broadcast."""

    our_model: PurchaseModel
    params_: pd.Series

    def conditional_expected_number_of_purchases_up_to_time(
        self, t: npt.ArrayLike, frequency: npt.ArrayLike, recency: npt.ArrayLike, T: npt.ArrayLike
    ) -> FloatArray:
        """Return the expected purchases in the next ``t``."""
        times, x, t_x, ages = np.broadcast_arrays(t, frequency, recency, T)
        patterns = Patterns.unchecked(x.ravel(), t_x.ravel(), ages.ravel())
        distinct, which = np.unique(times.ravel().astype(np.float64), return_inverse=True)
        expected = np.empty(len(patterns))
        for position, time in enumerate(distinct):
            rows = np.flatnonzero(which == position)
            ahead = np.array([time])
            expected[rows] = self.our_model.expected_purchases(dict(self.params_), patterns.take(rows), ahead)[:, 0]
        return expected.reshape(times.shape)

    def conditional_probability_alive(
        self, frequency: npt.ArrayLike, recency: npt.ArrayLike, T: npt.ArrayLike
    ) -> FloatArray:
        """Return P(alive), at least one-dimensional with BG/NBD and MBG/NBD, as the originals do."""
        x, t_x, ages = np.broadcast_arrays(frequency, recency, T)
        if self.our_model.name != "pareto_nbd":
            x, t_x, ages = np.atleast_1d(x, t_x, ages)
        patterns = Patterns.unchecked(x.ravel(), t_x.ravel(), ages.ravel())
        return self.our_model.p_alive(dict(self.params_), patterns).reshape(x.shape)

    def expected_number_of_purchases_up_to_time(self, t: npt.ArrayLike) -> FloatArray:
        """Return the expected repeat purchases of a new customer within ``t``."""
        times = np.asarray(t, dtype=np.float64)
        expected = self.our_model.expected_purchases(dict(self.params_), Patterns.newcomer(), times.ravel())
        return expected.reshape(times.shape)


#: Name, parameters, standard errors and mean log-likelihood over customers.
_Told = tuple[str, Mapping[str, float], Mapping[str, float | None], float]


def _told_by_fit(fit: PurchaseFit | SpendFit) -> _Told:
    _refuse_unknown(fit.model_name)
    return (
        fit.model_name,
        fit.usable_parameters(),
        fit.standard_errors,
        (fit.log_likelihood or 0.0) / max(fit.customers, 1),
    )


def _told_by_row(row: Mapping[str, Any]) -> _Told:
    name = row["model_name"]
    _refuse_unknown(name)
    if row.get("seasonality", "none") != "none":
        raise ModelError(
            f"The {name} model of this row has a season, which lifetimes does not know.",
            "Take the month's row of the same model whose seasonality is none.",
        )
    if row.get("doubling") is not None:
        raise ModelError(
            f"In the {name} model of this row order values depend on frequency, which lifetimes does not know.",
            "Predict from cltv_predictions.",
        )
    if row["status"] == "not_fitted":
        raise ModelError(f"The {name} model was not fitted: {row['status_reason']}.", "Take another model or month.")
    names = gamma_gamma.PARAMETER_NAMES if name == gamma_gamma.NAME else model_named(name).parameter_names
    return (
        name,
        {each: row[each] for each in names},
        {each: row[f"{each}_se"] for each in names},
        (row["log_likelihood"] or 0.0) / max(row["customers"], 1),
    )


def _refuse_unknown(name: str) -> None:
    if name not in _FITTERS:
        raise ModelError(
            f"lifetimes has no fitter for the model '{name}'.", f"Hand over a fit of one of {', '.join(_FITTERS)}."
        )


def _a_row_for_each_customer(
    data: pd.DataFrame | PurchaseStatistics | SpendStatistics, columns: tuple[str, ...]
) -> pd.DataFrame:
    """Return lifetimes' ``data``. Its plots count rows and ignore weights, so patterns are repeated."""
    if not isinstance(data, pd.DataFrame):
        times = data.weights.round().astype(np.int64)
        values = {name: getattr(data, name) for name in columns if hasattr(data, name)}
        data = pd.DataFrame({name: np.repeat(column, times) for name, column in values.items()})
    missing = [name for name in columns if name not in data]
    if missing:
        raise ModelError(
            f"The data have no {', '.join(missing)}.",
            "Hand over rfm_summary or the statistics that the fit was made of.",
        )
    return data[list(columns)].assign(weights=1)
