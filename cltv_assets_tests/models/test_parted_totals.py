"""Totals of groups with parameters of their own: against those of customers who are all alike, and against draws."""

from __future__ import annotations

import numpy as np
import pytest

from cltv_assets.models.value.parted_totals import Part, PartedSums, parted
from cltv_assets.models.value.totals import CustomerGroups, MixedTotals, MoneyWeights, Sums, totals_of
from cltv_assets_tests.models.conftest import made_fit

COVARIANCE = {"r": {"r": 0.01, "alpha": 0.008}, "alpha": {"r": 0.008, "alpha": 0.02}}
FIT = made_fit("bg_nbd", {"r": 0.5, "alpha": 40.0, "a": 0.8, "b": 2.5}, log_covariance=COVARIANCE)
SPEND = {"p": 6.0, "q": 4.0, "v": 15.0}
SPEND_COVARIANCE = {"q": {"q": 0.01}}


def groups(rows: slice) -> CustomerGroups:
    x, recency = np.array([0, 1, 3, 8, 2]), np.array([0.0, 30.0, 80.0, 150.0, 20.0])
    age, many = np.array([50.0, 90.0, 120.0, 180.0, 170.0]), np.array([400.0, 100.0, 50.0, 20.0, 70.0])
    m = np.array([0.0, 30.0, 25.0, 40.0, 10.0])
    money = (many, many * m, many, many * m, many * m * m)
    return CustomerGroups(x[rows], recency[rows], age[rows], many[rows], MoneyWeights(*(each[rows] for each in money)))


def totals(rows: slice):
    ends = np.array([30.0, 60.0, 91.0])
    return totals_of(FIT, SPEND, groups(rows), ends, np.ones(3), [1, 3], SPEND_COVARIANCE)


def test_parts_that_err_as_one_are_the_whole():
    shared = np.array([[0.01, 0.008], [0.008, 0.02]])
    parts = [
        Part(totals(slice(0, 5, 2)), np.array([0, 2, 4]), np.eye(2), np.zeros((2, 2)), shared),
        Part(totals(slice(1, 5, 2)), np.array([1, 3]), np.eye(2), np.zeros((2, 2)), shared),
    ]
    whole = MixedTotals(np.ones(1), [totals(slice(0, 5))])
    found = MixedTotals(np.ones(1), [parted(parts)])
    for rows in (np.arange(5), np.array([1, 2]), np.array([0, 4]), np.zeros(0, dtype=np.int64)):
        for mine, wanted in zip(found.intervals(rows, 0.1, 0.2), whole.intervals(rows, 0.1, 0.2), strict=True):
            assert mine == pytest.approx(wanted, rel=1e-9)


def test_what_groups_share_errs_together_and_what_is_their_own_does_not():
    rng = np.random.default_rng(5)
    shared, own = np.array([[0.04, 0.01], [0.01, 0.03]]), np.array([[0.02, -0.005], [-0.005, 0.01]])
    loadings = [np.array([[1.0, 0.5], [0.0, 0.2]]), np.array([[0.3, 0.0], [0.4, 1.0]])]
    slopes = rng.normal(size=(2, 2, 3, 1))
    parts, errors = [], np.zeros(400_000)
    common = rng.multivariate_normal(np.zeros(2), shared, len(errors))
    for k, (loading, slope) in enumerate(zip(loadings, slopes, strict=True)):
        sums = Sums(np.ones((3, 1)), np.ones((3, 1)), np.zeros((3, 1)), slope, np.zeros((2, 2)))
        parts.append((sums, Part(None, np.arange(3) * 2 + k, loading, own, shared)))
        mine = common @ loading.T + rng.multivariate_normal(np.zeros(2), own, len(errors))
        errors += mine @ slope.sum(axis=1)[:, 0]
    mean, variance, losses = PartedSums(parts).moments(np.arange(6))
    assert variance[0] == pytest.approx(errors.var(), rel=0.02)
    assert (mean[0], losses[0]) == (6.0, 0.0)
