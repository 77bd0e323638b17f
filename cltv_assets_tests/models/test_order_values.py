"""The choice of how order values are expected, on simulated customers."""

from __future__ import annotations

import numpy as np
import pytest

from cltv_assets.models.choosing.order_values import ValueFold, choose, gain
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
        customers=np.ones(customers), first_orders=np.ones(customers), log_first=np.zeros(customers),
        buyers=(n > 0).astype(float), orders=n, spend=z, orders_squares=n * n, spend_squares=z * z, orders_spend=n * z,
        growth=GROWTH if known else 1.0,
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
