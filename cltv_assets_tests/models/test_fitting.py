"""Fits on data whose truth is known, and on data that cannot support one."""

from __future__ import annotations

import math
import re

import ibis
import numpy as np
import pyarrow as pa
import pytest

from bench.published import cdnow
from bench.published.figures import PUBLISHED
from cltv_assets.errors import ModelError
from cltv_assets.models import gamma_gamma
from cltv_assets.models.arrays import FloatArray
from cltv_assets.models.estimation.fits import Fit
from cltv_assets.models.estimation.fitting import fit_purchase_model, fit_spend_model, quick_parameters
from cltv_assets.models.pattern_predictions import predict_patterns
from cltv_assets.models.purchase.registry import PURCHASE_MODELS
from cltv_assets.models.sufficient_statistics import MIN_REPEAT_CUSTOMERS, PurchaseStatistics, SpendStatistics
from cltv_assets.tables.spend_model.fit import spend_patterns
from cltv_assets_tests.models.conftest import CdnowFit, grouped, one_each, simulate_purchases

TIME_PARAMETERS = ("alpha", "beta")


def simulated(seed: int, customers: int, r: float, alpha: float, dropout: FloatArray | float) -> PurchaseStatistics:
    rng = np.random.default_rng(seed)
    ages = rng.integers(0, 540, customers).astype(np.float64)
    rates = rng.gamma(r, 1 / alpha, customers)
    x, t_x = simulate_purchases(rng, rates, np.broadcast_to(dropout, customers), ages)
    return one_each(x, t_x, ages)


def simulated_spend(seed: int, customers: int, p: float, q: float, v: float) -> SpendStatistics:
    rng = np.random.default_rng(seed)
    x = rng.geometric(0.3, customers)
    rates = rng.gamma(q, 1 / v, customers)
    return SpendStatistics(x, rng.gamma(p * x, 1 / rates) / x, np.ones(customers))


def assert_all_finite(fit: Fit) -> None:
    numbers = [*fit.parameters.values(), fit.log_likelihood, fit.aic, fit.gradient_norm]
    assert all(number is not None and math.isfinite(number) for number in numbers)
    assert all(error is None or (math.isfinite(error) and error > 0) for error in fit.standard_errors.values())


def assert_truth_is_near(fit: Fit, truth: dict[str, float]) -> None:
    assert fit.status == "fitted"
    for name, value in fit.parameters.items():
        assert abs(value - truth[name]) < 3.5 * fit.standard_errors[name], name


@pytest.mark.parametrize("which", ["weeks", "master"])
@pytest.mark.parametrize("name", PURCHASE_MODELS)
def test_a_fit_shows_its_evidence(name: str, which: str, cdnow_fit: CdnowFit) -> None:
    fit = cdnow_fit(name, which)
    assert (fit.status, fit.status_reason) == ("fitted", None)
    assert fit.hessian_positive_definite
    assert fit.starts_agreeing == len(PURCHASE_MODELS[name].starts(1.0))
    assert fit.gradient_norm < 1e-9
    assert fit.aic == pytest.approx(2 * len(fit.parameters) - 2 * fit.log_likelihood, rel=1e-12)
    if which == "weeks":
        assert (fit.customers, fit.repeat_customers, fit.repeat_purchases) == (2357, 946, 2457)


def test_a_spend_fit_shows_its_evidence(spend_fit) -> None:
    assert (spend_fit.status, spend_fit.customers, spend_fit.starts_agreeing) == ("fitted", 946, 3)
    assert spend_fit.expected_order_value == pytest.approx(35.17, abs=5e-3)


@pytest.mark.parametrize("name", PURCHASE_MODELS)
def test_weighted_and_unweighted_fits_agree(name: str, weeks: PurchaseStatistics, cdnow_fit: CdnowFit) -> None:
    unweighted, weighted = cdnow_fit(name), fit_purchase_model(grouped(weeks), name)
    assert weighted.patterns < unweighted.patterns == unweighted.customers == weighted.customers
    assert weighted.parameters == pytest.approx(unweighted.parameters, rel=1e-8)
    assert weighted.standard_errors == pytest.approx(unweighted.standard_errors, rel=1e-6)
    assert weighted.log_likelihood == pytest.approx(unweighted.log_likelihood, rel=1e-12)


def test_weighted_and_unweighted_spend_fits_agree() -> None:
    once = simulated_spend(5, 3_000, 6.0, 4.0, 15.0)
    cents = SpendStatistics(once.frequency, np.maximum(np.round(once.monetary_value), 1.0), once.weights)
    rows, counts = np.unique(np.column_stack((cents.frequency, cents.monetary_value)), axis=0, return_counts=True)
    weighted = fit_spend_model(SpendStatistics(rows[:, 0], rows[:, 1], counts))
    assert weighted.patterns < 1_000
    assert weighted.parameters == pytest.approx(fit_spend_model(cents).parameters, rel=1e-8)


def covariance(fit: Fit) -> np.ndarray:
    return np.array([[fit.log_covariance[one][other] for other in fit.parameters] for one in fit.parameters])


@pytest.mark.parametrize("name", PURCHASE_MODELS)
def test_weeks_and_days_are_one_model(name: str, sample: cdnow.Sample, cdnow_fit: CdnowFit) -> None:
    days, weeks = cdnow_fit(name, "days"), fit_purchase_model(sample.statistics(7.0), name)
    for parameter, value in days.parameters.items():
        scale = 7.0 if parameter in TIME_PARAMETERS else 1.0
        assert value == pytest.approx(scale * weeks.parameters[parameter], rel=1e-8)
        assert days.standard_errors[parameter] == pytest.approx(scale * weeks.standard_errors[parameter], rel=1e-6)
    # A density per day is a seventh of one per week, once for each purchase.
    assert days.log_likelihood == pytest.approx(weeks.log_likelihood - 2457 * math.log(7.0), abs=1e-6)
    assert covariance(days) == pytest.approx(covariance(weeks), rel=1e-5, abs=1e-8)


def test_cents_and_currency_are_one_spend_model(spend: SpendStatistics, spend_fit) -> None:
    theirs = fit_spend_model(SpendStatistics(spend.frequency, 100 * spend.monetary_value, spend.weights))
    p, q, v = spend_fit.usable_parameters().values()
    assert theirs.parameters == pytest.approx({"p": p, "q": q, "v": 100 * v}, rel=1e-8)
    assert theirs.log_likelihood == pytest.approx(spend_fit.log_likelihood - 946 * math.log(100.0), abs=1e-6)


def test_simulated_parameters_are_recovered() -> None:
    dropouts = np.random.default_rng(11).beta(0.8, 2.5, 30_000)
    fit = fit_purchase_model(simulated(12, 30_000, 0.6, 40.0, dropouts))
    truth = {"r": 0.6, "alpha": 40.0, "a": 0.8, "b": 2.5}
    assert_truth_is_near(fit, truth)
    assert all(error < 0.2 * truth[name] for name, error in fit.standard_errors.items())


def test_simulated_order_values_are_recovered() -> None:
    truth = {"p": 6.0, "q": 4.0, "v": 15.0}
    fit = fit_spend_model(simulated_spend(4, 20_000, **truth))
    assert_truth_is_near(fit, truth)
    assert fit.expected_order_value == pytest.approx(6.0 * 15.0 / 3.0, rel=0.05)
    assert fit.frequency_value_correlation == pytest.approx(0.0, abs=0.03)


@pytest.mark.parametrize("data", ["cdnow", "simulated", "small values"])
def test_binned_order_values_fit_alike(data: str, spend: SpendStatistics) -> None:
    """The bins are those of the graph, made by the engine."""
    exact = spend if data == "cdnow" else simulated_spend(9, 40_000, 6.0, 4.0, 15.0 if data == "simulated" else 0.5)
    # As the lake holds it: four decimals.
    values = np.round(exact.monetary_value, 4)
    rows = ibis.memtable(pa.table({"frequency": exact.frequency, "monetary_value": values}))
    found = ibis.duckdb.connect().to_pyarrow(spend_patterns(rows))
    bins = SpendStatistics(*(found[name].to_numpy() for name in ("frequency", "monetary_value", "customers")))
    assert bins.customers == exact.customers
    if data != "cdnow":
        assert len(bins.weights) < 0.75 * len(exact.weights)
    unbinned, fit = fit_spend_model(SpendStatistics(exact.frequency, values, exact.weights)), fit_spend_model(bins)
    assert fit.mean_order_value == pytest.approx(unbinned.mean_order_value, rel=1e-12)
    assert fit.parameters == pytest.approx(unbinned.parameters, rel=1e-5)
    assert fit.standard_errors == pytest.approx(unbinned.standard_errors, rel=1e-4)


def test_without_dropout_the_fit_says_so() -> None:
    data = simulated(3, 5_000, 0.8, 60.0, 0.0)
    fit, null = fit_purchase_model(data), fit_purchase_model(data, "nbd")
    assert fit.status == "boundary"
    assert fit.status_reason.startswith("dropout cannot be identified")
    assert not fit.hessian_positive_definite
    assert_all_finite(fit)
    # Those of r and alpha would be given a and b, which are not known.
    assert set(fit.standard_errors.values()) == {None}
    for name in ("r", "alpha"):
        assert fit.parameters[name] == pytest.approx(null.parameters[name], rel=1e-2)
    assert fit.log_covariance["r"]["r"] == pytest.approx(null.log_covariance["r"]["r"], rel=4e-2)
    assert -1e-6 < fit.log_likelihood - null.log_likelihood < 2.0
    # Parameters that run away have no covariance.
    assert set(fit.log_covariance) == set(fit.log_covariance["r"]) == {"r", "alpha"}


def test_customers_alike_in_rate_run_to_a_boundary() -> None:
    rng = np.random.default_rng(8)
    ages = rng.integers(100, 500, 3_000).astype(np.float64)
    # Evener than chance: a Poisson process would spread more, so no spread of rates can be left.
    x = np.floor(0.01 * ages + rng.random(3_000)).astype(np.int64)
    fit = fit_purchase_model(one_each(x, np.where(x > 0, np.floor(ages * 0.9), 0.0), ages), "nbd")
    assert fit.status == "boundary"
    assert fit.status_reason.startswith("the spread of purchase rates cannot be identified")
    assert_all_finite(fit)
    assert fit.standard_errors["r"] is fit.standard_errors["alpha"] is None
    assert fit.parameters["r"] / fit.parameters["alpha"] == pytest.approx(0.01, rel=0.05)


def test_customers_alike_in_dropout_run_to_a_boundary() -> None:
    fit = fit_purchase_model(simulated(21, 4_000, 1.0, 30.0, 0.3))
    assert_all_finite(fit)
    a, b = (fit.parameters[name] for name in ("a", "b"))
    assert a / (a + b) == pytest.approx(0.3, abs=0.03)
    assert fit.status == "boundary"
    assert "spread of dropout probabilities" in fit.status_reason
    # Each of a and b is known once the other is fixed, and neither means anything by itself.
    assert set(fit.standard_errors.values()) == {None}
    assert set(fit.log_covariance) == {"r", "alpha"}


def test_newcomers_of_the_last_day_change_nothing(sample: cdnow.Sample, cdnow_fit: CdnowFit) -> None:
    data, fit = sample.statistics(), cdnow_fit("bg_nbd", "days")
    more = PurchaseStatistics(
        np.append(data.frequency, 0), np.append(data.recency, 0), np.append(data.T, 0), np.append(data.weights, 500)
    )
    with_them = fit_purchase_model(more)
    assert with_them.parameters == pytest.approx(fit.parameters, rel=1e-7)
    assert with_them.log_likelihood == pytest.approx(fit.log_likelihood, rel=1e-12)
    assert with_them.customers == fit.customers + 500


@pytest.mark.parametrize("name", PURCHASE_MODELS)
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
    statistics = PurchaseStatistics(*(np.array(values) for values in data))
    fit = fit_purchase_model(statistics, name)
    assert fit.status == "not_fitted"
    assert reason in fit.status_reason
    assert set(fit.parameters.values()) == set(fit.standard_errors.values()) == {None}
    assert fit.log_likelihood is fit.aic is fit.iterations is fit.hessian_positive_definite is None
    assert fit.log_covariance is None
    assert fit.customers == sum(data[3])
    with pytest.raises(ModelError, match=reason):
        quick_parameters(statistics, name, PUBLISHED[name])


@pytest.mark.parametrize(
    ("x", "m", "reason"),
    [
        ([], [], "no repeat customer"),
        ([1], [10.0], "1 repeat customers"),
        ([1] * 6 + [2] * 6, [5.0] * 6 + [7.0] * 6, "2 distinct pairs"),
    ],
)
def test_too_few_order_values_are_not_fitted(x: list[int], m: list[float], reason: str) -> None:
    fit = fit_spend_model(SpendStatistics(np.array(x), np.array(m), np.ones(len(x))))
    assert fit.status == "not_fitted"
    assert reason in fit.status_reason
    assert set(fit.parameters.values()) == {None}
    assert fit.expected_order_value is None
    assert (fit.mean_order_value is None) == (not x)


def test_one_price_for_all_is_expected_of_all() -> None:
    x = np.arange(1, 13)
    fit = fit_spend_model(SpendStatistics(x, np.full(12, 9.99), np.ones(12)))
    assert (fit.status, fit.prices, fit.expected_order_value) == ("boundary", 1, pytest.approx(9.99))
    assert "the same mean order value" in fit.status_reason
    assert gamma_gamma.expected_value(fit.usable_parameters(), np.arange(100), np.full(100, 9.99)) == pytest.approx(
        9.99
    )
    assert gamma_gamma.population_mean(fit.usable_parameters()) == pytest.approx(9.99)


def test_plans_are_told_from_a_spread_of_order_values() -> None:
    rng = np.random.default_rng(3)
    x = rng.geometric(0.3, 400)
    plans = fit_spend_model(SpendStatistics(x, rng.choice([9.99, 49.0], 400), np.ones(400)))
    assert plans.prices == 2
    spread = fit_spend_model(simulated_spend(2, 4_000, 6.0, 4.0, 15.0))
    told = [gamma_gamma.pays_the_same(fit.parameters["p"], fit.prices, fit.customers) for fit in (plans, spread)]
    assert told == [True, False]


def test_an_infinite_mean_order_value_is_not_fitted() -> None:
    fit = fit_spend_model(simulated_spend(2, 4_000, 3.0, 0.7, 5.0))
    assert fit.status == "not_fitted"
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
    assert "within customers cannot be identified" in fit.status_reason
    assert set(fit.standard_errors.values()) == {None}
    assert set(fit.log_covariance) == {"q"}
    assert fit.expected_order_value == pytest.approx(values.mean(), rel=0.1)


def test_an_unknown_model_is_refused(weeks: PurchaseStatistics) -> None:
    with pytest.raises(ModelError, match=r"no purchase model 'pareto'.*bg_nbd, mbg_nbd, pareto_nbd, nbd"):
        fit_purchase_model(weeks, "pareto")


@pytest.mark.parametrize("name", PURCHASE_MODELS)
@pytest.mark.parametrize("seed", range(8))
def test_any_small_population_gives_finite_numbers(seed: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(12, 60))
    ages = rng.uniform(0, 10 ** rng.uniform(0, 4), size) * (rng.random(size) > 0.1)
    x = rng.poisson(10 ** rng.uniform(-0.3, 2.0), size)
    t_x = np.where(x > 0, ages * rng.beta(*(10 ** rng.uniform(-1, 2, 2)), size), 0.0)
    data = PurchaseStatistics(x, t_x, ages, rng.integers(1, 100, size))
    fit = fit_purchase_model(data, name)
    if fit.status == "not_fitted":
        assert data.repeat_customers < MIN_REPEAT_CUSTOMERS
        return
    assert_all_finite(fit)
    predicted = predict_patterns(fit, x, t_x, ages, [ages.max() / 10, ages.max()])
    for values in (predicted.p_alive, predicted.expected_purchases, predicted.low, predicted.high):
        assert np.isfinite(values).all()
