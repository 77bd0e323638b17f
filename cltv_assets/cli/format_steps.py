"""What each format version of the lake changed: the list that ``cltv migrate`` follows, taken from the tables."""

from __future__ import annotations

from cltv_assets.lake.migrations import Step
from cltv_assets.tables import TABLES

#: The release that brought each format version, without a gap up to ``FORMAT_VERSION``.
_RELEASES = {2: "0.2.0", 3: "0.3.0"}

STEPS: tuple[Step, ...] = tuple(
    Step(
        version,
        release,
        frozenset(table.name for table in TABLES if version not in table.renewed),
        {table.name: table.renewed[version] for table in TABLES if version in table.renewed},
    )
    for version, release in _RELEASES.items()
)
