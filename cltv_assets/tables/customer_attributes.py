"""Where customers come from and belong to: one value of each declared attribute, such as country or channel."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import reduce

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from cltv_assets.columns import Column, TableSchema
from cltv_assets.settings import Settings
from cltv_assets.sources import storage_of
from cltv_assets.sources.customer_file import ID, LINE, read_customers
from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.cleaned_and_rejected.columns import CUSTOMER
from cltv_assets.tables.cleaned_and_rejected.parsing import customer_key
from cltv_assets.tables.highlights import Highlights
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.recording import FEW
from cltv_assets.tables.table import ALL_HISTORY, DATA_PLATFORM, ENGINE, PREPARATION, Input, Table

#: The value of customers for whom none was delivered, and of those whose value few others have.
UNKNOWN, OTHER = "unknown", "other"

#: Name of a month's note of how many customers have lines in the customers' file that differ.
TOLD_TWICE = "customers_told_differently"

#: Most values of an attribute that are told apart: by more, nobody compares groups, and tables by value grow.
MOST_VALUES = 200

#: Values that the UI shows of each attribute.
_SHOWN = 10

#: Digits of a day, which stand before a value while the first or last one is looked for.
_DAY = len("2024-01-31")

CUSTOMER_ATTRIBUTES = TableSchema(
    "customer_attributes",
    "Country, channel or the like of each customer. One row for each column of source.columns.attributes, as "
    "of the month's end, and of customers.attributes, as the file was when the month was made. Empty where the "
    "settings name none.",
    ("customer_id", "attribute"),
    (
        CUSTOMER,
        Column("attribute", "string", "The source's name of the column, such as 'country'."),
        Column(
            "value",
            "string",
            f"What stood there at the customer's first purchase that has it, or at the last one for "
            f"source.latest_attributes, or what customers.path says. '{UNKNOWN}' where it never stood there; '{OTHER}' "
            f"for all but the {MOST_VALUES} values that most customers have.",
        ),
    ),
)


def attributes_of(run: MonthRun) -> ir.Table | None:
    """Return ``customer_attributes`` as a run's inputs have it; None where the settings name no attributes."""
    return run.inputs[CUSTOMER_ATTRIBUTES.name] if run.settings.attributes else None


def attribute_inputs(settings: Settings, farthest: int = 0) -> tuple[Input, ...]:
    """Return the input that `attributes_of` needs; none without attributes, so that older lakes need no months."""
    if not settings.attributes:
        return ()
    return (Input(CUSTOMER_ATTRIBUTES.name, farthest, holes=farthest > 0),)


def make(run: MonthRun) -> ir.Table:
    """Return one value of each declared attribute for every customer who has bought."""
    source, customers = run.settings.source, run.settings.customers
    days = run.inputs[PURCHASE_DAYS.name]
    days = days.filter(days.purchase_day <= run.month.last_day)
    parts = []
    if source.attributes:
        parts.append(values_of_customers(days, source.attributes, source.latest_attributes))
    if customers.path is not None:
        parts.append(_told_by_file(run, _buyers(run)))
    if not parts:
        return run.engine.from_arrow(CUSTOMER_ATTRIBUTES.arrow.empty_table())
    return _with_few_values(run, ibis.union(*parts) if len(parts) > 1 else parts[0])


def told_otherwise(run: MonthRun, published: ir.Table) -> int:
    """Count values of a published month that the customers' file now says otherwise, of the customers of that month.

    Raises
    ------
    SourceError
        If the file cannot be read.
    """
    own = published.filter(published.attribute.isin(run.settings.customers.attributes))
    now = _with_few_values(run, _told_by_file(run, own.select("customer_id").distinct()))
    other = now.anti_join(own, CUSTOMER_ATTRIBUTES.column_names)
    return int(run.engine.measure(other, {"values": other.count()})["values"])


def _told_by_file(run: MonthRun, buyers: ir.Table) -> ir.Table:
    customers = run.settings.customers
    assert customers.path is not None
    storage, path = storage_of(run.settings.absolute(customers.path), run.source.objects)
    read = read_customers(storage, path, customers, run.settings.source)
    known = run.engine.cache(buyers.left_join(_last_lines(run, read), "customer_id"))
    return values_of_file(known, customers.attributes)


def _with_few_values(run: MonthRun, values: ir.Table) -> ir.Table:
    found = run.engine.cache(values)
    common = run.engine.collect(most_common(found)).to_pylist()
    by_attribute: dict[str, list[str]] = {}
    for row in common:
        by_attribute.setdefault(row["attribute"], []).append(row["value"])
    crowded = {name: values[:MOST_VALUES] for name, values in by_attribute.items() if len(values) > MOST_VALUES}
    return with_others(found, crowded)


def values_of_customers(days: ir.Table, names: Sequence[str], latest: Sequence[str]) -> ir.Table:
    """Return the value of each attribute for each customer.

    Parameters
    ----------
    days : ibis table
        ``purchase_days`` of all months.
    names : sequence of str
        The attributes.
    latest : sequence of str
        Those of which the last value counts, not the first.

    Returns
    -------
    ibis table
        ``customer_id, attribute, value``.
    """
    bought = days.filter(days.order_count > 0)
    # A customer's days mostly say the same, so that few texts are left to take apart.
    texts = bought.group_by("customer_id", "attributes").aggregate(
        first_day=bought.purchase_day.min(), last_day=bought.purchase_day.max()
    )
    dated = {}
    for at, name in enumerate(names):
        value = field_of(texts.attributes, name)
        day = texts.last_day if name in latest else texts.first_day
        both = day.cast("string") + value
        dated[f"v{at}"] = both.max() if name in latest else both.min()
    customers = texts.group_by("customer_id").aggregate(**dated)
    return ibis.union(*_rows(customers, names)) if len(names) > 1 else _rows(customers, names)[0]


def _last_lines(run: MonthRun, read: pa.Table) -> ir.Table:
    """Return the last line of each customer in the file, by the id that the tables have; note what was left out."""
    lines = run.engine.from_arrow(read)
    own = lines.mutate(customer_id=customer_key(lines[ID], run.settings.source.missing_words))
    own = run.engine.cache(own.filter(own.customer_id.notnull()))
    told = run.engine.cache(own.group_by("customer_id").aggregate(lines=own.count(), last=own[LINE].max()))
    # Between values stands what no value holds.
    values = (own[name].fill_null("\t") for name in read.column_names[2:])
    whole = own.mutate(whole=reduce(lambda left, right: left + "\n" + right, values))
    again = whole.semi_join(told.filter(told.lines > 1), "customer_id")
    said = again.group_by("customer_id").aggregate(least=again.whole.min(), most=again.whole.max())
    differing = run.engine.measure(said, {"differing": said.count(where=said.least != said.most)})["differing"]
    counted = run.engine.measure(own, {"lines": own.count()})["lines"]
    run.notes["lines_of_customers"] = read.num_rows
    run.notes["lines_without_id"] = read.num_rows - counted
    run.notes[TOLD_TWICE] = differing
    # Each line has one id, so its number alone tells it.
    return own.semi_join(told, own[LINE] == told.last)


def values_of_file(known: ir.Table, names: Sequence[str]) -> ir.Table:
    """Return the value of each attribute that the customers' file has for each buyer.

    Parameters
    ----------
    known : ibis table
        ``customer_id`` of each buyer once, and ``v0``, ``v1``, … for the attributes; null where nothing is known.
    names : sequence of str
        The attributes.

    Returns
    -------
    ibis table
        ``customer_id, attribute, value``.
    """
    rows = [
        known.select(
            "customer_id",
            attribute=ibis.literal(name),
            value=ibis.coalesce(known[f"v{at}"], ibis.literal(UNKNOWN)),
        )
        for at, name in enumerate(names)
    ]
    return ibis.union(*rows) if len(rows) > 1 else rows[0]


def _rows(customers: ir.Table, names: Sequence[str]) -> list[ir.Table]:
    return [
        customers.select(
            "customer_id",
            attribute=ibis.literal(name),
            value=ibis.coalesce(_unescaped(customers[f"v{at}"].substr(_DAY)), ibis.literal(UNKNOWN)),
        )
        for at, name in enumerate(names)
    ]


def field_of(text: ir.StringValue, name: str) -> ir.StringValue:
    """Return a field of a JSON object of texts, as it is spelled there; null where it is absent.

    A quote inside a value is escaped, so that no value can look like a name. Engines' own functions of JSON differ in
    the names that they find.
    """
    found = text.re_extract(rf'(?:^\{{|, )"{re.escape(name)}": "((?:[^"\\]|\\.)*)"', 1)
    return found.nullif("")


def _unescaped(text: ir.StringValue) -> ir.StringValue:
    return text.replace('\\"', '"').replace("\\\\", "\\")


def most_common(found: ir.Table) -> ir.Table:
    """Return the values that most customers have, one more of each attribute than are told apart; ties by value."""
    counts = found.group_by("attribute", "value").aggregate(customers=found.count())
    order = ibis.window(group_by="attribute", order_by=[ibis.desc("customers"), "value"])
    ranked = counts.filter(counts.value != UNKNOWN).mutate(place=ibis.row_number().over(order))
    return ranked.filter(ranked.place <= MOST_VALUES).order_by("attribute", "place")


def with_others(found: ir.Table, kept: dict[str, list[str]]) -> ir.Table:
    """Replace values of crowded attributes by `OTHER`, but for the kept ones."""
    if not kept:
        return found
    rare = reduce(
        lambda left, right: left | right,
        ((found.attribute == name) & ~found.value.isin([*values, UNKNOWN]) for name, values in kept.items()),
    )
    return found.mutate(value=ibis.ifelse(rare, ibis.literal(OTHER), found.value))


@check(
    "Every customer who has bought has one value of each attribute.",
    measures=lambda table, run: {
        "rows": table.count(),
        "buyers": _buyers(run).count().as_scalar(),
    },
)
def everybody_has_one(values: Values, run: MonthRun) -> Verdict:
    """Promise that groups by an attribute's values add up to all customers."""
    names = run.settings.attributes
    rows, buyers = values["rows"], values["buyers"]
    facts = {"customers": buyers, "rows": rows}
    if rows == buyers * len(names):
        return Verdict(True, f"{rows:,} rows: {buyers:,} customers and {len(names)} attributes.", facts)
    return Verdict(False, f"{rows:,} rows for {buyers:,} customers and {len(names)} attributes.", facts)


def _buyers(run: MonthRun) -> ir.Table:
    days = run.inputs[PURCHASE_DAYS.name]
    bought = days.filter((days.order_count > 0) & (days.purchase_day <= run.month.last_day))
    return bought.select("customer_id").distinct()


def _counted(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    wanted: dict[str, ir.Scalar] = {}
    for at, name in enumerate(run.settings.attributes):
        own = table.attribute == name
        wanted |= {
            f"customers_{at}": table.count(where=own),
            f"unknown_{at}": table.count(where=own & (table.value == UNKNOWN)),
            f"other_{at}": table.count(where=own & (table.value == OTHER)),
        }
    return wanted


#: Share of customers without a value from which an attribute tells little.
_HARDLY_KNOWN = 0.5


@check("Attributes have values that tell customers apart.", measures=_counted, blocking=False)
def values_told_apart(values: Values, run: MonthRun) -> Verdict:
    """Warn of attributes that most customers lack, and of those with more values than are told apart."""
    said = []
    facts: dict[str, object] = {}
    for at, name in enumerate(run.settings.attributes):
        customers, unknown, other = (values[f"{what}_{at}"] or 0 for what in ("customers", "unknown", "other"))
        facts[name] = {"customers": customers, UNKNOWN: unknown, OTHER: other}
        if customers and unknown > _HARDLY_KNOWN * customers:
            said.append(
                f"'{name}' is not known of {unknown:,} of {customers:,} customers. See whether the source's column "
                "is filled."
            )
        if other:
            said.append(
                f"'{name}' has more than {MOST_VALUES} values: {other:,} of {customers:,} customers with rarer ones "
                f"count as '{OTHER}'. Group the values in the source or by source.query."
            )
    return Verdict(not said, " ".join(said) or "Attributes are known and have few values.", facts)


@check("Each customer stands in the customers' file once.", blocking=False)
def told_once(_values: Values, run: MonthRun) -> Verdict:
    """Warn of customers of whom several lines of the file say different things."""
    twice = run.notes.get(TOLD_TWICE)
    if not isinstance(twice, int) or not twice:
        return Verdict(True, "No customer has lines that differ.")
    message = (
        f"{twice:,} customers have several lines in {run.settings.customers.path} with different attributes: the "
        "last one counts. Deliver one line for each."
    )
    return Verdict(False, message, {"customers": twice})


def month_highlights(run: MonthRun) -> Highlights:
    """Return the values that most customers have; those that only a few have count as one."""
    table = run.inputs[CUSTOMER_ATTRIBUTES.name]
    every = table.group_by("attribute", "value").aggregate(customers=table.count())
    told = every.mutate(value=ibis.ifelse(every.customers < FEW, ibis.literal(OTHER), every.value))
    counts = told.group_by("attribute", "value").aggregate(customers=told.customers.sum())
    order = ibis.window(group_by="attribute", order_by=[ibis.desc("customers"), "value"])
    ranked = counts.mutate(place=ibis.row_number().over(order))
    rows = run.engine.collect(ranked.filter(ranked.place < _SHOWN).order_by("attribute", "place")).to_pylist()
    tables: dict[str, tuple[list[dict[str, object]], str]] = {}
    for row in rows:
        says = f"Customers by {row['attribute']} at the month's end: the {_SHOWN} values that most of them have."
        shown, _ = tables.setdefault(f"by_{row['attribute']}", ([], says))
        shown.append({k: row[k] for k in ("value", "customers")})
    return Highlights({}, tables)


TABLE = Table(
    schema=CUSTOMER_ATTRIBUTES,
    inputs=lambda _settings: (Input(PURCHASE_DAYS.name, ALL_HISTORY),),
    make=make,
    checks=(everybody_has_one, values_told_apart, told_once),
    highlights=month_highlights,
    group=PREPARATION,
    owner=DATA_PLATFORM,
    kinds=(ENGINE, "deltalake"),
    half="model",
)
