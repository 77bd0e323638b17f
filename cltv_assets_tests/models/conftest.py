"""CDNOW as the models see it, fits of it that tests share, and customers simulated by definition."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest

from bench.models.population import simulate_pareto as simulate_pareto
from bench.models.population import simulate_purchases as simulate_purchases
from bench.published import cdnow
from cltv_assets.models.arrays import FloatArray, IntArray
from cltv_assets.models.estimation.fits import PurchaseFit, SpendFit
from cltv_assets.models.estimation.fitting import fit_purchase_model, fit_spend_model
from cltv_assets.models.sufficient_statistics import PurchaseStatistics, SpendStatistics

CdnowFit = Callable[..., PurchaseFit]


@pytest.fixture(scope="session")
def sample() -> cdnow.Sample:
    """The 1/10 sample of 2,357 customers."""
    return cdnow.sample()


@pytest.fixture(scope="session")
def master() -> PurchaseStatistics:
    """All 23,570 customers in days, one entry for each pattern."""
    return cdnow.master().statistics()


@pytest.fixture(scope="session")
def weeks() -> PurchaseStatistics:
    """One entry for each customer of the published summary, in weeks."""
    return cdnow.weeks()


@pytest.fixture(scope="session")
def spend_summary() -> pd.DataFrame:
    """The published summary with mean transaction values."""
    return cdnow.spend()[1]


@pytest.fixture(scope="session")
def spend() -> SpendStatistics:
    """One entry for each repeat customer."""
    return cdnow.spend()[0]


@pytest.fixture(scope="session")
def spend_fit(spend: SpendStatistics) -> SpendFit:
    return fit_spend_model(spend)


@pytest.fixture(scope="session")
def cdnow_fit(sample: cdnow.Sample, master: PurchaseStatistics, weeks: PurchaseStatistics) -> CdnowFit:
    """Fit a model to ``weeks`` (the summary), ``days`` (the sample) or ``master``, once for all tests."""
    data = {"weeks": weeks, "days": sample.statistics(), "master": master}

    @cache
    def fit(name: str, which: str = "weeks", *, truncated: bool = False) -> PurchaseFit:
        chosen = repeaters(data[which]) if truncated else data[which]
        return fit_purchase_model(chosen, name, least=int(truncated))

    return fit


def made_fit(name: str, parameters: dict[str, float], **changes: object) -> PurchaseFit:
    """Return a fit of these parameters, as if it had been made."""
    values = {"model_name": name, "status": "fitted", "status_reason": None, "parameters": parameters}
    values |= {"standard_errors": dict.fromkeys(parameters)}
    values |= dict.fromkeys(("patterns", "customers", "repeat_customers", "repeat_purchases"), 1)
    return PurchaseFit(**(values | changes))


def one_each(frequency, recency, age) -> PurchaseStatistics:
    """Return statistics with a weight of one."""
    x, t_x, T = (np.asarray(values) for values in (frequency, recency, age))
    return PurchaseStatistics(x, t_x, T, np.ones(len(T)))


def repeaters(statistics: PurchaseStatistics) -> PurchaseStatistics:
    """Return the repeat customers alone."""
    columns = (statistics.frequency, statistics.recency, statistics.T, statistics.weights)
    return PurchaseStatistics(*(column[statistics.frequency > 0] for column in columns))


def grouped(statistics: PurchaseStatistics) -> PurchaseStatistics:
    """Return the same customers with equal patterns merged."""
    rows = np.column_stack((statistics.frequency, statistics.recency, statistics.T))
    patterns, index = np.unique(rows, axis=0, return_inverse=True)
    return PurchaseStatistics(*patterns.T, np.bincount(index, weights=statistics.weights))


def purchase_values(rng: np.random.Generator, purchases: IntArray, p: float, nu: FloatArray) -> FloatArray:
    """Return what purchases are worth in total: each is Gamma(p, nu)."""
    return np.where(purchases > 0, rng.gamma(np.maximum(p * purchases, 1e-9)) / nu, 0.0)


def future_values(
    rng: np.random.Generator,
    draws: int,
    purchase: dict[str, float],
    spend: dict[str, float],
    history: tuple[int, float, float, float],
    p_alive: float,
    horizon: float,
) -> tuple[IntArray, FloatArray]:
    """Draw the future purchases and value of a customer with history (x, t_x, T, m) under BG/NBD and Gamma-Gamma.

    Given that the customer is alive, the posteriors are lambda ~ Gamma(r + x, alpha + T) and
    dropout ~ Beta(a, b + x), independent (Fader, Hardie and Lee, 2005, appendix).
    """
    x, _, T, m = history
    rate = rng.gamma(purchase["r"] + x, 1.0 / (purchase["alpha"] + T), draws)
    dropout = rng.beta(purchase["a"], purchase["b"] + x, draws)
    alive = rng.random(draws) < p_alive
    purchases, _ = simulate_purchases(rng, rate, dropout, np.full(draws, horizon), alive)
    nu = rng.gamma(spend["q"] + spend["p"] * x, 1.0 / (spend["v"] + x * m), draws)
    return purchases, purchase_values(rng, purchases, spend["p"], nu)


def regular_purchases(
    rng: np.random.Generator, k: int, rate: FloatArray, dropout: FloatArray, until: FloatArray, active: FloatArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Let customers buy at Erlang-k intervals, k steps at their rate each, and stop by a coin after each purchase.

    Returns
    -------
    customer : array of int64, shape (n,)
    time : array of float64, shape (n,)
        Of each repeat purchase up to ``until``.
    left : array of float64, shape (customers,)
        When each stopped: infinity who has not, 0 whoever was not ``active`` after the first purchase.
    """
    now, left = np.zeros(len(rate)), np.where(active, np.inf, 0.0)
    buying, who, when = np.flatnonzero(active), [], []
    while len(buying):
        now[buying] += rng.gamma(k, 1.0 / rate[buying])
        buying = buying[now[buying] <= until[buying]]
        who.append(buying)
        when.append(now[buying])
        stops = rng.random(len(buying)) < dropout[buying]
        left[buying[stops]] = now[buying[stops]]
        buying = buying[~stops]
    return np.concatenate(who), np.concatenate(when), left
