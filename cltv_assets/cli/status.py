"""``cltv status``: which months exist, are stale, or failed their checks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import typer
from rich.console import Console
from rich.table import Table

from cltv_assets.cli.reading import configured_source, open_lake
from cltv_assets.dagster_defs.automation.state import latest, needs_of
from cltv_assets.dagster_defs.build import build_assets
from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.templates import load_settings
from cltv_assets.errors import SourceError
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.report import REPORT, REPORT_FILE
from cltv_assets.settings import Settings
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables import all_schemas


@dataclass
class MonthStatus:
    """What is known of one month.

    Parameters
    ----------
    missing : list of str
        Assets without this month.
    stale : list of str
        Assets that are older than something they were made from.
    failed, odd : list of str
        Blocking checks and warnings of the last evaluation, ``asset.check``.
    late : int
        Lines that the source has and the lake lacks.
    """

    missing: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    late: int = 0

    @property
    def in_order(self) -> bool:
        """Whether nothing needs to be done; warnings are for reading."""
        return not (self.missing or self.stale or self.failed or self.late)


def show_status(config: Path | None) -> None:
    """Print a line a month; exit with 1 unless every month is in order."""
    settings = load_settings(config)
    found = month_statuses(settings)
    console = Console(width=max(100, Console().width))
    table = Table("month", "state", "failed checks", "warnings", "late lines", box=None)
    # The name of a failed check is what the reader came for: other columns give way.
    table.columns[2].no_wrap = True
    for month, state in found.items():
        table.add_row(
            month.key,
            _state(state),
            "\n".join(state.failed) or "-",
            str(len(state.odd)) if state.odd else "-",
            f"{state.late:+,}" if state.late else "-",
        )
    console.print(table)
    wrong = [month for month, state in found.items() if not state.in_order]
    if wrong:
        console.print(
            f"{len(wrong)} of {len(found)} months need a run: cltv run --from {wrong[0]} --to {wrong[-1]}",
            highlight=False,
        )
        raise typer.Exit(1)
    console.print(f"All {len(found)} months are in order.", highlight=False)


def _state(state: MonthStatus) -> str:
    if state.missing:
        return f"missing: {_names(state.missing)}"
    if state.stale:
        return f"stale: {_names(state.stale)}"
    return "late lines" if state.late else ("failed" if state.failed else "complete")


def _names(assets: list[str]) -> str:
    return ", ".join(assets) if len(assets) <= 3 else f"{len(assets)} assets from {assets[0]} on"


def month_statuses(settings: Settings) -> dict[Month, MonthStatus]:
    """Return every closed month's status, oldest first."""
    months = list(settings.first_month.until(settings.last_month()))
    found = {month: MonthStatus() for month in months}
    lake = open_lake(settings)
    for schema in all_schemas(settings.horizons_months):
        there = lake.table(schema).published(months)
        for month in months:
            if month not in there:
                found[month].missing.append(schema.name)
    reported = lake.files(REPORT.name).months(REPORT_FILE)
    for month in months:
        if month not in reported:
            found[month].missing.append(REPORT.name)
    with open_instance(settings) as instance:
        _add_stale(found, settings, instance)
        _add_checks(found, settings, instance)
    _add_late(found, settings, lake)
    return found


def _add_stale(found: Mapping[Month, MonthStatus], settings: Settings, instance: dg.DagsterInstance) -> None:
    """Mark assets that were made before something upstream was made again."""
    names = Names(settings.asset_prefix)
    assets = build_assets(settings)
    made = {
        Names.table(key): latest(instance, names.key(Names.table(key)))
        for definition in assets
        for key in definition.keys
    }
    stale: set[tuple[str, Month]] = set()
    for definition in assets:
        needs = needs_of(definition)
        for table in map(Names.table, definition.keys):
            for month, state in found.items():
                at = made[table].get(month.key)
                if at is None:
                    continue
                needed = [(need.table, up) for need in needs for up in need.months(month, settings.first_month)]
                if any(made[above].get(up.key, 0) > at or (above, up) in stale for above, up in needed):
                    stale.add((table, month))
                    state.stale.append(table)


def _add_checks(found: Mapping[Month, MonthStatus], settings: Settings, instance: dg.DagsterInstance) -> None:
    """Add what each check said when it last looked at the month."""
    names = Names(settings.asset_prefix)
    last: dict[str, dict[str, tuple[bool, bool]]] = defaultdict(dict)
    records = instance.get_run_records(order_by="create_timestamp", ascending=True)
    keys = {month.key for month in found}
    for record in records:
        of_run = record.dagster_run.tags.get("dagster/partition")
        events = instance.get_records_for_run(
            record.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
        ).records
        for event in events:
            happened = event.event_log_entry.dagster_event
            if happened is not None:
                evaluated = happened.asset_check_evaluation_data
                table = Names.table(evaluated.asset_key)
                if evaluated.asset_key != names.key(table):
                    # Of another graph on the same instance.
                    continue
                # A backfill makes many months in one run; each result names its own.
                partition = evaluated.partition or of_run
                if partition not in keys:
                    continue
                name = f"{table}.{evaluated.check_name}"
                last[partition][name] = (evaluated.passed, evaluated.severity == dg.AssetCheckSeverity.ERROR)
    for month, state in found.items():
        for name, (passed, blocking) in sorted(last[month.key].items()):
            if not passed:
                (state.failed if blocking else state.odd).append(name)


def _add_late(found: Mapping[Month, MonthStatus], settings: Settings, lake: Lake) -> None:
    held = lake.table(RAW_TRANSACTIONS).row_counts(found)
    try:
        delivered = configured_source(settings).line_counts(sorted(held))
    except SourceError:
        # The doctor explains a broken source; what is in the lake can still be shown.
        return
    for month, rows in held.items():
        found[month].late = delivered.get(month, rows) - rows
