"""What a row of ``spend_model`` predicts with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cltv_assets.models import gamma_gamma


def spend_parameters(spend: Mapping[str, Any]) -> dict[str, float]:
    """Return the parameters to predict with, from the model's row."""
    return {name: spend[name] for name in gamma_gamma.BY_FREQUENCY_NAMES if spend.get(name) is not None}


def own_price(spend: Mapping[str, Any]) -> bool:
    """Return whether customers pay the same price every time, from the model's row; see `gamma_gamma.pays_the_same`."""
    return gamma_gamma.pays_the_same(spend["p"], spend["prices"], spend["customers"])
