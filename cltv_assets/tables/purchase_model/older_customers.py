"""Customers older than the data: whether there are any, and what it changes to know them."""

from __future__ import annotations

import json
from typing import Any

import ibis.expr.types as ir
import numpy as np

from cltv_assets.models.choosing.choice import Choice
from cltv_assets.models.choosing.histories import Histories, OperationalTime
from cltv_assets.models.choosing.older_base import (
    OLDER_MODELS,
    SOON_DAYS,
    Populations,
    SoonAgain,
    declines,
    difference_made,
    find_older_base,
)
from cltv_assets.months import DAYS_PER_UNIT, Month
from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.fitted_models import of_chosen
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.patterns import in_order

#: Changes below these are not worth a warning.
_TOTAL, _P_ALIVE = 0.02, 0.02


def older_columns(run: MonthRun, days: ir.Table, known: Histories, choice: Choice) -> dict[str, Any]:
    """Return the columns about customers older than the data, for the chosen model's row; empty where there are none.

    Models with dropout at purchases can tell them. Where another one predicts, the first of those
    tells what they would change, and nobody is predicted from it.
    """
    chosen = choice.chosen
    if run.settings.history_before_start == "none" or not chosen.usable or chosen.fit.truncated:
        return {}
    by = chosen if chosen.name in OLDER_MODELS else next((c for c in choice.others if _can_tell(c.name, c)), None)
    if by is None or not declines(known):
        return {}
    clock = OperationalTime(by.index, DAYS_PER_UNIT[run.settings.time_unit])
    parameters = by.fit.usable_parameters()
    found = find_older_base(known, soon_again(run, days), by.name, parameters, clock)
    if found is None:
        return {}
    until = np.datetime64(run.month.shift(run.settings.horizons_months[-1]).last_day)
    difference = difference_made(found, known, parameters, clock, float(clock.elapsed(known.end, until)))
    row: dict[str, Any] = {
        "older_customers": round(difference.customers),
        "older_total_change": difference.total,
        "older_p_alive_change": difference.p_alive,
    }
    if run.settings.history_before_start == "unknown" and by is chosen:
        row["populations"] = populations_json(found)
    return row


def _can_tell(name: str, contender: Any) -> bool:
    return name in OLDER_MODELS and contender.usable and contender.index is None


def soon_again(run: MonthRun, days: ir.Table) -> SoonAgain:
    """Return how soon customers bought again, by the day of their first purchase."""
    groups = in_order(run.engine.collect(soon_again_groups(days, run.month)), ["first_purchase"])
    columns = (groups[name].to_numpy().astype(np.float64) for name in ("customers", "purchases", "squares"))
    return SoonAgain(groups["first_purchase"].to_numpy().astype("datetime64[D]"), *columns)


def soon_again_groups(days: ir.Table, month: Month) -> ir.Table:
    """Count customers and their purchases within `SOON_DAYS` of the first: ``first_purchase, customers, purchases``.

    ``squares`` are the sums of the customers' squared purchases. Rows after ``month`` are ignored.
    """
    rows = days.filter((days.purchase_day <= month.last_day) & (days.order_count > 0))
    history = rows.select("customer_id", "purchase_day")
    first = history.group_by("customer_id").aggregate(first_purchase=history.purchase_day.min())
    both = history.join(first, "customer_id").select("customer_id", "purchase_day", "first_purchase")
    age = both.purchase_day.delta(both.first_purchase, unit="day")
    each = both.group_by("customer_id", "first_purchase").aggregate(
        soon=both.count(where=(age > 0) & (age <= SOON_DAYS))
    )
    return each.group_by("first_purchase").aggregate(
        customers=each.count(), purchases=each.soon.sum(), squares=(each.soon * each.soon).sum()
    )


def populations_json(found: Populations) -> str:
    """Return the column ``populations``, which `reading.populations` reads."""
    return json.dumps(
        {
            "model_name": found.model_name,
            "start": str(found.start),
            "older": dict(found.older),
            "newer": dict(found.newer),
            "present": found.present,
            "arriving": found.arriving,
        }
    )


def worth_telling(total_change: float, p_alive_change: float) -> bool:
    """Return whether the older customers change predictions by so much that it is worth a warning."""
    return abs(total_change) >= _TOTAL or abs(p_alive_change) >= _P_ALIVE


@check(
    "First purchases are the customers' first ones.",
    measures=lambda table, _run: of_chosen(
        table,
        ("model_name", "customers", "older_customers", "older_total_change", "older_p_alive_change", "populations"),
    ),
    blocking=False,
)
def history_begins(values: Values, run: MonthRun) -> Verdict:
    """Warn where customers are older than the data, and say what that changes."""
    older, customers = values["older_customers"], values["customers"]
    setting = run.settings.history_before_start
    if older is None:
        why = "history_before_start says so" if setting == "none" else "no sign of customers older than the data"
        return Verdict(True, f"{why[:1].upper()}{why[1:]}.")
    total, alive = values["older_total_change"], values["older_p_alive_change"]
    facts = {"older_customers": older, "total_change": total, "p_alive_change": alive}
    who = f"About {older:,} of {customers:,} customers are older than the data"
    if values["populations"] is not None:
        changes = f"which changes the total by {total:+.1%} and the mean P(alive) by {alive:+.3f}"
        return Verdict(True, f"{who}. They are predicted as such, {changes}.", facts)
    if not worth_telling(total, alive):
        return Verdict(True, f"{who}; to know them changes totals by {total:+.1%} only.", facts)
    horizon = run.settings.horizons_months[-1]
    if setting is None:
        remedy = (
            "Set history_before_start to unknown to have them predicted so, or to none if all first purchases are "
            "real. Better, deliver the months before."
        )
    else:
        remedy = (
            f"{values['model_name']} cannot tell them: set purchase_model to bg_nbd or mbg_nbd, or deliver the months "
            "before."
        )
    return Verdict(
        False,
        f"{who}: first purchases start high, and the first customers buy again sooner than later ones. Taken for new, "
        f"they make predictions too {'high' if total < 0 else 'low'}. Known as older ones, the purchases expected in "
        f"{horizon} months change by {total:+.1%} and the mean P(alive) by {alive:+.3f}. {remedy}",
        facts,
    )
