"""Predictions against the model's own definition: simulated customers, and the published distribution."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from cltv_assets.errors import ModelError
from cltv_assets.models.estimation.fits import PurchaseFit
from cltv_assets.models.pattern_predictions import predict_patterns, purchase_quantiles
from cltv_assets.models.purchase.beta_geometric import BgNbd
from cltv_assets.models.purchase.nbd import Nbd
from cltv_assets.models.purchase.registry import at_least
from cltv_assets.models.sufficient_statistics import Patterns
from cltv_assets_tests.models.conftest import simulate_purchases

BG_NBD = {"r": 0.6, "alpha": 5.0, "a": 0.8, "b": 2.5}


def fit_of(name: str, parameters: dict[str, float], status: str = "fitted") -> PurchaseFit:
    return PurchaseFit(
        model_name=name,
        status=status,  # type: ignore[arg-type]
        status_reason=None,
        parameters=parameters,
        standard_errors=dict.fromkeys(parameters),
        patterns=1,
        customers=1,
        repeat_customers=1,
        repeat_purchases=1,
    )


@pytest.fixture(scope="module")
def cohort() -> tuple[Patterns, np.ndarray, np.ndarray]:
    """200,000 customers simulated to T = 20 to 60, whether they still live, and their next 30."""
    rng = np.random.default_rng(20260)
    size = 200_000
    rates = rng.gamma(BG_NBD["r"], 1 / BG_NBD["alpha"], size)
    dropouts = rng.beta(BG_NBD["a"], BG_NBD["b"], size)
    ages = rng.uniform(20.0, 60.0, size)
    x, t_x = simulate_purchases(rng, rates, dropouts, ages)
    # A customer who bought x times passed x coins; the process has no memory otherwise.
    alive = rng.random(size) < _still_alive(rates, dropouts, ages, x, t_x)
    future = np.zeros(size, dtype=np.int64)
    future[alive] = simulate_purchases(rng, rates[alive], dropouts[alive], np.full(int(alive.sum()), 30.0))[0]
    return Patterns(x, t_x, ages), alive, future


def _still_alive(
    rates: np.ndarray, dropouts: np.ndarray, ages: np.ndarray, x: np.ndarray, t_x: np.ndarray
) -> np.ndarray:
    """Return P(alive) given the customer's own rate and dropout: Bayes on having been silent since t_x."""
    silent = (1 - dropouts) * np.exp(-rates * (ages - t_x))
    return np.where(x == 0, 1.0, silent / (silent + dropouts))


def test_p_alive_is_calibrated(cohort: tuple[Patterns, np.ndarray, np.ndarray]) -> None:
    patterns, alive, _ = cohort
    p = BgNbd().p_alive(BG_NBD, patterns)
    for low in np.arange(0.0, 1.0, 0.1):
        band = (p >= low) & (p < low + 0.1) & (patterns.frequency > 0)
        deviation = np.sqrt((p[band] * (1 - p[band])).sum())
        assert abs(alive[band].sum() - p[band].sum()) < 4 * deviation


def test_expected_purchases_are_unbiased(cohort: tuple[Patterns, np.ndarray, np.ndarray]) -> None:
    patterns, _, future = cohort
    expected = BgNbd().expected_purchases(BG_NBD, patterns, np.array([30.0]))[:, 0]
    for least, most in ((0, 0), (1, 2), (3, 8), (9, 10_000)):
        group = (patterns.frequency >= least) & (patterns.frequency <= most)
        difference = future[group] - expected[group]
        assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(group.sum())


@pytest.mark.parametrize("count", [1, 2, 4, 10, 25])
def test_the_predictive_distribution_is_calibrated(cohort: tuple[Patterns, np.ndarray, np.ndarray], count: int) -> None:
    patterns, _, future = cohort
    p = at_least(BgNbd(), BG_NBD, patterns, np.full(len(patterns), 30.0), np.full(len(patterns), float(count)))
    deviation = np.sqrt((p * (1 - p)).sum())
    assert abs((future >= count).sum() - p.sum()) < 4 * deviation


def test_the_interval_holds_eighty_percent(cohort: tuple[Patterns, np.ndarray, np.ndarray]) -> None:
    patterns, _, future = cohort
    predicted = predict_patterns(fit_of("bg_nbd", BG_NBD), patterns.frequency, patterns.recency, patterns.T, [30.0])
    error = 4 * np.sqrt(0.09 / len(future))
    # Counts are discrete: the tails hold a tenth at most, and not much less for heavy buyers.
    assert (future < predicted.low[:, 0]).mean() <= 0.1 + error
    assert (future > predicted.high[:, 0]).mean() <= 0.1 + error
    heavy = predicted.low[:, 0] >= 3
    assert heavy.sum() > 400
    assert 0.05 < (future < predicted.low[:, 0])[heavy].mean() < 0.12
    assert 0.05 < (future > predicted.high[:, 0])[heavy].mean() < 0.12


def test_the_tail_sums_the_published_distribution() -> None:
    """Equation 8 of Fader, Hardie and Lee, as printed, for a new customer within 30."""
    new = Patterns(np.zeros(1), np.zeros(1), np.zeros(1))
    with mpmath.workdps(40):
        r, alpha, a, b, t = (mpmath.mpf(v) for v in (*BG_NBD.values(), 30.0))

        def counts(j: int) -> mpmath.mpf:
            front = mpmath.gamma(r + j) / mpmath.gamma(r) / mpmath.factorial(j)
            return front * (alpha / (alpha + t)) ** r * (t / (alpha + t)) ** j

        below = mpmath.mpf(0)
        for n in range(60):
            tail = at_least(BgNbd(), BG_NBD, new, np.array([30.0]), np.array([float(n)]))[0] if n else 1.0
            assert tail == pytest.approx(float(1 - below), rel=1e-10)
            stays = mpmath.beta(a, b + n) / mpmath.beta(a, b) * counts(n)
            leaves = 1 - mpmath.fsum(counts(j) for j in range(n))
            below += stays + (mpmath.beta(a + 1, b + n - 1) / mpmath.beta(a, b) * leaves if n else 0)


@pytest.mark.parametrize(("name", "parameters"), [("bg_nbd", BG_NBD), ("nbd", {"r": 0.6, "alpha": 5.0})])
def test_expectation_is_the_sum_of_tails(name: str, parameters: dict[str, float]) -> None:
    model = BgNbd() if name == "bg_nbd" else Nbd()
    patterns = Patterns(np.array([0, 4, 30]), np.array([0.0, 20.0, 24.0]), np.array([0.0, 26.0, 25.0]))
    horizon = np.full(3, 12.0)
    tails = sum(at_least(model, parameters, patterns, horizon, np.full(3, float(m))) for m in range(1, 1500))
    assert model.expected_purchases(parameters, patterns, np.array([12.0]))[:, 0] == pytest.approx(tails, rel=1e-9)


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_quantiles_are_the_smallest_counts_that_reach(probability: float) -> None:
    patterns = Patterns(
        np.array([0, 1, 5, 5, 60, 300, 10_000]),
        np.array([0.0, 2.0, 9.0, 40.0, 44.0, 45.0, 7300.0]),
        np.array([0.0, 44.0, 44.0, 44.0, 44.0, 45.0, 7305.0]),
    )
    horizon = np.full(len(patterns), 52.0)
    found = purchase_quantiles(BgNbd(), BG_NBD, patterns, np.array([52.0]), probability)[:, 0]
    above = at_least(BgNbd(), BG_NBD, patterns, horizon, found + 1)
    assert (above <= 1 - probability).all()
    assert (found == np.floor(found)).all()
    more = found > 0
    at = at_least(BgNbd(), BG_NBD, patterns.take(np.flatnonzero(more)), horizon[more], found[more])
    assert (at > 1 - probability).all()


def test_quantiles_of_heavy_buyers_match_draws() -> None:
    rng = np.random.default_rng(7)
    parameters = {"r": 0.25, "alpha": 30.0, "a": 0.02, "b": 40.0}
    x, age, ahead, draws = 5_000, 7_300.0, 365.0, 400_000
    rates = rng.gamma(parameters["r"] + x, 1 / (parameters["alpha"] + age), draws)
    dropouts = rng.beta(parameters["a"], parameters["b"] + x, draws)
    # Buying ends with the horizon or with the first coin that falls: whichever count is smaller.
    counts = np.minimum(rng.poisson(rates * ahead), rng.geometric(np.maximum(dropouts, 1e-15)))
    predicted = predict_patterns(fit_of("bg_nbd", parameters), [x], [age], [age], [ahead])
    assert abs(predicted.low[0, 0] - np.quantile(counts, 0.1)) <= 1
    assert abs(predicted.high[0, 0] - np.quantile(counts, 0.9)) <= 1
    assert predicted.expected_purchases[0, 0] == pytest.approx(counts.mean(), rel=1e-3)


def test_a_boundary_fit_predicts_like_the_null_model() -> None:
    boundary = fit_of("bg_nbd", {"r": 0.8, "alpha": 70.0, "a": 1e-6, "b": 1e4}, status="boundary")
    null = fit_of("nbd", {"r": 0.8, "alpha": 70.0})
    history = ([0, 3, 40], [0.0, 90.0, 360.0], [0.0, 200.0, 365.0])
    ours, theirs = (predict_patterns(fit, *history, [30.0, 365.0]) for fit in (boundary, null))
    assert ours.p_alive == pytest.approx(theirs.p_alive, abs=1e-6)
    assert ours.expected_purchases == pytest.approx(theirs.expected_purchases, rel=1e-6)
    assert (ours.low == theirs.low).all()
    assert (ours.high == theirs.high).all()


@pytest.mark.parametrize(
    "parameters",
    [
        BG_NBD,
        {"r": 1e-6, "alpha": 1e-8, "a": 1e-6, "b": 1e-6},
        {"r": 1e4, "alpha": 1e8, "a": 1e4, "b": 1e4},
        {"r": 1e4, "alpha": 1e-8, "a": 1e-6, "b": 1e4},
        {"r": 0.3, "alpha": 30.0, "a": 1e4, "b": 1e-6},
    ],
)
def test_nothing_is_ever_nan(parameters: dict[str, float]) -> None:
    x = [0, 0, 1, 2, 200, 10_000]
    t_x = [0.0, 0.0, 0.0, 7300.0, 200.0, 7305.0]
    age = [0.0, 7305.0, 0.0, 7300.0, 7305.0, 7305.0]
    predicted = predict_patterns(fit_of("bg_nbd", parameters), x, t_x, age, [1.0, 31.0, 365.0])
    for values in (predicted.p_alive, predicted.expected_purchases, predicted.low, predicted.high):
        assert np.isfinite(values).all()
        assert (values >= 0).all()
    assert (predicted.p_alive <= 1).all()
    assert (predicted.low <= predicted.high).all()
    assert (np.diff(predicted.expected_purchases, axis=1) >= -1e-9).all()


def test_no_patterns_give_no_predictions() -> None:
    predicted = predict_patterns(fit_of("bg_nbd", BG_NBD), [], [], [], [30.0, 60.0], [60.0])
    assert predicted.p_alive.shape == (0,)
    assert predicted.expected_purchases.shape == (0, 2)
    assert predicted.low.shape == predicted.high.shape == (0, 1)


@pytest.mark.parametrize("horizons", [[0.0], [-1.0], [np.nan], [np.inf], 3.0])
def test_horizons_must_be_times_ahead(horizons: object) -> None:
    with pytest.raises(ModelError, match="not positive times"):
        predict_patterns(fit_of("bg_nbd", BG_NBD), [1], [1.0], [2.0], horizons)  # type: ignore[arg-type]


def test_a_model_not_fitted_predicts_nothing() -> None:
    nothing = fit_of("bg_nbd", dict.fromkeys(BG_NBD), status="not_fitted")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="bg_nbd model was not fitted"):
        predict_patterns(nothing, [1], [1.0], [2.0], [3.0])
