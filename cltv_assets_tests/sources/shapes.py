"""Files in the shapes that shop systems export, made of one log of orders, and what the log comes to."""

from __future__ import annotations

import csv
import datetime as dt
import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

BERLIN, NEW_YORK, ANGELES = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("America/Los_Angeles")


@dataclass(frozen=True)
class Order:
    """One order: wall-clock time in the shop, cents of each item, whether it failed, cents given back."""

    number: int
    customer: int
    at: dt.datetime
    items: tuple[int, ...]
    failed: bool
    back: int

    @property
    def total(self) -> int:
        """All items, in cents."""
        return sum(self.items)

    @property
    def mail(self) -> str:
        """The customer's address, as typed this time."""
        return f"customer{self.customer:03}@example.com".replace("c", "C", self.number % 2)


@dataclass(frozen=True)
class Figures:
    """What a source should come to."""

    customers: int
    orders: int
    purchases: Decimal
    refunds: Decimal
    days: int


def orders() -> list[Order]:
    """Draw 60 orders of three months; some fail, some are given back in part or whole."""
    rng = random.Random(3)
    found = []
    for number in range(1001, 1061):
        at = dt.datetime(2024, 1, 1, 9) + dt.timedelta(days=rng.randrange(90), minutes=rng.randrange(12 * 60))
        items = tuple(rng.choice((1250, 999, 123450, 4900)) + rng.randrange(50) for _ in range(rng.choice((1, 2, 3))))
        failed = rng.random() < 0.15
        back = 0 if failed else rng.choice((0, 0, 0, 0, 250, sum(items)))
        found.append(Order(number, rng.randrange(20), at, items, failed, back))
    return found


def figures(log: list[Order]) -> Figures:
    """Return what a log comes to, counted here."""
    good = [order for order in log if not order.failed]
    return Figures(
        len({order.customer for order in good}),
        len(good),
        money(sum(order.total for order in good)),
        money(sum(order.back for order in good)),
        len({(order.customer, order.at.date()) for order in good}),
    )


def money(cents: int) -> Decimal:
    """Return cents as an amount."""
    return Decimal(cents) / 100


def _write(
    path: Path, header: str, rows: Iterator[list[object]], delimiter: str = ",", encoding: str = "utf-8"
) -> None:
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(header.split("|"))
        writer.writerows(rows)


def _state(order: Order, failed: str, good: str, part: str, whole: str) -> str:
    if order.failed:
        return failed
    return good if not order.back else (whole if order.back == order.total else part)


def shopify(log: list[Order], folder: Path) -> None:
    def rows() -> Iterator[list[object]]:
        for order in log:
            state = _state(order, "voided", "paid", "partially_refunded", "refunded")
            first: list[object] = [state, "EUR", money(order.total), money(order.back)]
            for place, item in enumerate(order.items):
                at = order.at.replace(tzinfo=BERLIN).strftime("%Y-%m-%d %H:%M:%S %z")
                own = first if place == 0 else ["", "", "", ""]
                yield [f"#{order.number}", order.mail, *own, at, 1, money(item)]

    _write(
        folder / "orders_export_1.csv",
        "Name|Email|Financial Status|Currency|Total|Refunded Amount|Created at|Lineitem quantity|Lineitem price",
        rows(),
    )


def woocommerce(log: list[Order], folder: Path) -> None:
    def rows() -> Iterator[list[object]]:
        for order in log:
            state = _state(order, "cancelled", "completed", "completed", "refunded")
            for item in order.items:
                at = order.at.strftime("%m/%d/%Y %H:%M")
                yield [order.number, at, state, money(order.total), 0, order.mail, money(item), money(order.back)]

    header = "order_number|date|status|order_total|customer_user|billing_email|item_total|refunded_total"
    _write(folder / "orders.csv", header, rows())


def stripe(log: list[Order], folder: Path) -> None:
    def rows() -> Iterator[list[object]]:
        for order in log:
            at = order.at.replace(tzinfo=NEW_YORK).astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
            state = _state(order, "Failed", "Paid", "Partial Refund", "Refunded")
            customer = "" if order.customer == 7 else f"cus_{order.customer:03}"
            mail = order.mail.lower()
            yield [f"ch_{order.number}", at, money(order.total), money(order.back), "eur", state, customer, mail]

    header = "id|Created date (UTC)|Amount|Amount Refunded|Currency|Status|Customer ID|Customer Email"
    _write(folder / "payments.csv", header, rows())


def paypal(log: list[Order], folder: Path) -> None:
    def rows() -> Iterator[list[object]]:
        for order in log:
            day, time = order.at.strftime("%d/%m/%Y"), order.at.strftime("%H:%M:%S")
            state = _state(order, "Denied", "Completed", "Partially Refunded", "Refunded")
            rest = ["EUR", order.mail]
            yield [day, time, "Express Checkout Payment", state, f"{money(order.total):,}", *rest, order.number]
            if order.back:
                yield [day, time, "Payment Refund", "Completed", f"-{money(order.back):,}", *rest, f"R{order.number}"]
        yield ["31/03/2024", "20:00:00", "General Withdrawal", "Completed", "-500.00", "EUR", "me@example.com", "W1"]

    header = "Date|Time|Type|Status|Gross|Currency|From Email Address|Transaction ID"
    _write(folder / "Download.csv", header, rows())


def square(log: list[Order], folder: Path) -> None:
    def rows() -> Iterator[list[object]]:
        for order in log:
            if order.failed:
                continue
            day, time = order.at.strftime("%m/%d/%Y"), order.at.strftime("%H:%M:%S")
            who = f"CU{order.customer:03}"
            yield [day, time, f"${money(order.total):,}", f"TX{order.number}", "Payment", who]
            if order.back:
                yield [day, time, f"(${money(order.back):,})", f"RF{order.number}", "Refund", who]
        yield ["03/30/2024", "10:00:00", "$9.99", "TX9", "Payment", ""]

    _write(folder / "transactions.csv", "Date|Time|Net Sales|Transaction ID|Event Type|Customer ID", rows())


def amazon(log: list[Order], folder: Path) -> None:
    lines = ["amazon-order-id\tpurchase-date\torder-status\tproduct-name\tcurrency\titem-price\tbuyer-email"]
    for order in log:
        at = order.at.replace(tzinfo=BERLIN).astimezone(dt.UTC).isoformat()
        state = "Cancelled" if order.failed else "Shipped"
        for place, item in enumerate(order.items):
            name = '"7 inch lamp' if place == 0 else 'Lamp, 7"'
            mail = f"b{order.customer:03}@marketplace.example.com"
            lines.append(f"112-{order.number}\t{at}\t{state}\t{name}\tEUR\t{money(item)}\t{mail}")
    (folder / "report.txt").write_text("\n".join(lines) + "\n")


def magento(log: list[Order], folder: Path) -> None:
    def rows() -> Iterator[list[object]]:
        for order in log:
            at = order.at.replace(tzinfo=BERLIN).astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
            state = _state(order, "canceled", "complete", "complete", "closed")
            yield [f"0{order.number}", at, state, order.mail, f"{money(order.total):.4f}", f"{money(order.back):.4f}"]

    header = "increment_id|created_at|status|customer_email|base_grand_total|base_total_refunded"
    _write(folder / "sales_order.csv", header, rows())


def vend(log: list[Order], folder: Path) -> None:
    lines = ["Sales history", "January to March 2024", "Date,Receipt Number,Line Type,Customer Code,Total,Status"]
    for order in log:
        state = "VOIDED" if order.failed else "CLOSED"
        start = f"{order.at:%Y-%m-%d %H:%M:%S},{order.number}"
        lines.append(f"{start},Sale,K{order.customer},{money(order.total)},{state}")
        lines += [f"{start},Sale Line,K{order.customer},{money(item)},{state}" for item in order.items]
        lines.append(f"{start},Payment,K{order.customer},{money(order.total)},{state}")
        if order.back:
            lines.append(f"{start},Sale Line,K{order.customer},-{money(order.back)},{state}")
    lines.append("2024-03-30 10:00:00,9,Sale Line,WALKIN,9.99,CLOSED")
    (folder / "sales.csv").write_text("\n".join(lines) + "\n")


def sap(log: list[Order], folder: Path) -> None:
    def spelled(cents: int) -> str:
        return f"{money(cents):,.2f}".translate(str.maketrans(",.", ".,"))

    def rows() -> Iterator[list[object]]:
        good = [order for order in log if not order.failed]
        for order in good:
            start: list[object] = [
                9000 + order.number,
                order.at.strftime("%d.%m.%Y"),
                f"{order.customer:010}",
                "Müller",
            ]
            yield from ([*start, spelled(item), "EUR"] for item in order.items)
            if order.back:
                yield [*start, f"{spelled(order.back)}-", "EUR"]
        yield ["", "", "", "Summe", spelled(sum(order.total - order.back for order in good)), "EUR"]

    _write(folder / "fakturen.csv", "Belegnr|Belegdatum|Kunde|Name|Nettowert|Währung", rows(), ";", "cp1252")


def event_log(log: list[Order], folder: Path) -> None:
    lines = []
    for order in log:
        at = int(order.at.replace(tzinfo=dt.UTC).timestamp() * 1000)
        user = {"id": 550_000_000 + order.customer}
        lines += [{"event": event, "ts": at, "user": user} for event in ("view", "cart")]
        if not order.failed:
            lines += [
                {"event": "purchase", "ts": at, "user": user, "order": {"id": order.number, "cents": item}}
                for item in order.items
            ]
            if order.back:
                back = {"id": order.number, "cents": -order.back}
                lines.append({"event": "purchase", "ts": at, "user": user, "order": back})
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def postgresql(log: list[Order], folder: Path) -> None:
    """Write the table into a file of SQLite, which the same settings read."""
    with sqlite3.connect(folder / "shop.db") as connection:
        connection.execute(
            "create table orders (order_id integer, customer_id text, created_at text, total numeric, status text, "
            "refunded numeric, updated_at text)"
        )
        connection.executemany(
            "insert into orders values (?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    order.number, f"c{order.customer}", f"{order.at:%Y-%m-%d %H:%M:%S}", float(money(order.total)),
                    _state(order, "failed", "paid", "paid", "refunded"), float(money(order.back)), "2024-04-01",
                )
                for order in log
            ],
        )  # fmt: skip


def olist(log: list[Order], folder: Path) -> None:
    def items() -> Iterator[list[object]]:
        for order in log:
            yield from ([order.number, place, money(item)] for place, item in enumerate(order.items, 1))

    _write(
        folder / "olist_orders_dataset.csv",
        "order_id|customer_id|order_status|order_purchase_timestamp",
        ([o.number, f"k{o.number}", "canceled" if o.failed else "delivered", str(o.at)] for o in log),
    )
    _write(folder / "olist_order_items_dataset.csv", "order_id|order_item_id|price", items())
    _write(
        folder / "olist_customers_dataset.csv",
        "customer_id|customer_unique_id",
        ([f"k{o.number}", f"u{o.customer}"] for o in log),
    )


#: By the name of the recipe. Those without refunds in their shape are in `NO_REFUNDS`.
SHAPES: dict[str, Callable[[list[Order], Path], None]] = {
    shape.__name__: shape
    for shape in (
        shopify, woocommerce, stripe, paypal, square, amazon, magento, vend, sap, event_log, postgresql, olist,
    )
}  # fmt: skip
NO_REFUNDS = ("amazon", "olist")
