"""Published figures, held by fits of the data they were published for; `bench.published` has their sources."""

from __future__ import annotations

import numpy as np
import pytest

from bench.published.cdnow import Sample
from bench.published.figures import figures
from cltv_assets.models.purchase.registry import model_named
from cltv_assets.models.sufficient_statistics import Patterns


def test_ours_are_the_published_figures() -> None:
    for figure in figures():
        absolute = np.broadcast_to(figure.absolute, len(figure.published))
        for ours, published, within in zip(figure.ours, figure.published, absolute, strict=True):
            assert ours == pytest.approx(published, rel=figure.relative, abs=within), figure.name


def test_the_sample_is_the_published_one(sample: Sample) -> None:
    assert len(sample.T) == 2357
    assert sample.frequency.sum() == 2457
    assert sample.frequency.max() == 29
    assert (sample.frequency == 0).sum() == 1411
    assert sample.holdout.sum() == 1882
    weeks = 7 * np.arange(20, 26)
    assert [(sample.repeat_days < day).sum() for day in weeks] == [1359, 1414, 1484, 1517, 1573, 1672]


def test_the_numeric_trap_is_finite() -> None:
    trap = {"r": 0.11, "alpha": 2.24, "a": 0.31, "b": 0.50}
    first_week = Patterns(np.zeros(1), np.zeros(1), np.ones(1))
    found = model_named("bg_nbd").expected_purchases(trap, first_week, np.array([30.0]))[0, 0]
    # mpmath at 50 digits of (a+b-1)/(a-1) (1 - 2F1(r, a-1; a+b-1; -30/3.24)), computed apart from this package.
    assert found == pytest.approx(0.564588615532785, rel=1e-10)
