"""Fits to repeat customers alone."""

from __future__ import annotations

import numpy as np
import pytest

from bench.published import cdnow
from cltv_assets.errors import ModelError
from cltv_assets.models.estimation.fitting import fit_purchase_model, truncated_likelihood
from cltv_assets.models.purchase.registry import PURCHASE_MODELS
from cltv_assets.models.sufficient_statistics import PurchaseStatistics
from cltv_assets_tests.models.conftest import (
    CdnowFit,
    grouped,
    one_each,
    repeaters,
    simulate_pareto,
    simulate_purchases,
)


def test_the_truncated_fit_lies_near_that_of_all_customers(master: PurchaseStatistics, cdnow_fit: CdnowFit) -> None:
    everyone = cdnow_fit("bg_nbd", "master").parameters
    naive = fit_purchase_model(repeaters(master))
    truncated = cdnow_fit("bg_nbd", "master", truncated=True)
    assert (naive.truncated, truncated.truncated) == (False, True)
    assert naive.parameters == pytest.approx({"r": 3.155, "alpha": 159.9, "a": 0.622, "b": 1.084}, rel=5e-3)
    assert truncated.status == "fitted"
    assert truncated.starts_agreeing == 4
    for name, value in truncated.parameters.items():
        distance = abs(np.log(value / everyone[name]))
        # On a log scale, a dropout a little nearer and purchase rates several times nearer.
        assert distance < abs(np.log(naive.parameters[name] / everyone[name])), name
        assert distance < 0.85, name


@pytest.mark.parametrize("least", [1, 3])
@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd", "pareto_nbd", "nbd"])
def test_the_truth_is_recovered_from_those_who_bought_often(name: str, least: int) -> None:
    rng = np.random.default_rng(33)
    size = 25_000 if name == "pareto_nbd" else 60_000
    ages = rng.integers(30, 540, size).astype(np.float64)
    rates = rng.gamma(0.6, 1 / 40.0, size)
    truth = {"r": 0.6, "alpha": 40.0}
    if name == "pareto_nbd":
        x, t_x, _ = simulate_pareto(rng, rates, rng.gamma(0.7, 1 / 120.0, size), ages)
        truth |= {"s": 0.7, "beta": 120.0}
    elif name == "nbd":
        x, t_x = simulate_purchases(rng, rates, np.zeros(size), ages)
    else:
        dropouts = rng.beta(0.8, 2.5, size)
        staying = rng.random(size) >= dropouts if name == "mbg_nbd" else None
        x, t_x = simulate_purchases(rng, rates, dropouts, ages, staying)
        truth |= {"a": 0.8, "b": 2.5}
    fit = fit_purchase_model(grouped(one_each(x, t_x, ages).of_at_least(least)), name, least=least)
    assert fit.status == "fitted"
    assert (fit.bound, fit.left_out) == (least, 0)
    for parameter, value in fit.parameters.items():
        error = fit.standard_errors[parameter]
        assert abs(value - truth[parameter]) < 3.5 * error, parameter
        assert error < (0.3 if least == 1 else 0.5) * truth[parameter]


def test_merged_days_are_why_parameters_of_daily_data_are_high() -> None:
    """A purchase day hides more purchases of the same day: half a day of buying for each, to first order."""
    rng = np.random.default_rng(7)
    size, days = 30_000, 546
    truth = {"r": 0.6, "alpha": 60.0, "a": 0.6, "b": 2.0}
    rates, dropouts = rng.gamma(0.6, 1 / 60.0, size), rng.beta(0.6, 2.0, size)
    patterns = []
    for rate, dropout, first in zip(rates, dropouts, rng.uniform(0, days, size), strict=True):
        times = [first]
        while (at := times[-1] + rng.exponential(1 / rate)) < days:
            times.append(at)
            if rng.random() < dropout:
                break
        bought = np.unique(np.floor(times))
        if len(bought) > 1:
            patterns.append((len(bought) - 1, bought[-1] - bought[0], days - 1 - bought[0]))
    x, t_x, ages = np.array(patterns).T

    def errors(hidden: float) -> dict[str, float]:
        fit = fit_purchase_model(grouped(one_each(x, t_x - hidden * x, ages - hidden * x)), least=1)
        return {name: (fit.parameters[name] - truth[name]) / fit.standard_errors[name] for name in truth}

    half_a_day, none = errors(0.5), errors(0.0)
    assert max(map(abs, half_a_day.values())) < 2.0
    assert none["alpha"] > half_a_day["alpha"] + 1.5


def test_repeaters_cannot_tell_bg_from_mbg(cdnow_fit: CdnowFit) -> None:
    """The coin of the first purchase is the same for all who passed it: MBG's b is BG's less one."""
    bg, mbg = (cdnow_fit(name, "master", truncated=True) for name in ("bg_nbd", "mbg_nbd"))
    assert mbg.log_likelihood == pytest.approx(bg.log_likelihood, rel=1e-12)
    assert mbg.parameters == pytest.approx({**bg.parameters, "b": bg.parameters["b"] - 1.0})


@pytest.mark.parametrize("least", [1, 3])
@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd", "pareto_nbd", "nbd"])
def test_the_gradient_is_that_of_the_value(name: str, least: int, sample: cdnow.Sample) -> None:
    model = PURCHASE_MODELS[name]
    objective = truncated_likelihood(model, sample.statistics(7.0).of_at_least(least), least)
    point = np.log([0.4, 6.0, 0.7, 3.0])[: len(model.parameter_names)]
    _, gradient = objective(point)
    for axis in range(len(point)):
        shift = np.zeros_like(point)
        shift[axis] = 1e-4
        slope = (objective(point + shift)[0] - objective(point - shift)[0]) / 2e-4
        assert gradient[axis] == pytest.approx(slope, rel=1e-6, abs=1e-4)


def test_fewer_and_fewer_coming_back_is_a_boundary() -> None:
    """Counts of a logarithmic series, the limit r = 0 of the truncated NBD, a little more spread than it."""
    rng = np.random.default_rng(5)
    x = np.where(rng.random(3_000) < 0.1, rng.logseries(0.97, 3_000), rng.logseries(0.5, 3_000))
    data = one_each(x, np.full(3_000, 90.0), np.full(3_000, 100.0) + rng.integers(0, 5, 3_000))
    fit = fit_purchase_model(data, "nbd", least=1)
    assert fit.status == "boundary"
    assert "never bought again cannot be told" in fit.status_reason
    assert fit.standard_errors["r"] is None


def test_customers_without_a_repeat_purchase_are_refused(sample: cdnow.Sample) -> None:
    with pytest.raises(ModelError, match=r"1,411 customers have no repeat purchase"):
        fit_purchase_model(sample.statistics(), least=1)
    with pytest.raises(ModelError, match=r"439 customers have fewer than 2 repeat purchases"):
        fit_purchase_model(repeaters(sample.statistics()), least=2)


def test_a_repeat_purchase_at_once_is_refused(sample: cdnow.Sample) -> None:
    kept = repeaters(sample.statistics())
    at_once = PurchaseStatistics(
        np.append(kept.frequency, 1), np.append(kept.recency, 0.0), np.append(kept.T, 0.0), np.append(kept.weights, 1.0)
    )
    with pytest.raises(ModelError, match="T = 0"):
        fit_purchase_model(at_once, least=1)
