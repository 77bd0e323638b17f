"""Fits on data whose truth is known, and on data that cannot support one."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from cltv_assets.errors import ModelError
from cltv_assets.models.estimation.fits import Fit, PurchaseFit
from cltv_assets.models.estimation.fitting import MIN_REPEAT_CUSTOMERS, degeneracy, fit_purchase_model, fit_spend_model
from cltv_assets.models.estimation.optimise import maximise
from cltv_assets.models.gamma_gamma import binned
from cltv_assets.models.pattern_predictions import predict_patterns
from cltv_assets.models.purchase.registry import PURCHASE_MODELS
from cltv_assets.models.sufficient_statistics import FloatArray, PurchaseStatistics, SpendStatistics
from cltv_assets_tests.models.conftest import Histories, grouped, simulate_purchases


def simulated(seed: int, customers: int, r: float, alpha: float, dropout: FloatArray | float) -> PurchaseStatistics:
    rng = np.random.default_rng(seed)
    ages = rng.integers(0, 540, customers).astype(np.float64)
    rates = rng.gamma(r, 1 / alpha, customers)
    x, t_x = simulate_purchases(rng, rates, np.broadcast_to(dropout, customers), ages)
    return PurchaseStatistics(x, t_x, ages, np.ones(customers))


def simulated_spend(seed: int, customers: int, p: float, q: float, v: float) -> SpendStatistics:
    rng = np.random.default_rng(seed)
    x = rng.geometric(0.3, customers)
    rates = rng.gamma(q, 1 / v, customers)
    return SpendStatistics(x, rng.gamma(p * x, 1 / rates) / x, np.ones(customers))


def assert_all_finite(fit: Fit) -> None:
    numbers = [*fit.parameters.values(), fit.log_likelihood, fit.aic, fit.gradient_norm]
    assert all(number is not None and math.isfinite(number) for number in numbers)
    assert all(error is None or (math.isfinite(error) and error > 0) for error in fit.standard_errors.values())


@pytest.mark.parametrize("name", list(PURCHASE_MODELS))
def test_weighted_and_unweighted_fits_agree(name: str, master: Histories) -> None:
    one_a_customer, one_a_pattern = master.statistics(), grouped(master.statistics())
    assert len(one_a_pattern.T) < len(one_a_customer.T) / 2
    unweighted, weighted = fit_purchase_model(one_a_customer, name), fit_purchase_model(one_a_pattern, name)
    assert weighted.parameters == pytest.approx(unweighted.parameters, rel=1e-8)
    assert weighted.standard_errors == pytest.approx(unweighted.standard_errors, rel=1e-6)
    assert weighted.log_likelihood == pytest.approx(unweighted.log_likelihood, rel=1e-12)
    assert weighted.customers == unweighted.customers


def test_weighted_and_unweighted_spend_fits_agree() -> None:
    once = simulated_spend(5, 3_000, 6.0, 4.0, 15.0)
    cents = SpendStatistics(once.frequency, np.maximum(np.round(once.monetary_value), 1.0), once.weights)
    rows, counts = np.unique(np.column_stack((cents.frequency, cents.monetary_value)), axis=0, return_counts=True)
    weighted = fit_spend_model(SpendStatistics(rows[:, 0], rows[:, 1], counts))
    assert weighted.patterns < 1_000
    assert weighted.parameters == pytest.approx(fit_spend_model(cents).parameters, rel=1e-8)


@pytest.mark.parametrize("name", list(PURCHASE_MODELS))
def test_weeks_and_days_are_one_model(name: str, sample: Histories) -> None:
    days = fit_purchase_model(sample.statistics(), name)
    weeks = fit_purchase_model(sample.statistics(unit=7.0), name)
    for parameter, value in days.usable_parameters().items():
        scale = 7.0 if parameter in ("alpha", "beta") else 1.0
        assert value == pytest.approx(scale * weeks.usable_parameters()[parameter], rel=1e-8)
        assert days.standard_errors[parameter] == pytest.approx(scale * weeks.standard_errors[parameter], rel=1e-6)
    assert weeks.log_likelihood is not None
    # A density a day is a seventh of one a week, once for each purchase.
    assert days.log_likelihood == pytest.approx(weeks.log_likelihood - 2457 * math.log(7.0), abs=1e-6)


def test_cents_and_currency_are_one_spend_model(spend: SpendStatistics) -> None:
    cents = SpendStatistics(spend.frequency, 100 * spend.monetary_value, spend.weights)
    ours, theirs = fit_spend_model(spend), fit_spend_model(cents)
    p, q, v = ours.usable_parameters().values()
    assert theirs.parameters == pytest.approx({"p": p, "q": q, "v": 100 * v}, rel=1e-8)
    assert ours.log_likelihood is not None
    assert theirs.log_likelihood == pytest.approx(ours.log_likelihood - 946 * math.log(100.0), abs=1e-6)


def test_simulated_parameters_are_recovered() -> None:
    rng = np.random.default_rng(11)
    truth = {"r": 0.6, "alpha": 40.0, "a": 0.8, "b": 2.5}
    data = simulated(12, 30_000, truth["r"], truth["alpha"], rng.beta(truth["a"], truth["b"], 30_000))
    fit = fit_purchase_model(data)
    assert fit.status == "fitted"
    for name, value in fit.usable_parameters().items():
        error = fit.standard_errors[name]
        assert error is not None
        assert abs(value - truth[name]) < 3.5 * error
        assert error < 0.2 * truth[name]


def test_simulated_order_values_are_recovered() -> None:
    truth = {"p": 6.0, "q": 4.0, "v": 15.0}
    fit = fit_spend_model(simulated_spend(4, 20_000, **truth))
    assert fit.status == "fitted"
    for name, value in fit.usable_parameters().items():
        error = fit.standard_errors[name]
        assert error is not None
        assert abs(value - truth[name]) < 3.5 * error
    assert fit.expected_order_value == pytest.approx(6.0 * 15.0 / 3.0, rel=0.05)
    assert fit.frequency_value_correlation == pytest.approx(0.0, abs=0.03)


@pytest.mark.parametrize("data", ["cdnow", "simulated", "small values"])
def test_binned_order_values_fit_alike(data: str, spend: SpendStatistics) -> None:
    scale = 15.0 if data == "simulated" else 0.5
    exact = spend if data == "cdnow" else simulated_spend(9, 40_000, 6.0, 4.0, scale)
    bins = binned(exact)
    assert bins.customers == exact.customers
    assert bins.mean_order_value == pytest.approx(exact.mean_order_value, rel=1e-12)
    if data != "cdnow":
        assert len(bins.weights) < 0.75 * len(exact.weights)
    unbinned, fit = fit_spend_model(exact), fit_spend_model(bins)
    assert fit.parameters == pytest.approx(unbinned.parameters, rel=1e-5)
    assert fit.standard_errors == pytest.approx(unbinned.standard_errors, rel=1e-4)


def test_without_dropout_the_fit_says_so() -> None:
    data = simulated(3, 5_000, 0.8, 60.0, 0.0)
    fit, null = fit_purchase_model(data), fit_purchase_model(data, "nbd")
    assert fit.status == "boundary"
    assert fit.status_reason is not None
    assert fit.status_reason.startswith("dropout cannot be identified")
    assert not fit.hessian_positive_definite
    assert_all_finite(fit)
    assert fit.standard_errors["a"] is fit.standard_errors["b"] is None
    usable, plain = fit.usable_parameters(), null.usable_parameters()
    assert usable["r"] == pytest.approx(plain["r"], rel=1e-2)
    assert usable["alpha"] == pytest.approx(plain["alpha"], rel=1e-2)
    assert fit.standard_errors["r"] == pytest.approx(null.standard_errors["r"], rel=2e-2)
    found = degeneracy(fit, null, data)
    assert found is not None
    assert -1e-6 < found.log_likelihood_gain < 2.0
    assert found.aic_gain < 0
    assert found.mean_p_alive > 0.99


def test_with_dropout_the_null_model_is_beaten(sample: Histories) -> None:
    data = sample.statistics(unit=7.0)
    found = degeneracy(fit_purchase_model(data), fit_purchase_model(data, "nbd"), data)
    assert found is not None
    assert found.log_likelihood_gain == pytest.approx(9763.660 - 9582.429, abs=2e-2)
    assert found.aic_gain == pytest.approx(2 * (9763.660 - 9582.429) - 4, abs=4e-2)
    assert 0.3 < found.mean_p_alive < 0.9


def test_customers_alike_in_rate_run_to_a_boundary() -> None:
    rng = np.random.default_rng(8)
    ages = rng.integers(100, 500, 3_000).astype(np.float64)
    # Evener than chance: a Poisson process would spread more, so no spread of rates can be left.
    x = np.floor(0.01 * ages + rng.random(3_000)).astype(np.int64)
    t_x = np.where(x > 0, np.floor(ages * 0.9), 0.0)
    fit = fit_purchase_model(PurchaseStatistics(x, t_x, ages, np.ones(3_000)), "nbd")
    assert fit.status == "boundary"
    assert fit.status_reason is not None
    assert fit.status_reason.startswith("the spread of purchase rates cannot be identified")
    assert_all_finite(fit)
    usable = fit.usable_parameters()
    assert fit.standard_errors["r"] is fit.standard_errors["alpha"] is None
    assert usable["r"] / usable["alpha"] == pytest.approx(0.01, rel=0.05)


def test_customers_alike_in_dropout_run_to_a_boundary() -> None:
    fit = fit_purchase_model(simulated(21, 4_000, 1.0, 30.0, 0.3))
    assert_all_finite(fit)
    usable = fit.usable_parameters()
    assert usable["a"] / (usable["a"] + usable["b"]) == pytest.approx(0.3, abs=0.03)
    assert fit.status == "boundary"
    assert fit.status_reason is not None
    assert "spread of dropout probabilities" in fit.status_reason
    # Each is known once the other is fixed, and neither means anything by itself.
    assert fit.standard_errors["a"] is fit.standard_errors["b"] is None
    assert fit.standard_errors["r"] is not None


def test_newcomers_of_the_last_day_change_nothing(sample: Histories) -> None:
    data = sample.statistics()
    more = PurchaseStatistics(
        np.append(data.frequency, 0), np.append(data.recency, 0), np.append(data.T, 0), np.append(data.weights, 500)
    )
    fit, with_them = fit_purchase_model(data), fit_purchase_model(more)
    assert with_them.parameters == pytest.approx(fit.parameters, rel=1e-7)
    assert with_them.log_likelihood == pytest.approx(fit.log_likelihood, rel=1e-12)
    assert with_them.customers == fit.customers + 500


def statistics_of(x: list[int], t_x: list[float], age: list[float], weights: list[float]) -> PurchaseStatistics:
    return PurchaseStatistics(*(np.array(values) for values in (x, t_x, age, weights)))


@pytest.mark.parametrize("name", list(PURCHASE_MODELS))
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (([], [], [], []), "no customers"),
        (([0], [0.0], [0.0], [1]), "no customer has bought on a second day"),
        (([0, 0], [0.0, 0.0], [0.0, 30.0], [500, 800]), "no customer has bought on a second day"),
        (([3], [20.0], [30.0], [1]), "1 repeat customers"),
        (([0, 1, 2], [0.0, 3.0, 9.0], [30.0, 30.0, 30.0], [900, 5, 4]), "9 repeat customers"),
        (([1], [20.0], [30.0], [1000]), "1 distinct purchase histories"),
        (([1, 2], [0.0, 0.0], [0.0, 0.0], [20, 20]), "every customer's first purchase is on the last day"),
    ],
)
def test_too_little_data_is_not_fitted(data: tuple[list[float], ...], reason: str, name: str) -> None:
    fit = fit_purchase_model(statistics_of(*data), name)  # type: ignore[arg-type]
    assert fit.status == "not_fitted"
    assert fit.status_reason is not None
    assert reason in fit.status_reason
    assert set(fit.parameters.values()) == set(fit.standard_errors.values()) == {None}
    assert fit.log_likelihood is fit.aic is fit.iterations is fit.hessian_positive_definite is None
    assert fit.customers == sum(data[3])
    assert degeneracy(fit, fit, statistics_of(*data)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("x", "m", "reason"),
    [
        ([], [], "no repeat customer"),
        ([1], [10.0], "1 repeat customers"),
        (list(range(1, 13)), [25.0] * 12, "the same mean order value"),
        ([1] * 6 + [2] * 6, [5.0] * 6 + [7.0] * 6, "2 distinct pairs"),
    ],
)
def test_too_few_order_values_are_not_fitted(x: list[int], m: list[float], reason: str) -> None:
    fit = fit_spend_model(SpendStatistics(np.array(x), np.array(m), np.ones(len(x))))
    assert fit.status == "not_fitted"
    assert fit.status_reason is not None
    assert reason in fit.status_reason
    assert set(fit.parameters.values()) == {None}
    assert fit.expected_order_value is None
    assert (fit.mean_order_value is None) == (not x)


def test_an_infinite_mean_order_value_is_not_fitted() -> None:
    fit = fit_spend_model(simulated_spend(2, 4_000, 3.0, 0.7, 5.0))
    assert fit.status == "not_fitted"
    assert fit.status_reason is not None
    assert re.search(r"mean is infinite \(q = 0\.[67]", fit.status_reason)


def test_order_values_alike_within_customers_run_to_a_boundary() -> None:
    rng = np.random.default_rng(6)
    x = rng.geometric(0.3, 400)
    # Means of many purchases spread more than single ones: no spread within customers can be left.
    shape = np.where(x > 2, 3.0, 6.0)
    values = 30 * (shape - 1) / rng.gamma(shape)
    fit = fit_spend_model(SpendStatistics(x, values, np.ones(400)))
    assert_all_finite(fit)
    assert fit.status == "boundary"
    assert fit.status_reason is not None
    assert "within customers cannot be identified" in fit.status_reason
    assert fit.standard_errors["p"] is fit.standard_errors["v"] is None
    assert fit.standard_errors["q"] is not None
    assert fit.expected_order_value == pytest.approx(values.mean(), rel=0.1)


def test_a_purchase_fit_that_did_not_converge_is_refused(sample: Histories) -> None:
    data = sample.statistics()
    # So few that they are not searched roughly first, which brings one iteration near enough to be right.
    few = PurchaseStatistics(data.frequency[:900], data.recency[:900], data.T[:900], data.weights[:900])
    with pytest.raises(ModelError, match=r"did not converge.*parameters are refused"):
        fit_purchase_model(few, max_iterations=1)


def test_a_spend_fit_that_did_not_converge_is_refused(spend: SpendStatistics) -> None:
    with pytest.raises(ModelError, match=r"did not converge.*parameters are refused"):
        fit_spend_model(spend, max_iterations=1)


def test_a_saddle_is_refused() -> None:
    def saddle(point: FloatArray) -> tuple[float, FloatArray]:
        return float(-(point[0] ** 2) + 10 * point[1] ** 2), np.array([-2 * point[0], 20 * point[1]])

    with pytest.raises(ModelError, match="saddle"):
        maximise(saddle, [np.zeros(2)], (np.full(2, -5.0), np.full(2, 5.0)), 1.0)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ModelError, match=r"no purchase model 'pareto'.*bg_nbd, mbg_nbd, pareto_nbd, nbd"):
        fit_purchase_model(statistics_of([], [], [], []), "pareto")


@pytest.mark.parametrize("name", list(PURCHASE_MODELS))
@pytest.mark.parametrize("seed", range(12))
def test_any_small_population_gives_finite_numbers(seed: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(12, 60))
    ages = rng.uniform(0, 10 ** rng.uniform(0, 4), size) * (rng.random(size) > 0.1)
    x = rng.poisson(10 ** rng.uniform(-0.3, 2.0), size)
    t_x = np.where(x > 0, ages * rng.beta(*(10 ** rng.uniform(-1, 2, 2)), size), 0.0)
    data = PurchaseStatistics(x, t_x, ages, rng.integers(1, 100, size))
    fit: PurchaseFit = fit_purchase_model(data, name)
    if fit.status == "not_fitted":
        assert data.repeat_customers < MIN_REPEAT_CUSTOMERS
        return
    assert_all_finite(fit)
    predicted = predict_patterns(fit, x, t_x, ages, [ages.max() / 10, ages.max()])
    for values in (predicted.p_alive, predicted.expected_purchases, predicted.low, predicted.high):
        assert np.isfinite(values).all()
