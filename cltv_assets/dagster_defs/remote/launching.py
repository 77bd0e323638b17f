"""The near end: starts the job for a month and collects what it reports."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import dagster as dg

from cltv_assets import __version__
from cltv_assets.dagster_defs.accepting import ACCEPT_LOSS, accepts_loss
from cltv_assets.dagster_defs.remote.job import ERRORS, SETTINGS, VERSION
from cltv_assets.dagster_defs.remote.sessions import Heard, s3_ends
from cltv_assets.months import Month
from cltv_assets.settings import Settings


@dataclass(frozen=True)
class Told:
    """What was reported about a month.

    Parameters
    ----------
    results : sequence of MaterializeResult or AssetCheckResult
        In the order in which the job reported them.
    errors : sequence of str
        Why the month is not published, as the far end reported.
    fault : str, optional
        What the service said about the job, if it failed.
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
    """A remote service, which runs a month as a job through its Pipes client."""

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
    """Return what the far end gets besides the month: the settings and this version.

    Settings hold names of variables, never secrets, so they may pass through a bucket.
    """
    pipes = settings.pipes
    # Without ``pipes``, because the far end runs the month itself; it also has its own ``home``.
    sent = json.loads(settings.model_dump_json(exclude={"pipes", "home"}, exclude_unset=True))
    return {SETTINGS: _laid_over(sent, pipes.settings), VERSION: __version__}


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(dict(below))
    for key, value in above.items():
        inner = merged.get(key)
        merged[key] = _laid_over(inner, value) if isinstance(inner, dict) and isinstance(value, Mapping) else value
    return merged


class PipesLauncher:
    """Launches through one of Dagster's Pipes clients.

    What the far end reported decides whether the month is published, never the client:
    clients differ in what they take for a failure, and raise without handing over the
    results so far.

    Parameters
    ----------
    settings : Settings
        The near end's settings.
    service : Service
        What runs the job.
    ends : callable, optional
        Returns the context injector and the message reader; by default those for the S3 bucket
        that ``pipes`` names.
    """

    def __init__(
        self,
        settings: Settings,
        service: Service,
        ends: Callable[[], tuple[dg.PipesContextInjector, Any]] | None = None,
    ) -> None:
        self._settings = settings
        self._service = service
        self._other_ends = ends

    def launch(self, context: dg.AssetExecutionContext, month: Month) -> Told:
        """Run the month's first half and return what it reported."""
        ends = self._ends()
        reader: Heard = ends[1]
        fault = None
        extras = extras_for(self._settings) | ({ACCEPT_LOSS: True} if accepts_loss(context) else {})
        try:
            self._service.run(context, month, extras, ends)
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
        if self._other_ends is not None:
            return self._other_ends()
        pipes = self._settings.pipes
        assert pipes.bucket is not None
        # The store as the far end reaches it, because it may have another address there.
        there = Settings.model_validate(extras_for(self._settings)[SETTINGS]).s3
        return s3_ends(self._settings.s3, there, pipes.bucket, pipes.prefix, pipes.poll_seconds)
