"""Checks that several tables share: columns, grain, numbers, volume, sums of money."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache, reduce

import ibis
import ibis.expr.types as ir

from cltv_assets.columns import TableSchema
from cltv_assets.tables.check import Check, Values, Verdict
from cltv_assets.tables.month_run import MonthRun


def any_of(conditions: Sequence[ir.BooleanValue]) -> ir.BooleanValue:
    """Return whether a row meets any of the conditions."""
    return reduce(lambda left, right: left | right, conditions)


def _count(condition: ir.BooleanValue) -> ir.Scalar:
    return condition.cast("int64").sum().fill_null(ibis.literal(0))


@cache
def column_schema(schema: TableSchema) -> Check:
    """Promise that only nullable columns hold nulls.

    Names and types are verified before any check runs, because sealing refuses staged
    files with another schema. No engine guarantees that required values are present,
    so this check does.
    """
    required = [column.name for column in schema.columns if not column.nullable]

    def measures(table: ir.Table, _run: MonthRun) -> dict[str, ir.Scalar]:
        return {name: _count(table[name].isnull()) for name in required}

    def judge(values: Values, _run: MonthRun) -> Verdict:
        missing = {name: count for name, count in values.items() if count}
        if not missing:
            text = f"All {len(schema.columns)} columns as declared, none of {len(required)} required null."
            return Verdict(True, text)
        shown = ", ".join(f"{name} in {count} rows" for name, count in missing.items())
        return Verdict(False, f"Required values are missing: {shown}.", {"nulls": missing})

    return Check(
        "column_schema",
        "Columns have the declared names and types, and required ones are never null.",
        judge,
        measures,
        examples=lambda table, _run: table.filter(any_of([table[name].isnull() for name in required])),
    )


@cache
def unique_grain(schema: TableSchema) -> Check:
    """Promise that the grain's columns identify a row."""
    grain = list(schema.grain)

    def repeated(table: ir.Table) -> ir.Table:
        groups = table.group_by(grain).aggregate(rows=table.count())
        return groups.filter(groups.rows > 1)

    def measures(table: ir.Table, _run: MonthRun) -> dict[str, ir.Scalar]:
        return {"repeated": repeated(table).count().as_scalar(), "rows": table.count()}

    def judge(values: Values, _run: MonthRun) -> Verdict:
        repeats, rows = values["repeated"] or 0, values["rows"]
        key = ", ".join(grain)
        if repeats == 0:
            return Verdict(True, f"{rows:,} rows, each with its own {key}.", {"rows": rows})
        return Verdict(False, f"{repeats:,} values of ({key}) stand in more than one row.", {"repeated": repeats})

    return Check(
        "unique_grain",
        f"One row for each {', '.join(grain)}.",
        judge,
        measures,
        examples=lambda table, _run: repeated(table),
    )


def rows_where(
    name: str,
    description: str,
    wrong: Callable[[ir.Table, MonthRun], ir.BooleanValue],
    remedy: str = "",
    blocking: bool = True,
) -> Check:
    """Promise that no row meets ``wrong``.

    Parameters
    ----------
    name, description : str
        The check's name, and its promise in plain words.
    wrong : callable
        From table and run to the condition of an offending row.
    remedy : str
        What to do about it, shown with the failure.
    blocking : bool
        Whether a failure keeps the month from being published.
    """

    def judge(values: Values, _run: MonthRun) -> Verdict:
        count = values["wrong"]
        if count == 0:
            return Verdict(True, f"None of {values['rows']:,} rows breaks it.", {"rows": values["rows"]})
        message = f"{count:,} of {values['rows']:,} rows break it: {description[0].lower()}{description[1:]} {remedy}"
        return Verdict(False, message.strip(), {"rows_breaking_it": count, "rows": values["rows"]})

    return Check(
        name,
        description,
        judge,
        lambda table, run: {"wrong": _count(wrong(table, run)), "rows": table.count()},
        blocking,
        lambda table, run: table.filter(wrong(table, run)),
    )


def no_rows(
    description: str, remedy: str = "", blocking: bool = True
) -> Callable[[Callable[[ir.Table, MonthRun], ir.BooleanValue]], Check]:
    """Turn a function that returns the condition of an offending row into a check of the same name.

    The parameters are those of `rows_where`.
    """
    return lambda wrong: rows_where(wrong.__name__, description, wrong, remedy, blocking)


@cache
def finite_numbers(schema: TableSchema, non_negative: bool = True) -> Check:
    """Promise that no float is NaN or infinite, nor negative where that is impossible."""
    floats = [column for column in schema.columns if column.type == "float64"]

    def wrong(table: ir.Table, _run: MonthRun) -> ir.BooleanValue:
        bad: list[ir.BooleanValue] = []
        for column in floats:
            value = table[column.name]
            # Not isinf(): on Spark, Ibis 12 compiles it to FALSE for every number.
            bad += [value.isnan(), value.abs() > sys.float_info.max]
            if non_negative and not column.signed:
                bad.append(value < 0)
        return any_of([condition.fill_null(False) for condition in bad])

    what = "NaN, infinite or negative" if non_negative else "NaN or infinite"
    return rows_where("finite_numbers", f"No number is {what}.", wrong)


def within_month(column: str) -> Check:
    """Promise that a column's dates all lie in the partition's month."""

    def wrong(table: ir.Table, run: MonthRun) -> ir.BooleanValue:
        return ~table[column].between(ibis.literal(run.month.first_day), ibis.literal(run.month.last_day))

    return rows_where("within_month", f"Every {column} lies in the partition's month.", wrong)


def money_given(*columns: str) -> Check:
    """Promise that money is known in every row, or in none where the source has no amounts.

    A customer's sum that is too large for the table is null in it.

    Parameters
    ----------
    columns : str
        Money, by customer.
    """

    def wrong(table: ir.Table, run: MonthRun) -> ir.BooleanValue:
        counted = run.settings.source.counted
        return any_of([table[name].notnull() if counted else table[name].isnull() for name in columns])

    def judge(values: Values, run: MonthRun) -> Verdict:
        facts = {"rows_breaking_it": values["wrong"], "rows": values["rows"]}
        if not values["wrong"]:
            return Verdict(True, f"None of {values['rows']:,} rows breaks it.", facts)
        again = "If source.amounts was changed, run the months of before again."
        if run.settings.source.counted:
            return Verdict(False, f"{values['wrong']:,} rows have money, and source.amounts is none. {again}", facts)
        message = (
            f"In {run.month} {values['wrong']:,} rows lack {' or '.join(columns)}; refused_lines in the lake names "
            f"customers. Money of a customer that adds up to 10^14 {run.settings.currency} or more fits no table: "
            "if one id stands for many customers, add it to source.missing_values; if amounts are in a small unit, set "
            "source.scale, for example 0.001; if they are wrong, outliers.method caps them. " + again
        )
        return Verdict(False, message, facts)

    return Check(
        "money_given",
        f"Every row has {' and '.join(columns)}, or none has where source.amounts is none.",
        judge,
        lambda table, run: {
            "rows": table.count(),
            "wrong": _count(wrong(table, run)),
        },
        examples=lambda table, run: table.filter(wrong(table, run)),
    )


#: Number of earlier months that define the usual volume.
RECENT_MONTHS = 3


def usual_volume(schema: TableSchema) -> Check:
    """Warn when the month has far more or fewer rows than the recent ones."""

    def judge(values: Values, run: MonthRun) -> Verdict:
        recent = [count for count in run.earlier_row_counts(schema, RECENT_MONTHS).values() if count]
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
        f"The number of rows is near that of the last {RECENT_MONTHS} months.",
        judge,
        lambda table, _run: {"rows": table.count()},
        blocking=False,
    )


#: Message of a check of money where there is none.
NO_AMOUNTS = "The source has no amounts (source.amounts: none)."


def spend_reconciles(
    upstream: str, inflow: Callable[[ir.Table], ir.Scalar], outflow: Callable[[ir.Table], ir.Scalar]
) -> Check:
    """Promise that a step neither adds nor loses money.

    Parameters
    ----------
    upstream : str
        Name of the upstream table.
    inflow, outflow : callable
        From the upstream and the written table to the sum that must be equal.
    """

    def judge(values: Values, run: MonthRun) -> Verdict:
        if run.settings.source.counted:
            return Verdict(True, NO_AMOUNTS)
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
