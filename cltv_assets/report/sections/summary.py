"""The month on one screen: its figures, what changed, and what limits their reliability."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cltv_assets.figures import wording
from cltv_assets.report.data import NULL_MODEL, Population, ReportData
from cltv_assets.report.sections.section import Section, why_no_money, why_no_predictions
from cltv_assets.tables.cltv_predictions.order_values import misleads, misvalued_in_words
from cltv_assets.tables.fitted_rows import in_words, model_title, together
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
class Tile:
    """One figure with its change since last month."""

    label: str
    value: str
    note: str


def section(data: ReportData) -> Section:
    """Return the head of the report."""
    now, before = data.now, data.before or Population(None, None, None, None, None)
    tiles = [
        Tile("Customers so far", wording.count(now.customers), _change(now.customers, before.customers)),
        Tile(
            "Of them repeat customers",
            wording.count(now.repeat_customers),
            _change(now.repeat_customers, before.repeat_customers),
        ),
        _expected_tile(data, before),
        Tile("Lines delivered", wording.count(now.lines_in), _change(now.lines_in, before.lines_in)),
        Tile("Lines rejected", wording.count(now.rejected), _change(now.rejected, before.rejected)),
    ]
    return Section(
        "summary",
        "Summary",
        f"{wording.month_name(data.month)} against {wording.month_name(data.month.shift(-1))}"
        if data.before
        else f"{wording.month_name(data.month)} in figures",
        {"tiles": tiles, "cautions": cautions(data), "changes": changes(data)},
    )


def _expected_tile(data: ReportData, before: Population) -> Tile:
    now, ahead = data.now, wording.months(data.horizon)
    if data.value is not None and not data.value.predicted.money:
        note = _interval(data, "purchases", wording.count) + _change(now.expected_purchases, before.expected_purchases)
        return Tile(f"Expected purchases, next {ahead}", wording.count(now.expected_purchases), note)
    return Tile(
        f"Expected value, next {ahead}",
        _breakable(wording.money(now.expected_value, data.settings.currency)),
        "no predictions this month"
        if now.expected_value is None
        else _interval(data, "value", wording.amount) + _change(now.expected_value, before.expected_value),
    )


def _interval(data: ReportData, what: str, shown: Callable[[float | None], str]) -> str:
    base = data.segments.base.get(data.horizon)
    if base is None:
        return ""
    low, high = (shown(base[f"expected_{what}_{end}"]) for end in ("low", "high"))
    return f"80% interval {low} to {high}; "


def _breakable(money: str) -> str:
    """Let a large amount stand below its currency on a narrow tile."""
    return money.replace("\N{NO-BREAK SPACE}", " ")


def _change(now: float | None, then: float | None) -> str:
    if then is None or now is None:
        return "no figure for last month"
    if now == then:
        return "as last month"
    if then == 0:
        return "none last month"
    return f"{wording.change((now - then) / abs(then))} on last month"


def changes(data: ReportData) -> list[str]:
    """Return sentences on customers, value, model, segments and data; the newest facts first in each."""
    if data.before is None:
        return ["There is no month before this one to compare with."]
    found = [_customers(data), _value(data), _model(data), _tiers(data), _lines(data)]
    return [text for text in found if text]


def _customers(data: ReportData) -> str:
    now, before = data.now, data.before
    assert before is not None
    if now.customers is None or before.customers is None:
        return ""
    came = now.customers - before.customers
    text = (
        f"{wording.quantity(came, 'new customer')} came" if came > 0 else "No new customer came"
    ) + f": {wording.quantity(now.customers, 'customer')} so far"
    if now.repeat_customers is not None and before.repeat_customers is not None:
        again = now.repeat_customers - before.repeat_customers
        text += f"; {wording.quantity(again, 'customer')} came back for the first time" if again > 0 else ""
    return f"{text}."


def _value(data: ReportData) -> str:
    now, before = data.now, data.before
    assert before is not None
    if now.expected_value is not None and before.expected_value is not None:
        currency = data.settings.currency
        return _rise(data, "value", now.expected_value, before.expected_value, lambda n: wording.money(n, currency))
    if now.expected_purchases is not None and before.expected_purchases is not None:
        # Of one of the two months no money is predicted.
        return _rise(data, "purchases", now.expected_purchases, before.expected_purchases, wording.count)
    return ""


def _rise(data: ReportData, what: str, now: float, before: float, shown: Callable[[float], str]) -> str:
    of = f"Expected {what} of the next {wording.months(data.horizon)}"
    verb = "are" if what == "purchases" else "is"
    if not before:
        return f"{of} {verb} now {shown(now)}."
    change = (now - before) / abs(before)
    if abs(change) < 0.0005:
        return f"{of} {verb} unchanged at {shown(now)}."
    direction = "rose" if change > 0 else "fell"
    return f"{of} {direction} by {wording.percent(abs(change))}, from {shown(before)} to {shown(now)}."


def _model(data: ReportData) -> str:
    models, before = data.models, data.before.model if data.before else None
    if before is None:
        return ""
    names, seasonal = before
    several = len(models.predicting) > 1
    if (set(names.split("+")), seasonal) == (set(models.names.split("+")), models.purchase.seasonal):
        if several:
            return f"The models that predict are those of last month: {together(models.candidates)}."
        return f"The {models.purchase.title} model predicts, as last month."
    old = model_title(names) + (" with seasons" if seasonal else "")
    plural = several or "+" in names
    return (
        f"The model{'s' * plural} changed from {old} to {together(models.candidates)}: part of other changes may come "
        "from that."
    )


def _tiers(data: ReportData) -> str:
    moved = data.segments.moves.tiers
    if moved is None:
        return ""
    text = (
        f"{wording.quantity(moved.rose, 'customer')} rose to a higher value tier and {wording.count(moved.fell)} fell "
        f"to a lower one; {wording.count(moved.stayed)} stayed"
    )
    if moved.new:
        text += f", {wording.count(moved.new)} {'is' if moved.new == 1 else 'are'} new"
    if moved.gone:
        text += f", {wording.count(moved.gone)} no longer {'has' if moved.gone == 1 else 'have'} a prediction"
    return f"{text}."


def _lines(data: ReportData) -> str:
    before, now = data.before, data.quality
    assert before is not None
    if not now.lines_in:
        return "Nothing was delivered."
    text = f"{wording.quantity(now.lines_in, 'line')} delivered"
    if before.lines_in is not None:
        text += f" (last month {wording.count(before.lines_in)})"
    text += (
        f", {wording.percent(now.rejected_lines / now.lines_in)} of them rejected"
        if now.rejected_lines
        else ", none rejected"
    )
    if before.lines_in and before.rejected is not None:
        then = before.rejected / before.lines_in
        text += f" (last month {wording.percent(then)})" if then or now.rejected_lines else ""
    return f"{text}."


def cautions(data: ReportData) -> list[str]:
    """Return warnings in plain words, most serious first."""
    found = []
    if data.value is None:
        found.append(why_no_predictions(data))
    elif not data.value.predicted.money:
        found.append(why_no_money(data))
    for kind, model in (("purchase", data.models.purchase), ("spend", data.models.spend)):
        if model.status == "boundary":
            found.append(
                f"The {kind} model ({model_title(model.name)}) fits best at the edge of what its parameters can be: "
                f"{in_words(model.reason)[:1].lower()}{in_words(model.reason)[1:]}"
            )
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


def _no_dropout_found(data: ReportData) -> list[str]:
    chosen, null = data.models.purchase, data.models.null
    if not chosen.usable or chosen.status == "boundary":
        return []
    if chosen.name == NULL_MODEL and chosen.weight < 1.0:
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
        f"The {chosen.title} describes the data no better than a model in which nobody ever leaves "
        f"(AIC {wording.decimal(aic, 1)} against {wording.decimal(null_aic, 1)}): read P(alive) as unknown. "
        "A longer history helps."
    ]


def _repeat_customers_only(data: ReportData) -> list[str]:
    model = data.models.purchase
    if not model.truncated:
        return []
    least, left_out = model.least_frequency, int(model.row.get("left_out") or 0)
    who = "Every customer" if not left_out else f"All but {wording.quantity(left_out, 'customer')}"
    have = "has" if not left_out else "have"
    again = "come back at least once" if least == 1 else f"bought on {least + 1} days or more"
    without = "bought only once" if least == 1 else "bought less often"
    return [
        f"{who} in the data {have} {again}: it looks like an extract without those who {without}. "
        "The model was fitted on that condition; totals speak of these customers only."
    ]


def _older_customers(data: ReportData) -> list[str]:
    row = data.models.purchase.row
    older = row.get("older_customers")
    if older is None or row.get("populations") is not None:
        return []
    total, alive = row["older_total_change"], row["older_p_alive_change"]
    if not worth_telling(total, alive):
        return []
    who = f"{wording.count(older)} of {wording.quantity(row['customers'], 'customer')}"
    return [
        f"About {who} are older than the data, and their first purchase here is no first one. With that known, the "
        f"purchases expected in the next {wording.months(data.horizon)} would be {wording.percent(abs(total))} "
        f"{'fewer' if total < 0 else 'more'}, and the mean P(alive) {wording.decimal(abs(alive))} "
        f"{'lower' if alive < 0 else 'higher'}: see history_before_start."
    ]


def _correlated_value(data: ReportData) -> list[str]:
    correlation, bias = data.models.spend.row["frequency_value_correlation"], data.order_values
    limit = data.settings.checks.frequency_value_correlation
    if correlation is None:
        return []
    if bias is not None:
        if not misleads(bias, data.models.spend.row, limit):
            return []
        return [misvalued_in_words(bias, data.models.spend.row, data.horizon, data.settings.currency)]
    if data.models.spend.row.get("by_frequency") or abs(correlation) <= limit:
        return []
    return [
        f"How often customers buy and how much they spend a purchase are correlated ({wording.decimal(correlation)}); "
        "the spend model takes them to be independent, so customers with few purchases, who are given nearly the mean "
        f"of all, are {'overstated' if correlation > 0 else 'understated'}."
    ]


def _value_trend(data: ReportData) -> list[str]:
    told = trend_in_words(data.models.spend.row)
    return [told] if told else []


def _vague_mean(data: ReportData) -> list[str]:
    told = vague_mean_in_words(data.models.spend.row, data.settings.currency)
    return [told] if told else []


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
    """Whether a rule beats the model by both errors; one alone may only reward low predictions."""
    squared = one.rmse is None or model.rmse is None or one.rmse <= model.rmse
    return one.mae <= model.mae and squared


def _narrow_totals(data: ReportData) -> list[str]:
    """Warn where intervals of totals held clearly less often than they promise."""
    held = [one for horizon in data.settings.horizons_months for one in data.held(horizon)]
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
