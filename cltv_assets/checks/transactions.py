"""Checks of raw, cleaned and rejected lines and of purchase days."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import ibis
import ibis.expr.types as ir
from scipy.special import beta

from cltv_assets.checks.check import Check, Values, Verdict
from cltv_assets.files.storage import month_folder
from cltv_assets.schemas import RAW_TRANSACTIONS, REJECTED_TRANSACTIONS, TableSchema
from cltv_assets.steps.month_run import MonthRun

#: How many earlier months make the usual volume.
_RECENT_MONTHS = 3
#: Days without a purchase that chance leaves less often than this are none.
_ACCIDENT = 1e-3


def month_has_lines() -> Check:
    """Warn about a month without a single line: legal, and rarely meant."""

    def judge(values: Values, run: MonthRun) -> Verdict:
        rows = values["rows"]
        if rows:
            return Verdict(True, f"{rows:,} lines delivered for {run.month}.", {"rows": rows})
        message = f"No line at all is dated in {run.month}: see whether the delivery is complete."
        return Verdict(False, message, {"rows": 0})

    return Check(
        "month_has_lines",
        "The month has at least one line.",
        judge,
        lambda table, _run: {"rows": table.count()},
        blocking=False,
    )


def usual_volume(schema: TableSchema) -> Check:
    """Warn when the month has far more or fewer rows than the recent ones."""

    def judge(values: Values, run: MonthRun) -> Verdict:
        recent = [count for count in run.earlier_row_counts(schema, _RECENT_MONTHS).values() if count]
        rows = values["rows"]
        if not recent:
            return Verdict(True, f"{rows:,} rows; no earlier month to compare with.", {"rows": rows})
        usual = sum(recent) / len(recent)
        change = rows / usual - 1
        facts = {"rows": rows, "usual": round(usual, 1), "change": round(change, 4)}
        limit = run.settings.checks.volume_change
        text = f"{rows:,} rows against {usual:,.0f} usually ({change:+.0%})"
        if abs(change) <= limit:
            return Verdict(True, f"{text}.", facts)
        return Verdict(False, f"{text}, more than the {limit:.0%} allowed by checks.volume_change.", facts)

    return Check(
        "usual_volume",
        f"The number of rows is near that of the last {_RECENT_MONTHS} months.",
        judge,
        lambda table, _run: {"rows": table.count()},
        blocking=False,
    )


def _unusual(silent: int, days: int, busy: int, limit: int) -> bool:
    """Whether ``silent`` days in a row without a purchase are not chance, where ``busy`` of ``days`` days have one.

    The probability is the beta-binomial one, from a uniform prior: a month with few purchases proves little.
    """
    quiet = days - busy
    return silent > limit and beta(busy + 1, quiet + silent + 1) / beta(busy + 1, quiet + 1) < _ACCIDENT


def month_covered() -> Check:
    """Warn when purchases stop well before the month does, or begin late: deliveries are missing, not customers.

    A month's end is the end of observation. If the last three weeks were not delivered, everybody has been silent for
    three weeks, and P(alive) and every rate come out too low.
    """

    def measures(table: ir.Table, _run: MonthRun) -> dict[str, ir.Scalar]:
        day = table.purchase_day.day()
        return {"first_day": day.min(), "last_day": day.max(), "days": day.nunique()}

    def judge(values: Values, run: MonthRun) -> Verdict:
        if values["last_day"] is None:
            return Verdict(True, "No purchases, so no days to look at.")
        # Days of the month as numbers: one that it does not have is the affair of within_month.
        first, last = values["first_day"], values["last_day"]
        before, after = first - 1, run.month.last_day.day - last
        facts = {"first_day": first, "last_day": last, "days_with_purchases": values["days"]}
        # The days in between tell how usual a day without a purchase is.
        usual = (last - first + 1, values["days"], run.settings.checks.silent_days)
        silent = []
        # A shop's first month begins when it begins.
        if run.month != run.settings.first_month and _unusual(before, *usual):
            silent.append(f"no purchase before {run.month}-{first:02d}, for {before} days")
        if _unusual(after, *usual):
            silent.append(f"no purchase after {run.month}-{last:02d}, for {after} days")
        if not silent:
            return Verdict(True, f"Purchases from day {first} to day {last}, on {values['days']} days.", facts)
        limit = run.settings.checks.silent_days
        message = (
            f"{', and '.join(silent).capitalize()} (more than checks.silent_days, {limit}): is the delivery complete? "
            f"Customers count as silent up to {run.month.last_day}, so what is missing makes them look lost."
        )
        return Verdict(False, message, facts)

    return Check(
        "month_covered",
        "Purchases run from the month's beginning to its end.",
        judge,
        measures,
        blocking=False,
    )


def late_lines() -> Check:
    """Warn when earlier months have lines in the source that the lake lacks."""

    def judge(_values: Values, run: MonthRun) -> Verdict:
        settings = run.settings
        earlier = list(settings.first_month.until(run.month.shift(-1)))
        if settings.source.path and "{month}" in settings.source.path:
            # Each delivery costs a read here; as far back as late lines are looked for.
            earlier = earlier[-settings.source.late_months :] if settings.source.late_months else []
        table = run.lake.table(RAW_TRANSACTIONS)
        held = table.row_counts(sorted(table.published(earlier)))
        delivered = run.source.line_counts(sorted(held))
        waiting = {m.key: delivered.get(m, 0) - rows for m, rows in held.items() if delivered.get(m, 0) != rows}
        if not waiting:
            return Verdict(True, f"The {len(held)} earlier months looked at hold every delivered line.")
        shown = ", ".join(f"{month} {count:+,}" for month, count in waiting.items())
        commands = f"cltv run --from {min(waiting)} --to {run.month}"
        message = f"Since earlier months were run their lines have changed: {shown}. To take them: {commands}"
        return Verdict(False, message, {"late_lines": waiting})

    return Check(
        "late_lines",
        "Earlier months hold every line that the source now has for them.",
        judge,
        blocking=False,
    )


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
        raw = run.earlier_row_counts(RAW_TRANSACTIONS, _RECENT_MONTHS)
        lost = run.earlier_row_counts(REJECTED_TRANSACTIONS, _RECENT_MONTHS)
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
        f"The share of rejected lines is near that of the last {_RECENT_MONTHS} months.",
        judge,
        lambda table, run: {
            "rejected": table.count(),
            "raw": run.inputs[RAW_TRANSACTIONS.name].count().as_scalar(),
        },
        blocking=False,
    )


def spend_reconciles(
    upstream: str, inflow: Callable[[ir.Table], ir.Scalar], outflow: Callable[[ir.Table], ir.Scalar]
) -> Check:
    """Promise that a step neither makes nor loses money.

    Parameters
    ----------
    upstream : str
        Name of the upstream table.
    inflow, outflow : callable
        From the upstream and the written table to the sum that must be equal.
    """

    def judge(values: Values, run: MonthRun) -> Verdict:
        came, went = (Decimal(values[side] or 0) for side in ("inflow", "outflow"))
        facts = {"spend_in": float(came), "spend_out": float(went)}
        unit = run.settings.currency
        if came == went:
            return Verdict(True, f"{went:,.2f} {unit} net in {upstream} and here.", facts)
        return Verdict(False, f"{came:,.4f} {unit} in {upstream}, {went:,.4f} here: {went - came:+,.4f}.", facts)

    return Check(
        "spend_reconciles",
        f"Spend less refunds equals that of {upstream}, to the smallest unit.",
        judge,
        lambda table, run: {
            "inflow": inflow(run.inputs[upstream]).as_scalar(),
            "outflow": outflow(table),
        },
    )
