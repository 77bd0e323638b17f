"""What a parquet file's footer tells, without reading its rows.

Only counts go into Delta's log, no bounds. Readers skip files by the bounds, so
a wrong one hides rows, and exact ones exist for integers and dates alone:
parquet's float bounds leave NaN out, Delta cuts timestamps to milliseconds,
writers shorten text. Bounds for some columns are worse than none: for a column
without them ``DeltaTable.to_pyarrow_dataset()`` (deltalake 1.6) compares with
null, and every filter on that column finds nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Footer:
    """Row count, columns and null counts of a parquet file.

    Parameters
    ----------
    rows : int
    schema : pyarrow.Schema
    null_counts : dict
        By column; without those whose writer did not count.
    """

    rows: int
    schema: pa.Schema
    null_counts: dict[str, int]

    def delta_statistics(self) -> dict[str, object]:
        """Return the statistics in the form of Delta's log."""
        counted = len(self.null_counts) == len(self.schema)
        return {"numRecords": self.rows, **({"nullCount": self.null_counts} if counted else {})}


def read_footer(source: pa.NativeFile) -> Footer:
    """Read the footer of a parquet file of flat columns."""
    with pq.ParquetFile(source) as file:
        metadata, schema = file.metadata, file.schema_arrow
    null_counts = {}
    if metadata.num_columns == len(schema):  # else nested columns: none of ours, and refused by whoever asked
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        for index, name in enumerate(schema.names):
            statistics = [group.column(index).statistics for group in groups]
            if all(s is not None and s.has_null_count for s in statistics):
                null_counts[name] = sum(s.null_count for s in statistics)
    return Footer(metadata.num_rows, schema, null_counts)
