"""Looks at the columns of a delivery that no setting uses, for what would change the numbers if it were used.

A status, a refund beside the sale, or a debit flag that nobody mapped makes numbers wrong without any error.
So names and values of such columns are compared with what shop systems write.
"""

from __future__ import annotations

import operator
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow as pa

#: Names of columns that may hold a state or the kind of a line, and values of lines that are no sales; without accents.
_STATE = re.compile(
    r"status|state|stage|event|type|kind|cancel|void|belegart|zustand|\betat|estado|situa|stato|ステータス|状態|状态",
    re.I,
)
_NO_SALE = re.compile(
    r"cancel|storn|void|fail|refus|declin|expire|pending|on[-_ ]?hold|draft|test|abandon|unpaid|not paid|chargeback|"
    r"dispute|^(page_?)?view|viewed|cart|wish|click|search|reversal|payout|quote|angebot|abgebrochen|delet|incomplete|"
    r"awaiting|lost|prospect|negotiat|proposal|^open$|offen|ausstehend|entwurf|fehlgeschlagen|geloscht|annul|attente|"
    r"erreur|echou|brouillon|devis|pendient|pendent|aguarda|nao pag|no pagad|sin pagar|fallid|falh|rechaz|recusad|"
    r"borrador|rascunho|orcament|presupuest|in attesa|bozza|preventiv|mislukt|afwachting|キャンセル|入金待ち|支払待ち|"
    r"取消|待付款|失敗",
    re.I,
)
GIVEN_BACK = re.compile(
    r"return|refund|erstatt|rembours|reembols|devol|estorn|rimbors|terugbetaal|返品|返金|退款", re.I
)
#: Columns of the kind of a line, and kinds that give money back or are no goods.
_KIND = re.compile(r"type|kind|event|belegart|\baction", re.I)
_BACK = re.compile(rf"{GIVEN_BACK.pattern}|chargeback|reversal|credit[ _]?(note|memo)|gutschrift|^avoir", re.I)
_NO_GOODS = re.compile(
    r"shipping|versand|gift.?(card|certificate)|\bfees?\b|\btips?\b|\btax(es)?\b|transfer|withdraw", re.I
)
REFUND = re.compile(rf"{GIVEN_BACK.pattern}|credit[ _]?(note|memo)|gutschrift", re.I)
_CURRENCY = re.compile(r"currency|w(ä|ae?)hrung|devise|moneda|moeda", re.I)
_CANCELLED_AT = re.compile(r"(cancel|void|storn).*(at|on|date|time|datum)$", re.I)
#: Names of amounts that go out.
_DEBIT = re.compile(r"debit|soll\b|belastung|paid[ _]?out|money[ _]?out|ausgang", re.I)
#: Names of columns of yes and no, of lines that do not count if they say yes, or if they say no.
_NOT_IF = re.compile(r"cancel|void|storn|annul|test(?!ed)|draft|delet|fraud|refunded|returned", re.I)
_ONLY_IF = re.compile(r"^(is[ _]?)?(paid|captured|bezahlt|livemode|success(ful)?)$", re.I)
_YES = {"true", "yes", "y", "t", "1", "1.0", "ja", "wahr", "oui", "vrai", "si", "sim", "verdadero", "x"}
_NO = {"false", "no", "n", "f", "0", "0.0", "nein", "falsch", "non", "faux", "nao", "falso"}
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
#: What spreadsheets show for nothing.
_DASHES = {"-", "\u2013", "\u2014"}
_NUMBER = re.compile(r"^[^\w(-]*[\d.,' ]*\d[^\w)]*$")


def unused_columns(
    columns: Mapping[str, pa.Array], currency: str, refunds: bool, amount: pa.Array | None = None
) -> list[str]:
    """Return a sentence for each column that would change the numbers if it were used.

    Parameters
    ----------
    columns : mapping of str to pyarrow.Array
        Text of a sample of lines, of the columns that no setting uses.
    currency : str
        The shop's currency.
    refunds : bool
        Whether the settings say what was given back; then an order with refunds is a sale all the same.
    amount : pyarrow.Array, optional
        Text of the amounts of the same lines.
    """
    said = []
    without = [] if amount is None else [not (text and text.strip()) for text in amount.to_pylist()]
    refunds = refunds or any(map(REFUND.search, map(without_accents, columns)))
    for name, texts in columns.items():
        fields = [text.strip() if text else "" for text in texts.to_pylist()]
        values = Counter(text for text in fields if text and text not in _DASHES)
        # Debit and credit in two columns: one is filled where the other is empty.
        beside = bool(without) and _DEBIT.search(name) and all(map(operator.ge, without, map(bool, fields)))
        if values and (sentence := _sentence(name, values, len(texts), currency, refunds, bool(beside))):
            said.append(sentence)
    return said


def without_accents(text: str) -> str:
    """Return a text without accents, so that words are found in any spelling."""
    return "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))


def _sentence(name: str, values: Counter[str], lines: int, currency: str, refunds: bool, beside: bool) -> str | None:
    bare = without_accents(name)
    flags = {value.lower() for value in values}
    unless = "; if not, name it in source.not_needed."
    holds = f"The column '{name}' holds {_listed(values)}"
    if refund := next((refund for known, refund in _FLAGS if flags == known), None):
        written = [value for value in values if value.lower() == refund]
        return f"{holds}: if it marks refunds, set source.sign: {{column: {name}, refund: {written}}}{unless}"
    if {without_accents(value) for value in flags} <= _YES | _NO:
        wrong = _YES if _NOT_IF.search(bare) else _NO if _ONLY_IF.search(bare) else set[str]()
        if odd := [value for value in values if without_accents(value.lower()) in wrong]:
            return f"{holds}: if {_quoted(odd)} marks no sales, set source.where: {{{name}: {{not: {odd}}}}}{unless}"
    if _CANCELLED_AT.search(name) and sum(values.values()) < lines:
        return (
            f"The column '{name}' is filled in {sum(values.values()):,} of {lines:,} lines: if these are cancelled, "
            f"set source.where: {{{name}: {{empty: true}}}}{unless}"
        )
    if _STATE.search(bare) and len(values) <= _STATES:
        bares = {value: without_accents(value) for value in values}
        if _KIND.search(bare):
            back = [value for value in values if _BACK.search(bares[value])]
            odd = [v for v in values if v not in back and (_NO_SALE.search(bares[v]) or _NO_GOODS.search(bares[v]))]
            mend = [f"source.sign: {{column: {name}, refund: {back}}}"] if back else []
            mend += [f"source.where: {{{name}: {{not: {odd}}}}}"] if odd else []
            meant = [f"{_quoted(back)} look like refunds"] if back else []
            meant += [f"{_quoted(odd)} like no sales of goods"] if odd else []
            return f"{holds}: {' and '.join(meant)}. Set {' and '.join(mend)}{unless}" if mend else None
        if odd := [v for v in values if _NO_SALE.search(bares[v]) or (not refunds and GIVEN_BACK.search(bares[v]))]:
            good = [value for value in values if value not in odd]
            return (
                f"{holds}: {_quoted(odd)} look like no sales. Set "
                f"source.columns.status: {name} and source.count_status to what counts, such as {good}; if all count, "
                "name the column in source.not_needed."
            )
        return None
    if (beside or REFUND.search(bare)) and all(map(_NUMBER.match, values)):
        filled = sum(count for value, count in values.items() if _POSITIVE.search(value))
        if filled:
            return (
                f"The column '{name}' has an amount in {filled:,} of {lines:,} lines: if it is money that was given "
                f"back, set source.columns.refund_amount: {name}{unless}"
            )
    if _CURRENCY.search(name):
        others = [value for value in values if value.upper() != currency]
        if others and len(values) <= _STATES:
            return (
                f"{holds}, not only {currency}: set source.columns.currency: "
                f"{name}, which rejects other currencies; or name it in source.not_needed."
            )
    return None


def _listed(values: Counter[str]) -> str:
    shown = ", ".join(f"{value} {count:,}" for value, count in values.most_common(_SHOWN))
    return f"{shown} and {len(values) - _SHOWN} more" if len(values) > _SHOWN else shown


def _quoted(values: Sequence[str]) -> str:
    return ", ".join(f"'{value}'" for value in values[:_SHOWN])
