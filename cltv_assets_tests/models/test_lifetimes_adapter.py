"""Our fits behind lifetimes' API, with lifetimes' own as the oracle; and that it stays out until it is asked for."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import cltv_assets
from cltv_assets.errors import ModelError
from cltv_assets.models.estimation.fits import PurchaseFit
from cltv_assets.models.lifetimes_adapter import as_lifetimes
from cltv_assets.models.sufficient_statistics import PurchaseStatistics, SpendStatistics
from cltv_assets_tests.models.conftest import CdnowFit, made_fit

FITTERS = {"bg_nbd": "BetaGeoFitter", "mbg_nbd": "ModifiedBetaGeoFitter", "pareto_nbd": "ParetoNBDFitter"}


@pytest.fixture(scope="module")
def fit(cdnow_fit: CdnowFit) -> PurchaseFit:
    return cdnow_fit("bg_nbd")


@pytest.mark.parametrize("name", FITTERS)
def test_lifetimes_own_fit_agrees(name: str, cdnow_fit: CdnowFit, weeks: PurchaseStatistics) -> None:
    import lifetimes

    original = getattr(lifetimes, FITTERS[name])
    history = (weeks.frequency, weeks.recency, weeks.T)
    ours, theirs = as_lifetimes(cdnow_fit(name), weeks), original().fit(*history)
    assert isinstance(ours, original)
    assert ours.params_.to_dict() == pytest.approx(theirs.params_.to_dict(), rel=2e-3)
    if name == "bg_nbd":
        assert ours.summary.to_numpy() == pytest.approx(theirs.summary.to_numpy(), rel=2e-3, abs=2e-3)
        # lifetimes keeps its mean negative log-likelihood in a time unit of its own.
        scale = float(-weeks.repeat_purchases * np.log(theirs._scale) / weeks.customers)
        assert ours._negative_log_likelihood_ == pytest.approx(theirs._negative_log_likelihood_ + scale)
    # Beyond the estimates, the formulas.
    theirs.params_ = ours.params_
    assert ours.predict(39.0, *history) == pytest.approx(theirs.predict(39.0, *history), rel=1e-7)
    assert ours.conditional_probability_alive(*history) == pytest.approx(
        np.ravel(theirs.conditional_probability_alive(*history)), rel=1e-8
    )
    times = np.array([1.0, 39.0])
    assert ours.expected_number_of_purchases_up_to_time(times) == pytest.approx(
        theirs.expected_number_of_purchases_up_to_time(times), rel=1e-8
    )


def test_arguments_broadcast(fit: PurchaseFit) -> None:
    ours = as_lifetimes(fit)
    grid = ours.predict(np.array([[10.0], [20.0]]), np.array([0, 3, 9]), np.array([0.0, 20.0, 30.0]), 38.0)
    assert grid.shape == (2, 3)
    assert grid[1, 2] == pytest.approx(float(ours.predict(20.0, 9, 30.0, 38.0)))
    assert ours.conditional_probability_alive(9, 30.0, 38.0).shape == (1,)
    assert ours.expected_number_of_purchases_up_to_time(5.0).shape == ()


def test_it_is_finite_where_lifetimes_is_not(fit: PurchaseFit) -> None:
    trap = made_fit("bg_nbd", {"r": 0.11, "alpha": 2.24, "a": 0.31, "b": 0.50})
    assert np.isfinite(as_lifetimes(trap).predict(30.0, 0, 0.0, 1.0))
    assert np.isfinite(as_lifetimes(fit).predict(52.0, 10_000, 38.0, 39.0))


@pytest.mark.parametrize("name", FITTERS)
def test_plots_draw(name: str, cdnow_fit: CdnowFit, weeks: PurchaseStatistics) -> None:
    mpl.use("Agg")
    from lifetimes import plotting

    ours = as_lifetimes(cdnow_fit(name), weeks)
    assert len(ours.data) == 2357
    assert plotting.plot_probability_alive_matrix(ours, max_frequency=4, max_recency=10) is not None
    assert plotting.plot_frequency_recency_matrix(ours, max_frequency=4, max_recency=10) is not None
    assert plotting.plot_period_transactions(ours) is not None
    mpl.pyplot.close("all")


def test_grouped_statistics_become_a_row_for_each_customer(fit: PurchaseFit) -> None:
    grouped = PurchaseStatistics(np.array([0, 2]), np.array([0.0, 3.0]), np.array([5.0, 6.0]), np.array([3, 1]))
    assert as_lifetimes(fit, grouped).data["frequency"].tolist() == [0, 0, 0, 2]


def test_gamma_gamma(spend_fit, spend: SpendStatistics, spend_summary: pd.DataFrame, fit: PurchaseFit) -> None:
    ours = as_lifetimes(spend_fit, spend)
    first = spend_summary.head(10)
    printed = [24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17]
    assert ours.conditional_expected_average_profit(first["x"], first["zbar"]).tolist() == pytest.approx(
        printed, abs=1e-2
    )
    value = ours.customer_lifetime_value(
        as_lifetimes(fit), first["x"], first["t_x"], first["T"], first["zbar"], time=3, freq="W"
    )
    assert np.isfinite(value).all()


def test_what_lifetimes_cannot_hold_is_refused(
    fit: PurchaseFit, cdnow_fit: CdnowFit, weeks: PurchaseStatistics, spend: SpendStatistics, spend_fit
) -> None:
    with pytest.raises(ModelError, match="no fitter for the model 'nbd'"):
        as_lifetimes(cdnow_fit("nbd"))
    with pytest.raises(ModelError, match="no recency, T"):
        as_lifetimes(fit, spend)
    with pytest.raises(ModelError, match="no monetary_value"):
        as_lifetimes(spend_fit, weeks)
    row = {"model_name": "bg_nbd", "seasonality": "monthly", "status": "fitted"}
    with pytest.raises(ModelError, match="has a season"):
        as_lifetimes(row)
    with pytest.raises(ModelError, match="not fitted: no customers"):
        as_lifetimes(row | {"seasonality": "none", "status": "not_fitted", "status_reason": "no customers"})


def test_the_example_of_the_readme_runs(
    fit: PurchaseFit, weeks: PurchaseStatistics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deltalake import write_deltalake
    from lifetimes import BetaGeoFitter

    from cltv_assets.models.choosing.candidates import Contender
    from cltv_assets.tables.purchase_model.fit import contender_row

    month = {"month": pd.Timestamp("1998-06-01").date()}
    row = contender_row(Contender(fit)) | month
    write_deltalake(
        str(tmp_path / "lake/purchase_model"), pd.DataFrame([row]).drop(columns=["status_reason"]), partition_by="month"
    )
    rfm = pd.DataFrame({"frequency": weeks.frequency, "recency": weeks.recency, "T": weeks.T}).assign(**month)
    write_deltalake(str(tmp_path / "lake/rfm_summary"), rfm, partition_by="month")
    readme = Path(cltv_assets.__file__).parents[1] / "README.md"
    example = next(block for block in re.findall(r"```python\n(.*?)```", readme.read_text(), re.S) if "as_lif" in block)
    monkeypatch.chdir(tmp_path)
    mpl.use("Agg")
    names: dict[str, object] = {}
    exec(example, names)
    assert isinstance(names["fitter"], BetaGeoFitter)
    assert len(names["fitter"].data) == 2357
    assert names["fitter"].params_.to_dict() == pytest.approx(dict(fit.parameters), rel=1e-15)


def test_importing_the_models_imports_neither_lifetimes_nor_the_platform() -> None:
    code = (
        "import sys; import cltv_assets.models.value.totals, cltv_assets.models.choosing.choice;"
        "import cltv_assets.models.value.discounting;"
        "print(sorted({'lifetimes', 'dagster', 'ibis', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
