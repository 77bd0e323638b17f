"""The choice of how order values are expected, on simulated customers."""

from __future__ import annotations

import numpy as np
import pytest

from cltv_assets.models.choosing.order_values import ValueFold, choose, choose_by_frequency, gain
from cltv_assets.models.value_trend import ValueTrend

#: Orders known are eight months old on average, and holdouts two months ahead.
TREND = ValueTrend(monthly=0.05, error=0.004, months=24, age=8.0, span=23)
LIFT, GROWTH = float(np.exp(0.05 * 8.0)), float(np.exp(0.05 * 2.0))


def fold(seed: int, level: float = 1.0, *, known: bool = True, customers: int = 1_500) -> ValueFold:
    """Return a fold, one row a customer, whose orders in the holdout lie at ``level`` of those before."""
    rng = np.random.default_rng(seed)
    x = rng.geometric(0.35, customers) - 1
    rate = rng.gamma(4.0, 1 / 60.0, customers)
    m = np.where(x > 0, rng.gamma(6.0 * np.maximum(x, 1)) / rate / np.maximum(x, 1), 0.0)
    n = rng.poisson(0.8, customers).astype(float)
    z = np.where(n > 0, rng.gamma(6.0 * np.maximum(n, 1.0)) / rate, 0.0) * level
    lift = LIFT if known else 1.0
    return ValueFold(
        origin=f"2012-{seed % 12 + 1:02}", frequency=x, monetary_value=m, lifted_value=m * lift,
        customers=np.ones(customers), buyers=(n > 0).astype(float), orders=n, spend=z, orders_squares=n * n,
        spend_squares=z * z, orders_spend=n * z, growth=GROWTH if known else 1.0,
    )  # fmt: skip


@pytest.mark.parametrize(("level", "use"), [(1.0, "none"), (LIFT, "level"), (LIFT * GROWTH, "goes_on")])
def test_a_trend_is_met_as_the_holdouts_tell(level, use):
    folds = [fold(seed, level) for seed in range(3)]
    found = choose(folds, TREND)
    assert found.trend_use == use
    assert set(found.errors) == {one.origin for one in folds}
    assert max(abs(error) for error in found.errors.values()) < 0.08
    assert "in 3 holdouts" in found.reason


def test_without_a_trend_nothing_is_tried():
    vague = ValueTrend(monthly=0.05, error=0.02, months=24, age=8.0, span=23)
    for trend in (None, vague):
        found = choose([fold(seed, LIFT) for seed in range(3)], trend)
        assert (found.trend_use, found.reason) == (None, "order values have no trend beyond chance")
        # They were expected at the old level.
        assert found.errors["2012-01"] == pytest.approx(1 / LIFT - 1, abs=0.08)


def test_a_holdout_before_the_trend_was_known_does_not_judge_it():
    folds = [fold(0, LIFT), *(fold(seed, LIFT, known=False) for seed in (1, 2))]
    found = choose(folds, TREND)
    assert found.trend_use == "none"
    assert "at the origin of 1 holdouts, and it takes 2" in found.reason


def test_the_gain_is_that_of_each_customers_scores():
    one, other = [fold(seed) for seed in (5, 6)], []
    ours, theirs = [], []
    for each in one:
        rng = np.random.default_rng(1)
        ours.append(rng.uniform(20, 40, len(each.spend)))
        theirs.append(rng.uniform(20, 40, len(each.spend)))
        score = [each.spend / e + each.orders * np.log(e) for e in (theirs[-1], ours[-1])]
        other.append((score[0] - score[1])[each.buyers > 0])
    mean, error = gain(one, ours, theirs)
    assert mean == pytest.approx(np.concatenate(other).mean(), rel=1e-9)
    # With nothing common to a holdout the error is that of single customers.
    assert error == pytest.approx(np.concatenate(other).std() / np.sqrt(sum(map(len, other))), rel=0.5)


def test_the_score_is_least_at_the_true_mean():
    folds = [fold(seed, customers=20_000) for seed in (1, 2)]
    means = [np.full(len(each.spend), each.spend.sum() / each.orders.sum()) for each in folds]
    for off in (0.9, 1.1):
        better, error = gain(folds, means, [mean * off for mean in means])
        assert better > 2 * error


def dependent(seed: int, power: float, customers: int = 4_000) -> ValueFold:
    """Return a fold whose customers' order values go with a power of their purchase rates."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(0.8, 0.15 / 0.8, customers)
    x = rng.poisson(rate * rng.uniform(1.0, 12.0, customers))
    mean = 40.0 * (rate / 0.15 + 0.05) ** power / rng.gamma(6.0, 1 / 6.0, customers)
    m = np.where(x > 0, mean * rng.gamma(5.0 * np.maximum(x, 1)) / (5.0 * np.maximum(x, 1)), 0.0)
    n = rng.poisson(rate * 3.0).astype(float)
    z = np.where(n > 0, mean * rng.gamma(5.0 * np.maximum(n, 1.0)) / 5.0, 0.0)
    return ValueFold(
        origin=f"2012-{seed % 12 + 1:02}", frequency=x, monetary_value=m, lifted_value=m,
        customers=np.ones(customers), buyers=(n > 0).astype(float), orders=n, spend=z, orders_squares=n * n,
        spend_squares=z * z, orders_spend=n * z, growth=1.0,
    )  # fmt: skip


def test_a_dependence_on_frequency_is_taken_where_holdouts_are_for_it():
    folds = [dependent(seed, -0.4) for seed in range(3)]
    plain = choose(folds, None)
    found = choose_by_frequency(folds, plain)
    assert found is not None
    assert "depend on frequency are better in 3 holdouts" in found.reason
    assert max(abs(error) for error in found.errors.values()) < 0.08
    for one in folds:
        # Who seldom buys buys for more.
        expected, orders = found.expected[one.origin], one.orders[one.frequency == 0].sum()
        actual = one.spend[one.frequency == 0].sum() / orders
        assert plain.expected[one.origin][one.frequency == 0][0] < actual
        assert expected[one.frequency == 0][0] == pytest.approx(actual, rel=0.2)


def test_where_order_values_do_not_depend_on_frequency_nothing_changes():
    for first in (0, 10, 20):
        folds = [dependent(seed, 0.0) for seed in range(first, first + 3)]
        assert choose_by_frequency(folds, choose(folds, None)) is None
