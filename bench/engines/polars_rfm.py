"""The limit to look at: Polars' streaming engine from the same rows to RFM, and nothing else.

``python -m bench.engines.polars_rfm SOURCE OUT``, in an environment with
``requirements-peers.txt``: the notebook's cleaning and summary as one lazy query. No line is
kept, judged or checked, no model fitted.
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

from bench.engines.stages import Stages


def run(source: Path, out: Path) -> None:
    """Summarise all Parquet files in ``source``; the time and the summary go into ``out``."""
    stages = Stages(out)
    lines = pl.scan_parquet(source / "*.parquet").filter(
        pl.col("customer").is_not_null() & (pl.col("quantity") > 0) & (pl.col("price") > 0)
    )
    days = lines.group_by("customer", pl.col("ordered_at").dt.date().alias("day")).agg(
        (pl.col("quantity") * pl.col("price")).sum().alias("amount")
    )
    end = pl.date(2024, 12, 31)
    first, repeats = pl.col("day").min(), pl.col("day") != pl.col("day").min()
    rfm = days.group_by("customer").agg(
        frequency=pl.len() - 1,
        recency=(pl.col("day").max() - first).dt.total_days(),
        T=(end - first).dt.total_days(),
        monetary_value=pl.col("amount").filter(repeats).mean().fill_null(0),
    )
    with stages.stage("read to RFM"):
        rfm.sink_parquet(out / "rfm.parquet")
    stages.finish({"customers": pl.scan_parquet(out / "rfm.parquet").select(pl.len()).collect().item()})


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]))
