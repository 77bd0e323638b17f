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

Readers see the month they had until the last line, and the new one whole after
it. Leaving the block by an exception deletes what was staged; a kill leaves
files that no reader sees and that ``LakeTable.vacuum`` removes.
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
