"""What it costs to give each customer one value of each attribute, of the transactions and of a customers' file.

    python -m bench.sources.attributes [days] [folder]

It writes purchase days of a tenth as many customers with two attributes as JSON, and a CSV file of these customers
with two more. Then ``customer_attributes`` is made in a process of its own: processor seconds and peak memory, and
those of reading the file alone.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import new_source
from cltv_assets.sources.customer_file import read_customers
from cltv_assets.tables import customer_attributes
from cltv_assets.tables.customer_attributes import CUSTOMER_ATTRIBUTES
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS

_CHUNK = 1_000_000
#: A country has thirty values; a town has more than are told apart.
_COUNTRIES, _CHANNELS, _TOWNS = 30, 8, 500


def write_shop(folder: Path, days: int) -> None:
    """Write the purchase days of a year and the customers' file."""
    random = np.random.default_rng(1)
    customers = days // 10
    # A customer's days mostly say the same: one in twenty says something else.
    own = random.integers(0, _COUNTRIES * _CHANNELS, customers)
    schema = PURCHASE_DAYS.arrow
    texts = pa.array(
        [f'{{"country": "C{a:02}", "channel": "ch{b}"}}' for a in range(_COUNTRIES) for b in range(_CHANNELS)]
    )
    with pq.ParquetWriter(folder / "days.parquet", schema, compression="zstd") as writer:
        for begin in range(0, days, _CHUNK):
            count = min(_CHUNK, days - begin)
            who = random.integers(0, customers, count)
            said = np.where(random.random(count) < 0.05, random.integers(0, len(texts), count), own[who])
            given = {
                "customer_id": pa.array(who).cast(pa.string()),
                "purchase_day": pa.array(np.datetime64("2024-01-01") + random.integers(0, 366, count)),
                "order_count": pa.array(np.ones(count, np.int64)),
                "attributes": texts.take(pa.array(said)),
            }
            writer.write_table(
                pa.table([given.get(field.name, pa.nulls(count)).cast(field.type) for field in schema], schema=schema)
            )
    file = pa.table(
        {
            "customer_id": pa.array(np.arange(customers)),
            "tier": pa.array(random.choice(["gold", "blue", ""], customers)),
            "town": pa.array([f"town {at}" for at in random.geometric(3 / _TOWNS, customers)]),
        }
    )
    pyarrow.csv.write_csv(file, folder / "customers.csv")


def make(folder: Path) -> None:
    """Make the table and print what that took."""
    columns = {"customer_id": "c", "transacted_at": "t", "amount": "a", "attributes": ["country", "channel"]}
    settings = Settings.model_validate(
        {
            "source": {"kind": "csv", "path": "a.csv", "columns": columns},
            "customers": {"path": "customers.csv", "attributes": ["tier", "town"]},
            "start_month": "2024-01",
            "home": folder,
        }
    )
    source = new_source(settings)
    begin = time.process_time()
    read = read_customers(source.storage, str(folder / "customers.csv"), settings.customers, settings.source)
    print(f"the file of {read.num_rows:,} customers: {time.process_time() - begin:.1f} s")
    del read
    begin = time.process_time()
    engine = DuckDBEngine(settings.duckdb_memory_limit)
    days = engine.read_files(PURCHASE_DAYS, [str(folder / "days.parquet")])
    run = MonthRun(Month.parse("2024-12"), settings, engine, Lake(str(folder)), source, {PURCHASE_DAYS.name: days})
    engine.write(customer_attributes.make(run), CUSTOMER_ATTRIBUTES, str(folder / "made.parquet"))
    size = (folder / "made.parquet").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"customer_attributes: {time.process_time() - begin:.1f} s, at most {peak} MB, {size / 1e6:.1f} MB written")


def main(days: int, folder: Path) -> None:
    """Measure one size."""
    write_shop(folder, days)
    subprocess.run([sys.executable, "-m", "bench.sources.attributes", "make", str(folder)], check=True)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "make":
        make(Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as made:
            main(int(sys.argv[1] if len(sys.argv) > 1 else 10_000_000), Path(made))
