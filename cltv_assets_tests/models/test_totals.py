"""Totals and their intervals, against each customer's predictions and whole populations simulated from definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cltv_assets.models.estimation.fits import PurchaseFit
from cltv_assets.models.estimation.fitting import fit_purchase_model, fit_spend_model
from cltv_assets.models.gamma_gamma import expected_value
from cltv_assets.models.pattern_predictions import predict_patterns
from cltv_assets.models.sufficient_statistics import PurchaseStatistics, SpendStatistics
from cltv_assets.models.value.totals import (
    CustomerGroups,
    MoneyWeights,
    gamma_interval,
    model_error,
    revenue_errors,
    totals_of,
)
from cltv_assets_tests.models.conftest import future_values, made_fit, purchase_values, simulate_purchases

#: In weeks.
PURCHASE = {"r": 0.6, "alpha": 7.0, "a": 0.8, "b": 2.5}
SPEND = {"p": 6.25, "q": 3.74, "v": 15.44}
MONTH_ENDS = np.array([4.0, 9.0, 13.0])
FACTORS = np.array([0.99, 0.98, 0.97])


#: Models of purchases by chance, and of regular ones, whose future depends on recency too.
BOTH = pytest.mark.parametrize("name", ["bg_nbd", "mbg_cnbd_3"])


def fit_of(parameters=PURCHASE, covariance=None, name="bg_nbd") -> PurchaseFit:
    return made_fit(name, parameters, log_covariance=covariance)


def grouped(x, recency, T, m, g=None) -> CustomerGroups:
    """Return one group a customer."""
    return CustomerGroups(
        np.asarray(x), np.asarray(recency, dtype=float), np.asarray(T, dtype=float), np.ones(len(x)), weights(m, g)
    )


def weights(m, g=None) -> MoneyWeights:
    """Return the sums of groups of one customer each, of monetary values ``m`` and margins ``g``."""
    g = np.ones(len(m)) if g is None else g
    return MoneyWeights(g, g * m, g**2, g**2 * m, g**2 * m**2)


@pytest.fixture(scope="module")
def base():
    rng = np.random.default_rng(4)
    n = 600
    x = np.concatenate((rng.geometric(0.4, n - 5) - 1, [40, 60, 90, 120, 200]))
    T = np.maximum(rng.integers(0, 80, n), x / 4.0)
    recency = np.where(x > 0, T * rng.beta(3, 1, n), 0.0)
    return x, recency, T, np.where(x > 0, rng.gamma(6.0, 5.0, n), 0.0)


@BOTH
def test_totals_are_the_sums_of_each_customers_predictions(base, name):
    x, recency, T, m = base
    totals = totals_of(fit_of(name=name), SPEND, grouped(*base), MONTH_ENDS, FACTORS, [1, 3])
    each = predict_patterns(fit_of(name=name), x, recency, T, MONTH_ENDS)
    by_month = np.diff(each.expected_purchases, axis=1, prepend=0.0)
    worth = expected_value(SPEND, x, m)
    rows = np.arange(100, 500)
    np.testing.assert_allclose(
        totals.purchases.expected[rows].sum(axis=0), each.expected_purchases[rows][:, [0, 2]].sum(axis=0), rtol=1e-5
    )
    value = (np.cumsum(by_month * FACTORS, axis=1) * worth[:, None])[rows][:, [0, 2]].sum(axis=0)
    np.testing.assert_allclose(totals.value.expected[rows].sum(axis=0), value, rtol=1e-5)


def test_customers_of_a_group_count_as_often_as_they_are(base):
    x, recency, T, _ = base
    totals = totals_of(fit_of(), SPEND, grouped(*base), MONTH_ENDS, FACTORS, [3])
    spends, margins = np.array([10.0, 30.0, 80.0]), np.array([0.5, 0.2, -0.1])
    three = CustomerGroups(
        x[:1] * 0 + 2,
        recency[:1] * 0 + 9.0,
        T[:1] * 0 + 30.0,
        np.array([3.0]),
        MoneyWeights(*(sums.sum(keepdims=True) for sums in vars(weights(spends, margins)).values())),
    )
    together = totals_of(fit_of(), SPEND, three, MONTH_ENDS, FACTORS, [3])
    apart = totals_of(
        fit_of(), SPEND, grouped([2] * 3, [9.0] * 3, [30.0] * 3, spends, margins), MONTH_ENDS, FACTORS, [3]
    )
    for name in ("purchases", "value"):
        for what in ("expected", "variance"):
            one, many = (getattr(getattr(found, name), what).sum() for found in (together, apart))
            assert one == pytest.approx(many, rel=1e-12)
    assert totals.value.variance.min() >= 0


@pytest.mark.parametrize("history", [(0, 0.0, 10.0, 0.0), (3, 20.0, 26.0, 40.0), (60, 40.0, 40.5, 20.0)])
def test_variances_are_those_of_simulated_futures(history):
    x, recency, T, m = history
    # Small orders of much spread, and a finite fourth moment: for q < 4 a sample's variance wanders.
    spend = {"p": 1.0, "q": 7.0, "v": 100.0}
    totals = totals_of(fit_of(), spend, grouped([x], [recency], [T], np.array([m])), MONTH_ENDS, np.ones(3), [3])
    alive = predict_patterns(fit_of(), [x], [recency], [T], [13.0]).p_alive[0]
    rng = np.random.default_rng(6)
    purchases, value = future_values(rng, 400_000, PURCHASE, spend, history, alive, 13.0)
    assert totals.purchases.expected[0, 0] == pytest.approx(purchases.mean(), rel=0.02)
    assert totals.purchases.variance[0, 0] == pytest.approx(purchases.var(), rel=0.03)
    assert totals.value.expected[0, 0] == pytest.approx(value.mean(), rel=0.02)
    assert totals.value.variance[0, 0] == pytest.approx(value.var(), rel=0.04)


@BOTH
def test_the_parameters_part_is_the_change_that_parameters_make(base, name):
    model = name
    # With one uncertain parameter at a time the standard deviation is |d total / d log parameter| sd.
    x, recency, T, m = base
    sd = 0.05
    everyone = np.arange(len(x))

    def value(purchase, spend):
        each = predict_patterns(fit_of(purchase, name=model), x, recency, T, [13.0]).expected_purchases[:, 0]
        return each.sum(), (each * expected_value(spend, x, m)).sum()

    by_frequency = SPEND | {"doubling": 1.2}
    for name in (*PURCHASE, *by_frequency):
        covariance = {name: {name: sd**2}}
        which = {"spend_covariance": covariance} if name in by_frequency else {}
        fit = fit_of(covariance=None if name in by_frequency else covariance, name=model)
        totals = totals_of(fit, by_frequency, grouped(*base), MONTH_ENDS, np.ones(3), [3], **which)
        up, down = (
            value(
                *(
                    {k: v * np.exp(h if k == name else 0.0) for k, v in part.items()}
                    for part in (PURCHASE, by_frequency)
                )
            )
            for h in (1e-4, -1e-4)
        )
        for i, sums in enumerate((totals.purchases, totals.value)):
            slope = sums.gradient[:, everyone, 0].sum(axis=1)
            expected = (up[i] - down[i]) / 2e-4
            # Spend parameters do not touch purchases.
            assert slope.sum() == pytest.approx(expected, rel=1e-4)
            variance = sums.variance.sum() + (expected * sd) ** 2
            mean = sums.expected.sum()
            interval = stats.gamma.ppf([0.1, 0.9], mean**2 / variance, scale=variance / mean)
            np.testing.assert_allclose(sums.interval(everyone)[0], interval, rtol=1e-6)


def test_what_cannot_vary_is_its_own_interval():
    np.testing.assert_array_equal(gamma_interval(np.array([0.0, 5.0]), np.array([0.0, 0.0])), [[0, 0], [5, 5]])
    np.testing.assert_allclose(gamma_interval(np.array([-5.0]), np.array([4.0])), [[-5 - 2.5631031, -5 + 2.5631031]])
    # Gains and losses that nearly cancel: the total may be below zero, and what is expected lies within.
    np.testing.assert_allclose(
        gamma_interval(np.array([1.0]), np.array([4.0]), np.array([9.0])), [[-1.5631031, 3.5631031]]
    )
    # A huge base: normal to many digits.
    np.testing.assert_allclose(gamma_interval(np.array([1e9]), np.array([1e10])), [[1e9 - 128155.2, 1e9 + 128155.2]])


@pytest.mark.parametrize("q", [1.4, 1.8, 2.6])
@pytest.mark.parametrize("n", [300, 3_000])
def test_without_a_finite_variance_there_is_still_an_interval(q, n):
    spend = {"p": 1.0, "q": q, "v": 10.0}
    once = CustomerGroups(
        np.zeros(1, dtype=int),
        np.zeros(1),
        np.array([20.0]),
        np.array([float(n)]),
        MoneyWeights(*np.array([[n], [0], [n], [0], [0]], dtype=float)),
    )
    value = totals_of(fit_of(), spend, once, MONTH_ENDS, np.ones(3), [3]).value
    (low, high), expected = value.interval(np.arange(1))[0], value.expected[0, 0]
    rng = np.random.default_rng(9)
    _, worth = future_values(rng, 1_000_000, PURCHASE, spend, (0, 0.0, 20.0, 0.0), 1.0, 13.0)
    realised = rng.choice(worth, (1_000, n)).sum(axis=1)
    # With the expectation for a centre up to seven of ten totals would lie below the interval.
    assert 0.03 <= (realised < low).mean() <= 0.13
    assert 0.07 <= (realised > high).mean() <= 0.18
    assert expected == pytest.approx(n * worth.mean(), rel=0.5 if q < 1.5 else 0.1)


def shop(rng, n, horizon):
    """Simulate customers from the definition: (frequency, recency, T, mean value, future purchases, future value)."""
    rate = rng.gamma(PURCHASE["r"], 1.0 / PURCHASE["alpha"], n)
    dropout = rng.beta(PURCHASE["a"], PURCHASE["b"], n)
    nu = rng.gamma(SPEND["q"], 1.0 / SPEND["v"], n)
    T = rng.integers(20, 31, n).astype(float)
    x, last, alive = simulate_until(rng, rate, dropout, T)
    # By half weeks, so that patterns repeat and fits are quick.
    recency = np.ceil(last * 2.0) / 2.0
    mean = np.divide(purchase_values(rng, x, SPEND["p"], nu), x, out=np.zeros(n), where=x > 0)
    purchases, _ = simulate_purchases(rng, rate, dropout, np.full(n, horizon), alive)
    return x, recency, T, mean, purchases, purchase_values(rng, purchases, SPEND["p"], nu)


def simulate_until(rng, rate, dropout, T):
    """Simulate counts and last times, and whether customers are alive at T: by Bayes, given what they did."""
    x, last = simulate_purchases(rng, rate, dropout, T)
    silent = (1 - dropout) * np.exp(-rate * (T - last))
    return x, last, rng.random(len(T)) < np.where(x == 0, 1.0, silent / (silent + dropout))


def counted(*columns):
    rows, weights = np.unique(np.column_stack(columns), axis=0, return_counts=True)
    return *rows.T, weights.astype(float)


def test_realised_totals_lie_within_as_often_as_said():
    # Fitted anew to each simulated shop: 80 % of the realised totals lie within, and far fewer
    # if the parameters were taken for known. Chance alone is small beside them over two years.
    rng = np.random.default_rng(12)
    horizon, trials = 104.0, 50
    inside = {("purchases", True): 0, ("purchases", False): 0, ("value", True): 0, ("value", False): 0}
    for _ in range(trials):
        x, recency, T, m, purchases, value = shop(rng, 1_500, horizon)
        frequency, last, age, weights = counted(x, recency, T)
        fit = fit_purchase_model(
            PurchaseStatistics(frequency.astype(int), last, age, weights), "bg_nbd", start=PURCHASE
        )
        spend = fit_spend_model(SpendStatistics(x[x > 0], m[x > 0], np.ones((x > 0).sum())))
        totals = totals_of(
            fit,
            spend.usable_parameters(),
            grouped(x, recency, T, m),
            np.array([horizon]),
            np.ones(1),
            [1],
            spend.log_covariance,
        )
        for name, realised in (("purchases", purchases.sum()), ("value", value.sum())):
            for with_parameters in (True, False):
                low, high = getattr(totals, name).interval(np.arange(len(x)), with_parameters=with_parameters)[0]
                inside[name, with_parameters] += low <= realised <= high
    for name in ("purchases", "value"):
        # Binomial bounds of one in a thousand.
        few, many = stats.binom.ppf([0.0005, 0.9995], trials, 0.8)
        assert few <= inside[name, True] <= many, inside
        assert inside[name, False] < few, inside


def test_the_model_s_own_error_is_a_share_of_the_total():
    x, recency, T, m = np.array([3, 0]), np.array([20.0, 0.0]), np.array([30.0, 12.0]), np.array([25.0, 0.0])
    totals = totals_of(fit_of(), SPEND, grouped(x, recency, T, m), MONTH_ENDS, FACTORS, [3])
    rows = np.arange(2)
    mean, chance = totals.purchases.centre.sum(), totals.purchases.variance.sum()
    sd = np.sqrt(chance + (0.25 * mean) ** 2)
    expected = stats.gamma((mean / sd) ** 2, scale=sd**2 / mean).ppf([0.1, 0.9])
    assert totals.intervals(rows, 0.25)[0][0] == pytest.approx(expected, rel=1e-9)
    assert totals.intervals(rows)[0][0] != pytest.approx(expected, rel=1e-3)


def test_revenue_has_an_error_of_its_own():
    x, recency, T, m = np.array([3, 0]), np.array([20.0, 0.0]), np.array([30.0, 12.0]), np.array([25.0, 0.0])
    totals = totals_of(fit_of(), SPEND, grouped(x, recency, T, m), MONTH_ENDS, FACTORS, [3])
    rows = np.arange(2)
    both, apart = totals.intervals(rows, 0.25), totals.intervals(rows, 0.25, 0.6)
    np.testing.assert_array_equal(both[0], apart[0])
    np.testing.assert_array_equal(apart[1], totals.value.interval(rows, 0.6))
    assert apart[1][0, 0] < both[1][0, 0]
    # Too many purchases of too little worth cancel; holdouts of one kind alone tell nothing of revenue.
    found = revenue_errors({"2012-01": 0.25, "2012-04": 0.1, "2012-07": 0.1}, {"2012-01": -0.2, "2012-04": 0.1})
    assert found == pytest.approx([0.0, 0.21])


def test_few_holdouts_tell_little_of_the_model_s_error():
    # Nine tenths of Student's t with 1 and 3 degrees of freedom, and of the normal, from printed tables.
    assert model_error(0.1, 1) == pytest.approx(0.1 * 3.078 / 1.2816, rel=1e-3)
    assert model_error(0.1, 3) == pytest.approx(0.1 * 1.638 / 1.2816, rel=1e-3)
    assert model_error(None, 0) == 0.0
    assert model_error(None, 3) == 0.0
