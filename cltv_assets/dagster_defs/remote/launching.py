"""The near end: starts the job for a month and gathers what it told."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import dagster as dg

from cltv_assets import __version__
from cltv_assets.dagster_defs.remote.sessions import Heard, s3_ends
from cltv_assets.errors import ConfigError
from cltv_assets.files.object_store import is_s3
from cltv_assets.months import Month
from cltv_assets.settings import Settings

#: The console script of the package's wheel.
ENTRY_POINT = "cltv-preprocess"
#: Key of the custom message with which the remote process says why a month was not published.
ERRORS = "errors"
#: Keys of the extras that the remote process gets.
SETTINGS, VERSION = "settings", "version"


@dataclass(frozen=True)
class Told:
    """What came back of a month.

    Parameters
    ----------
    results : sequence of MaterializeResult or AssetCheckResult
    errors : sequence of str
        Why the month is not published, as the far end told.
    fault : str, optional
        What the service said of the job, if it failed.
    """

    results: Sequence[dg.MaterializeResult[Any] | dg.AssetCheckResult]
    errors: Sequence[str] = field(default_factory=tuple)
    fault: str | None = None


class Launcher(Protocol):
    """Starts a month elsewhere and waits for its end."""

    def launch(self, context: dg.AssetExecutionContext, month: Month) -> Told:
        """Run the month's first half."""
        ...


class Service(Protocol):
    """A kind of remote service: its Pipes client with a job for a month."""

    def run(
        self,
        context: dg.AssetExecutionContext,
        month: Month,
        extras: dict[str, Any],
        ends: tuple[dg.PipesContextInjector, Any],
    ) -> object:
        """Start the job and wait for its end; raise if it failed."""
        ...


def extras_for(settings: Settings) -> dict[str, Any]:
    """Return what the far end is told besides the month: the settings and this version.

    Settings hold names of variables, never secrets, so they may pass through a bucket.
    """
    pipes = settings.pipes
    # Without pipes: the far end runs the month itself. Its home is its own too.
    sent = json.loads(settings.model_dump_json(exclude={"pipes", "home"}, exclude_unset=True))
    return {SETTINGS: _laid_over(sent, pipes.settings), VERSION: __version__}


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(dict(below))
    for key, value in above.items():
        inner = merged.get(key)
        merged[key] = _laid_over(inner, value) if isinstance(inner, dict) and isinstance(value, Mapping) else value
    return merged


def arguments_for(month: Month) -> list[str]:
    """Return the entry point's arguments."""
    return ["--from", month.key, "--to", month.key]


class PipesLauncher:
    """Launches through one of Dagster's Pipes clients.

    Whether the month is published is judged by what the far end told, never by the
    client: those differ in what they take for a failure, and raise without handing
    over the results that had come.

    Parameters
    ----------
    settings : Settings
    service : Service
    """

    def __init__(self, settings: Settings, service: Service) -> None:
        self._settings = settings
        self._service = service

    def launch(self, context: dg.AssetExecutionContext, month: Month) -> Told:
        """Run the month's first half and return what it told."""
        ends = self._ends()
        reader: Heard = ends[1]
        fault = None
        try:
            self._service.run(context, month, extras_for(self._settings), ends)
        except dg.DagsterExecutionInterruptedError:
            raise
        except Exception as error:
            # Each service has errors of its own; they become the failure's text.
            context.log.exception("The remote job failed.")
            fault = f"{type(error).__name__}: {error}"
        handler = reader.handler
        if handler is None:
            return Told((), fault=fault or "the job was never started")
        told = [message for message in handler.get_custom_messages() if isinstance(message, dict)]
        errors = [error for message in told for error in message.get(ERRORS, ())]
        return Told(handler.get_reported_results(), errors, fault)

    def _ends(self) -> tuple[dg.PipesContextInjector, Any]:
        pipes = self._settings.pipes
        if pipes.volume:
            from cltv_assets.dagster_defs.remote.databricks import volume_ends

            return volume_ends(pipes)
        assert pipes.bucket is not None
        # The store as the far end reaches it, in case it has another address there.
        there = Settings.model_validate(extras_for(self._settings)[SETTINGS]).s3
        return s3_ends(self._settings.s3, there, pipes.bucket, pipes.prefix, pipes.poll_seconds)


def launcher_for(settings: Settings) -> Launcher:
    """Return the launcher that ``pipes`` describes; connects to nothing before its first use.

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
            from cltv_assets.dagster_defs.remote.databricks import DatabricksService

            return PipesLauncher(settings, DatabricksService(pipes))
        from cltv_assets.dagster_defs.remote.emr import EmrServerlessService, EmrService

        kind = EmrService if pipes.kind == "emr" else EmrServerlessService
        return PipesLauncher(settings, kind(pipes, settings.s3.region))
    except ModuleNotFoundError as error:
        extra = "databricks" if pipes.kind == "databricks" else "emr"
        raise ConfigError(
            f"pipes of kind {pipes.kind} needs {error.name}, which is not installed.",
            f"Run pip install 'cltv-assets[{extra},s3]'.",
        ) from None
