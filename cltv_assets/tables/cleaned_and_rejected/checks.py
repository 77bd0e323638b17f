"""Checks of cleaned and rejected lines."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from cltv_assets.files.lake_storage import month_folder
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.check import Check, Values, Verdict
from cltv_assets.tables.cleaned_and_rejected.columns import REJECTED_TRANSACTIONS
from cltv_assets.tables.common_checks import RECENT_MONTHS, rows_where
from cltv_assets.tables.month_run import MonthRun


def _place_of_rejected(run: MonthRun) -> dict[str, str]:
    """Return where a month's rejected lines lie once it is published."""
    return {"rejected_lines": f"{run.lake.table(REJECTED_TRANSACTIONS).uri}/{month_folder(run.month)}"}


def lines_reconcile() -> Check:
    """Promise that raw = cleaned + rejected, to the line."""

    def measures(_table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
        def count(name: str) -> ir.Scalar:
            return run.inputs[name].count().as_scalar()

        return {name: count(name) for name in ("raw_transactions", "cleaned_transactions", "rejected_transactions")}

    def judge(values: Values, run: MonthRun) -> Verdict:
        raw, cleaned, rejected = (
            values[name] for name in ("raw_transactions", "cleaned_transactions", "rejected_transactions")
        )
        facts = {"raw": raw, "cleaned": cleaned, "rejected": rejected}
        text = f"{raw:,} raw lines, {cleaned:,} cleaned + {rejected:,} rejected"
        if raw == cleaned + rejected:
            return Verdict(True, f"{text}.", facts | _place_of_rejected(run))
        return Verdict(False, f"{text}: {raw - cleaned - rejected:+,} lines are unaccounted for.", facts)

    return Check("lines_reconcile", "raw = cleaned + rejected, to the line.", judge, measures)


def amounts_signed() -> Check:
    """Promise that purchases and refunds have the sign that their kind says."""
    return rows_where(
        "amounts_signed",
        "Purchases are not negative, refunds not positive.",
        lambda table, _run: (
            ((table.kind == "purchase") & (table.amount < 0)) | ((table.kind == "refund") & (table.amount > 0))
        ),
    )


def reject_share() -> Check:
    """Promise that most lines survive; block when the delivery looks broken."""

    def measures(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
        return {"rejected": table.count(), "raw": run.inputs[RAW_TRANSACTIONS.name].count().as_scalar()}

    def judge(values: Values, run: MonthRun) -> Verdict:
        rejected, raw = values["rejected"], values["raw"]
        share = rejected / raw if raw else 0.0
        limit = run.settings.checks.reject_share
        facts = {"rejected": rejected, "raw": raw, "share": round(share, 4)}
        text = f"{rejected:,} of {raw:,} lines are rejected ({share:.1%})"
        if share <= limit:
            return Verdict(True, f"{text}.", facts | _place_of_rejected(run))
        message = (
            f"{text}, more than the {limit:.0%} allowed by checks.reject_share. "
            "See the reasons below: often a column is mapped wrongly or a format differs."
        )
        return Verdict(False, message, facts)

    return Check(
        "reject_share",
        "Not too many lines are rejected.",
        judge,
        measures,
        examples=lambda table, _run: (
            table.group_by("reason")
            .aggregate(
                lines=table.count(),
                # One of them, to look at in the delivery: the month itself is not published.
                such_as=(table.source_file + ", line " + table.source_line.cast("string")).min(),
            )
            .order_by(ibis.desc("lines"), "reason")
        ),
    )


def usual_reject_mix() -> Check:
    """Warn when the share of rejected lines moves."""

    def judge(values: Values, run: MonthRun) -> Verdict:
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

    return Check(
        "usual_reject_mix",
        f"The share of rejected lines is near that of the last {RECENT_MONTHS} months.",
        judge,
        lambda table, run: {
            "rejected": table.count(),
            "raw": run.inputs[RAW_TRANSACTIONS.name].count().as_scalar(),
        },
        blocking=False,
    )
