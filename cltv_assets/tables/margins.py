"""Each customer's share of spend that is margin, from the costs or margins that the source gives line by line.

A customer's own share says little after few purchases, so it is drawn towards the base's share, the more the less
was bought: the credibility estimator of Bühlmann and Straub (1970, Glaubwürdigkeit für Schadensätze, Mitteilungen
der Vereinigung schweizerischer Versicherungsmathematiker 70). With day j of customer i, spend w and
margin share X:

- within customers, s^2 = sum w_ij (X_ij - X_i)^2 / sum (n_i - 1);
- between them, a = (sum w_i (X_i - X)^2 - (I - 1) s^2) / (w - sum w_i^2 / w);
- Z_i = w_i / (w_i + s^2 / a), and the share is Z_i X_i + (1 - Z_i) m with m = sum Z_i X_i / sum Z_i.

Weighted by spend, the shares give the margin made so far exactly. Where customers differ no more than
their own days do, all have the base's share.
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from cltv_assets.engines import Engine
from cltv_assets.months import Month
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.check import Values
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.quantiles import exact_sum


@dataclass(frozen=True)
class Credibility:
    """How much a customer's own margins count.

    Parameters
    ----------
    needed : float or None
        Spend that gives a customer's own share half the weight, s^2 / a; None where own shares count for nothing.
    overall : float or None
        The share of a customer of whom nothing is known; None where no margin is known at all.
    """

    needed: float | None
    overall: float | None


def with_margins(engine: Engine, customers: ir.Table, days: ir.Table, month: Month) -> ir.Table:
    """Set ``gross_margin`` of every customer.

    Parameters
    ----------
    engine : Engine
    customers : ibis table
        One row for each customer, with ``customer_id`` and ``gross_margin``.
    days : ibis table
        ``purchase_days``.
    month : Month
        Days after it do not count.
    """
    known = days.filter((days.purchase_day <= month.last_day) & (days.margin_spend > 0) & (days.order_count > 0))
    margin, spend = known.margin.cast("float64"), known.margin_spend.cast("float64")
    each = known.group_by("customer_id").aggregate(
        own_margin=known.margin.sum().cast("float64"),
        own_spend=known.margin_spend.sum().cast("float64"),
        own_squares=exact_sum(margin * margin / spend),
        own_days=known.count(),
    )
    each = engine.cache(each)
    found = credibility(engine, each)
    if found.overall is None:
        return customers
    joined = customers.drop("gross_margin").left_join(each, "customer_id")
    own = own_weight(joined.own_spend, found) * (joined.own_margin / joined.own_spend - found.overall)
    return joined.mutate(gross_margin=found.overall + own.fill_null(0.0)).select(*customers.columns)


def credibility(engine: Engine, each: ir.Table) -> Credibility:
    """Estimate how much customers differ from each other, against how much their days do.

    Parameters
    ----------
    engine : Engine
    each : ibis table
        For each customer ``own_margin``, ``own_spend``, ``own_squares`` (the sum over days of margin^2 / spend) and
        ``own_days``.
    """
    share = each.own_margin / each.own_spend
    sums = engine.measure(
        each,
        {
            "customers": each.count(),
            "days": each.own_days.sum(),
            "margin": exact_sum(each.own_margin),
            "spend": exact_sum(each.own_spend),
            "by_day": exact_sum(each.own_squares),
            "by_customer": exact_sum(each.own_margin * share),
            "squares": exact_sum(each.own_spend * each.own_spend),
        },
    )
    if not sums["customers"]:
        return Credibility(None, None)
    margin, spend, by_day, by_customer = (float(sums[name]) for name in ("margin", "spend", "by_day", "by_customer"))
    overall, customers = margin / spend, int(sums["customers"])
    repeats, weight = int(sums["days"]) - customers, spend - float(sums["squares"]) / spend
    if not repeats or weight <= 0:
        return Credibility(None, overall)
    within = max(by_day - by_customer, 0.0) / repeats
    between = (by_customer - margin * overall - (customers - 1) * within) / weight
    if between <= 0:
        return Credibility(None, overall)
    found = Credibility(within / between, overall)
    weights = own_weight(each.own_spend, found)
    means = engine.measure(
        each,
        {
            "weights": exact_sum(weights, 9),
            "shares": exact_sum(weights * share, 9),
        },
    )
    return Credibility(found.needed, float(means["shares"]) / float(means["weights"]))


def own_weight(spend: ir.FloatingValue, found: Credibility) -> ir.FloatingValue:
    """Return Z of each customer."""
    if found.needed is None:
        return ibis.literal(0.0)
    return spend / (spend + found.needed)


def measures_of_margins(cleaned: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    """Return what `odd_margins` wants to know of a month's kept lines; nothing where the source gives no margins."""
    name = run.settings.source.margin_column
    if name is None:
        return {}
    bought, known = cleaned.kind == "purchase", cleaned.margin.notnull()
    return {
        "bought": cleaned.amount.sum(where=bought).cast("float64"),
        "bought_known": cleaned.amount.sum(where=known).cast("float64"),
        "margin": cleaned.margin.sum().cast("float64"),
        "known": known.cast("int64").sum(),
        "unknown": (bought & ~known).cast("int64").sum(),
        "beyond": (cleaned.margin > cleaned.amount).fill_null(False).cast("int64").sum(),
    }


def lines_of_odd_margins(_cleaned: ir.Table, run: MonthRun) -> ir.Table:
    """Return delivered lines whose cost or margin is no number."""
    raw, name = run.inputs[RAW_TRANSACTIONS.name], run.settings.source.margin_column
    text = ibis.null("string") if name is None else raw[name]
    odd = raw.filter((~text.re_search(r"^[-+]?[0-9.,]+$")).fill_null(False))
    found = odd.select("source_file", "source_line", column=ibis.literal(name or ""), text=text.substr(0, 80))
    return found.order_by("source_file", "source_line")


def odd_margins(values: Values, run: MonthRun) -> list[str]:
    """Return a sentence for each thing that is odd about the month's costs or margins."""
    source = run.settings.source
    if source.margin_column is None:
        return []
    setting = f"source.columns.{source.margin_column}: {source.mapping[source.margin_column][0]}"
    bought, known, margin = (values[name] or 0.0 for name in ("bought", "bought_known", "margin"))
    said = []
    if bought - known > run.settings.checks.unreadable_share * bought:
        said.append(
            f"{values['unknown']:,} purchase lines ({1 - known / bought:.1%} of the value) have no number in {setting}:"
            " these customers' margins are those of their other lines, or the shop's."
        )
    if known and margin < 0:
        said.append(
            f"Costs are {1 - margin / known:.0%} of the spend: see whether {setting} is what its name says, the cost "
            "of the whole line or of one unit, and in the unit of source.scale."
        )
    if values["beyond"] and values["beyond"] > values["known"] / 2:
        said.append(
            f"In {values['beyond']:,} of {values['known']:,} lines the margin exceeds the amount: see whether "
            f"{setting} has costs with a minus sign, which must be without, or whether it is the price."
        )
    return said
