"""``cltv preprocess`` where an orchestrator started it through Dagster Pipes.

The month runs through the ordinary graph, on an instance that lives no longer than
this process. Each materialisation and each check result is sent when it happens, so
that the orchestrator knows what was published even if this process is killed.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster_pipes import PipesContext, open_dagster_pipes
from pydantic import ValidationError

from cltv_assets import __version__
from cltv_assets.cli.runner import MonthRunner
from cltv_assets.dagster_defs.accepting import ACCEPT_LOSS
from cltv_assets.dagster_defs.failures import nothing_quoted
from cltv_assets.dagster_defs.graph import assets_of_half
from cltv_assets.dagster_defs.remote.job import ERRORS, SETTINGS, VERSION
from cltv_assets.dagster_defs.remote.sessions import far_ends, params_loader
from cltv_assets.errors import CltvError, ConfigError
from cltv_assets.foreign import from_markdown
from cltv_assets.months import Month
from cltv_assets.settings import Settings

#: Names of Dagster's metadata types in Pipes.
_TYPES: dict[type, str] = {
    dg.BoolMetadataValue: "bool",
    dg.IntMetadataValue: "int",
    dg.FloatMetadataValue: "float",
    dg.TextMetadataValue: "text",
    dg.MarkdownMetadataValue: "md",
    dg.JsonMetadataValue: "json",
    dg.NullMetadataValue: "null",
    dg.PathMetadataValue: "path",
    dg.UrlMetadataValue: "url",
    dg.TimestampMetadataValue: "timestamp",
}


def run_launched(first: str | None, last: str | None) -> None:
    """Run the first half of the month that the orchestrator named, with the settings that it sent.

    Parameters
    ----------
    first, last : str or None
        The months in the job's arguments. They must be equal; the orchestrator names the month itself.

    Raises
    ------
    ConfigError
        If the arguments name more than one month.
    SystemExit
        With 1 if the month is not published: the service then shows its job as failed too.
    """
    if first != last:
        raise ConfigError(f"A launched job runs one month, and its arguments say {first} to {last}.", "Name one month.")
    params = params_loader()
    assert params is not None, "the command is called with what Dagster Pipes sets"
    loader, writer = far_ends(params)
    with open_dagster_pipes(context_loader=loader, message_writer=writer, params_loader=params) as pipes:
        try:
            # Pipes would send the text of an error to Dagster's log.
            with nothing_quoted():
                errors = _run(pipes, settings_from(pipes.extras))
        except CltvError as error:
            errors = [error.recorded]
        if errors:
            pipes.report_custom_message({ERRORS: errors})
    if errors:
        sys.stderr.write("".join(f"cltv: {error}\n" for error in errors))
        raise SystemExit(1)


def settings_from(extras: Mapping[str, Any]) -> Settings:
    """Return the settings that the orchestrator sent.

    Raises
    ------
    ConfigError
        If this is another version of the package, or the settings do not fit this machine.
    """
    theirs = extras.get(VERSION)
    if theirs != __version__:
        raise ConfigError(
            f"The orchestrator has cltv-assets {theirs}, the remote process {__version__}.",
            "Put the same wheel on both sides.",
        )
    try:
        return Settings.model_validate(extras[SETTINGS])
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ConfigError(f"The settings that the orchestrator sent: {found}.", "Look at pipes.settings.") from None


def _run(pipes: PipesContext, settings: Settings) -> list[str]:
    """Run the month and return why it failed, a sentence each; empty if it is published."""
    month = Month.parse(pipes.partition_key)
    pipes.log.info(f"cltv-assets {__version__}: {month}, engine {settings.engine}, lake {settings.lake_root}")
    with dg.DagsterInstance.ephemeral() as instance:
        # The orchestrator's own run id: the lake's commits then name the run that its UI shows.
        instance.add_event_listener(pipes.run_id, lambda entry: _report(pipes, entry))
        accepted = [month] if pipes.extras.get(ACCEPT_LOSS) else []
        runner = MonthRunner(settings, instance, assets_of_half("preprocess"), accepted=accepted)
        return runner.run(month, pipes.run_id).errors


def _report(pipes: PipesContext, entry: dg.EventLogEntry) -> None:
    """Send the events of a run that the orchestrator records."""
    event = entry.dagster_event
    if event is None:
        return
    if event.is_step_materialization:
        made = event.step_materialization_data.materialization
        # Escaped is how Pipes reads a key of several parts.
        name = made.asset_key.to_escaped_user_string()
        pipes.report_asset_materialization(asset_key=name, metadata=encoded(made.metadata))
        rows = made.metadata.get("dagster/partition_row_count")
        pipes.log.info(
            f"{name} is published" + (f": {rows.value:,} rows" if isinstance(rows, dg.IntMetadataValue) else "")
        )
    elif event.event_type_value == "ASSET_CHECK_EVALUATION":
        found = event.asset_check_evaluation_data
        pipes.report_asset_check(
            check_name=found.check_name,
            passed=found.passed,
            severity="ERROR" if found.severity == dg.AssetCheckSeverity.ERROR else "WARN",
            # Pipes carries no description.
            metadata=encoded(found.metadata) | {"message": {"type": "text", "raw_value": found.description or ""}},
            asset_key=found.asset_key.to_escaped_user_string(),
        )
        if not found.passed:
            log = pipes.log.error if found.severity == dg.AssetCheckSeverity.ERROR else pipes.log.warning
            log(f"{found.asset_key.to_user_string()}.{found.check_name}: {from_markdown(found.description or '')}")


def encoded(metadata: Mapping[str, dg.MetadataValue[Any]]) -> dict[str, Any]:
    """Return metadata in the form of Pipes; a value that Pipes has no type for becomes text."""
    return {
        key: {"type": _TYPES[type(value)], "raw_value": value.value}
        if type(value) in _TYPES
        else {"type": "text", "raw_value": str(value.value)}
        for key, value in metadata.items()
    }
