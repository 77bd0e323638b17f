"""The code location ``cltv_assets``.

Settings are read when Dagster loads the definitions, not when this module is
imported; nothing is opened and no JVM starts before a run needs it.
"""

import dagster as dg

from cltv_assets.dagster_defs.build import build_definitions
from cltv_assets.dagster_defs.templates import load_settings


@dg.definitions
def defs() -> dg.Definitions:
    """Return the graph for ``cltv.yaml`` and ``CLTV_*`` variables."""
    return build_definitions(load_settings())
