"""``cltv status``: which months exist, are stale, or failed their checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import typer
from rich.table import Column, Table

from cltv_assets.cli.configuration import settings_to_read
from cltv_assets.cli.reading import configured_source, open_lake
from cltv_assets.cli.runner import months_between
from cltv_assets.cli.terminal import open_console
from cltv_assets.dagster_defs.automation.state import Upstream, latest, needs_of, read_upstream
from cltv_assets.dagster_defs.build import build_assets
from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.errors import SourceError
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.report import REPORT, REPORT_FILE
from cltv_assets.settings import Settings
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables import all_schemas
from cltv_assets.tables.refused_lines import explained, reasons_kept


@dataclass
class MonthStatus:
    """What is known of one month.

    Parameters
    ----------
    missing : list of str
        Assets without this month.
    stale : list of str
        Assets that are older than something they were made from.
    failed, warned : list of str
        Blocking checks and warnings of the last evaluation, ``asset.check``.
    waiting : list of str
        What the month waits for of the user's own assets, in words.
    late : int
        Lines that the source has and the lake lacks; negative if the source has fewer.
    says : dict of str to str
        What each of these checks says.
    """

    missing: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    late: int = 0
    says: dict[str, str] = field(default_factory=dict)

    @property
    def in_order(self) -> bool:
        """Whether nothing needs to be done; warnings are for reading."""
        return not (self.missing or self.stale or self.failed or self.late)


def show_status(config: Path | None, only: str | None = None) -> None:
    """Print a line for each month, or all that stands about one; exit with 1 unless every month shown is in order."""
    settings = settings_to_read(config)
    found = month_statuses(settings)
    if only is not None:
        (month,) = months_between(settings, only, only)
        found = {month: found[month]}
    console = open_console(at_least=100)
    # Failed checks are what readers look for: other columns are broken into lines first.
    table = Table("month", "state", Column("failed checks", no_wrap=True), "warnings", "late lines", box=None)
    for month, state in found.items():
        table.add_row(
            month.key,
            _state(state),
            "\n".join(state.failed) or "-",
            str(len(state.warned)) if state.warned else "-",
            f"{state.late:+,}" if state.late else "-",
        )
    console.print(table)
    lake = open_lake(settings)
    for month, state in found.items():
        for line in _explanations(lake, month, state, warnings=only is not None):
            console.print(line, markup=False, soft_wrap=True)
    wrong = [month for month, state in found.items() if not state.in_order]
    if wrong:
        console.print(
            f"{len(wrong)} of {len(found)} months need a run: cltv run --from {wrong[0]} --to {wrong[-1]}",
        )
        raise typer.Exit(1)
    console.print(f"All {len(found)} months are in order.")


def _explanations(lake: Lake, month: Month, state: MonthStatus, warnings: bool) -> list[str]:
    """Return why a month was refused, and what its warnings say, a line for each check."""
    kept = reasons_kept(lake, month) if state.failed else []
    lines = [f"waits for its source: {lack}" for lack in state.waiting]
    for name in state.failed:
        own = [reason for reason in kept if f"{reason.table}.{reason.check}" == name]
        lines.append(explained(own) if own else f"{name}: {state.says[name]}")
    if warnings:
        lines += [f"{name}: {state.says[name]}" for name in state.warned]
    return [f"{month} {line}" for line in lines]


def _state(state: MonthStatus) -> str:
    if state.waiting:
        return "waiting for its source"
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
    lake = open_lake(settings)
    held = {schema.name: lake.table(schema).published(months) for schema in all_schemas(settings.horizons_months)}
    held[REPORT.name] = lake.files(REPORT.name).months(REPORT_FILE)
    found = {month: MonthStatus([name for name in held if month not in held[name]]) for month in months}
    with open_instance(settings) as instance:
        upstream = read_upstream(instance, settings, months)
        _add_stale(found, settings, instance, upstream)
        _add_checks(found, settings, instance)
    _add_late(found, settings, lake)
    return found


def _add_stale(
    found: Mapping[Month, MonthStatus], settings: Settings, instance: dg.DagsterInstance, upstream: Upstream
) -> None:
    """Mark assets that were made before something upstream was made again, and months that wait for their source."""
    reach = settings.last_month().shift(-settings.automation.late_data_months)
    assets = build_assets(settings)
    made = {Names.table(key): latest(instance, key) for definition in assets for key in definition.keys}
    stale: set[tuple[str, Month]] = set()
    for definition in assets:
        needs = needs_of(definition)
        for table in map(Names.table, definition.keys):
            for month, state in found.items():
                at = made[table].get(month.key)
                raw = table == RAW_TRANSACTIONS.name
                if at is None:
                    state.waiting += upstream.lacking.get(month, ()) if raw else ()
                    continue
                # Older months are not made again for changes of the source's assets.
                if raw and month >= reach and any(there.get(month, 0) > at for there in upstream.made.values()):
                    stale.add((table, month))
                    state.stale.append(table)
                needed = [(need.table, up) for need in needs for up in need.months(month, settings.first_month)]
                if any(made[above].get(up.key, 0) > at or (above, up) in stale for above, up in needed):
                    stale.add((table, month))
                    state.stale.append(table)


def _add_checks(found: Mapping[Month, MonthStatus], settings: Settings, instance: dg.DagsterInstance) -> None:
    """Add the newest result of each check on each month."""
    names = Names(settings.asset_prefix)
    last: dict[str, dict[str, dg.AssetCheckEvaluation]] = {month.key: {} for month in found}
    for record in instance.get_run_records(order_by="create_timestamp", ascending=True):
        run = record.dagster_run
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
            evaluated = entry.get_dagster_event().asset_check_evaluation_data
            table = Names.table(evaluated.asset_key)
            # A backfill makes many months in one run; each result names its own.
            partition = evaluated.partition or run.tags.get("dagster/partition", "")
            # Other graphs may run on the same instance.
            if evaluated.asset_key == names.key(table) and partition in last:
                last[partition][f"{table}.{evaluated.check_name}"] = evaluated
    for month, state in found.items():
        for name, evaluated in sorted(last[month.key].items()):
            if not evaluated.passed:
                blocks = evaluated.severity == dg.AssetCheckSeverity.ERROR
                (state.failed if blocks else state.warned).append(name)
                state.says[name] = evaluated.description or "no message"


def _add_late(found: Mapping[Month, MonthStatus], settings: Settings, lake: Lake) -> None:
    held = lake.table(RAW_TRANSACTIONS).row_counts(found)
    try:
        delivered = configured_source(settings).line_counts(sorted(held))
    except SourceError:
        # The doctor explains a broken source; what is in the lake can still be shown.
        return
    for month, rows in held.items():
        found[month].late = delivered.get(month, rows) - rows
