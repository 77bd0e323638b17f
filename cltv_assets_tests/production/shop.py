"""The deliveries of a small shop: one CSV file, a few lines a month."""

from __future__ import annotations

import csv
from pathlib import Path

MONTHS = tuple(f"2011-{month:02d}" for month in range(1, 3))

#: cltv.yaml, without the folder of the deliveries.
SETTINGS = """\
source:
  kind: csv
  path: {data}/lines.csv
  columns:
    {{transaction_id: invoice, customer_id: customer, transacted_at: time, quantity: quantity, unit_price: price}}
currency: GBP
start_month: 2011-01
end_month: 2011-02
horizons_months: [1, 3]
"""


def lines_of(month: str) -> int:
    """Return how many lines the shop delivers for a month: another number for each."""
    return 40 + 3 * MONTHS.index(month)


def write_shop(folder: Path) -> None:
    """Write the shop's file."""
    with (folder / "lines.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["invoice", "customer", "time", "quantity", "price"])
        for month in MONTHS:
            for line in range(lines_of(month)):
                # Every third customer comes back each month, the others now and then.
                customer = line % 30 if line % 3 else (line * 7 + int(month[-2:]) * 11) % 97
                writer.writerow(
                    [f"{month}-{line}", f"c{customer}", f"{month}-{line % 28 + 1:02d} 10:00:00", 1, 5 + line]
                )
