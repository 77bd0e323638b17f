"""Shops whose customers buy regularly: which model is chosen, what it predicts, and what is said where it is not."""

from __future__ import annotations

import numpy as np
import pytest

from cltv_assets.errors import ModelError
from cltv_assets.models.choosing.choice import Choice, choose_model
from cltv_assets.models.choosing.histories import OperationalTime
from cltv_assets.models.lifetimes_adapter import as_lifetimes
from cltv_assets.models.pattern_predictions import predict_patterns
from cltv_assets_tests.models.shops import Shop, simulate, simulate_regular

END, LATER = "2002-12-31", "2003-12-31"


def clockwork(seed: int, customers: int) -> Shop:
    """Let everybody buy every 30 days, two more or less, and stop after any purchase with a chance of 6 %."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 640, customers)
    who, when = [np.arange(customers)], [first]
    buying, day = np.flatnonzero(rng.random(customers) >= 0.06), first.astype(np.float64)
    while len(buying):
        day[buying] += rng.normal(30.0, 2.0, len(buying))
        buying = buying[day[buying] < 3 * 365]
        who.append(buying)
        when.append(np.floor(day[buying]))
        buying = buying[rng.random(len(buying)) >= 0.06]
    customer, days = np.concatenate(who), np.concatenate(when).astype(np.int64)
    rows = np.unique(np.column_stack((customer, days)), axis=0)
    return Shop(rows[:, 0], np.datetime64("2001-01-01") + rows[:, 1])


def chosen(shop: Shop, wanted: str = "auto", seasonality: str = "none") -> Choice:
    return choose_model(
        shop.histories(END), shop.folds(END), shop.counts(), wanted, seasonality, 1, intervals=shop.intervals(END)
    )


@pytest.fixture(scope="module")
def steady() -> Shop:
    return clockwork(3, 800)


@pytest.fixture(scope="module")
def of_steady(steady) -> Choice:
    return chosen(steady)


@pytest.fixture(scope="module")
def in_three_steps() -> Shop:
    return simulate_regular(17, 2000, 3, (1.5, 20.0), (0.8, 3.0), years=2.0)


def test_the_silent_ones_of_a_regular_shop_have_left(steady, of_steady):
    fit, known = of_steady.chosen.fit, steady.histories(END)
    assert fit.model_name.startswith("mbg_cnbd_")
    patterns = known.patterns(OperationalTime())
    expected = predict_patterns(fit, patterns.frequency, patterns.recency, patterns.T, [365.0])
    later = known.weights @ expected.expected_purchases[:, 0]
    after = steady.day > np.datetime64(END)
    bought = after & np.isin(steady.customer, steady.customer[~after]) & (steady.day <= np.datetime64(LATER))
    assert later == pytest.approx(bought.sum(), rel=0.05)
    silent = patterns.T - patterns.recency > 34
    assert known.weights[silent].sum() > 300
    assert known.weights[silent] @ expected.expected_purchases[silent, 0] < 0.005 * bought.sum()


def test_a_model_of_chance_says_why_its_rates_run_away(of_steady):
    by_name = {each.name: each.fit for each in of_steady.others}
    assert by_name["mbg_nbd"].status == "boundary"
    assert "customers buy more regularly than by chance" in by_name["mbg_nbd"].status_reason
    assert "hardly differ in how often they buy" in of_steady.chosen.fit.status_reason
    # With the factor of single intervals, likelihoods compare.
    assert of_steady.chosen.fit.log_likelihood > by_name["mbg_nbd"].log_likelihood + 1000
    assert of_steady.chosen.fit.aic == pytest.approx(8 - 2 * of_steady.chosen.fit.log_likelihood)


def test_holdouts_find_the_model_and_seasons_do_not_disturb_it(in_three_steps):
    found = chosen(in_three_steps, seasonality="auto")
    assert found.chosen.name == "mbg_cnbd_3"
    assert found.chosen.weight > 0.7
    assert [each.name for each in found.others][:5] == ["bg_nbd", "mbg_nbd", "pareto_nbd", "bg_cnbd_3", "nbd"]
    weekly = choose_model(
        in_three_steps.histories(END),
        in_three_steps.folds(END),
        in_three_steps.counts(),
        seasonality="none",
        days_per_unit=7,
        intervals=in_three_steps.intervals(END),
    ).chosen.fit
    assert weekly.parameters["alpha"] * 7 == pytest.approx(found.chosen.fit.parameters["alpha"], rel=1e-6)
    # Densities of repeat purchases by week are seven times those by day.
    purchases = found.chosen.fit.repeat_purchases
    assert weekly.log_likelihood - found.chosen.fit.log_likelihood == pytest.approx(purchases * np.log(7.0), rel=1e-6)


def test_k_is_the_same_in_every_month(in_three_steps):
    ends = [str(np.datetime64(month, "D") - 1) for month in np.arange("2001-08", "2003-02", dtype="datetime64[M]")]
    assert {in_three_steps.intervals(end).k for end in ends} == {3}


def test_a_setting_takes_the_measured_k_or_chance(in_three_steps):
    assert chosen(in_three_steps, "bg_cnbd_k").chosen.name == "bg_cnbd_3"
    set_with_season = chosen(in_three_steps, "mbg_cnbd_k", "auto")
    assert set_with_season.chosen.name == "mbg_cnbd_3"
    assert set_with_season.reason.endswith("No seasonality: mbg_cnbd_3 measures intervals in days.")
    by_chance = chosen(simulate(3, 1500, years=2, acquired=1.5), "mbg_cnbd_k")
    assert by_chance.chosen.name == "mbg_nbd"
    assert not any("cnbd" in each.name for each in by_chance.others)


def test_lifetimes_has_no_such_model(of_steady):
    with pytest.raises(ModelError, match="no fitter for the model 'mbg_cnbd_"):
        as_lifetimes(of_steady.chosen.fit)
