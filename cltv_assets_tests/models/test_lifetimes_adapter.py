"""Our fits behind lifetimes' API, and that lifetimes stays out until it is asked for."""

from __future__ import annotations

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from cltv_assets.errors import ModelError
from cltv_assets.models.estimation.fits import PurchaseFit
from cltv_assets.models.estimation.fitting import fit_purchase_model, fit_spend_model
from cltv_assets.models.lifetimes_adapter import as_lifetimes
from cltv_assets.models.sufficient_statistics import PurchaseStatistics, SpendStatistics


@pytest.fixture(scope="module")
def fit(weeks: PurchaseStatistics) -> PurchaseFit:
    return fit_purchase_model(weeks)


def test_lifetimes_own_fit_agrees(fit: PurchaseFit, weeks: PurchaseStatistics) -> None:
    from lifetimes import BetaGeoFitter

    theirs = BetaGeoFitter().fit(weeks.frequency, weeks.recency, weeks.T)
    ours = as_lifetimes(fit, weeks)
    assert isinstance(ours, BetaGeoFitter)
    assert ours.params_.to_dict() == pytest.approx(theirs.params_.to_dict(), rel=1e-3)
    assert ours.summary.to_numpy() == pytest.approx(theirs.summary.to_numpy(), rel=2e-3, abs=2e-3)
    assert ours._negative_log_likelihood_ == pytest.approx(theirs._negative_log_likelihood_ + fit_scale(theirs, weeks))
    history = (weeks.frequency, weeks.recency, weeks.T)
    theirs.params_ = ours.params_
    assert ours.predict(39.0, *history) == pytest.approx(theirs.predict(39.0, *history), rel=1e-8)
    assert ours.conditional_probability_alive(*history) == pytest.approx(
        theirs.conditional_probability_alive(*history), rel=1e-10
    )
    times = np.array([1.0, 39.0])
    assert ours.expected_number_of_purchases_up_to_time(times) == pytest.approx(
        theirs.expected_number_of_purchases_up_to_time(times), rel=1e-8
    )


def fit_scale(theirs: object, weeks: PurchaseStatistics) -> float:
    """Undo lifetimes' own time unit in its mean negative log-likelihood."""
    return float(-weeks.repeat_purchases * np.log(theirs._scale) / weeks.customers)  # type: ignore[attr-defined]


def test_arguments_broadcast(fit: PurchaseFit) -> None:
    ours = as_lifetimes(fit)
    grid = ours.predict(np.array([[10.0], [20.0]]), np.array([0, 3, 9]), np.array([0.0, 20.0, 30.0]), 38.0)
    assert grid.shape == (2, 3)
    assert grid[1, 2] == pytest.approx(float(ours.predict(20.0, 9, 30.0, 38.0)))
    assert ours.conditional_probability_alive(9, 30.0, 38.0).shape == (1,)
    assert ours.expected_number_of_purchases_up_to_time(5.0).shape == ()


def test_it_is_finite_where_lifetimes_is_not(fit: PurchaseFit) -> None:
    ours = as_lifetimes(fit)
    trap = PurchaseFit(**{**vars(fit), "parameters": {"r": 0.11, "alpha": 2.24, "a": 0.31, "b": 0.50}})
    assert np.isfinite(as_lifetimes(trap).predict(30.0, 0, 0.0, 1.0))
    assert np.isfinite(ours.predict(52.0, 10_000, 38.0, 39.0))


def test_plots_draw(fit: PurchaseFit, weeks: PurchaseStatistics) -> None:
    mpl.use("Agg")
    from lifetimes import plotting

    ours = as_lifetimes(fit, weeks)
    assert len(ours.data) == 2357
    assert plotting.plot_probability_alive_matrix(ours) is not None
    assert plotting.plot_frequency_recency_matrix(ours, max_frequency=4, max_recency=10) is not None
    assert plotting.plot_period_transactions(ours) is not None
    mpl.pyplot.close("all")


def test_grouped_statistics_become_a_row_a_customer(fit: PurchaseFit) -> None:
    grouped = PurchaseStatistics(np.array([0, 2]), np.array([0.0, 3.0]), np.array([5.0, 6.0]), np.array([3, 1]))
    assert as_lifetimes(fit, grouped).data["frequency"].tolist() == [0, 0, 0, 2]


def test_gamma_gamma(spend: SpendStatistics, spend_summary: pd.DataFrame, fit: PurchaseFit) -> None:
    ours = as_lifetimes(fit_spend_model(spend), spend)
    first = spend_summary.head(10)
    printed = [24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17]
    assert ours.conditional_expected_average_profit(first["x"], first["zbar"]).tolist() == pytest.approx(
        printed, abs=1e-2
    )
    value = ours.customer_lifetime_value(
        as_lifetimes(fit), first["x"], first["t_x"], first["T"], first["zbar"], time=3, freq="W"
    )
    assert np.isfinite(value).all()


def test_what_lifetimes_cannot_hold_is_refused(weeks: PurchaseStatistics, spend: SpendStatistics) -> None:
    with pytest.raises(ModelError, match="no fitter for the model 'nbd'"):
        as_lifetimes(fit_purchase_model(weeks, "nbd"))
    with pytest.raises(ModelError, match="needs purchase statistics"):
        as_lifetimes(fit_purchase_model(weeks), spend)
    with pytest.raises(ModelError, match="needs spend statistics"):
        as_lifetimes(fit_spend_model(spend), weeks)


def test_importing_the_models_imports_neither_lifetimes_nor_the_platform() -> None:
    code = (
        "import sys; import cltv_assets.models.predict, cltv_assets.models.estimation.fitting;"
        "import cltv_assets.models.value.discounting;"
        "print(sorted({'lifetimes', 'dagster', 'ibis', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
