"""Checks of cleaned and rejected lines."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from cltv_assets.files.storage import month_folder
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.cleaned_and_rejected.columns import REJECTED_TRANSACTIONS
from cltv_assets.tables.cleaned_and_rejected.verdict import DELIBERATE
from cltv_assets.tables.common_checks import RECENT_MONTHS, no_rows
from cltv_assets.tables.month_run import MonthRun


def _place_of_rejected(run: MonthRun) -> dict[str, str]:
    """Return where a month's rejected lines are once it is published."""
    return {"rejected_lines": f"{run.lake.table(REJECTED_TRANSACTIONS).uri}/{month_folder(run.month)}"}


def _measures_of_lines_reconcile(_table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    def count(name: str) -> ir.Scalar:
        return run.inputs[name].count().as_scalar()

    return {name: count(name) for name in ("raw_transactions", "cleaned_transactions", "rejected_transactions")}


@check("raw = cleaned + rejected, to the line.", measures=_measures_of_lines_reconcile)
def lines_reconcile(values: Values, run: MonthRun) -> Verdict:
    """Promise that cleaned and rejected lines add up to the raw lines exactly."""
    raw, cleaned, rejected = (
        values[name] for name in ("raw_transactions", "cleaned_transactions", "rejected_transactions")
    )
    facts = {"raw": raw, "cleaned": cleaned, "rejected": rejected}
    text = f"{raw:,} raw lines, {cleaned:,} cleaned + {rejected:,} rejected"
    if raw == cleaned + rejected:
        return Verdict(True, f"{text}.", facts | _place_of_rejected(run))
    return Verdict(False, f"{text}: {raw - cleaned - rejected:+,} lines are unaccounted for.", facts)


@no_rows("Purchases are not negative, refunds not positive.")
def amounts_signed(table: ir.Table, _run: MonthRun) -> ir.BooleanValue:
    """Promise that purchases and refunds have the sign that their kind says."""
    return ((table.kind == "purchase") & (table.amount < 0)) | ((table.kind == "refund") & (table.amount > 0))


def _measures_of_reject_share(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    return {
        "rejected": (~table.reason.isin(DELIBERATE)).cast("int64").sum().fill_null(ibis.literal(0)),
        "deliberate": table.reason.isin(DELIBERATE).cast("int64").sum().fill_null(ibis.literal(0)),
        "raw": run.inputs[RAW_TRANSACTIONS.name].count().as_scalar(),
    }


@check(
    "Not too many lines are rejected.",
    measures=_measures_of_reject_share,
    examples=lambda table, _run: (
        table.group_by("reason")
        .aggregate(
            lines=table.count(),
            # Name one such line in the delivery, because the month itself is not published.
            such_as=(table.source_file + ", line " + table.source_line.cast("string")).min(),
        )
        .order_by(ibis.desc("lines"), "reason")
    ),
    of_sample=True,
)
def reject_share(values: Values, run: MonthRun) -> Verdict:
    """Promise that most lines are kept; block when the delivery looks broken."""
    # What the settings leave out tells nothing of whether the rest can be read.
    rejected, raw = values["rejected"], values["raw"] - values["deliberate"]
    share = rejected / raw if raw else 0.0
    limit = run.settings.checks.reject_share
    facts = {"rejected": rejected, "raw": raw, "share": round(share, 4)}
    text = f"{rejected:,} of {raw:,} lines are rejected ({share:.1%})"
    if values["deliberate"]:
        text += f"; {values['deliberate']:,} more do not count by the settings"
    if share <= limit:
        return Verdict(True, f"{text}.", facts | _place_of_rejected(run))
    message = (
        f"{text}, more than the {limit:.0%} allowed by checks.reject_share. "
        "See the reasons below: often a column is mapped wrongly or a format differs."
    )
    return Verdict(False, message, facts)


@check(
    f"The share of rejected lines is near that of the last {RECENT_MONTHS} months.",
    measures=lambda table, run: {
        "rejected": table.count(),
        "raw": run.inputs[RAW_TRANSACTIONS.name].count().as_scalar(),
    },
    blocking=False,
)
def usual_reject_mix(values: Values, run: MonthRun) -> Verdict:
    """Warn when the share of rejected lines changes."""
    raw = run.earlier_row_counts(RAW_TRANSACTIONS, RECENT_MONTHS)
    lost = run.earlier_row_counts(REJECTED_TRANSACTIONS, RECENT_MONTHS)
    months = [month for month in raw if raw[month] and month in lost]
    share = values["rejected"] / values["raw"] if values["raw"] else 0.0
    if not months:
        return Verdict(True, f"{share:.1%} rejected; no earlier month to compare with.")
    usual = sum(lost[m] for m in months) / sum(raw[m] for m in months)
    facts = {"share": round(share, 4), "usual": round(usual, 4)}
    text = f"{share:.1%} rejected against {usual:.1%} usually"
    limit = run.settings.checks.reject_share_change
    if abs(share - usual) <= limit:
        return Verdict(True, f"{text}.", facts)
    return Verdict(False, f"{text}: it moved by more than checks.reject_share_change ({limit:.0%}).", facts)
