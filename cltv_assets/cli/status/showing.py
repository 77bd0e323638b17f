"""Prints what was found, and says it in the exit code."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Column, Table

from cltv_assets.cli.configuration import settings_to_read
from cltv_assets.cli.damage import damage_lines
from cltv_assets.cli.reading import open_lake
from cltv_assets.cli.runner import months_between
from cltv_assets.cli.status.months import Found, MonthStatus, look
from cltv_assets.cli.terminal import open_console
from cltv_assets.dagster_defs.automation.landed import ranges
from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets.months import Month
from cltv_assets.settings.layers import ENVIRONMENT_VARIABLE

#: Exit codes beside 0: something is to be run or was refused; it cannot be known whether all is well.
TO_DO, UNKNOWN = 1, 3


def show_status(config: Path | None, only: str | None = None) -> None:
    """Print a line for each month, or all that stands about one.

    Parameters
    ----------
    config : path or None
        What ``--config`` names.
    only : str, optional
        The month to show alone, with what its warnings say.

    Raises
    ------
    typer.Exit
        With 1 if a month shown is not in order, and with 3 if that cannot be known.
    """
    settings = settings_to_read(config)
    found = look(settings)
    shown = found.months
    if only is not None:
        (month,) = months_between(settings, only, only)
        shown = {month: found.months[month]}
    console = open_console(at_least=100)
    # Failed checks are what readers look for: other columns are broken into lines first.
    table = Table("month", "state", Column("failed checks", no_wrap=True), "warnings", "late lines", box=None)
    for month, state in shown.items():
        table.add_row(
            month.key,
            "\n".join(states(state)),
            "\n".join(state.failed) or "-",
            str(len(state.warned)) if state.warned else "-",
            f"{state.late:+,}" if state.late else "-",
        )
    console.print(table)
    lines = [
        f"{month} {line}"
        for month, state in shown.items()
        for line in _explanations(month, state, only is not None, _given(config))
    ]
    with open_instance(settings) as instance:
        damage = damage_lines(settings, open_lake(settings), instance, None if only is None else shown, _given(config))
    for line in [*lines, *damage, *found.unknown, *found.source.words]:
        _say(console, line)
    wrong = [month for month, state in shown.items() if not state.in_order]
    unknown = bool(found.source.unknown or found.unknown)
    if to_run := [month for month in wrong if shown[month].to_make]:
        need = "month needs" if len(shown) == 1 else "months needs" if len(to_run) == 1 else "months need"
        _say(console, f"{len(to_run)} of {len(shown)} {need} a run: {_command(found, to_run, config)}")
    if unknown:
        _say(console, f"{'Besides, it' if wrong or damage else 'It'} cannot be known whether all is well: see above.")
        raise typer.Exit(UNKNOWN)
    if wrong or damage:
        raise typer.Exit(TO_DO)
    _say(console, f"All {len(shown)} months are in order." if len(shown) > 1 else f"{next(iter(shown))} is in order.")


def states(state: MonthStatus) -> list[str]:
    """Return a month's states, each in the same words every time and in the same order."""
    found = ["waiting for its source"] if state.waiting else []
    found += [f"missing: {_names(state.missing)}"] if state.missing else []
    found += [f"refused: {_names(state.refused)}"] if state.refused else []
    found += ["source changed"] if state.changed else []
    found += [f"stale: {_names(state.stale)}"] if state.stale else []
    return found or ["complete"]


def _names(assets: Sequence[str]) -> str:
    return ", ".join(assets) if len(assets) <= 3 else f"{len(assets)} assets from {assets[0]} on"


def _explanations(month: Month, state: MonthStatus, warnings: bool, given: str) -> list[str]:
    lines = [f"waits for its source: {lack}" for lack in state.waiting] + state.why
    if state.changed:
        refused = (
            ". A run would refuse that. Bring the lines back; if the loss is meant: "
            f"cltv run --from {month} --accept-loss {month}{given}"
        )
        lines.append(f"source changed: {state.changed}{refused if state.lost else ''}")
    lines += state.beside
    if warnings:
        lines += [f"{name}: {state.says[name]}" for name in state.warned]
    return lines


def _command(found: Found, wrong: Sequence[Month], config: Path | None) -> str:
    """Return what to type: as this command was given, and for all months that it makes stale."""
    commands = (f"cltv run --from {first} --to {last}{_given(config)}" for first, last in ranges(found.to_run(wrong)))
    return " && ".join(commands)


def _given(config: Path | None) -> str:
    """Return the options that this command was given and another one must repeat."""
    environment = os.environ.get(ENVIRONMENT_VARIABLE)
    given = (["--environment", environment] if environment else []) + (["--config", str(config)] if config else [])
    return "".join(f" {shlex.quote(one)}" for one in given)


def _say(console: Console, line: str) -> None:
    console.print(line, soft_wrap=True)
