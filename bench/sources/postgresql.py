"""Processor seconds and memory of landing a million rows from PostgreSQL.

    SHOP=postgresql://user:password@host/database python -m bench.sources.postgresql [rows]

It makes the table ``cltv_bench`` in that database and removes it. Each way runs in a process of its own:
``COPY … TO STDOUT`` by psql into nothing, ``pandas.read_sql`` by psycopg2, and the landing of all months.
Seconds are those of the process alone, not the server's.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

_MAKE = """drop table if exists cltv_bench; create table cltv_bench as
    select n::text as id, (n::bigint * 7919) % 50000 as customer, ((n % 9000) * 1.01)::numeric(12, 2) as value,
           timestamptz '2024-01-01 00:00+00' + interval '1 s' * (n * 31536000.0 / {rows}) as "when"
    from generate_series(0, {rows} - 1) as n"""
_READ = 'select id, customer, "when", value from cltv_bench'


def land(url: str) -> None:
    """Land the twelve months of the table."""
    import datetime as dt

    from cltv_assets.settings import Settings
    from cltv_assets.sources import new_source

    os.environ["SHOP"] = url
    columns = {"transaction_id": "id", "customer_id": "customer", "transacted_at": "when", "amount": "value"}
    source = {"kind": "sql", "url_variable": "SHOP", "table": "cltv_bench", "columns": columns}
    with tempfile.TemporaryDirectory() as home:
        settings = Settings.model_validate(
            {"source": source, "start_month": "2024-01", "end_month": "2024-12", "home": home, "time_zone": "UTC"}
        )
        opened = new_source(settings, dt.date(2025, 2, 1))
        months = settings.first_month.until(settings.last_month(dt.date(2025, 2, 1)))
        print("rows landed", sum(opened.land(month, Path(home) / month.key).lines for month in months))
        opened.close()


def frame(url: str) -> None:
    """Read the table into a data frame."""
    import pandas as pd
    import sqlalchemy

    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
    with engine.connect() as connection:
        print("rows read", len(pd.read_sql(sqlalchemy.text(_READ), connection)))


def main(rows: int) -> None:
    """Print processor seconds and peak memory of each way."""
    url = os.environ["SHOP"]
    psql = ["psql", url, "-qc"]
    subprocess.run([*psql, _MAKE.format(rows=rows)], check=True)
    ways = {"copy": [*psql, f"copy ({_READ}) to stdout"]}
    ways |= {way: [sys.executable, "-m", "bench.sources.postgresql", way] for way in ("frame", "land")}
    for way, command in ways.items():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        # The largest of all children so far: that of the last way, if it grew.
        print(f"{way}: {spent:.2f} s, at most {after.ru_maxrss // 1024} MB so far")
    subprocess.run([*psql, "drop table cltv_bench"], check=True)


if __name__ == "__main__":
    asked = sys.argv[1] if len(sys.argv) > 1 else "1000000"
    if asked in ("land", "frame"):
        (land if asked == "land" else frame)(os.environ["SHOP"])
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "MB at most", file=sys.stderr)
    else:
        main(int(asked))
