"""Models, baselines and segments in the words of the report."""

from __future__ import annotations

import re

from cltv_assets.report import wording
from cltv_assets.report.data import ReportData
from cltv_assets.report.facts.fitted import FittedModel
from cltv_assets.tables.holdout_evaluation.outcomes import LAST_YEAR, NAIVE_RATE, NBD

_MODELS = {
    "bg_nbd": "BG/NBD",
    "mbg_nbd": "MBG/NBD",
    "pareto_nbd": "Pareto/NBD",
    "nbd": "NBD",
    "gamma_gamma": "Gamma-Gamma",
}
_NAMES = re.compile(rf"\b({'|'.join(_MODELS)})\b")
_BASELINES = {
    NBD: "NBD: nobody leaves",
    NAIVE_RATE: "Naive: rate so far",
    LAST_YEAR: "Naive: last 12 months",
}
#: RFM segments in plain words; recent, often and much are by fifths of the customers.
RFM_MEANINGS = {
    "champions": "bought lately, often and for much",
    "loyal": "buy often, and not long ago",
    "potential loyalists": "bought lately, came back at times",
    "new customers": "bought very lately, seldom so far",
    "promising": "bought lately, seldom so far",
    "need attention": "silent for a while, used to come back or spend much",
    "about to sleep": "silent for a while, seldom and little before",
    "cannot lose them": "bought often and for much, then fell silent longest",
    "at risk": "came back often, silent for long",
    "hibernating": "bought seldom, silent for long",
    "lost": "bought seldom and little, silent longest",
}


def model_title(name: str) -> str:
    """Return a model's usual name; a pair such as ``bg_nbd+gamma_gamma`` keeps its plus."""
    return " + ".join(_MODELS.get(part, part) for part in name.split("+"))


def in_words(reason: str) -> str:
    """Return a reason out of a table as a sentence, with the models' usual names."""
    return wording.sentence(_named(reason))


def _named(reason: str) -> str:
    return _NAMES.sub(lambda match: _MODELS[match[0]], reason)


def candidate_title(model: FittedModel) -> str:
    """Return a purchase model's name, and whether it knows seasons."""
    return model_title(model.name) + (" with seasons" if model.seasonal else "")


def contender_title(name: str) -> str:
    """Return a model's or baseline's name in a holdout."""
    found = _BASELINES.get(name)
    if found is not None:
        return found
    # What a purchase is worth, the other half of the pair, is the same model for all.
    return f"Model: {model_title(name.split('+')[0])}"


def why_no_predictions(data: ReportData) -> str:
    """Say in one sentence why nobody has a prediction."""
    kinds = (("purchase", data.models.purchase), ("spend", data.models.spend))
    missing = [
        f"the {kind} model could not be fitted ({_named(model.reason)})" for kind, model in kinds if not model.usable
    ]
    if missing:
        return f"There are no predictions this month: {wording.listing(missing)}."
    if data.settings.population == "repeat" and data.now.customers:
        return "There are no predictions this month: population is 'repeat', and no customer bought twice lately."
    return "There are no predictions this month: there are no customers to predict."
