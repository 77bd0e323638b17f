"""A made-up shop: customers who come back, refunds, and dirt of every kind, as CSV files by month."""

from __future__ import annotations

import csv
import datetime as dt
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from cltv_assets.months import Month

HEADER = ("invoice", "customer", "time", "quantity", "price")
Line = tuple[str, ...]

#: Lines that no month may keep, and why; ``{day}`` becomes a day of the month.
DIRT: tuple[tuple[str, Line], ...] = (
    ("missing_customer", ("D1", "", "{day} 10:00:00", "1", "5.00")),
    ("missing_customer", ("D2", "NaN", "{day} 10:00:00", "1", "5.00")),
    ("missing_date", ("D3", "C001", "", "1", "5.00")),
    ("invalid_date", ("D4", "C001", "31.02.", "1", "5.00")),
    ("date_in_future", ("D5", "C001", "2999-01-01 10:00:00", "1", "5.00")),
    ("invalid_quantity", ("D6", "C001", "{day} 10:00:00", "many", "5.00")),
    ("invalid_unit_price", ("D7", "C001", "{day} 10:00:00", "1", "")),
    ("invalid_amount", ("D8", "C001", "{day} 10:00:00", "9999999999999", "99999999999")),
    ("negative_unit_price", ("D9", "C001", "{day} 10:00:00", "1", "-5.00")),
    ("zero_amount", ("D10", "C001", "{day} 10:00:00", "0", "5.00")),
    ("malformed_line", ("D11", "C001", "{day} 10:00:00", "1", "5.00", "one", "too many")),
)


def months_of(first: str, count: int) -> list[Month]:
    """Return ``count`` months from ``first`` on."""
    return [Month.parse(first).shift(i) for i in range(count)]


def lines_of_shop(months: Sequence[Month], customers: int = 90, seed: int = 1) -> dict[Month, list[Line]]:
    """Draw every month's lines: purchases of buyers who drop out, refunds, and the dirt above."""
    chance = random.Random(seed)
    start, end = months[0].first_day, months[-1].last_day
    found: dict[Month, list[Line]] = {month: [] for month in months}
    invoices = iter(range(1, 1_000_000))

    def sell(customer: str, day: dt.date, mean: float) -> None:
        invoice = f"I{next(invoices):05d}"
        time = f"{day} {chance.randrange(8, 20):02d}:{chance.randrange(60):02d}:00"
        lines = found[Month.of(day)]
        for _ in range(chance.choice((1, 1, 2, 3))):
            price = f"{max(0.5, chance.gauss(mean, mean / 4)):.2f}"
            lines.append((invoice, customer, time, str(chance.randrange(1, 4)), price))
        if chance.random() < 0.08:
            # Money back on the same day for part of the last line; an id with blanks around it is the same customer.
            lines.append((f"R{invoice}", f" {customer} ", time, "-1", price))

    for number in range(customers):
        customer, mean = f"C{number:03d}", chance.uniform(4, 40)
        # Half begin in the first month: later months then have history to look back on.
        span = 27 if number % 2 else (end - start).days
        day = start + dt.timedelta(days=chance.randrange(span + 1))
        rate = chance.gammavariate(1.2, 1 / 25)
        while day <= end:
            sell(customer, day, mean)
            if chance.random() < 0.15:
                break
            day += dt.timedelta(days=1 + int(chance.expovariate(max(rate, 1e-3))))
    for month, lines in found.items():
        for number, (_, dirty) in enumerate(DIRT):
            day = month.first_day.replace(day=2 + number)
            lines.append(tuple(part.format(day=day) for part in dirty))
    return found


def deliver(folder: Path, lines: dict[Month, Iterable[Line]], name: str = "{month}.csv", header: Line = HEADER) -> None:
    """Write one file for each month."""
    folder.mkdir(parents=True, exist_ok=True)
    for month, some in lines.items():
        with (folder / name.format(month=month)).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(some)
