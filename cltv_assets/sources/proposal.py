"""Proposes a configuration for files that nobody has described yet; ``cltv init`` writes it.

Names and words that shop systems use stand in tables; what a table does not know becomes a question.
"""

from __future__ import annotations

import collections
import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cltv_assets.errors import SourceError
from cltv_assets.months import Month
from cltv_assets.settings.source import TABLE_KINDS
from cltv_assets.sources.placeholders import PLACEHOLDERS
from cltv_assets.sources.proposing import formats_together, time_read
from cltv_assets.sources.proposing_attributes import TELLING, in_flow, lines_of_others
from cltv_assets.sources.sampling import Sample, files_at, sample_of, sampled
from cltv_assets.sources.tables import MonthsOfTable
from cltv_assets.sources.unused import REFUND, without_accents

#: Names by preference, without blanks and punctuation: English, German, French, Spanish and Portuguese.
_NAMES = {
    "transaction_id": "ordernumber orderid amazonorderid transactionid invoiceid invoiceno invoice usersession "
    "rechnung rechnungsnr rechnungsnummer belegnr belegnummer bestellnr bestellnummer auftragsnummer commande pedido "
    "numeropedido receiptnumber incrementid name id",
    "customer_id": "email billingemail buyeremail customerid customeremail customer userid visitorid clientid "
    "customercode customernumber fromemailaddress kundennr kundennummer kunde kundenid client idclient cliente "
    "idcliente",
    "transacted_at": "createdat createddateutc purchasedate orderedat orderdate eventtime timestamp ts "
    "datetime belegdatum bestelldatum datum fecha data date",
    "quantity": "lineitemquantity quantity qty quantityordered qtyordered menge anzahl quantité quantite cantidad "
    "quantidade",
    "unit_price": "lineitemprice unitprice priceperunit priceeach einzelpreis stückpreis prixunitaire preciounitario "
    "precounitario preçounitário",
    "amount": "itemtotal itemprice netsales nettowert amount betrag umsatz montant importe valor value price preis "
    "gross ordertotal basegrandtotal grandtotal subtotal total ordercents cents",
    "status": "financialstatus orderstatus status",
    "refund_amount": "refundedamount amountrefunded refundedtotal basetotalrefunded totalrefunded",
    "currency": "currency currencycode waehrung währung devise moneda moeda",
}
#: Words in names, without accents, for what the table above does not know; each such column is a question.
_WORDS = {
    "transaction_id": r"(order|invoice|receipt|payment|opportunity|bestell|auftrag|beleg|rechnung|pedido|commande).*"
    r"(id|no|nr|num|number|nummer|ref)\W*$|^(no|numero|short)\b.*(pedido|order)|^\W*(order|receipt|bestellung|auftrag)$|"
    r"^ecommerce\.transaction_id$|注文番号",
    "customer_id": r"e-?mail|customer|client|buyer|member\b|shopper|user|account name|contactname|kunde|cpf|会員",
    "amount": r"total|amount|betrag|umsatz|montant|valor|importe|\bnet\b|price|revenue|gross credit|\bamt|金額",
    "status": r"status|stage|\betat|estado|stato|situacao|ステータス",
    "refund_amount": r"refund|reembols|rembours|erstatt",
    "currency": r"currency|wahrung|devise|moneda|moeda|\bwkz",
}
#: Words of columns that say where a customer is or of which kind, and not who it is.
_OF_CUSTOMERS = (
    rf"{TELLING.pattern}|city|stadt|\bort\b|\bville\b|ciudad|cidade|zip|post(al|code)|\bplz|street|stra(ss|ß)e|address$|"
    r"adresse|phone|telefon|type|\btyp$|group|gruppe|segment|status|language|sprache|currency|note"
)
#: Words of amounts that are not what was paid for goods.
_OTHER_MONEY = (
    r"refund|reembols|rembours|erstatt|tax|ship|tip|fee|discount|frete|livraison|versand|envio|rate|quantity|qty|"
    r"debit|vat|paid"
)
#: What a line left the shop, by words in names of columns. Each may as well be what the customer paid.
_MARGINS = (
    ("margin", r"margin|marge\b|margen|gross ?profit|rohertrag|deckungsbeitrag"),
    ("unit_cost", r"unit ?cost|cost ?price|cost per|einkaufspreis|\bek\b"),
    ("cost", r"\bcogs\b|\bcosts?\b|wareneinsatz|\bco[uû]t\b|\bcosto\b|\bcusto\b"),
)
_NOT_OF_GOODS = r"ship|versand|freight|deliver|envio|frete|livraison|rate|%|percent"
#: Amounts that stand for a whole order.
_OF_ORDER = {"ordertotal", "basegrandtotal", "grandtotal", "subtotal", "total"}
#: Amounts that are those of one piece where there are quantities, too.
_PRICES = {"price", "preis", "prix", "precio", "preco", "preço"}
_COUNTED = {
    "paid", "completed", "complete", "shipped", "delivered", "processing", "closed", "refunded", "partially_refunded",
    "partially refunded", "partial refund", "closed won", "bezahlt", "versendet", "abgeschlossen", "concluído",
    "paiement accepté", "livré", "expédié", "completado", "enviado", "captured", "settled", "succeeded", "発送済み",
}  # fmt: skip
_CHANGED_AT = {"updatedat", "modifiedat", "changedat", "lastmodified", "lastupdated", "updated", "modified"}
#: A month whose last days have no line may still be whole.
_QUIET = dt.timedelta(days=3)
_CLOCKS = {"time", "uhrzeit", "zeit", "heure", "hora"}
_EVENTS = {"purchase", "transaction", "order", "sale"}
_EVENT_COLUMNS = {"eventtype", "event", "eventname"}
_CREDITS = {"H", "C", "CR", "credit", "Haben"}
_SIGN_COLUMNS = {"sh", "sollhaben", "debitcredit", "drcr"}
_SIGNS = {"€": "EUR", "£": "GBP", "R$": "BRL", "₹": "INR", "¥": "JPY", "\uffe5": "JPY", "zł": "PLN"}
_CODES = {*_SIGNS.values(), "USD", "CHF", "CAD", "AUD", "NZD", "SEK", "NOK", "DKK", "CZK", "HUF", "MXN", "ZAR"}


def propose(path: str) -> str:
    """Return the text of a commented configuration for a file, a folder or a glob.

    Raises
    ------
    SourceError
        If there is no file, or no column can be told.
    """
    files = files_at(path)
    samples = [sampled(file) for file in files]
    first = samples[0]
    if any(sample.kind != first.kind for sample in samples):
        raise SourceError(f"{path} holds files of several kinds.", "Name those of one kind with a glob.")
    repeated = _repeated([sample.rows for sample in samples])
    first.rows = [row for sample in samples for row in sample.rows]
    if repeated:
        note = f"? {repeated:,} lines stand in several files too"
        first.options.append(("duplicates", "drop_across_files", note))
    if not first.rows:
        raise SourceError(f"{path} holds no lines.", "Name a file with transactions.")
    endings = {file.suffix for file in files}
    if Path(path).is_dir() and first.kind == "csv" and len(endings) == 1 and not endings & {".csv", ".gz", ".zip"}:
        path = f"{path.rstrip('/')}/*{endings.pop()}"
    place = [
        ("kind", first.kind, "by the ending of the name"),
        ("path", path, "1 file" if len(files) == 1 else f"{len(files):,} files"),
    ]
    return _written(place, first)


def propose_for_table(table: MonthsOfTable, place: Mapping[str, str]) -> str:
    """Return the text of a commented configuration for a table; ``place`` has the settings that name it.

    Raises
    ------
    SourceError
        If it cannot be read, or has no rows.
    """
    sample = sample_of(table, place["kind"])
    if not sample.rows:
        raise SourceError("The table has no rows.", "Name a table with transactions.")
    if time := _chosen(sample).get("transacted_at"):
        sample.ends = table.ends(time)
    notes = {"kind": f"{len(sample.rows):,} rows looked at"}
    return _written([(name, value, notes.get(name, "as given")) for name, value in place.items()], sample)


def _repeated(files: Sequence[list[dict[str, str]]]) -> int:
    """Return how many lines stand in an earlier file already."""
    seen, count = set[tuple[str, ...]](), 0
    for rows in files:
        lines = [tuple(row.values()) for row in rows]
        count += sum(line in seen for line in lines)
        seen |= set(lines)
    return count


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())


def _chosen(sample: Sample) -> dict[str, str]:
    """Return canonical name to the column that has the first known name and holds something."""
    chosen: dict[str, str] = {}
    filled = {name: len(sample.values(name)) for name in sample.names}
    usual = {_plain(name): name for name in sample.names if filled[name] * 2 >= len(sample.rows)}
    rare = {_plain(name): name for name in sample.names if filled[name]}
    for canonical, known in _NAMES.items():
        # Of several columns that could name the customer the fullest counts, see below.
        places = (usual,) if canonical == "customer_id" else (usual, rare)
        name = next((there[word] for there in places for word in known.split() if word in there), None)
        if name is not None and name not in chosen.values():
            chosen[canonical] = name
    for canonical, words in _WORDS.items():
        if canonical not in chosen and (name := _by_words(sample, canonical, words, {*chosen.values()})):
            chosen[canonical] = name
    refund = chosen.get("refund_amount", "")
    negative = any(re.search(r"^\D*[-(]|-\s*$", text) for text in sample.values(chosen.get("amount", "")))
    if negative and _plain(refund) not in _NAMES["refund_amount"].split():
        # Refunds are lines already.
        chosen.pop("refund_amount", None)
    total = rare.get("total") or rare.get("ordertotal")
    if total and ("unit_price" in chosen or _plain(chosen.get("amount", "")) == "itemtotal"):
        # Prices of lines may be those before a discount of the order.
        chosen.pop("unit_price", None)
        chosen.pop("quantity", None)
        chosen["amount"] = total
    _one_way_to_amounts(chosen)
    if "transacted_at" not in chosen:
        dated = (name for name in sample.names if (texts := sample.dates(name)) and formats_together(texts[:50]))
        if name := next(dated, None):
            chosen["transacted_at"] = name
    if sample.kind in TABLE_KINDS:
        # Months of a table are told apart by one column.
        return chosen
    day = chosen.get("transacted_at", "")
    clock = next((name for name in sample.names if _plain(name) in _CLOCKS and name != day), None)
    if day and clock and ":" in "".join(sample.values(clock)[:1]) and ":" not in "".join(sample.values(day)[:1]):
        chosen["transacted_at"] = sample.join(day, clock)
    return chosen


def _one_way_to_amounts(chosen: dict[str, str]) -> None:
    """Leave either a line's amount, or its quantity and the price of one."""
    amount = _plain(chosen.get("amount", ""))
    if "quantity" in chosen and "unit_price" not in chosen and amount in _PRICES:
        chosen["unit_price"] = chosen.pop("amount")
    elif {"quantity", "unit_price"} <= set(chosen) and (not amount or amount in _OF_ORDER or "order" in amount):
        chosen.pop("amount", None)
    else:
        chosen.pop("quantity", None)
        price = chosen.pop("unit_price", None)
        if price is not None:
            chosen.setdefault("amount", price)


def _by_words(sample: Sample, canonical: str, words: str, taken: set[str]) -> str | None:
    """Return the fullest column whose name has one of the words, and that holds what could be meant."""
    found: list[tuple[tuple[int, bool], str]] = []
    for name in sample.names:
        spelled = without_accents(name.replace("_", " "))
        texts = sample.values(name)
        if name in taken or not texts or not re.search(words, spelled, re.I):
            continue
        if formats_together(texts[:50]) not in ([], ["excel_serial"]):
            continue
        numbers = all(re.search(r"\d", text) and not re.search(r"[^\W\d]{4}", text) for text in texts if text != "-")
        if canonical in ("amount", "refund_amount") and not numbers:
            continue
        if (
            canonical == "customer_id"
            and re.search(_OF_CUSTOMERS, spelled, re.I)
            and not re.search("e-?mail", spelled, re.I)
        ):
            continue
        if canonical == "refund_amount" and not any(re.search("[1-9]", text) for text in texts):
            continue
        if canonical == "amount" and re.search(_OTHER_MONEY, re.sub(r"\(.*\)", "", spelled), re.I):
            continue
        if canonical == "currency" and not all(re.fullmatch(r"[A-Za-z]{3}", text) for text in texts):
            continue
        found.append(((len(texts), "price" not in spelled.lower()), name))
    return max(found, key=lambda one: one[0])[1] if found else None


def _differs_within(sample: Sample, chosen: Mapping[str, str]) -> bool:
    """Return whether lines of an order have different amounts, as those have that are of the line."""
    known: dict[str, str] = {}
    for row in sample.rows:
        order, amount = (row.get(chosen.get(name, ""), "").strip() for name in ("transaction_id", "amount"))
        if order and amount and known.setdefault(order, amount) != amount:
            return True
    return False


def _written(place: Sequence[tuple[str, str, str]], sample: Sample) -> str:
    lines = ["# Proposed by cltv init. A comment that begins with ? is a question: nobody can know from the files."]
    chosen = _chosen(sample)

    def put(setting: str, value: Any, note: str, indent: int = 2) -> None:
        lines.append(f"{' ' * indent}{setting}: {in_flow(value)}  # {note}")

    lines.append("source:")
    for option in (*place, *sample.options):
        put(*option)
    codes = collections.Counter(text.upper() for text in sample.values(chosen.get("currency", "")))
    gaps = 0 < codes.total() < len(sample.rows)
    lines.append("  columns:")
    for canonical, name in chosen.items():
        if canonical == "currency" and len(codes) == 1 and gaps:
            continue
        if canonical == "status" and not _COUNTED & {text.casefold() for text in sample.values(name)}:
            continue
        note = f"{len(sample.values(name)):,} of {len(sample.rows):,} lines filled"
        note = note if _plain(name) in _NAMES[canonical].split() else f"? by its name or values; {note}"
        shown: Any = sample.joined.get(name, name)
        mails = [other for other in sample.names if "mail" in _plain(other) and other != name and sample.values(other)]
        if canonical == "customer_id" and mails and len(sample.values(name)) < len(sample.rows):
            shown, note = [name, mails[0]], f"{note}; the e-mail where it is empty"
        put(canonical, shown, note, 4)
    lacking = [name for name in ("customer_id", "transacted_at") if name not in chosen]
    lacking += [] if chosen.keys() & {"amount", "unit_price"} else ["amount"]
    lines += [f"    # {canonical}:  # ? which of {', '.join(sample.names)}" for canonical in lacking]
    if "amount" in lacking:
        lines.append("  # amounts: none  # ? if no column says what a line is worth, as of visits: money stays unknown")
    if found := _margin(sample, chosen):
        lines.append(f"    # {found[0]}: {found[1]}  # ? if it says what you earn, customers have margins of their own")
    mapped = [name for shown in chosen.values() for name in sample.joined.get(shown, [shown])]
    attributes, others = lines_of_others(sample, mapped, chosen.get("customer_id", ""))
    lines += attributes
    months = _put_times(put, sample, chosen)
    changed = next((name for name in sample.names if _plain(name) in _CHANGED_AT and sample.values(name)), None)
    if changed and sample.kind in TABLE_KINDS:
        put("changed_at", changed, "? when a row was last changed: so that a change is seen")
    lines += others
    if "utc" in _plain(chosen.get("transacted_at", "")):
        put("time_zone", "UTC", "by the name of the column; days are those of the shop")
    _put_lines_that_count(put, sample, chosen)
    lines.append("")
    if not codes:
        signs = "".join(sample.values(chosen.get("amount") or chosen.get("unit_price", ""))[:50])
        codes.update({code for sign, code in _SIGNS.items() if sign in signs})
        codes.update({code for code in _CODES if code in signs or code in re.findall(r"\w+", chosen.get("amount", ""))})
    if len(codes) == 1:
        put("currency", next(iter(codes)), "all lines that name one", 0)
    elif codes:
        put("currency", codes.most_common(1)[0][0], f"? which of {_counts(codes)}; lines in others are rejected", 0)
    else:
        lines.append("# currency: EUR  # ? the files do not say")
    lines.append("# time_zone: Europe/Berlin  # ? of the shop; also of times that have no offset")
    for setting, month, note in months:
        put(setting, month, note, 0)
    return "\n".join(lines) + "\n"


def _margin(sample: Sample, chosen: Mapping[str, str]) -> tuple[str, str] | None:
    """Return a column of numbers that may say what a line cost or left, under the name that it would have."""
    for canonical, words in _MARGINS:
        for name in sample.names:
            spelled, texts = name.replace("_", " "), sample.values(name)
            fits = re.search(words, spelled, re.I) and not re.search(_NOT_OF_GOODS, spelled, re.I)
            if fits and texts and name not in chosen.values() and all(re.search(r"\d", text) for text in texts):
                return canonical, name
    return None


def _counts(values: collections.Counter[str]) -> str:
    return ", ".join(f"{text} {count:,}" for text, count in values.most_common(12))


Put = Callable[..., None]


def _put_times(put: Put, sample: Sample, chosen: dict[str, str]) -> list[tuple[str, str, str]]:
    """Write what is known of times; return the settings of the first and last month."""
    texts = sample.dates(chosen.get("transacted_at", ""))
    formats = formats_together(texts)
    if not formats:
        return []
    if formats != ["iso"]:
        swapped = [fmt.translate(str.maketrans("dm", "md")) for fmt in formats]
        unsure = any("%d" in fmt and "%m" in fmt for fmt in formats) and all(
            any(time_read(fmt, text) for fmt in swapped) for text in texts
        )
        note = "? day or month first: both read all values" if unsure else f"{len(texts):,} of {len(texts):,} read"
        put("timestamp_format", formats[0] if len(formats) == 1 else formats, note)
    read = ((time_read(fmt, text) for fmt in formats) for text in dict.fromkeys([*texts, *sample.ends]))
    times = [next(filter(None, found), None) for found in read]
    latest = dt.datetime.now() + dt.timedelta(days=1)
    days = [time.date() for time in times if time and time <= latest]
    if not days:
        return []
    first, last, note = Month.of(min(days)), Month.of(max(days)), "last that was read"
    if last.last_day - max(days) > _QUIET:
        # In the rest of the month customers would seem to stay away.
        note = f"? lines end on {max(days)}: {last.shift(-1)}, if the rest of the month is lacking"
    return [
        ("start_month", first.key, "first that was read"),
        ("end_month", last.key, f"{note}; remove it where deliveries go on"),
    ]


def _put_lines_that_count(put: Put, sample: Sample, chosen: dict[str, str]) -> None:
    amounts = sample.values(chosen.get("amount") or chosen.get("unit_price", ""))
    commas = sum(re.search(r",\d{1,2}\D*$", text) is not None for text in amounts)
    if commas > len(amounts) / 2:
        put("decimal_separator", ",", f"{commas:,} of {len(amounts):,} amounts end like that")
    if _plain(chosen.get("amount", "")).endswith("cents"):
        put("scale", 0.01, "cents, by the name of the column")
    orders = sample.values(chosen.get("transaction_id", ""))
    several = len(set(orders)) < len(orders)
    # One amount for each order, and lines without any.
    once = len(amounts) < len(orders) and len(amounts) <= len(set(orders))
    named_so = _plain(chosen.get("amount", "")) in _OF_ORDER and not _differs_within(sample, chosen)
    if several and "amount" in chosen and (once or named_so):
        put(
            "amount_level",
            "order",
            f"? {chosen['amount']} is that of an order; is shipping to count? Else take a subtotal",
        )
    elif several and "refund_amount" in chosen:
        put("refund_level", "order", "orders have several lines")
    if status := chosen.get("status"):
        counts = collections.Counter(sample.values(status))
        counted = [text for text in counts if text.casefold() in _COUNTED or REFUND.search(without_accents(text))]
        if counted:
            put("count_status", counted, f"? which of {_counts(counts)}")
            if several and len(sample.values(status)) < len(sample.rows) and sample.kind not in TABLE_KINDS:
                put("fill_down", [status], "filled on the first line of an order only")
    for name in sample.names:
        values = collections.Counter(sample.values(name))
        if _plain(name) in _EVENT_COLUMNS and (events := [text for text in values if text.casefold() in _EVENTS]):
            put("where", {name: events}, f"? of {_counts(values)}")
        if _plain(name) in _SIGN_COLUMNS and (refunds := [text for text in values if text in _CREDITS]):
            put("sign", {"column": name, "refund": refunds}, f"? of {', '.join(values)}")
    customers: Sequence[str] = sample.values(chosen.get("customer_id", ""))
    if nobody := sorted({text for text in customers if text.casefold() in PLACEHOLDERS}):
        put("missing_values", nobody, f"? no customers: {sum(text in nobody for text in customers):,} lines")
    if customers and sum("@" in text for text in customers) > len(customers) / 2:
        put("customer_id_folding", ["trim", "nfc", "casefold"], "e-mails: upper and lower case are one customer")
