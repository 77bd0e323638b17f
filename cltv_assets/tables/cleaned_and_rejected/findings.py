"""Checks that find a delivery that was read otherwise than it was meant.

Each looks at lines that were read without an error and asks whether they can be what the settings
say: an id that a spreadsheet mangled, a total that stands on every line of an order, a day that may
be a month. `cltv doctor` runs the same checks on a sample. Every message names the setting that mends it.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from functools import reduce

import ibis
import ibis.expr.types as ir

from cltv_assets.columns import MONEY
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.settings.timestamp_format import compile_format
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.sources.placeholders import NOBODY_WITH_WORDS, PLACEHOLDERS
from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.cleaned_and_rejected.columns import CLEANED_TRANSACTIONS
from cltv_assets.tables.cleaned_and_rejected.parsing import is_one_of
from cltv_assets.tables.margins import lines_of_odd_margins, measures_of_margins, odd_margins
from cltv_assets.tables.month_run import MonthRun

#: Fewer lines, orders or customers show no habit.
_FEW_LINES, _FEW_ORDERS, _FEW_CUSTOMERS, _FEW_DECIMALS = 30, 10, 20, 3
#: Ids beyond ASCII that are compared with each other.
_COMPARED = 10_000

_EXPONENT = r"^\d([.,]\d+)?[eE]\+?\d+$"

#: Reasons that say that a field could not be read, each with what to look at.
UNREADABLE = {
    "malformed_line": "source.delimiter, source.quoting and source.ragged",
    "missing_date": "source.columns.transacted_at",
    "invalid_date": "source.timestamp_format",
    "invalid_quantity": "source.columns.quantity and source.decimal_separator",
    "invalid_unit_price": "source.decimal_separator, currency and source.columns.unit_price",
    "invalid_amount": "source.decimal_separator, currency and source.columns.amount",
}
#: The column that each of them is about; a malformed line has none.
_COLUMNS = {
    **dict.fromkeys(("missing_date", "invalid_date"), "transacted_at"),
    **{f"invalid_{name}": name for name in ("quantity", "unit_price", "amount")},
}
#: Currencies with three decimals.
_THREE_DECIMALS = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")


def _customers(cleaned: ir.Table, run: MonthRun) -> ir.Table:
    """Return every customer with what they bought, and whether the id can be that of a single customer."""
    bought = cleaned.filter(cleaned.kind == "purchase")
    # Without amounts every line counts alike.
    value = bought.count() if run.settings.source.counted else bought.amount.sum()
    each = bought.group_by("customer_id").aggregate(value=value.cast("float64"))
    each = each.mutate(key=each.customer_id.lower())
    return each.mutate(
        mangled=each.customer_id.re_search(_EXPONENT),
        nobody=is_one_of(each.customer_id, PLACEHOLDERS) | each.key.re_search(NOBODY_WITH_WORDS),
        # Counting spellings is dear, and usually there is but one of each.
        respelled=(each.key != each.customer_id) | each.key.startswith("0"),
    )


def _of_customers(cleaned: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    each = _customers(cleaned, run)

    def those(condition: ir.BooleanValue) -> dict[str, ir.Scalar]:
        return {
            "ids": condition.cast("int64").sum(),
            "value": ibis.ifelse(condition, each.value, 0.0).sum(),
        }

    whole = each.aggregate(
        customers=each.count(),
        value=each.value.sum(),
        top=each.value.max(),
        **{f"mangled_{name}": one for name, one in those(each.mangled).items()},
        **{f"nobody_{name}": one for name, one in those(each.nobody).items()},
    )
    # All of them as soon as one could be another.
    alike = each.filter(each.respelled.cast("int64").sum().as_scalar() > 0)
    spelled = alike.aggregate(
        ids=alike.count(), spellings=alike.key.nunique(), zeros=alike.key.re_replace("^0+", "").nunique()
    )
    found = {name: table[name].as_scalar() for table in (whole, spelled) for name in table.columns}
    odd = each.filter(each.customer_id.re_search("[^\\x00-\\x7F]")).limit(_COMPARED)
    found["beyond_ascii"] = odd.customer_id.collect().as_scalar()
    return found | {"second": each.order_by(ibis.desc("value")).limit(2).value.min().as_scalar()}


def _lines_of_odd_customers(cleaned: ir.Table, run: MonthRun) -> ir.Table:
    """Return a line of some customers of each kind that `customer_ids` complains of."""
    each = _customers(cleaned, run)
    large = each.value > each.value.sum().as_scalar() * run.settings.checks.customer_share
    kinds = {"mangled": each.mangled, "nobody": each.nobody, "largest": large}
    named = [
        each.filter(condition).order_by("customer_id").limit(2).select("customer_id", finding=ibis.literal(kind))
        for kind, condition in kinds.items()
    ]
    lines = cleaned.inner_join(ibis.union(*named), "customer_id")
    first = ibis.window(group_by=["finding", "customer_id"], order_by=["source_file", "source_line"])
    lines = lines.mutate(nth=ibis.row_number().over(first)).filter(ibis._.nth == 0)
    places = lines.select("finding", "source_file", "source_line", text=lines.customer_id)
    return places.order_by(ibis.desc("finding"), "source_file", "source_line")


@check(
    "Customers are who their ids say: none is a placeholder, mangled, or spelled in several ways.",
    measures=_of_customers,
    examples=_lines_of_odd_customers,
    blocking=False,
    of_sample=True,
)
def customer_ids(values: Values, run: MonthRun) -> Verdict:
    """Warn about ids that cannot be those of single customers."""
    customers, value = values["customers"] or 0, values["value"] or 0.0
    share = (values["top"] or 0.0) / value if value else 0.0
    what = "lines" if run.settings.source.counted else "value"
    said = []
    if values["mangled_ids"]:
        said.append(
            f"{values['mangled_ids']:,} ids have exponents: a spreadsheet has shortened "
            "them, and different customers may be one now; export them again as text."
        )
    if values["nobody_ids"]:
        part = values["nobody_value"] / value if value else 0.0
        said.append(
            f"{values['nobody_ids']:,} ids look like nobody's ({part:.1%} of the {what}): "
            "name them in source.missing_values if they are no customers, or exclude such lines by "
            "source.where."
        )
    limit = run.settings.checks.customer_share
    if customers >= _FEW_CUSTOMERS and share > limit and values["top"] > 3 * values["second"]:
        said.append(
            f"One customer has {share:.0%} of the {what}, more than the {limit:.0%} of "
            "checks.customer_share and three times the next: see whether it is a customer, or a total; if it is none, "
            "name it in source.missing_values."
        )
    if _same_in_other_forms(values["beyond_ascii"] or ()):
        said.append(
            "Some ids may stand for others, with characters stored in another way or wide: set "
            "source.customer_id_folding: [trim, nfkc] if they are the same customers."
        )
    by_case, by_zero = values["ids"] - values["spellings"], values["spellings"] - values["zeros"]
    if by_case:
        said.append(
            f"{by_case:,} ids differ from others only in upper and lower case: set source.customer_id_folding: [trim, "
            "nfc, casefold] if they are the same customers."
        )
    if by_zero:
        said.append(
            f"{by_zero:,} ids differ from others only in zeros at the beginning: see whether an export has lost them."
        )
    facts = {"customers": customers, "largest_share": round(share, 4)}
    if said:
        return Verdict(False, " ".join(said), facts)
    return Verdict(True, f"{customers:,} customers; the largest has {share:.1%} of the {what}.", facts)


def _same_in_other_forms(ids: Sequence[str]) -> bool:
    """Return whether two ids are one in Unicode's compatible form, or one is there of plain characters."""
    plain = {unicodedata.normalize("NFKC", text) for text in ids}
    return len(plain) < len(set(ids)) or any(map(str.isascii, plain))


def _swaps(settings: Settings) -> bool:
    """Return whether a time format has day and month as numbers, so that they could be the other way round."""
    patterns = [compile_format(fmt) for fmt in settings.source.timestamp_format if fmt != "iso"]
    return any({"%m", "%d"} <= set(pattern.groups) and "%Y" not in list(pattern.groups)[:1] for pattern in patterns)


def _zone_is_open(settings: Settings) -> bool:
    return settings.time_zone != "UTC" and settings.source.time_zone is None


def _totals_repeat(settings: Settings) -> bool:
    return settings.source.amount_level == "line" and "amount" in settings.source.mapping


def _numbers(settings: Settings) -> list[str]:
    return [name for name in ("amount", "quantity", "unit_price") if name in settings.source.mapping]


def _other_mark(settings: Settings) -> str:
    """Return what stands between thousands by the settings, and may be what stands before decimals."""
    return "," if settings.source.decimal_separator == "." else "."


def _offsets(month: Month, zone: dt.tzinfo) -> list[int]:
    """Return the seconds by which a zone is ahead of UTC in a month, and those of the year around it."""
    noons = (dt.datetime.combine(month.shift(n).first_day, dt.time(12), zone) for n in range(12))
    return list(dict.fromkeys(int((noon.utcoffset() or dt.timedelta()).total_seconds()) for noon in noons))


def _of_readings(cleaned: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    settings = run.settings
    found: dict[str, ir.Scalar] = {"lines": cleaned.count(), "last_day": cleaned.purchase_day.day().max()}
    found |= measures_of_margins(cleaned, run)
    raw, numbers = run.inputs[RAW_TRANSACTIONS.name], _numbers(settings)
    group = _other_mark(settings)
    grouped = {name: raw[name].like(f"%{group}___") for name in numbers}
    texts = raw.aggregate(**{f"grouped_{name}": one.cast("int64").sum() for name, one in grouped.items()})
    found |= {name: texts[name].as_scalar() for name in texts.columns}
    if "amount" in settings.source.mapping:
        amount = cleaned.amount_delivered
        for name, unit in (("decimals", "1"), ("thousandths", "0.01"), ("finer", "0.001")):
            found[name] = (amount % ibis.literal(Decimal(unit), MONEY) != 0).cast("int64").sum()
    if _zone_is_open(settings):
        # Clocks change within months, and a sample has lines of the whole year: midnight is so by any of its offsets.
        seconds, *others = (
            (cleaned.transacted_at.epoch_seconds() + offset) % 86_400 for offset in _offsets(run.month, settings.zone)
        )
        timed = reduce(lambda told, other: told & (other > 0), others, seconds > 0)
        found["night"] = (timed & (seconds < 6 * 3600)).cast("int64").sum()
        found["timed"] = timed.cast("int64").sum()
        found["text"] = run.inputs[RAW_TRANSACTIONS.name].transacted_at.max().as_scalar()
    if _totals_repeat(settings):
        bought = cleaned.filter(cleaned.kind == "purchase")
        amount = bought.amount_delivered
        # Without a number, what a customer bought at one time is an order.
        numbered = "transaction_id" in settings.source.mapping
        orders = bought.group_by(["transaction_id"] if numbered else ["customer_id", "transacted_at"]).aggregate(
            lines=bought.count(), least=amount.min(), most=amount.max()
        )
        several = orders.filter((orders.lines > 1) & (orders.most > 0))
        whole = several.aggregate(
            several=several.count(),
            alike=(several.least == several.most).cast("int64").sum(),
            amounts=several.most.nunique(),
        )
        found |= {name: whole[name].as_scalar() for name in whole.columns}
    return found


@check(
    "Times, numbers and totals can be read in one way only.",
    measures=_of_readings,
    examples=lines_of_odd_margins,
    blocking=False,
    of_sample=True,
)
def read_as_meant(values: Values, run: MonthRun) -> Verdict:
    """Warn where the delivery could mean something else than the settings say."""
    settings, lines = run.settings, values["lines"]
    said = []
    if lines >= _FEW_LINES and _swaps(settings) and values["last_day"] <= 12:
        formats = " or ".join(settings.source.timestamp_format)
        said.append(
            f"No day is later than the 12th, so day and month may be the wrong way round in source.timestamp_format "
            f"'{formats}'."
        )
    decimals = values.get("decimals") or 0
    # Of thousands, one in ten ends in a zero. A few may be all that are so large in a shop without cents.
    share = 0.8 if decimals >= _FEW_LINES else 0.6
    three = decimals and values["thousandths"] > share * decimals
    other = _other_mark(settings)
    if decimals >= _FEW_DECIMALS and three and not values["finer"] and settings.currency not in _THREE_DECIMALS:
        said.append(
            f"Amounts with decimals have three ({values['thousandths']:,} of {decimals:,}): their separator may be "
            f"that of thousands; then set source.decimal_separator: '{other}'."
        )
    said += [
        f"Nearly all of source.columns.{name} have three digits behind a '{other}' and count as thousands: if these "
        f"are decimals, set source.decimal_separator: '{other}'."
        for name in _numbers(settings)
        if lines >= _FEW_LINES and (values[f"grouped_{name}"] or 0) > 0.8 * lines
    ]
    timed = values.get("timed") or 0
    zoned = re.search(r"(Z|UTC|[+-]\d{2}:?\d{2})\s*$", values.get("text") or "")
    if timed >= _FEW_LINES and not zoned and values["night"] > 0.15 * timed:
        said.append(
            f"{values['night'] / timed:.0%} of the sales are at night (0 to 6 h) in {settings.time_zone}: if the times "
            "are in UTC, set source.time_zone: UTC, because such lines stand on another day; if they are local, set "
            f"source.time_zone: {settings.time_zone}."
        )
    several = values.get("several") or 0
    if several >= _FEW_ORDERS and values["amounts"] > 1 and values["alike"] > 0.8 * several:
        said.append(
            f"In {values['alike']:,} of {several:,} orders with several lines all lines have the same amount: it may "
            "be the order's total, which then counts once for each line; set source.amount_level: order if it is"
            f"{'' if 'transaction_id' in settings.source.mapping else ', and source.columns.transaction_id'}."
        )
    said += odd_margins(values, run)
    if said:
        return Verdict(False, " ".join(said))
    return Verdict(True, f"Nothing in {lines:,} lines could be read in another way.")


def _estimate(text: ir.StringValue) -> ir.FloatingValue:
    """Guess what an amount is that cannot be read: its digits, with up to two after a last separator as decimals."""
    decimals = text.re_extract(r"[.,](\d{1,2})\D*$", 1)
    digits = text.re_replace(r"\D", "").substr(0, 15)
    number = ibis.ifelse(digits.length() > 0, digits, ibis.literal("0")).cast("float64")
    return number / ibis.cases((decimals.length() == 2, 100.0), (decimals.length() == 1, 10.0), else_=1.0)


def _of_lost(rejected: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    cleaned = run.inputs[CLEANED_TRANSACTIONS.name]
    readable = rejected.value.abs().cast("float64")
    guessed = ibis.ifelse(rejected.reason == "invalid_amount", _estimate(rejected.amount.fill_null("")), 0.0)
    value = ibis.coalesce(readable, guessed * float(run.settings.source.scale))
    found: dict[str, ir.Scalar] = {
        "raw": run.inputs[RAW_TRANSACTIONS.name].count().as_scalar(),
        "kept": cleaned.amount_delivered.abs().sum().cast("float64").as_scalar(),
    }
    unread, guest = rejected.reason.isin(tuple(UNREADABLE)), rejected.reason == "missing_customer"
    found |= {f"{reason}_lines": (rejected.reason == reason).cast("int64").sum() for reason in UNREADABLE}
    found["foreign_lines"] = (rejected.reason == "wrong_currency").cast("int64").sum()
    blank = rejected.filter(rejected.reason == "invalid_amount", rejected.amount.fill_null("").strip() == "")
    found["blank_lines"] = blank.count().as_scalar()
    found["blank_of_orders"] = blank.semi_join(cleaned, "transaction_id").count().as_scalar()
    for name, these in (("unread", unread), ("guest", guest)):
        found[f"{name}_lines"] = these.cast("int64").sum()
        found[f"{name}_value"] = ibis.ifelse(these, value, 0.0).sum()
    return found


def _remedy(values: Values, worst: str, settings: Settings) -> str:
    blank = values["blank_lines"] or 0
    if worst != "invalid_amount" or blank * 2 < (values["invalid_amount_lines"] or 0):
        return f"Look at {UNREADABLE[worst]}."
    # A refund may be of an order, too, and have its amount in another column.
    if (values["blank_of_orders"] or 0) * 2 > blank and settings.source.sign is None:
        return "The amount is empty there, and stands on another line of the order: set source.amount_level: order."
    return "The amount is empty there: leave such lines out by source.where, or see source.columns.amount."


def _unread(rejected: ir.Table, _run: MonthRun) -> ir.Table:
    lost = rejected.filter(rejected.reason.isin(tuple(UNREADABLE)))
    text = ibis.cases(
        (lost.reason == "malformed_line", lost.source_text),
        (lost.reason.isin(("missing_date", "invalid_date")), lost.transacted_at),
        (lost.reason == "invalid_quantity", lost.quantity),
        (lost.reason == "invalid_unit_price", lost.unit_price),
        else_=lost.amount,
    )
    column = ibis.cases(*((lost.reason == reason, name) for reason, name in _COLUMNS.items()), else_="whole line")
    return lost.select("reason", "source_file", "source_line", column=column, text=text.substr(0, 80)).order_by(
        "reason", "source_file", "source_line"
    )


@check(
    "Hardly any line is lost because a field cannot be read, in lines and in value.",
    measures=_of_lost,
    blocking=False,
    examples=_unread,
    of_sample=True,
)
def lost_value(values: Values, run: MonthRun) -> Verdict:
    """Warn when lines that cannot be read are many, or few with much money."""
    raw, unit = values["raw"], run.settings.currency
    lines = {reason: values[f"{reason}_lines"] or 0 for reason in UNREADABLE}
    worth = {name: values[f"{name}_value"] or 0.0 for name in ("unread", "guest")}
    whole = (values["kept"] or 0.0) + sum(worth.values())

    def shares(name: str) -> tuple[int, float, float]:
        count = values[f"{name}_lines"] or 0
        return count, count / raw if raw else 0.0, worth[name] / whole if whole else 0.0

    unread, of_lines, of_value = shares("unread")
    facts = {"unreadable": unread, "share_of_lines": round(of_lines, 4), "share_of_value": round(of_value, 4)}
    said = []
    limit = run.settings.checks.unreadable_share
    if max(of_lines, of_value) > limit:
        each = ", ".join(f"{reason} {lines[reason]:,}" for reason in UNREADABLE if lines[reason])
        worst = max(UNREADABLE, key=lambda reason: lines[reason])
        about = f"; about {of_value:.0%} of the value, {worth['unread']:,.2f} {unit}"
        if run.settings.source.counted:
            about = ""
        said.append(
            f"{unread:,} of {raw:,} lines cannot be read ({of_lines:.1%}{about}): {each}. "
            f"{_remedy(values, worst, run.settings)}"
        )
    guests, guest_lines, guest_value = shares("guest")
    if max(guest_lines, guest_value) > run.settings.checks.missing_customer_share:
        about = "" if run.settings.source.counted else f"; {guest_value:.0%} of the value"
        said.append(
            f"{guests:,} lines have no customer ({guest_lines:.1%}{about}): see whether "
            "another column names the customer too; source.columns.customer_id takes a list."
        )
    foreign = values["foreign_lines"] or 0
    if raw and foreign / raw > run.settings.checks.missing_customer_share:
        said.append(
            f"{foreign:,} of {raw:,} lines are not in {unit} ({foreign / raw:.1%}) and are rejected: map "
            f"source.columns.amount to a column in {unit}, if there is one, or convert them by source.query."
        )
    if said:
        return Verdict(False, " ".join(said), facts)
    text = f"{unread:,} of {raw:,} lines cannot be read" if unread else f"All {raw:,} lines can be read"
    return Verdict(True, f"{text}; {guests:,} have no customer.", facts)
