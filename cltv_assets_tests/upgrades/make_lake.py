"""Makes the small lake that stands for a released version: the tests migrate it for ever after.

Run it once a release, with the environment of that very version::

    git worktree add ../released v0.2.0     # and install it there
    ../released/.venv/bin/python cltv_assets_tests/upgrades/make_lake.py cltv_assets_tests/upgrades/lakes

It uses nothing of this package but the command ``cltv``, so that it works with every
version. The folder is named for the version; one that is there is never overwritten.
"""

from __future__ import annotations

import csv
import datetime as dt
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MONTHS = ("2025-01", "2025-02", "2025-03")
CUSTOMERS = 40

SETTINGS = """\
source:
  kind: csv
  path: shop/{month}.csv
  columns: {transaction_id: invoice, customer_id: customer, transacted_at: time, quantity: quantity, unit_price: price}
start_month: 2025-01
end_month: 2025-03
horizons_months: [1, 2]
currency: EUR
time_zone: Europe/Berlin
"""


def deliver(shop: Path) -> None:
    """Write the made-up shop: two months of purchases, refunds and dirt, and a month in which nothing was sold."""
    chance = random.Random(2025)
    shop.mkdir(parents=True)
    for month in MONTHS:
        first = dt.date.fromisoformat(f"{month}-01")
        lines: list[tuple[str, ...]] = []
        # Half of the customers are there from the beginning, so that some have come back.
        for customer in range(0 if month == MONTHS[2] else CUSTOMERS):
            for visit in range(chance.choice((0, 1, 1, 2, 3))):
                day = first + dt.timedelta(days=chance.randrange(28))
                invoice, price = f"I{month[-2:]}{customer:02d}{visit}", f"{chance.uniform(3, 60):.2f}"
                lines.append((invoice, f"C{customer:02d}", f"{day} 12:00:00", "1", price))
                if customer % 9 == 0:
                    lines.append((f"R{invoice}", f"C{customer:02d}", f"{day} 13:00:00", "-1", price))
        if lines:
            lines += [("D1", "", f"{first} 10:00:00", "1", "5.00"), ("D2", "C01", "31.02.", "1", "5.00")]
        with (shop / f"{month}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("invoice", "customer", "time", "quantity", "price"), *lines])


def make(into: Path) -> Path:
    """Run the shop's months with the installed version, and keep its tables."""
    cltv = Path(sys.executable).with_name("cltv")
    version = subprocess.run([cltv, "version"], check=True, capture_output=True, text=True).stdout.strip()
    kept = into / version
    if kept.exists():
        raise SystemExit(f"{kept} is there already: what a release wrote does not change.")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        deliver(home / "shop")
        (home / "cltv.yaml").write_text(SETTINGS, encoding="utf-8")
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("CLTV_", "DAGSTER_"))}
        subprocess.run([cltv, "run"], check=True, cwd=home, env=environ)
        # Reports are pages of hundreds of kilobytes; no version reads another's.
        shutil.copytree(home / "lake", kept / "lake", ignore=shutil.ignore_patterns("cltv_report", ".*"))
        shutil.copytree(home / "shop", kept / "shop")
        shutil.copy(home / "cltv.yaml", kept)
        # Delta notes where a table was made; nothing reads it, and it says only whose machine that was.
        for entry in (kept / "lake").glob("*/_delta_log/*.json"):
            entry.write_text(entry.read_text(encoding="utf-8").replace(str(home), "/shop"), encoding="utf-8")
    return kept


if __name__ == "__main__":
    sys.stdout.write(f"{make(Path(sys.argv[1]))}\n")
