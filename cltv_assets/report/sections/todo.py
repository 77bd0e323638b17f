"""What to do: who is worth keeping, which cohorts pay, what changed, and what to be careful with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from cltv_assets.figures import wording
from cltv_assets.report.data import Population, ReportData
from cltv_assets.report.facts.acquisition import NewCustomers, Paid
from cltv_assets.report.sections.changes import changes, on_last_month
from cltv_assets.report.sections.section import Section, foreign, much, who_is_asked, why_no_predictions
from cltv_assets.tables.cohort_value.facts import CohortGroup

#: Customers and values of an attribute that are named here; the sections have more.
_NAMED, _VALUES = 5, 4
#: Age in months at which cohorts are compared where nothing is known of channels and costs.
_AGE = 3


@dataclass(frozen=True)
class Tile:
    """One figure with its change since last month."""

    label: str
    value: str
    note: str


def section(data: ReportData) -> Section:
    """Return the head of the report."""
    pays_title, pays = _pays(data)
    content = {
        "tiles": tiles(data),
        "keep": _keep(data),
        "pays_title": pays_title,
        "pays": pays,
        "since": wording.month_name(data.month.shift(-1)) if data.before else "last month",
        "changes": changes(data),
    }
    return Section("todo", "What to do", _headline(data), content)


def _headline(data: ReportData) -> str:
    if data.value is None:
        return f"{wording.month_name(data.month)}: nothing is predicted"
    keep = data.value.keep
    if not keep.customers:
        return "Nobody of high value is in doubt"
    return f"Ask {wording.quantity(keep.customers, 'customer')}: {at_stake(data)} at stake"


def at_stake(data: ReportData) -> str:
    """Say how much the customers worth keeping put at stake, with its verb."""
    assert data.value is not None
    stake, money = data.value.keep.at_stake, data.value.predicted.money
    return f"{much(data, stake)} {'is' if money else 'are'}"


def tiles(data: ReportData) -> list[Tile]:
    """Return the month's main figures."""
    now, before = data.now, data.before or Population(None, None, None, None, None)
    return [
        Tile("Customers so far", wording.count(now.customers), on_last_month(now.customers, before.customers)),
        Tile(
            "Of them repeat customers",
            wording.count(now.repeat_customers),
            on_last_month(now.repeat_customers, before.repeat_customers),
        ),
        _expected_tile(data, before),
    ]


def _expected_tile(data: ReportData, before: Population) -> Tile:
    now, ahead = data.now, wording.months(data.horizon)
    if data.value is not None and not data.value.predicted.money:
        changed = on_last_month(now.expected_purchases, before.expected_purchases)
        note = _interval(data, "purchases", wording.count) + changed
        return Tile(f"Expected purchases, next {ahead}", wording.count(now.expected_purchases), note)
    return Tile(
        f"Expected value, next {ahead}",
        # A large amount may stand below its currency on a narrow tile.
        wording.money(now.expected_value, data.settings.currency).replace("\N{NO-BREAK SPACE}", " "),
        "no predictions this month"
        if now.expected_value is None
        else _interval(data, "value", wording.amount) + on_last_month(now.expected_value, before.expected_value),
    )


def _interval(data: ReportData, what: str, shown: Callable[[float | None], str]) -> str:
    base = data.segments.base.get(data.horizon)
    if base is None:
        return ""
    low, high = (shown(base[f"expected_{what}_{end}"]) for end in ("low", "high"))
    return f"80% interval {low} to {high}; "


def _keep(data: ReportData) -> dict[str, object]:
    """Return who is worth keeping."""
    if data.value is None:
        return {"text": why_no_predictions(data), "rows": ()}
    keep = data.value.keep
    who = who_is_asked(keep)
    if not keep.customers:
        return {"text": f"Of {who} there is nobody: asking would change little.", "rows": ()}
    return {
        "text": f"{wording.quantity(keep.customers, 'customer')} of {who}: {much(data, keep.expected)} expected of "
        f"them in {wording.months(data.horizon)}, and {much(data, keep.at_stake)} more if all are still customers. "
        "Here asking can matter.",
        "rows": [
            {
                "id": row["customer_id"],
                "p_alive": row["p_alive"],
                "stake": wording.amount(row["at_stake"])
                if data.value.predicted.money
                else wording.decimal(row["at_stake"], 1),
                "silent": wording.decimal(row["silent"], 0 if data.settings.time_unit == "day" else 1),
            }
            for row in keep.listed[:_NAMED]
        ],
        "time_unit": data.settings.time_unit,
        "unit": data.settings.currency if data.value.predicted.money else "purchases",
        "more": keep.customers > _NAMED,
    }


def _pays(data: ReportData) -> tuple[str, list[str]]:
    """Return sentences on which cohorts pay, or on who brings most where no costs are known."""
    everyone = next((paid for paid in data.paid if paid.judged), None)
    told = [] if data.new_customers is None else [_a_new_customer(data, data.new_customers)]
    if everyone is not None:
        by_value = [paid for paid in data.paid if paid is not everyone and paid.judged]
        found: list[str] = [_cohorts_paid(everyone)]
        found += [_pays_or_not(paid, data.horizon) for paid in _best_and_worst(by_value)]
        return "Which cohorts pay", [*found, *told]
    if data.paid:
        told.append("Costs are known, but every cohort that has them is still too young or too small to judge.")
    if data.new_customers is not None and data.new_customers.by_value:
        told += _attributes(data, data.new_customers)
    else:
        told += _by_age(data)
    return "Which new customers bring most", told or ["No cohort is old enough to tell."]


def _cohorts_paid(paid: Paid) -> str:
    parts = [(paid.paid_back, "paid back what customers cost"), (paid.expected, "expected to"), (paid.beyond, "not")]
    told = wording.listing(f"{wording.count(n)} {words}" for n, words in parts if n)
    return f"Of {wording.quantity(len(paid.judged), 'cohort')} old and large enough to judge: {told}."


def _best_and_worst(found: Sequence[Paid]) -> list[Paid]:
    ranked = sorted((paid for paid in found if paid.ratio is not None), key=lambda paid: -(paid.ratio or 0.0))
    if len(ranked) <= _VALUES:
        return ranked
    half = _VALUES // 2
    return [*ranked[:half], *ranked[-half:]]


def _pays_or_not(paid: Paid, horizon: int) -> Markup:
    assert paid.ratio is not None
    # Words before numbers: who reads only the first two of a line knows what to do.
    return Markup("{} {}: {} of its cost by {} from now; {} of {} paid back.").format(
        foreign(paid.value),
        "pays" if paid.ratio >= 1.0 else "does not pay",
        f"{wording.decimal(paid.ratio, 1)} times" if paid.ratio >= 1.0 else wording.percent(paid.ratio, 0),
        wording.months(horizon),
        paid.paid_back,
        wording.quantity(len(paid.judged), "cohort"),
    )


def _a_new_customer(data: ReportData, new: NewCustomers) -> str:
    row, ahead = new.longest, wording.months(data.horizon)
    if not new.money:
        ends = _ends(row, "expected_orders", wording.decimal)
        return (
            f"A new customer is expected to order on {wording.decimal(row['expected_orders'])} days in {ahead}{ends}."
        )
    worth = wording.money(row["discounted_value"], data.settings.currency)
    ends = _ends(row, "discounted_value", wording.amount)
    return f"A new customer is worth {worth} in {ahead}{ends}: winning one may cost no more."


def _ends(row: Mapping[str, Any], name: str, shown: Callable[[float | None], str]) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "" if low is None else f" (80% interval {shown(low)} to {shown(high)})"


def _attributes(data: ReportData, new: NewCustomers) -> list[Markup]:
    """Say of each attribute whose new customers bring most, where intervals tell them apart."""
    found = []
    written = wording.amount if new.money else wording.decimal
    unit = f" {data.settings.currency}" if new.money else " orders"

    def brings(row: Mapping[str, Any]) -> str:
        return f"{written(row[new.what])}{unit}{_ends(row, new.what, written)}"

    for attribute in dict.fromkeys(row["attribute"] for row in new.by_value):
        rows = [row for row in new.by_value if row["attribute"] == attribute and row[new.what] is not None]
        if len(rows) < 2:
            continue
        best, last = rows[0], rows[-1]
        if _apart(best, last, new.what):
            told = (foreign(best["attribute_value"]), brings(best), foreign(last["attribute_value"]), brings(last))
            text = Markup("By {}, {} brings most of a new customer, {}; {} least, {}.")
            found.append(text.format(foreign(attribute), *told))
        else:
            found.append(Markup("By {}, no value is clearly above another.").format(foreign(attribute)))
    return found


def _apart(best: Mapping[str, Any], last: Mapping[str, Any], what: str) -> bool:
    """Whether two intervals do not meet; without intervals nothing can be told apart."""
    low, high = best[f"{what}_low"], last[f"{what}_high"]
    return low is not None and high is not None and low > high


def _by_age(data: ReportData) -> list[str]:
    """Compare cohorts at the same age, and name the newest one's expectation with its interval."""
    curves = [one for one in data.cohorts.groups if one.by_age(_AGE) is not None]
    if len(curves) < 2:
        return []
    best, last = (choose(curves, key=lambda one: one.by_age(_AGE) or 0.0) for choose in (max, min))
    newest = curves[-1]

    def amount(number: float | None) -> str:
        if data.cohorts.money:
            return wording.money(number, data.settings.currency)
        return f"{wording.decimal(number)} purchases"

    def brought(one: CohortGroup) -> str:
        return f"{one.name} ({amount(one.by_age(_AGE))} a customer)"

    what = "margin" if data.cohorts.money else "purchases"
    text = f"By {wording.months(_AGE)} of age the cohort of {brought(best)} brought most {what}, {brought(last)} least"
    text += "." if newest in (best, last) else f"; the newest of that age is {brought(newest)}."
    if newest.expected is None or newest.low is None or newest.high is None:
        return [text]
    plain = wording.amount if data.cohorts.money else wording.decimal
    return [
        text,
        f"Of {newest.name} {amount(newest.expected)} a customer are expected by {wording.months(data.horizon)} from "
        f"now (80% interval {plain(newest.low)} to {plain(newest.high)}).",
    ]
