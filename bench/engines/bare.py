"""The bound for landing and cleaning: a bare DuckDB script that writes the same columns.

``python -m bench.engines.bare SOURCE OUT``: each month's file becomes text with file and line
number, and that becomes cleaned and rejected lines. It knows one spelling of each value, one
rule for each column, and checks and publishes nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

from bench.engines.stages import Stages

_PARQUET = "(FORMAT parquet, COMPRESSION zstd)"
_LAND = """
COPY (
  SELECT order_id::TEXT AS transaction_id, customer::TEXT AS customer_id, ordered_at::TEXT AS transacted_at,
    quantity::TEXT AS quantity, price::TEXT AS unit_price, NULL::TEXT AS amount, NULL::TEXT AS currency,
    '{name}' AS source_file, file_row_number + 1 AS source_line, NULL::TEXT AS source_text
  FROM read_parquet('{file}', file_row_number = true)
) TO '{raw}' {parquet}
"""
_PARSED = """
CREATE OR REPLACE TEMPORARY TABLE parsed AS
SELECT *, CASE
    WHEN local IS NULL THEN 'invalid_date' WHEN customer_id IS NULL THEN 'missing_customer'
    WHEN units IS NULL THEN 'invalid_quantity' WHEN price IS NULL THEN 'invalid_unit_price'
    WHEN price < 0 THEN 'negative_unit_price' WHEN value = 0 THEN 'zero_amount' END AS reason
FROM (
  SELECT *, (units * price::DECIMAL(19, 6))::DECIMAL(18, 4) AS value
  FROM (
    SELECT *, try_cast(transacted_at AS TIMESTAMP) AS local, try_cast(quantity AS DECIMAL(18, 4)) AS units,
      try_cast(unit_price AS DECIMAL(18, 6)) AS price
    FROM '{raw}'
  )
)
"""
_KEEP = """
COPY (
  SELECT transaction_id, customer_id, local::TIMESTAMPTZ AS transacted_at, local::DATE AS purchase_day,
    CASE WHEN value < 0 THEN 'refund' ELSE 'purchase' END AS kind, units AS quantity, value AS amount,
    value AS amount_delivered, source_file, source_line
  FROM parsed WHERE reason IS NULL
) TO '{kept}' {parquet}
"""
_REJECT = """
COPY (
  SELECT reason, transaction_id, customer_id, transacted_at, quantity, unit_price, amount, currency,
    source_file, source_line, source_text
  FROM parsed WHERE reason IS NOT NULL
) TO '{rejected}' {parquet}
"""


def run(source: Path, out: Path) -> None:
    """Land and clean every month's Parquet file in ``source``; times and tables go into ``out``."""
    stages = Stages(out)
    connection = duckdb.connect(config={"memory_limit": "2GB", "preserve_insertion_order": False})
    connection.execute("SET TimeZone = 'UTC'")
    for file in sorted(source.glob("*.parquet")):
        paths = {table: str(out / f"{table}-{file.name}") for table in ("raw", "kept", "rejected")}
        with stages.stage("raw_transactions"):
            connection.execute(_LAND.format(name=file.name, file=file, parquet=_PARQUET, **paths))
        with stages.stage("cleaned_transactions_and_rejected_transactions"):
            for query in (_PARSED, _KEEP, _REJECT):
                connection.execute(query.format(parquet=_PARQUET, **paths))
    ((lines,),) = connection.sql(f"SELECT count(*) FROM '{out}/kept-*.parquet'").fetchall()
    stages.finish({"lines": lines})


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]))
