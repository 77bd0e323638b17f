"""The month's verdict, its outlier bound, and the two tables that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import ibis
import ibis.expr.types as ir

from cltv_assets.columns import MONEY
from cltv_assets.engines import Engine
from cltv_assets.months import Month, Span
from cltv_assets.settings import Settings
from cltv_assets.sources.delivered import DELIVERED, LINE, NOT_COUNTED, RAW_TRANSACTIONS, SOURCE_TEXT
from cltv_assets.tables.cleaned_and_rejected.columns import CLEANED_TRANSACTIONS, REJECTED_TRANSACTIONS
from cltv_assets.tables.cleaned_and_rejected.parsing import is_plain, odd_lines, plain_lines, stripped
from cltv_assets.tables.cleaned_and_rejected.verdict import ABSURD, classify
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.quantiles import binned_money_counts, quantiles


def make(run: MonthRun) -> dict[str, ir.Table]:
    """Return cleaned and rejected lines, split by one verdict."""
    classified = classified_lines(run.engine, run.inputs[RAW_TRANSACTIONS.name], run.month, run.settings)
    bound = outlier_bound(run, classified)
    treated = treat_outliers(classified, bound)
    if bound.upper is not None:
        run.notes["outlier_bound"] = float(bound.upper)
    return {
        CLEANED_TRANSACTIONS.name: kept_lines(treated),
        REJECTED_TRANSACTIONS.name: lost_lines(treated),
    }


def classified_lines(engine: Engine, raw: ir.Table, month: Month | Span, settings: Settings) -> ir.Table:
    """Parse a month's delivered lines and judge each, once; see `verdict.classify`."""
    # Usually no line is spelled oddly, and the long rules need not even be compiled.
    plain = is_plain(raw, settings)
    odd = engine.cache(raw.filter(~plain))
    if engine.measure(odd, {"lines": odd.count()})["lines"]:
        lines = plain_lines(raw.filter(plain), month, settings).union(odd_lines(odd, month, settings))
    else:
        lines = plain_lines(raw, month, settings)
    return engine.cache(classify(lines, month, settings))


@dataclass(frozen=True)
class OutlierBound:
    """What counts as an outlier in one month.

    Parameters
    ----------
    upper : Decimal or None
        Purchase lines above it are outliers; ``None`` for no bound.
    action : str
        ``'cap'`` or ``'drop'``.
    """

    upper: Decimal | None
    action: str


def outlier_bound(run: MonthRun, classified: ir.Table) -> OutlierBound:
    """Derive the month's outlier bound from its own purchase lines."""
    rule = run.settings.outliers
    if rule.method == "none":
        return OutlierBound(None, rule.action)
    amounts = purchase_amounts(classified)
    counts = run.engine.collect(binned_money_counts(amounts, amounts.amount))
    if rule.method == "quantile":
        found = quantiles(counts, [rule.upper])
        return OutlierBound(found[0] if found else None, rule.action)
    found = quantiles(counts, [0.25, 0.75])
    if not found:
        return OutlierBound(None, rule.action)
    q25, q75 = found
    upper = q75 + Decimal(str(rule.iqr_factor)) * (q75 - q25)
    # No line is worth more, and a larger bound would not fit the type.
    return OutlierBound(min(upper, Decimal(ABSURD)).quantize(Decimal("0.0001")), rule.action)


def purchase_amounts(classified: ir.Table) -> ir.Table:
    """Return the kept purchase lines' ``amount``, for the outlier bound."""
    kept = classified.filter(classified.reason.isnull() & (classified.kind == "purchase"))
    return kept.select(amount=kept.delivered)


def treat_outliers(classified: ir.Table, bound: OutlierBound) -> ir.Table:
    """Cap or reject purchase lines above the bound; adds ``amount``."""
    if bound.upper is None:
        return classified.mutate(amount=classified.delivered)
    upper = ibis.literal(bound.upper, MONEY)
    above = (classified.reason.isnull() & (classified.kind == "purchase") & (classified.delivered > upper)).fill_null(
        False
    )
    if bound.action == "drop":
        return classified.mutate(
            amount=classified.delivered,
            reason=ibis.ifelse(above, ibis.literal("outlier"), classified.reason),
        )
    # The margin keeps its share of the amount.
    kept_share = float(bound.upper) / ibis.ifelse(above, classified.delivered, upper).cast("float64")
    return classified.mutate(
        amount=ibis.ifelse(above, upper, classified.delivered).cast(MONEY),
        margin=ibis.ifelse(above, classified.margin.cast("float64") * kept_share, classified.margin).cast(MONEY),
    )


def kept_lines(treated: ir.Table) -> ir.Table:
    """Return the lines that are kept, in the columns of ``cleaned_transactions``."""
    kept = treated.filter(treated.reason.isnull())
    own_id = stripped(kept.raw_transaction_id).nullif("")
    by_line = kept.source_file.concat(":", kept.source_line.cast("string"))
    return kept.mutate(
        transaction_id=ibis.coalesce(own_id, by_line),
        amount_delivered=kept.delivered,
    ).select(*CLEANED_TRANSACTIONS.column_names)


def lost_lines(treated: ir.Table) -> ir.Table:
    """Return the other lines, as delivered, with the reason."""
    lost = treated.filter(treated.reason.notnull())
    return lost.select(
        "reason",
        *[lost[f"raw_{name}"].name(name) for name in [column.name for column in DELIVERED]],
        *(column.name for column in (*LINE, SOURCE_TEXT, NOT_COUNTED)),
        value=lost.delivered,
    )
