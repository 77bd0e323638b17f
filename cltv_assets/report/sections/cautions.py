"""What limits how far the month's figures can be relied on: a line each, and more in the section it belongs to."""

from __future__ import annotations

from dataclasses import dataclass

from cltv_assets.figures import wording
from cltv_assets.models.choosing.candidates import NULL_MODEL
from cltv_assets.report.data import ReportData
from cltv_assets.report.sections.section import why_no_money, why_no_predictions
from cltv_assets.tables.cltv_predictions.order_values import misleads, misvalued_in_words
from cltv_assets.tables.fitted_rows import in_words, model_title
from cltv_assets.tables.holdout_evaluation.cases import Contender
from cltv_assets.tables.holdout_evaluation.outcomes import LAST_YEAR, NAIVE_RATE
from cltv_assets.tables.purchase_model.older_customers import worth_telling
from cltv_assets.tables.spend_model.checks import trend_in_words, vague_mean_in_words

#: Fewest intervals of totals that are judged, and the share that should have held. Intervals
#: that overlap in time may miss together, so only half is required of 80 % intervals.
_LEAST_JUDGED, _HELD = 6, 0.5
#: Rules that need no model, and that a model should beat.
_RULES = {
    NAIVE_RATE: "simply continuing each customer's rate so far",
    LAST_YEAR: "simply repeating each customer's last 12 months",
}


@dataclass(frozen=True)
class Caution:
    """One warning.

    Parameters
    ----------
    short : str
        In a line.
    anchor : str
        The section that shows more of it.
    more : str
        What that section says beside the line; empty where its figures say it.
    """

    short: str
    anchor: str
    more: str = ""


def cautions(data: ReportData) -> list[Caution]:
    """Return warnings in plain words, most serious first."""
    found = []
    if data.value is None:
        found.append(Caution(why_no_predictions(data), "models"))
    elif not data.value.predicted.money:
        found.append(Caution(why_no_money(data), "value"))
    for kind, model in (("purchase", data.models.purchase), ("spend", data.models.spend)):
        if model.status == "boundary":
            short = f"The {kind} model ({model_title(model.name)}) fits best at the edge of what its parameters can be."
            found.append(Caution(short, "models", wording.sentence(in_words(model.reason))))
    found += _no_dropout_found(data)
    found += _repeat_customers_only(data)
    found += _older_customers(data)
    found += _correlated_value(data)
    found += _value_trend(data)
    found += _vague_mean(data)
    found += _narrow_totals(data)
    found += _holdout(data)
    found += _rejections(data)
    return found


def _no_dropout_found(data: ReportData) -> list[Caution]:
    chosen, null = data.models.purchase, data.models.null
    if not chosen.usable or chosen.status == "boundary":
        return []
    if chosen.name == NULL_MODEL and chosen.weight < 1.0:
        return []
    if chosen.name == NULL_MODEL:
        return [
            Caution(
                "The model that predicts is one in which nobody ever leaves: P(alive) is 1 for everyone.",
                "models",
                "That is because it is not asked, not because it was found. Who has left is still counted on.",
            )
        ]
    if null is None:
        return []
    aic, null_aic = chosen.figure("aic"), null.figure("aic")
    if aic is None or null_aic is None or aic < null_aic:
        return []
    return [
        Caution(
            f"The {chosen.title} describes the data no better than a model in which nobody ever leaves: read P(alive) "
            "as unknown.",
            "models",
            f"AIC {wording.decimal(aic, 1)} against {wording.decimal(null_aic, 1)}. A longer history helps.",
        )
    ]


def _repeat_customers_only(data: ReportData) -> list[Caution]:
    model = data.models.purchase
    if not model.truncated:
        return []
    least, left_out = model.least_frequency, int(model.row.get("left_out") or 0)
    who = "Every customer" if not left_out else f"All but {wording.quantity(left_out, 'customer')}"
    have = "has" if not left_out else "have"
    again = "come back at least once" if least == 1 else f"bought on {least + 1} days or more"
    without = "bought only once" if least == 1 else "bought less often"
    return [
        Caution(
            f"{who} in the data {have} {again}: totals speak of such customers only.",
            "models",
            f"It looks like an extract without those who {without}. The model was fitted on that condition.",
        )
    ]


def _older_customers(data: ReportData) -> list[Caution]:
    row = data.models.purchase.row
    older = row.get("older_customers")
    if older is None or row.get("populations") is not None:
        return []
    total, alive = row["older_total_change"], row["older_p_alive_change"]
    if not worth_telling(total, alive):
        return []
    who = f"{wording.count(older)} of {wording.quantity(row['customers'], 'customer')}"
    return [
        Caution(
            f"About {who} are older than the data, and their first purchase here is no first one.",
            "models",
            f"With that known, the purchases expected in the next {wording.months(data.horizon)} would be "
            f"{wording.percent(abs(total))} {'fewer' if total < 0 else 'more'}, and the mean P(alive) "
            f"{wording.decimal(abs(alive))} {'lower' if alive < 0 else 'higher'}: see history_before_start.",
        )
    ]


def _correlated_value(data: ReportData) -> list[Caution]:
    spend, bias = data.models.spend.row, data.order_values
    correlation, limit = spend["frequency_value_correlation"], data.settings.checks.frequency_value_correlation
    if correlation is None:
        return []
    short = (
        f"Order values {'rise' if correlation > 0 else 'fall'} with how often customers buy (correlation "
        f"{wording.decimal(correlation)})"
    )
    if bias is not None:
        if not misleads(bias, spend, limit):
            return []
        off = f"{wording.percent(abs(bias.share))} too {'high' if bias.share > 0 else 'low'}"
        more = misvalued_in_words(bias, spend, data.horizon, data.settings.currency)
        return [Caution(f"{short}: by their own orders, expected spend is {off}.", "models", more)]
    if spend.get("by_frequency") or abs(correlation) <= limit:
        return []
    return [
        Caution(
            f"{short}: those with few purchases are {'overstated' if correlation > 0 else 'understated'}.",
            "models",
            "The spend model takes the two to be independent, so customers with few purchases are given nearly the "
            "mean of all.",
        )
    ]


def _value_trend(data: ReportData) -> list[Caution]:
    row = data.models.spend.row
    told = trend_in_words(row)
    short = f"Order values of the same customers change by {wording.change(row.get('value_trend'))} a year."
    return [Caution(short, "models", told)] if told else []


def _vague_mean(data: ReportData) -> list[Caution]:
    told = vague_mean_in_words(data.models.spend.row, data.settings.currency)
    return [Caution("What a new customer's order is worth is hardly known.", "models", told)] if told else []


def _holdout(data: ReportData) -> list[Caution]:
    limit = data.settings.checks.holdout_bias
    found = [
        Caution(
            f"{case.target.capitalize()} predicted at the end of {wording.month_name(case.origin)} for "
            f"{wording.months(case.horizon)} ahead came out {wording.too_many(case.model.bias, 0)}.",
            "holdout",
        )
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
            short = (
                f"{wording.months(case.horizon).capitalize()} ahead, {wording.listing(worse)} would have missed by no "
                "more a customer than the model."
            )
            found.append(Caution(short, "holdout", "That is by mean absolute and by root mean square error."))
    return found


def _no_worse(one: Contender, model: Contender) -> bool:
    """Whether a rule beats the model by both errors; one alone may only reward low predictions."""
    squared = one.rmse is None or model.rmse is None or one.rmse <= model.rmse
    return one.mae <= model.mae and squared


def _narrow_totals(data: ReportData) -> list[Caution]:
    """Warn where intervals of totals held clearly less often than they promise."""
    held = [one for horizon in data.settings.horizons_months for one in data.held(horizon)]
    if len(held) < _LEAST_JUDGED or sum(held) >= _HELD * len(held):
        return []
    return [
        Caution(
            f"Only {sum(held)} of {len(held)} earlier 80% intervals of total revenue held.",
            "value",
            "The model errs by more than chance. Take the intervals of totals for the least uncertainty there is.",
        )
    ]


def _rejections(data: ReportData) -> list[Caution]:
    before = data.before
    if before is None or not before.lines_in or before.rejected is None or not data.quality.lines_in:
        return []
    now, then = data.quality.rejected_lines / data.quality.lines_in, before.rejected / before.lines_in
    if abs(now - then) <= data.settings.checks.reject_share_change:
        return []
    short = f"{wording.percent(now)} of the month's lines were rejected, against {wording.percent(then)} last month."
    return [Caution(short, "quality")]
