"""Coarser patterns: the same customers, and the same estimate from fewer evaluations."""

from __future__ import annotations

import numpy as np
import pytest

from cltv_assets.models.estimation import fitting
from cltv_assets.models.purchase.registry import PURCHASE_MODELS
from cltv_assets.models.sufficient_statistics import WORTHWHILE, PurchaseStatistics, coarsened
from cltv_assets_tests.models.conftest import Histories, grouped


def test_customers_purchases_and_times_are_kept(master: Histories) -> None:
    statistics = grouped(master.statistics())
    coarse = coarsened(statistics)
    assert coarse is not None
    assert len(coarse.frequency) < len(statistics.frequency) / 2
    assert coarse.customers == statistics.customers
    for x in (0, 1, 5):
        assert coarse.weights[coarse.frequency == x].sum() == statistics.weights[statistics.frequency == x].sum()
    # A cell's mean replaces its times; some last purchases are moved to the end, hence the tolerance.
    for name in ("recency", "T"):
        before, after = (np.average(getattr(one, name), weights=one.weights) for one in (statistics, coarse))
        assert after == pytest.approx(before, rel=2e-3)
    assert (coarse.recency[coarse.frequency == 0] == 0).all()


def test_few_patterns_are_left_alone() -> None:
    n = WORTHWHILE - 1
    few = PurchaseStatistics(np.ones(n, dtype=np.int64), np.arange(n) / n, np.ones(n), np.ones(n))
    assert coarsened(few) is None


@pytest.mark.parametrize("name", PURCHASE_MODELS)
def test_the_estimate_is_that_of_all_patterns(name: str, master: Histories, monkeypatch: pytest.MonkeyPatch) -> None:
    statistics = grouped(master.statistics())
    fit = fitting.fit_purchase_model(statistics, name)
    monkeypatch.setattr(fitting, "coarsened", lambda _: None)
    whole = fitting.fit_purchase_model(statistics, name)
    assert fit.parameters == pytest.approx(whole.parameters, rel=1e-7)
    assert fit.standard_errors == pytest.approx(whole.standard_errors, rel=1e-5)
    assert fit.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-13)
    assert fit.starts_agreeing == whole.starts_agreeing
    assert fit.gradient_norm is not None
    assert fit.gradient_norm < 1e-12


def test_the_whole_likelihood_is_evaluated_a_few_times_only(master: Histories, monkeypatch: pytest.MonkeyPatch) -> None:
    statistics = grouped(master.statistics())
    calls = {len(statistics.frequency): 0}
    model = PURCHASE_MODELS["bg_nbd"]
    original = type(model).likelihood

    def counting(self, of):
        objective = original(self, of)

        def counted(point):
            calls[len(of.frequency)] = calls.get(len(of.frequency), 0) + 1
            return objective(point)

        return counted

    monkeypatch.setattr(type(model), "likelihood", counting)
    fitting.fit_purchase_model(statistics, "bg_nbd")
    # Two Hessians take 32 of them.
    assert calls[len(statistics.frequency)] <= 45, calls
