"""What launches months elsewhere, as a Dagster resource."""

from __future__ import annotations

import dagster as dg

from cltv_assets.settings import Settings


def pipes_resource(settings: Settings) -> dg.ResourceDefinition:
    """Return the resource ``pipes`` for ``settings``; a launcher is made when a run needs it."""

    @dg.resource(description=f"Months' first halves on {settings.pipes.kind}.")
    def pipes(_context: dg.InitResourceContext) -> object:
        from cltv_assets.dagster_defs.remote.launching import launcher_for

        return launcher_for(settings)

    return pipes
