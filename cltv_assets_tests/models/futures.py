"""Customers simulated from the models' definitions: no formula of ours takes part."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cltv_assets.models.sufficient_statistics import FloatArray, IntArray


def bg_nbd_purchases(
    rng: np.random.Generator, rate: FloatArray, dropout: FloatArray, alive: np.ndarray, horizon: FloatArray
) -> IntArray:
    """Return how often customers buy within ``horizon``: at Poisson times, stopping after a purchase by chance."""
    count = np.zeros(len(rate), dtype=np.int64)
    now = np.zeros(len(rate))
    active = np.flatnonzero(alive)
    while len(active):
        now[active] += rng.exponential(1.0 / rate[active])
        active = active[now[active] <= horizon[active]]
        count[active] += 1
        active = active[rng.random(len(active)) >= dropout[active]]
    return count


def values(rng: np.random.Generator, purchases: IntArray, p: float, nu: FloatArray) -> FloatArray:
    """Return what purchases are worth in total: each is Gamma(p, nu)."""
    shape = p * purchases
    return np.where(purchases > 0, rng.gamma(np.maximum(shape, 1e-9)) / nu, 0.0)


def future_values(
    rng: np.random.Generator,
    draws: int,
    purchase: Mapping[str, float],
    spend: Mapping[str, float],
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
    purchases = bg_nbd_purchases(rng, rate, dropout, alive, np.full(draws, horizon))
    nu = rng.gamma(spend["q"] + spend["p"] * x, 1.0 / (spend["v"] + x * m), draws)
    return purchases, values(rng, purchases, spend["p"], nu)
