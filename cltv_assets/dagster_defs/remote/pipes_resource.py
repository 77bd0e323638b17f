"""The Dagster resource that launches months elsewhere."""

from __future__ import annotations

from typing import ClassVar

import dagster as dg
from pydantic import Field

from cltv_assets.dagster_defs.remote.job import SETTINGS
from cltv_assets.dagster_defs.remote.launching import Launcher, PipesLauncher, extras_for
from cltv_assets.dagster_defs.resources import bound
from cltv_assets.errors import ConfigError
from cltv_assets.files.object_store import is_s3
from cltv_assets.settings import Settings


class PipesResource(dg.ConfigurableResource[Launcher]):
    """Makes months' first halves elsewhere; the launcher is made when a run needs it."""

    kind: str = Field(description="The service: databricks, emr or emr_serverless.")
    settings: ClassVar[Settings]

    def create_resource(self, context: dg.InitResourceContext) -> Launcher:  # noqa: ARG002 - Dagster's
        """Return the launcher."""
        return launcher_for(self.settings)


def pipes_resource(settings: Settings) -> PipesResource:
    """Return the resource ``pipes`` for ``settings``."""
    assert settings.pipes.kind is not None
    return bound(PipesResource, settings=settings)(kind=settings.pipes.kind)


def launcher_for(settings: Settings) -> Launcher:
    """Return the launcher that ``pipes`` describes; it connects to nothing before its first use.

    Raises
    ------
    ConfigError
        If the lake or the source cannot be reached from elsewhere, or an extra is missing.
    """
    pipes = settings.pipes
    there = extras_for(settings)[SETTINGS]
    lake = str(there.get("lake_uri", ""))
    if not is_s3(lake):
        raise ConfigError(
            f"pipes runs months elsewhere, but lake_uri is '{lake or './lake'}'.",
            "Put the lake on s3://: it is what both sides share.",
        )
    try:
        if pipes.kind == "databricks":
            from cltv_assets.dagster_defs.remote.databricks import DatabricksService, volume_ends

            ends = (lambda: volume_ends(pipes)) if pipes.volume else None
            return PipesLauncher(settings, DatabricksService(pipes), ends)
        from cltv_assets.dagster_defs.remote.emr import EmrServerlessService, EmrService

        kind = EmrService if pipes.kind == "emr" else EmrServerlessService
        return PipesLauncher(settings, kind(pipes, settings.s3.region))
    except ModuleNotFoundError as error:
        extra = "databricks" if pipes.kind == "databricks" else "emr"
        raise ConfigError(
            f"pipes of kind {pipes.kind} needs {error.name}, which is not installed.",
            f"Run pip install 'cltv-assets[{extra},s3]'.",
        ) from None
