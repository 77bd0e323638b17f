"""Models for groups of customers: against simulated channels whose parameters are known, and where there are none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chi2

from cltv_assets.models.estimation.fits import PurchaseFit
from cltv_assets.models.estimation.fitting import fit_purchase_model
from cltv_assets.models.groups.covariates import fit_covariates
from cltv_assets.models.groups.grouped import REST, GroupedFit, merged
from cltv_assets.models.groups.pooling import fit_pooled
from cltv_assets.models.purchase.registry import model_named
from cltv_assets.models.sufficient_statistics import PurchaseStatistics
from cltv_assets_tests.models.conftest import grouped, one_each, simulate_pareto, simulate_purchases

#: r, alpha in days, a and b.
CHANNELS = {"mail": (0.9, 40.0, 0.5, 3.0), "search": (0.6, 50.0, 0.8, 2.5), "social": (0.3, 60.0, 1.5, 1.5)}
NAMES = ("r", "alpha", "a", "b")


def customers(
    rng: np.random.Generator, n: int, values: tuple[float, ...], name: str = "bg_nbd", longest: int = 700
) -> PurchaseStatistics:
    """Let customers buy by the model's own story for a month to ``longest`` days."""
    ages = np.floor(rng.uniform(30, longest, n))
    rates = rng.gamma(values[0], 1.0 / values[1], n)
    if name == "pareto_nbd":
        x, recency, _ = simulate_pareto(rng, rates, rng.gamma(values[2], 1.0 / values[3], n), ages)
    else:
        stops = rng.beta(*values[2:], n)
        alive = rng.random(n) >= stops if name == "mbg_nbd" else None
        x, recency = simulate_purchases(rng, rates, stops, ages, alive)
    return grouped(one_each(x, np.where(x > 0, np.minimum(np.ceil(recency), ages), 0.0), ages))


def base_of(groups: dict[tuple[str, ...], PurchaseStatistics], name: str = "bg_nbd") -> PurchaseFit:
    return fit_purchase_model(merged(list(groups.values())), name)


def pooled(groups, name="bg_nbd"):
    base = base_of(groups, name)
    return base, fit_pooled(name, base.usable_parameters(), list(base.parameters), groups)


def covariates(groups, name="bg_nbd", attributes=("channel",), *, quick=False):
    base = base_of(groups, name)
    return base, fit_covariates(name, base.usable_parameters(), list(base.parameters), attributes, groups, quick=quick)


def errors(fit: GroupedFit, values: tuple[str, ...], base: PurchaseFit) -> np.ndarray:
    """Return the standard errors of a group's log parameters."""
    group, shared = fit.groups[values], fit.shared
    if shared is None:
        shared = np.array([[base.log_covariance[a][b] for b in fit.varying] for a in fit.varying])
    return np.sqrt(np.diag(group.loading @ shared @ group.loading.T + group.own))


def test_three_channels_are_recovered_from_the_base_of_all():
    rng = np.random.default_rng(1)
    groups = {(name,): customers(rng, 2000, values) for name, values in CHANNELS.items()}
    base, fit = pooled(groups)
    missed = []
    for name, truth in CHANNELS.items():
        for parameter, value in zip(NAMES, truth, strict=True):
            error = errors(fit, (name,), base)[NAMES.index(parameter)]
            missed.append(math.log(fit.of((name,))[parameter] / value) / error)
    assert max(np.abs(missed)) < 3.0
    assert np.sqrt(np.mean(np.square(missed))) == pytest.approx(1.0, abs=0.5)
    # What they promise of new customers in a year is right, where that of all is far off.
    model, new, year = model_named("bg_nbd"), one_each([0], [0.0], [0.0]), np.array([365.0])
    for name, truth in CHANNELS.items():
        known = model.expected_purchases(dict(zip(NAMES, truth, strict=True)), new, year)[0, 0]
        assert model.expected_purchases(fit.of((name,)), new, year)[0, 0] == pytest.approx(known, rel=0.08)
        if name != "search":
            assert abs(model.expected_purchases(base.parameters, new, year)[0, 0] / known - 1.0) > 0.25
    # Whoever is in no group is like all.
    assert fit.of((REST,)) == base.parameters
    # As good as models of their own, but for what the drawing costs.
    own = sum(fit_purchase_model(each, "bg_nbd").log_likelihood for each in groups.values())
    assert own - 2.0 < fit.log_likelihood <= own + 1e-6


def test_groups_without_differences_are_the_base():
    rng = np.random.default_rng(2)
    for name in ("bg_nbd", "nbd"):
        groups = {(f"{k}",): customers(rng, 1200, CHANNELS["search"]) for k in range(4)}
        base, fit = pooled(groups, name)
        assert max(fit.spread.values()) < 0.06
        for each in fit.groups.values():
            assert each.parameters == pytest.approx(base.parameters, rel=0.06)
        # What the k parameters of four groups gain by chance at most.
        assert 0.0 <= fit.log_likelihood - base.log_likelihood < chi2.ppf(0.99, 3 * len(base.parameters)) / 2


def test_one_group_is_the_plain_fit_to_the_last_digit():
    one = {("all",): customers(np.random.default_rng(3), 1500, CHANNELS["search"])}
    base, fit = pooled(one)
    assert {values: each.parameters for values, each in fit.groups.items()} == {("all",): base.parameters}
    assert set(fit.spread.values()) == {0.0}
    assert not fit.differs
    assert fit.log_likelihood == pytest.approx(base.log_likelihood, abs=1e-6)
    _, moved = covariates(one)
    assert {values: each.parameters for values, each in moved.groups.items()} == {("all",): base.parameters}
    assert list(moved.coefficients) == []


def test_a_small_group_is_drawn_further_than_a_large_one():
    rng = np.random.default_rng(4)
    groups = {(name,): customers(rng, 800, CHANNELS["search"]) for name in ("one", "two", "three")}
    mail = groups["many",] = customers(rng, 1500, CHANNELS["mail"])
    # The same histories, so that by itself each would be the same.
    groups["few",] = PurchaseStatistics(mail.frequency, mail.recency, mail.T, mail.weights / 60.0)
    base, fit = pooled(groups)
    own = fit_purchase_model(mail, "bg_nbd").parameters
    shares = {}
    for name in ("many", "few"):
        moved, most = (math.log(of["r"] / base.parameters["r"]) for of in (fit.of((name,)), own))
        shares[name] = moved / most
    assert 0.1 < shares["few"] < 0.8 < shares["many"] < 1.0
    # At the mode what the group's customers say for an effect is what the prior says against it.
    for values, statistics in groups.items():
        logs = np.log(list(fit.of(values).values()))
        slope = model_named("bg_nbd").likelihood(statistics)(logs)[1]
        effects = logs - np.log(list(base.parameters.values()))
        tau = np.array(list(fit.spread.values()))
        assert slope[tau > 0] == pytest.approx((effects / np.maximum(tau, 1e-9) ** 2)[tau > 0], abs=0.05)


def test_pooling_is_closer_to_the_truth_than_groups_by_themselves_and_than_all():
    rng = np.random.default_rng(5)
    truth, groups = {}, {}
    for k in range(12):
        r, alpha, a, b = CHANNELS["search"]
        truth[f"{k:02d}",] = (r * math.exp(rng.normal(0, 0.25)), alpha * math.exp(rng.normal(0, 0.25)), a, b)
        groups[f"{k:02d}",] = customers(rng, 250, truth[f"{k:02d}",])
    base, fit = pooled(groups)
    model, new, year = model_named("bg_nbd"), one_each([0], [0.0], [0.0]), np.array([365.0])

    def error(of):
        gaps = [
            math.log(model.expected_purchases(of(values), new, year)[0, 0])
            - math.log(model.expected_purchases(dict(zip(NAMES, truth[values], strict=True)), new, year)[0, 0])
            for values in groups
        ]
        return float(np.mean(np.square(gaps)))

    by_themselves = {values: fit_purchase_model(each, "bg_nbd").parameters for values, each in groups.items()}
    assert error(fit.of) < 0.9 * min(error(by_themselves.get), error(lambda _: base.parameters))


def test_a_parameter_that_the_data_do_not_tell_is_left_alone():
    rng = np.random.default_rng(6)
    groups = {(name,): customers(rng, 800, CHANNELS[name]) for name in ("mail", "social")}
    base = base_of(groups)
    for fit in (
        fit_pooled("bg_nbd", base.parameters, ["r", "alpha"], groups),
        fit_covariates("bg_nbd", base.parameters, ["r", "alpha"], ["channel"], groups),
    ):
        for each in (one.parameters for one in fit.groups.values()):
            assert [each[name] for name in ("a", "b")] == pytest.approx([base.parameters[name] for name in ("a", "b")])
        assert len({each.parameters["alpha"] for each in fit.groups.values()}) == 2


#: Parameters of the reference, and of the others gamma by parameter.
GAMMAS = {
    "bg_nbd": ((0.6, 50.0, 0.8, 2.5), {"alpha": 0.5, "a": -0.4, "b": 0.3}, {"alpha": -0.7, "a": 0.5, "b": -0.2}),
    "mbg_nbd": ((0.9, 40.0, 0.8, 2.5), {"alpha": 0.5, "a": -0.4, "b": 0.3}, {"alpha": -0.7, "a": 0.5, "b": -0.2}),
    "pareto_nbd": ((0.9, 40.0, 0.6, 90.0), {"alpha": 0.5, "beta": -0.6}, {"alpha": -0.7, "beta": 0.4}),
}


@pytest.mark.parametrize("name", GAMMAS)
def test_covariates_of_known_effects_are_recovered(name):
    rng = np.random.default_rng(7)
    names, (values, *gammas) = model_named(name).parameter_names, GAMMAS[name]
    reference = dict(zip(names, values, strict=True))
    truth = {"none": {}, "one": gammas[0], "two": gammas[1]}
    groups = {}
    for level, effects in truth.items():
        # Note 019: exp(-gamma) for alpha and beta, exp(gamma) for a and b.
        each = [v * math.exp((-1 if n in ("alpha", "beta") else 1) * effects.get(n, 0.0)) for n, v in reference.items()]
        groups[level,] = customers(rng, 2500 if level == "none" else 1500, tuple(each), name)
    base, fit = covariates(groups, name)
    assert len(fit.coefficients) == 2 * len(gammas[0])
    for one in fit.coefficients:
        assert one.error is not None
        assert abs(one.gamma - truth[one.value][one.parameter]) < 3.0 * one.error
        assert one.error < 0.5
    assert fit.log_likelihood - base.log_likelihood > 100.0
    # By the definition: the plain model's likelihood of each group at the parameters that the gammas give.
    total = 0.0
    for (level,), statistics in groups.items():
        moved = dict(fit.of(("none",)))
        for one in fit.coefficients:
            if one.value == level:
                moved[one.parameter] *= math.exp((-1 if one.parameter in ("alpha", "beta") else 1) * one.gamma)
        assert fit.of((level,)) == pytest.approx(moved)
        total += model_named(name).likelihood(statistics)(np.log([moved[n] for n in names]))[0]
    assert fit.log_likelihood == pytest.approx(total)


@pytest.mark.parametrize(("name", "seeds"), [("bg_nbd", 4), ("pareto_nbd", 1)])
def test_covariates_without_effect_are_nil_within_their_errors(name, seeds):
    values = (0.6, 50.0, 0.8, 2.5) if name == "bg_nbd" else (0.9, 40.0, 0.6, 90.0)
    gains, scores = [], []
    for seed in range(seeds):
        rng = np.random.default_rng(20 + seed)
        groups = {(level,): customers(rng, 900, values, name) for level in ("one", "two", "three")}
        base, fit = covariates(groups, name)
        gains.append(fit.log_likelihood - base.log_likelihood)
        scores += [one.gamma / one.error for one in fit.coefficients if one.error is not None]
    # Twice the gain of k parameters without meaning is chi-squared; the plain model is never better.
    assert min(gains) >= -1e-6
    assert max(gains) < chi2.ppf(0.995, len(fit.coefficients)) / 2
    assert len(scores) == seeds * len(fit.coefficients)
    assert np.mean(np.abs(scores) < 2.0) >= 0.9
    assert max(np.abs(scores)) < 3.3


def test_several_attributes_add_up_and_each_effect_is_its_own():
    rng = np.random.default_rng(9)
    cells = {}
    for channel, faster in (("search", 0.0), ("mail", 0.6)):
        for country, slower in (("DE", 0.0), ("AT", -0.5)):
            n = 2400 if (channel, country) == ("search", "DE") else 1200
            values = (0.6, 50.0 * math.exp(-faster - slower), 0.8, 2.5)
            cells[channel, country] = customers(rng, n, values)
    _, fit = covariates(cells, attributes=("channel", "country"))
    found = {(one.attribute, one.value, one.parameter): one for one in fit.coefficients}
    assert set(found) == {
        (*which, p) for which in (("channel", "mail"), ("country", "AT")) for p in ("alpha", "a", "b")
    }
    for key, one in found.items():
        truth = {"mail": 0.6, "AT": -0.5}[one.value] if one.parameter == "alpha" else 0.0
        assert abs(one.gamma - truth) < 3.0 * one.error, key
    ratio = fit.of(("mail", "AT"))["alpha"] / fit.of(("search", "DE"))["alpha"]
    assert math.log(ratio) == pytest.approx(-sum(found[key].gamma for key in found if key[2] == "alpha"))
    _, soon = covariates(cells, attributes=("channel", "country"), quick=True)
    assert soon.log_likelihood == pytest.approx(fit.log_likelihood, abs=0.01)
    assert {one.error for one in soon.coefficients} == {None}


def test_errors_of_cells_follow_from_those_of_the_effects():
    rng = np.random.default_rng(10)
    groups = {(name,): customers(rng, 1500, CHANNELS[name]) for name in ("mail", "social")}
    base, fit = covariates(groups)
    own = fit_purchase_model(groups["mail",], "bg_nbd").log_covariance
    # With one r for both, a cell is known somewhat better than by itself.
    for parameter, error in zip(NAMES, errors(fit, ("mail",), base), strict=True):
        assert 0.5 < error / math.sqrt(own[parameter][parameter]) < 1.05


def test_errors_of_pooled_groups_lie_between_those_of_all_and_of_each_by_itself():
    rng = np.random.default_rng(11)
    alike = {(f"{k}",): customers(rng, 900, CHANNELS["search"]) for k in range(3)}
    base, fit = pooled(alike)
    known = [math.sqrt(base.log_covariance[name][name]) for name in NAMES]
    assert not fit.differs
    assert errors(fit, ("1",), base) == pytest.approx(known)
    apart = {(name,): customers(rng, 1500, values) for name, values in CHANNELS.items()}
    base, fit = pooled(apart)
    for name in CHANNELS:
        own = fit_purchase_model(apart[name,], "bg_nbd").log_covariance
        shares = errors(fit, (name,), base) / np.sqrt([own[parameter][parameter] for parameter in NAMES])
        assert (shares > 0.75).all()
        assert (shares < 1.1).all()
