"""What a reader must know before believing the numbers."""

from __future__ import annotations

from cltv_assets.report import wording
from cltv_assets.report.data import ReportData
from cltv_assets.report.facts.fitted import NULL_MODEL
from cltv_assets.report.facts.holdout import Contender
from cltv_assets.report.sections.naming import candidate_title, in_words, model_title, why_no_predictions
from cltv_assets.tables.holdout_evaluation.outcomes import LAST_YEAR, NAIVE_RATE

#: Intervals of totals that are judged at least, and the share that should have held; of
#: intervals that overlap in time many may miss together, so half is asked of 80 %.
_LEAST_JUDGED, _HELD = 6, 0.5
#: What needs no model, and should be beaten by one.
_RULES = {
    NAIVE_RATE: "simply continuing each customer's rate so far",
    LAST_YEAR: "simply repeating each customer's last 12 months",
}


def cautions(data: ReportData) -> list[str]:
    """Return warnings in plain words, most serious first."""
    found = []
    if data.value is None:
        found.append(why_no_predictions(data))
    for kind, model in (("purchase", data.models.purchase), ("spend", data.models.spend)):
        if model.status == "boundary":
            found.append(
                f"The {kind} model ({model_title(model.name)}) fits best at the edge of what its parameters can be: "
                f"{in_words(model.reason)[:1].lower()}{in_words(model.reason)[1:]}"
            )
        elif model.status != "fitted" and data.value is not None:
            found.append(f"The {kind} model's status is {model.status}: {in_words(model.reason)}")
    found += _no_dropout_found(data)
    found += _repeat_customers_only(data)
    found += _correlated_value(data)
    found += _narrow_totals(data)
    found += _holdout(data)
    found += _rejections(data)
    return found


def _no_dropout_found(data: ReportData) -> list[str]:
    chosen, null = data.models.purchase, data.models.null
    if not chosen.usable or chosen.status == "boundary":
        return []
    if chosen.name == NULL_MODEL:
        return [
            "The model that predicts is one in which nobody ever leaves: P(alive) is 1 for everyone because it is not "
            "asked, not because it was found. Who has left is still counted on."
        ]
    if null is None:
        return []
    aic, null_aic = chosen.figure("aic"), null.figure("aic")
    if aic is None or null_aic is None or aic < null_aic:
        return []
    return [
        f"The {candidate_title(chosen)} describes the data no better than a model in which nobody ever leaves "
        f"(AIC {wording.decimal(aic, 1)} against {wording.decimal(null_aic, 1)}): read P(alive) as unknown. "
        "A longer history helps."
    ]


def _repeat_customers_only(data: ReportData) -> list[str]:
    if not data.models.purchase.truncated:
        return []
    return [
        "Every customer in the data has come back at least once: it looks like an extract without those who bought "
        "only once. The model was fitted on that condition; totals speak of these customers only."
    ]


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
        worse = [
            wording_of
            for name, wording_of in _RULES.items()
            if (one := case.contender(name)) is not None and _no_worse(one, case.model)
        ]
        if case.target == "purchases" and worse:
            found.append(
                f"{wording.months(case.horizon).capitalize()} ahead, {wording.listing(worse)} would have missed by no "
                "more a customer than the model did, by mean absolute and by root mean square error."
            )
    return found


def _no_worse(one: Contender, model: Contender) -> bool:
    """Whether a rule beats the model by both errors: by one alone it may only predict little."""
    squared = one.rmse is None or model.rmse is None or one.rmse <= model.rmse
    return one.mae <= model.mae and squared


def _narrow_totals(data: ReportData) -> list[str]:
    """Warn where intervals of totals held clearly less often than they promise."""
    held = [
        case.held
        for horizon in data.settings.horizons_months
        for case in data.trend(horizon, "revenue")
        if case.held is not None
    ]
    if len(held) < _LEAST_JUDGED or sum(held) >= _HELD * len(held):
        return []
    return [
        f"Only {sum(held)} of {len(held)} earlier 80% intervals of total revenue held: the model errs by more than "
        "chance. Take the intervals of totals for the least uncertainty there is."
    ]


def _rejections(data: ReportData) -> list[str]:
    before = data.before
    if before is None or not before.lines_in or before.rejected is None or not data.quality.lines_in:
        return []
    now, then = data.quality.rejected_lines / data.quality.lines_in, before.rejected / before.lines_in
    if abs(now - then) <= data.settings.checks.reject_share_change:
        return []
    return [f"{wording.percent(now)} of the month's lines were rejected, against {wording.percent(then)} last month."]
