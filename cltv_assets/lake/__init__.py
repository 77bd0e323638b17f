"""The lake: monthly Delta tables and files under one root.

What belongs here: staging files, publishing them in one atomic commit, saying which
months are there. What does not: how bytes get to a disk or a store (``files``), how
rows are computed or checked, and Dagster.

Write, audit, publish::

    with lake.table(schema).begin(month) as staging:
        engine_writes_parquet(staging.new_file())
        staged = staging.seal()
        run_the_checks_on(staged.files)
        published = lake.table(schema).publish(staged)

Readers see the old month until the last line has run, and the complete new one after
it. An exception in the block deletes the staged files. A killed process leaves files
that no reader sees and that ``LakeTable.vacuum`` removes.
"""

from cltv_assets.lake.lake import Lake, MonthlyFiles
from cltv_assets.lake.opening import FORMAT_VERSION
from cltv_assets.lake.staging import StagedFile, StagedMonth, Staging
from cltv_assets.lake.table import LakeTable, PublishedMonth

__all__ = [
    "FORMAT_VERSION",
    "Lake",
    "LakeTable",
    "MonthlyFiles",
    "PublishedMonth",
    "StagedFile",
    "StagedMonth",
    "Staging",
]
