"""The sensor ``cltv_alerts``: reports failed runs, overdue months and chosen warnings to a webhook.

Each failed run is reported once. An overdue month is reported once, and again when it has
arrived. Which warnings are told is in `told_warnings`. One message has all the news; without
news there is none. If the webhook does not accept the message, the tick fails and the cursor
stays, so the next tick sends the same. A daemon that dies before it saves the cursor sends the
message twice rather than never.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import dagster as dg

from cltv_assets.dagster_defs.automation.expectations import Expectation, closes
from cltv_assets.dagster_defs.automation.landed import months_of_tags, ranges
from cltv_assets.dagster_defs.automation.told_warnings import Memory, Warned, WarningsWatch, last_place
from cltv_assets.dagster_defs.automation.webhook import Webhook, escaped
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.months import Month
from cltv_assets.settings import Settings

#: Plain name; ``Names`` adds the prefix.
ALERTS_SENSOR = "cltv_alerts"
#: Environment variable with the address of the UI, for links to runs.
UI_VARIABLE = "CLTV_UI_URL"

_INTERVAL = 60
#: The most failed runs in one message; the next tick reports the others.
_RUNS = 20
#: How many causes of a run are shown, and how many characters of each.
_SHOWN_CAUSES, _SHOWN_CHARACTERS = 3, 700
#: How many assets are listed by name.
_SHOWN_ASSETS = 4


@dataclass(frozen=True)
class Cursor:
    """What was reported.

    Parameters
    ----------
    failures : int
        Place of the last examined failure in the order of all events; -1 before the first look.
    overdue : mapping of str to list of (str, str)
        For each asset, the stretches of months that were reported as overdue.
    warnings : Memory
        What was reported of warnings.
    """

    failures: int = -1
    overdue: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)
    warnings: Memory = field(default_factory=Memory)

    @classmethod
    def parse(cls, text: str | None) -> Cursor | None:
        """Read a cursor; None if there is none, or one of another version."""
        try:
            if not text:
                return None
            found = cls(**json.loads(text))
            overdue = {asset: _parsed(told) for asset, told in found.overdue.items()}
            # Release 0.2.0 told no warnings.
            return cls(
                found.failures, overdue, Memory(**found.warnings) if isinstance(found.warnings, dict) else Memory()
            )
        except (ValueError, TypeError, AttributeError):
            return None

    def text(self) -> str:
        """Return the cursor as Dagster keeps it."""
        overdue = {asset: " ".join(map("/".join, stretches)) for asset, stretches in self.overdue.items()}
        return json.dumps(
            {"failures": self.failures, "overdue": overdue, "warnings": asdict(self.warnings)}, sort_keys=True
        )

    def told(self) -> set[tuple[str, Month]]:
        """Return the months that were reported as overdue, with their assets."""
        return {
            (asset, month)
            for asset, stretches in self.overdue.items()
            for first, last in stretches
            for month in Month.parse(first).until(Month.parse(last))
        }


def _parsed(told: str | Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    """Read the stretches of one asset; release 0.2.0 wrote lists."""
    return [stretch.split("/") for stretch in told.split()] if isinstance(told, str) else told


@dataclass(frozen=True)
class Message:
    """What a look found.

    Parameters
    ----------
    text : str
        Empty if there is nothing new.
    cursor : Cursor
        To be saved once the text is sent.
    """

    text: str
    cursor: Cursor


class Watchman:
    """Looks for what has gone wrong since the last message.

    Parameters
    ----------
    settings : Settings
        They give the months, the time zone and the prefix of names.
    job : str
        Name of the job that makes a month.
    expected : mapping of str to Expectation
        When each asset is due.
    """

    def __init__(self, settings: Settings, job: str, expected: Mapping[str, Expectation]) -> None:
        self._settings = settings
        self._names = Names(settings.asset_prefix)
        self._job = job
        self._expected = expected
        self._keys = {self._names.key(asset) for asset in expected}
        self._warnings = WarningsWatch(settings)

    def look(
        self, instance: dg.DagsterInstance, cursor: Cursor | None, now: dt.datetime, location: str | None
    ) -> Message:
        """Return what is new.

        Parameters
        ----------
        instance : DagsterInstance
            Where runs and materialisations are recorded.
        cursor : Cursor or None
            None at the first look, which reports overdue months but no earlier failures.
        now : datetime.datetime
            With a zone.
        location : str or None
            Name of the code location that the sensor is in.
        """
        before = cursor or Cursor(last_place(instance, dg.DagsterEventType.RUN_FAILURE))
        runs, place = self._failed_runs(instance, before.failures, location)
        made = {asset: instance.get_materialized_partitions(self._names.key(asset)) for asset in self._expected}
        overdue = {(asset, month) for asset in self._expected for month in self._late(asset, made[asset], now)}
        told = before.told()
        warned, memory = self._warnings.look(instance, before.warnings, lambda run: self._is_ours(run, location))
        arrived = {(asset, month) for asset, month in told - overdue if month.key in made.get(asset, ())}
        lines = [
            *_told_runs(instance, runs),
            *(f":hourglass: Overdue: {group}" for group in self._grouped(overdue - told)),
            *(f":white_check_mark: There now: {group}" for group in self._grouped(arrived)),
            *map(_told_warning, warned),
        ]
        by_asset: dict[str, list[Month]] = defaultdict(list)
        for asset, month in overdue:
            by_asset[asset].append(month)
        stretches = {
            asset: [(first.key, last.key) for first, last in ranges(months)]
            for asset, months in sorted(by_asset.items())
        }
        title = f"*{escaped(self._names.name('cltv'))}*"
        return Message("\n".join([title, *lines]) if lines else "", Cursor(place, stretches, memory))

    def _failed_runs(
        self, instance: dg.DagsterInstance, after: int, location: str | None
    ) -> tuple[list[dg.DagsterRun], int]:
        """Return our runs that failed after a place in the order of events, and the last examined place."""
        wanted = dg.RunStatusChangeRecordsFilter(dg.DagsterEventType.RUN_FAILURE, after_storage_id=after)
        records = instance.fetch_run_status_changes(wanted, limit=_RUNS, ascending=True).records
        runs = [run for record in records if (run := instance.get_run_by_id(record.run_id)) is not None]
        # A run that Dagster retries by itself has not failed for good.
        ours = [run for run in runs if self._is_ours(run, location)]
        ours = [run for run in ours if run.tags.get("dagster/will_retry") != "true"]
        return ours, records[-1].storage_id if records else after

    def _is_ours(self, run: dg.DagsterRun, location: str | None) -> bool:
        origin = run.remote_job_origin
        if origin is not None and location is not None and origin.location_name != location:
            return False
        assets = set(run.asset_selection or ()) | {check.asset_key for check in run.asset_check_selection or ()}
        return run.job_name == self._job or bool(assets & self._keys)

    def _late(self, asset: str, made: Iterable[str], now: dt.datetime) -> list[Month]:
        settings, there = self._settings, set(made)
        last = settings.last_month(now.astimezone(settings.zone).date())
        return [
            month
            for month in (settings.first_month.until(last) if settings.first_month <= last else ())
            if month.key not in there and now >= closes(settings, month) + self._expected[asset].deadline
        ]

    def _grouped(self, found: Iterable[tuple[str, Month]]) -> list[str]:
        """Put assets that lack the same months on one line."""
        months: dict[str, set[Month]] = defaultdict(set)
        for asset, month in found:
            months[asset].add(month)
        groups: dict[tuple[tuple[Month, Month], ...], list[str]] = defaultdict(list)
        for asset in self._expected:
            if asset in months:
                groups[tuple(ranges(months[asset]))].append(asset)
        return [f"{_stretches(stretches)} of {_listed(assets)}" for stretches, assets in groups.items()]


def alerts_sensor(settings: Settings, job: Any, expected: Mapping[str, Expectation]) -> dg.SensorDefinition:
    """Return the sensor that reports failed runs, overdue months and chosen warnings to a webhook.

    Parameters
    ----------
    settings : Settings
        They give the webhook's variable, the months and the environment.
    job : job definition
        Makes a month of the whole graph.
    expected : mapping of str to Expectation
        When each asset is due, in the order of the graph.
    """
    webhook = Webhook(settings.automation.webhook_variable)
    watchman = Watchman(settings, job.name, expected)
    running = settings.environment == "production" and webhook.is_set

    @dg.sensor(
        name=Names(settings.asset_prefix).name(ALERTS_SENSOR),
        minimum_interval_seconds=_INTERVAL,
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        description=f"Tells the webhook of {settings.automation.webhook_variable} of failed runs, overdue months and "
        "the warnings that automation.webhook_warnings names.",
    )
    def alert(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        if not webhook.is_set:
            # The cursor stays: what happens meanwhile is reported once there is an address.
            return dg.SensorResult(
                skip_reason=f"The environment variable {settings.automation.webhook_variable} is not set, "
                "so there is nowhere to tell anything.",
                cursor=context.cursor,
            )
        origin = context.code_location_origin
        location = origin.location_name if origin is not None else None
        message = watchman.look(context.instance, Cursor.parse(context.cursor), dt.datetime.now(dt.UTC), location)
        if message.text:
            webhook.post(message.text)
        reason = "Told what is new." if message.text else "Nothing new is wrong."
        return dg.SensorResult(skip_reason=reason, cursor=message.cursor.text())

    return alert


def causes_of(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """Return the causes of a run's failure, a sentence or paragraph each.

    Parameters
    ----------
    instance : DagsterInstance
        Where the run is recorded.
    run_id : str
        The failed run.
    """
    causes = []
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.dagster_event
        assert event is not None
        failure = event.step_failure_data
        if failure.user_failure_data is not None and failure.user_failure_data.description:
            causes.append(f"{event.step_key}: {failure.user_failure_data.description}")
        elif failure.error is not None:
            causes.append(f"{event.step_key}: {(failure.error.cause or failure.error).message.strip()}")
    if causes:
        return causes
    # The run failed before its first step, or its process died.
    ended = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    return [entry.dagster_event.message for entry in ended if entry.dagster_event and entry.dagster_event.message]


def _told_runs(instance: dg.DagsterInstance, runs: Sequence[dg.DagsterRun]) -> list[str]:
    lines = []
    for run in runs:
        months = _stretches(ranges(months_of_tags(run.tags))) or "A run"
        causes = [_shortened(cause) for cause in causes_of(instance, run.run_id)] or ["no reason was recorded"]
        more = f" And {len(causes) - _SHOWN_CAUSES} more causes." if len(causes) > _SHOWN_CAUSES else ""
        lines.append(f":x: {months} failed. {escaped(' '.join(causes[:_SHOWN_CAUSES]) + more)} {_where(run.run_id)}")
    return lines


def _told_warning(warned: Warned) -> str:
    """Return a line for a check: its months, and what it says of the newest."""
    months = _stretches(warned.months)
    of = "" if months == warned.newest.key else f"of {warned.newest}: "
    says = escaped(f"{of}{_shortened(warned.says)}")
    return f":warning: {months}: {warned.name} warns: {says} {_where(warned.run_id)}"


def _where(run_id: str) -> str:
    ui = os.environ.get(UI_VARIABLE, "").rstrip("/")
    return f"{ui}/runs/{run_id}" if ui else f"run {run_id}"


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _stretches(stretches: Iterable[tuple[Month, Month]]) -> str:
    return ", ".join(f"{first}" if first == last else f"{first} to {last}" for first, last in stretches)


def _listed(assets: Sequence[str]) -> str:
    if len(assets) <= _SHOWN_ASSETS:
        return ", ".join(assets)
    return f"{', '.join(assets[: _SHOWN_ASSETS - 1])} and {len(assets) - _SHOWN_ASSETS + 1} more assets"
