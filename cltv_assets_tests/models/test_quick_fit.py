"""Quick parameters are those of a whole fit, wherever the search starts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cltv_assets.errors import ModelError
from cltv_assets.models.choosing.candidates import PREFERENCE
from cltv_assets.models.estimation.fitting import fit_purchase_model, quick_parameters
from cltv_assets.models.sufficient_statistics import PurchaseStatistics

#: Published estimates of the CDNOW sample, in weeks.
PUBLISHED = {
    "bg_nbd": {"r": 0.24259, "alpha": 4.41360, "a": 0.79292, "b": 2.42589},
    "mbg_nbd": {"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614},
    "pareto_nbd": {"r": 0.55315, "alpha": 10.57633, "s": 0.60625, "beta": 11.67150},
    "nbd": {"r": 0.38477, "alpha": 12.07208},
}


@pytest.mark.parametrize("name", PREFERENCE)
def test_a_search_from_nearby_ends_at_the_published_estimates(weeks, name):
    start = {
        key: value * factor for (key, value), factor in zip(PUBLISHED[name].items(), (1.6, 1.4, 0.5, 0.6), strict=False)
    }
    found = quick_parameters(weeks, name, start)
    for key, value in PUBLISHED[name].items():
        # Where the likelihood is flat, its parameters are known to two digits and no more.
        assert abs(math.log(found[key] / value)) < 0.03, key
    best = fit_purchase_model(weeks, name)
    here = fit_purchase_model(weeks, name, start=found)
    assert best.log_likelihood == pytest.approx(here.log_likelihood, abs=1e-6)


def test_a_search_from_far_away_is_a_whole_fit(weeks):
    start = {"r": 0.24259 * 400, "alpha": 4.4136 * 400, "a": 0.79, "b": 2.4}
    found = quick_parameters(weeks, "bg_nbd", start)
    assert found == pytest.approx(PUBLISHED["bg_nbd"], rel=1e-3)


def test_too_little_data_is_refused():
    few = PurchaseStatistics(np.array([1, 0]), np.array([2.0, 0.0]), np.array([9.0, 9.0]), np.ones(2))
    with pytest.raises(ModelError, match="repeat customers; a fit needs 10"):
        quick_parameters(few, "nbd", PUBLISHED["nbd"])
