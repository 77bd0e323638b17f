"""The purchase models by name."""

from __future__ import annotations

from collections.abc import Mapping

from cltv_assets.errors import ModelError
from cltv_assets.models.purchase.bg_nbd import BgNbd
from cltv_assets.models.purchase.mbg_nbd import MbgNbd
from cltv_assets.models.purchase.nbd import Nbd
from cltv_assets.models.purchase.pareto_nbd import ParetoNbd
from cltv_assets.models.purchase.purchase_model import PurchaseModel

#: A new model needs an entry here, columns for its parameters in ``schemas`` and, to be
#: used, a place in ``models.choosing.candidates.PREFERENCE``.
PURCHASE_MODELS: Mapping[str, PurchaseModel] = {model.name: model for model in (BgNbd(), MbgNbd(), ParetoNbd(), Nbd())}


def purchase_model(name: str) -> PurchaseModel:
    """Return the purchase model of that name.

    Raises
    ------
    ModelError
        If there is none.
    """
    if name not in PURCHASE_MODELS:
        raise ModelError(f"There is no purchase model '{name}'.", f"Use one of {', '.join(PURCHASE_MODELS)}.")
    return PURCHASE_MODELS[name]
