"""Looks at the columns of a delivery that no setting uses, for what would change the numbers if it were used.

A status, a refund beside the sale, or a debit flag that nobody mapped makes numbers wrong without any error.
So names and values of such columns are compared with what shop systems write.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow as pa

#: Names of columns that may hold a state, and values of lines that are no sales.
_STATE = re.compile(r"status|state$|event|type|cancel|void|belegart|zustand", re.I)
_NO_SALE = re.compile(
    r"cancel|storn|void|fail|refus|declin|expire|pending|on[-_ ]?hold|draft|test|abandon|unpaid|chargeback|dispute|"
    r"^view$|page_?view|cart|wish|click|search|reversal|payout|quote|angebot|abgebrochen",
    re.I,
)
_GIVEN_BACK = re.compile(r"return|refund|erstatt", re.I)
_REFUND = re.compile(r"refund|returned|credit|erstatt|gutschrift|rembours", re.I)
_CURRENCY = re.compile(r"currency|w(ä|ae?)hrung|devise|moneda", re.I)
_CANCELLED_AT = re.compile(r"(cancel|void|storn).*(at|on|date|time|datum)$", re.I)
#: Flags for money that comes and money that goes, and those of the latter.
_FLAGS = (
    ({"s", "h"}, "h"), ({"d", "c"}, "c"), ({"dr", "cr"}, "cr"), ({"debit", "credit"}, "credit"), ({"+", "-"}, "-"),
    ({"sale", "return"}, "return"), ({"sale", "refund"}, "refund"), ({"payment", "refund"}, "refund"),
    ({"soll", "haben"}, "haben"), ({"invoice", "credit memo"}, "credit memo"),
    ({"invoice", "credit note"}, "credit note"),
)  # fmt: skip
#: More values are no states.
_STATES = 25
_SHOWN = 4
_POSITIVE = re.compile(r"[1-9]")
_NUMBER = re.compile(r"^[^\w(-]*[\d.,' ]*\d[^\w)]*$")


def unused_columns(columns: Mapping[str, pa.Array], currency: str, refunds: bool) -> list[str]:
    """Return a sentence for each column that would change the numbers if it were used.

    Parameters
    ----------
    columns : mapping of str to pyarrow.Array
        Text of a sample of lines, of the columns that no setting uses.
    currency : str
        The shop's currency.
    refunds : bool
        Whether the settings say what was given back; then an order with refunds is a sale all the same.
    """
    said = []
    refunds = refunds or any(map(_REFUND.search, columns))
    for name, texts in columns.items():
        values = Counter(text.strip() for text in texts.to_pylist() if text and text.strip())
        if values and (sentence := _sentence(name, values, len(texts), currency, refunds)):
            said.append(sentence)
    return said


def _sentence(name: str, values: Counter[str], lines: int, currency: str, refunds: bool) -> str | None:
    flags = {value.lower() for value in values}
    if refund := next((refund for known, refund in _FLAGS if flags == known), None):
        written = [value for value in values if value.lower() == refund]
        return (
            f"The column '{name}' holds {_listed(values)}: if it marks refunds, set source.sign: {{column: {name}, "
            f"refund: {written}}}; if not, name it in source.not_needed."
        )
    if _CANCELLED_AT.search(name) and sum(values.values()) < lines:
        return (
            f"The column '{name}' is filled in {sum(values.values()):,} of {lines:,} lines: if these are cancelled, "
            f"set source.where: {{{name}: {{empty: true}}}}; if not, name it in source.not_needed."
        )
    if _STATE.search(name) and len(values) <= _STATES:
        if odd := [value for value in values if _NO_SALE.search(value) or (not refunds and _GIVEN_BACK.search(value))]:
            good = [value for value in values if value not in odd]
            return (
                f"The column '{name}' holds {_listed(values)}: {_quoted(odd)} look like no sales. Set "
                f"source.columns.status: {name} and source.count_status to what counts, such as {good}; if all count, "
                "name the column in source.not_needed."
            )
        return None
    if _REFUND.search(name) and all(map(_NUMBER.match, values)):
        filled = sum(count for value, count in values.items() if _POSITIVE.search(value))
        if filled:
            return (
                f"The column '{name}' has an amount in {filled:,} of {lines:,} lines: if it is money that was given "
                f"back, set source.columns.refund_amount: {name}; if not, name it in source.not_needed."
            )
    if _CURRENCY.search(name):
        others = [value for value in values if value.upper() != currency]
        if others and len(values) <= _STATES:
            return (
                f"The column '{name}' holds {_listed(values)}, not only {currency}: set source.columns.currency: "
                f"{name}, which rejects other currencies; or name it in source.not_needed."
            )
    return None


def _listed(values: Counter[str]) -> str:
    shown = ", ".join(f"{value} {count:,}" for value, count in values.most_common(_SHOWN))
    return f"{shown} and {len(values) - _SHOWN} more" if len(values) > _SHOWN else shown


def _quoted(values: Sequence[str]) -> str:
    return ", ".join(f"'{value}'" for value in values[:_SHOWN])
