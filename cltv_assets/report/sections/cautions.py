"""What a reader must know before believing the numbers."""

from __future__ import annotations

from cltv_assets.report import wording
from cltv_assets.report.data import ReportData
from cltv_assets.report.facts.fitted import FittedModel
from cltv_assets.report.sections.naming import model_title, why_no_predictions
from cltv_assets.transforms.holdout import NAIVE_RATE


def cautions(data: ReportData) -> list[str]:
    """Return warnings in plain words, most serious first."""
    found = []
    if data.value is None:
        found.append(why_no_predictions(data))
    for kind, model in (("purchase", data.models.purchase), ("spend", data.models.spend)):
        if model.status == "boundary":
            found.append(
                f"The {kind} model ({model_title(model.name)}) fits best at the edge of what its parameters can be: "
                f"{wording.sentence(model.reason)[:1].lower()}{wording.sentence(model.reason)[1:]}"
            )
        elif model.status != "fitted" and data.value is not None:
            found.append(f"The {kind} model's status is {model.status}: {wording.sentence(model.reason)}")
    found += _no_dropout_found(data)
    found += _correlated_value(data)
    found += _holdout(data)
    found += _rejections(data)
    return found


def _no_dropout_found(data: ReportData) -> list[str]:
    chosen, null = data.models.purchase, _by_name(data, "nbd")
    if null is None or chosen.name == null.name or chosen.status == "boundary":
        return []
    aic, null_aic = chosen.row["aic"], null.row["aic"]
    if aic is None or null_aic is None or aic < null_aic:
        return []
    return [
        f"The {model_title(chosen.name)} describes the data no better than a model in which nobody ever leaves "
        f"(AIC {wording.decimal(aic, 1)} against {wording.decimal(null_aic, 1)}): read P(alive) as unknown. "
        "A longer history helps."
    ]


def _by_name(data: ReportData, name: str) -> FittedModel | None:
    return next((model for model in data.models.comparisons if model.name == name), None)


def _correlated_value(data: ReportData) -> list[str]:
    correlation = data.models.spend.row["frequency_value_correlation"]
    limit = data.settings.checks.frequency_value_correlation
    if correlation is None or abs(correlation) <= limit:
        return []
    return [
        f"How often customers buy and how much they spend a purchase are correlated ({wording.decimal(correlation)}); "
        f"the spend model takes them to be independent, so value is "
        f"{'understated' if correlation > 0 else 'overstated'} for frequent buyers with few purchases so far."
    ]


def _holdout(data: ReportData) -> list[str]:
    limit = data.settings.checks.holdout_bias
    found = [
        f"{case.target.capitalize()} predicted at the end of {wording.month_name(case.origin)} for "
        f"{wording.months(case.horizon)} ahead came out {wording.too_many(case.model.bias, 0)}."
        for case in data.holdout
        if case.model.bias is not None and abs(case.model.bias) > limit
    ]
    for case in data.holdout:
        naive = next((one for one in case.contenders if one.name == NAIVE_RATE), None)
        if naive is not None and case.target == "purchases" and case.model.mae >= naive.mae:
            found.append(
                f"{wording.months(case.horizon).capitalize()} ahead, simply continuing each customer's rate so far "
                "would have missed by no more a customer than the model did."
            )
    return found


def _rejections(data: ReportData) -> list[str]:
    before = data.before
    if before is None or not before.lines_in or before.rejected is None or not data.quality.lines_in:
        return []
    now, then = data.quality.rejected_lines / data.quality.lines_in, before.rejected / before.lines_in
    if abs(now - then) <= data.settings.checks.reject_share_change:
        return []
    return [f"{wording.percent(now)} of the month's lines were rejected, against {wording.percent(then)} last month."]
