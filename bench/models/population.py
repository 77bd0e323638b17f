"""Made-up customers by each model's definition, with parameters like CDNOW's, in days."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: What customers are made by: fits of CDNOW's customers in days, and of its order values.
TRUTH = {
    "bg_nbd": {"r": 0.25, "alpha": 33.5, "a": 0.72, "b": 2.16},
    "pareto_nbd": {"r": 0.60, "alpha": 81.0, "s": 0.52, "beta": 62.0},
    "gamma_gamma": {"p": 6.25, "q": 3.74, "v": 15.44},
}
_YOUNGEST, _OLDEST = 30, 540


def write(model: str, customers: int, file: Path) -> None:
    """Make ``customers`` of a model and write their statistics, one row a customer, as ``.npz``."""
    rng = np.random.default_rng(customers)
    truth = TRUTH["bg_nbd" if model == "gamma_gamma" else model]
    ages = rng.integers(_YOUNGEST, _OLDEST + 1, customers).astype(np.float64)
    rates = rng.gamma(truth["r"], 1.0 / truth["alpha"], customers)
    if model == "pareto_nbd":
        dropout_rates = rng.gamma(truth["s"], 1.0 / truth["beta"], customers)
        frequency, last, _ = simulate_pareto(rng, rates, dropout_rates, ages)
    else:
        dropouts = rng.beta(truth["a"], truth["b"], customers)
        frequency, last = simulate_purchases(rng, rates, dropouts, ages)
    # Whole days, as shops know them.
    columns = {"frequency": frequency, "recency": np.ceil(last), "T": ages}
    if model == "gamma_gamma":
        repeat = frequency > 0
        spend = TRUTH["gamma_gamma"]
        x = frequency[repeat]
        scales = rng.gamma(spend["q"], 1.0 / spend["v"], len(x))
        values = rng.gamma(spend["p"] * x, 1.0 / scales) / x
        columns = {"frequency": x, "monetary_value": np.maximum(np.round(values, 2), 0.01)}
    np.savez(file, **columns)  # type: ignore[arg-type]


def simulate_purchases(
    rng: np.random.Generator,
    rates: FloatArray,
    dropouts: FloatArray,
    ages: FloatArray,
    alive: npt.NDArray[np.bool_] | None = None,
) -> tuple[IntArray, FloatArray]:
    """Return counts and last purchase times within ``ages``, event by event; none for those not ``alive``.

    The model's own definition: exponential gaps, and after each purchase a coin that
    ends it all.
    """
    counts, last, clock = np.zeros(len(ages), dtype=np.int64), np.zeros(len(ages)), np.zeros(len(ages))
    buying = np.arange(len(ages)) if alive is None else np.flatnonzero(alive)
    while len(buying):
        clock[buying] += rng.exponential(1.0 / rates[buying])
        buying = buying[clock[buying] <= ages[buying]]
        counts[buying] += 1
        last[buying] = clock[buying]
        buying = buying[rng.random(len(buying)) >= dropouts[buying]]
    return counts, last


def simulate_pareto(
    rng: np.random.Generator, rates: FloatArray, dropout_rates: FloatArray, ages: FloatArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return counts, last purchase times within ``ages`` and lifetimes of Pareto/NBD customers.

    By definition: an exponential lifetime, and purchases at uniform times within it.
    """
    lifetimes = rng.exponential(1.0 / dropout_rates)
    watched = np.minimum(lifetimes, ages)
    counts = rng.poisson(rates * watched)
    # The largest of x uniform times.
    last = np.where(counts > 0, watched * rng.random(len(ages)) ** (1.0 / np.maximum(counts, 1)), 0.0)
    return counts.astype(np.int64), last, lifetimes
