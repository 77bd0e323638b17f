"""What it costs to keep the columns of a delivery that no setting uses.

    python -m bench.sources.other_columns [lines] [folder]

It writes a CSV file of a year with five columns that are mapped and four that are not: three short codes and a note
of some words, empty in half of the lines. Each way runs in a process of its own and lands all months: processor
seconds, peak memory, and bytes of the Parquet files that the lake takes.
"""

from __future__ import annotations

import datetime as dt
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

_COLUMNS = {
    "transaction_id": "order",
    "customer_id": "customer",
    "transacted_at": "when",
    "quantity": "units",
    "unit_price": "price",
}
_TEXT = (
    "please leave the parcel at the door neighbour behind garage ring twice gift wrap no invoice inside thank you "
    "call before delivery after five blue size fits small exchange if needed birthday card with love from all of us"
)
_CHUNK = 250_000


def write_lines(file: Path, lines: int) -> None:
    """Write a year of lines in the order of their times."""
    random = np.random.default_rng(1)
    seconds = np.sort(random.integers(0, 366 * 86_400, lines))
    with file.open("wb") as stream:
        for begin in range(0, lines, _CHUNK):
            count = min(_CHUNK, lines - begin)
            words = random.choice(_TEXT.split(), (count, 6))
            note = np.array([" ".join(row) for row in words.tolist()], dtype=object)
            note[random.random(count) < 0.5] = ""
            when = np.datetime64("2024-01-01") + seconds[begin : begin + count].astype("timedelta64[s]")
            table = pa.table(
                {
                    "order": pa.array(np.arange(begin, begin + count) // 2 + 100_000),
                    "customer": pa.array(random.integers(1, lines // 10 + 2, count)),
                    "when": pa.array(when).cast(pa.timestamp("s")),
                    "units": pa.array(random.integers(1, 5, count)),
                    "price": pa.array(np.round(random.gamma(2, 12, count) + 0.5, 2)),
                    "payment": pa.array(random.choice(["card", "paypal", "invoice", "giftcard"], count)),
                    "warehouse": pa.array(random.choice([f"WH-{at:02}" for at in range(20)], count)),
                    "coupon": pa.array(random.choice(["", "", "", "SPRING24", "WELCOME10", "FRIEND5"], count)),
                    "note": pa.array(note, pa.string()),
                }
            )
            pyarrow.csv.write_csv(table, stream, pyarrow.csv.WriteOptions(include_header=begin == 0))


def land(file: Path, *, keep: bool) -> None:
    """Land the twelve months and print what that took."""
    from cltv_assets.settings import Settings
    from cltv_assets.sources import new_source

    source = {"kind": "csv", "path": str(file), "columns": _COLUMNS, "keep_other_columns": keep}
    day = dt.date(2025, 2, 1)
    settings = Settings.model_validate(
        {"source": source, "start_month": "2024-01", "end_month": "2024-12", "home": file.parent}
    )
    before = resource.getrusage(resource.RUSAGE_SELF)
    with tempfile.TemporaryDirectory() as home:
        opened = new_source(settings, day)
        for month in settings.first_month.until(settings.last_month(day)):
            opened.land(month, Path(home) / month.key)
        opened.close()
        after = resource.getrusage(resource.RUSAGE_SELF)
        size = sum(part.stat().st_size for part in Path(home).rglob("*.parquet"))
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{'kept' if keep else 'left out'}: {spent:.2f} s, {after.ru_maxrss // 1024} MB, {size / 1e6:.1f} MB written")


def main(lines: int, folder: Path) -> None:
    """Measure both ways twice in turn."""
    file = folder / f"other-columns-{lines}.csv"
    if not file.exists():
        write_lines(file, lines)
    print(f"{lines:,} lines, {file.stat().st_size / 1e6:.0f} MB")
    for _ in range(2):
        for way in ("left-out", "kept"):
            subprocess.run([sys.executable, "-m", "bench.sources.other_columns", way, str(file)], check=True)


if __name__ == "__main__":
    asked = sys.argv[1] if len(sys.argv) > 1 else "1000000"
    if asked in ("left-out", "kept"):
        land(Path(sys.argv[2]), keep=asked == "kept")
    else:
        main(int(asked), Path(sys.argv[2] if len(sys.argv) > 2 else tempfile.gettempdir()))
