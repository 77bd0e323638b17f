"""Models, baselines and time in the words of the report."""

from __future__ import annotations

from cltv_assets.report import wording
from cltv_assets.report.data import ReportData
from cltv_assets.transforms.holdout import NAIVE_RATE, SAME_AGAIN

_MODELS = {
    "bg_nbd": "BG/NBD",
    "mbg_nbd": "MBG/NBD",
    "pareto_nbd": "Pareto/NBD",
    "nbd": "NBD",
    "gamma_gamma": "Gamma-Gamma",
}


def model_title(name: str) -> str:
    """Return a model's usual name; a pair such as ``bg_nbd+gamma_gamma`` keeps its plus."""
    return " + ".join(_MODELS.get(part, part) for part in name.split("+"))


def contender_title(name: str, horizon: int) -> str:
    """Return a model's or baseline's name in a holdout."""
    if name == NAIVE_RATE:
        return "Naive: rate so far, continued"
    if name == SAME_AGAIN:
        return f"Naive: same as in the {wording.months(horizon)} before"
    return f"Model: {model_title(name)}"


def why_no_predictions(data: ReportData) -> str:
    """Say in one sentence why nobody has a prediction."""
    kinds = (("purchase", data.models.purchase), ("spend", data.models.spend))
    missing = [f"the {kind} model could not be fitted ({model.reason})" for kind, model in kinds if not model.usable]
    if missing:
        return f"There are no predictions this month: {wording.listing(missing)}."
    if data.settings.population == "repeat" and data.now.customers:
        return "There are no predictions this month: population is 'repeat', and no customer bought twice lately."
    return "There are no predictions this month: there are no customers to predict."
