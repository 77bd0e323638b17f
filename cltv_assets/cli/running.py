"""``cltv run``, ``preprocess``, ``model`` and ``demo``: run months, show progress, say what failed."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import typer
from rich.console import Console

from cltv_assets.cli.configuration import settings_to_run
from cltv_assets.cli.doctor.delivery import require_source
from cltv_assets.cli.reading import check_lake
from cltv_assets.cli.runner import MonthResult, look_on_time, months_between, parse_month, run_months
from cltv_assets.cli.summary import show_summary
from cltv_assets.cli.terminal import open_console
from cltv_assets.cli.two_halves import WORTH_IT, run_two_halves
from cltv_assets.dagster_defs.graph import assets_of_half
from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets.dagster_defs.templates import load_settings
from cltv_assets.errors import ConfigError
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.table import Half

#: Months that a line of warnings names one by one.
_SHOWN_MONTHS = 6


def run_and_report(
    config: Path | None,
    first: str | None,
    last: str | None,
    assets: Sequence[str] | None,
    accept_loss: Sequence[str] = (),
) -> None:
    """Run months and exit with 1 if any failed; of some of them published lines may vanish."""
    settings = settings_to_run(config)
    months = months_between(settings, first, last)
    accepted = {parse_month(name) for name in accept_loss}
    if others := sorted(accepted.difference(months)):
        raise ConfigError(
            f"--accept-loss names {', '.join(month.key for month in others)}, and the run is of {months[0]} to "
            f"{months[-1]}.",
            "Name months of the run, or change --from and --to.",
        )
    _run(settings, months, assets, accepted)


def run_half(
    half: Half, config: Path | None, first: str | None, last: str | None, accept_loss: Sequence[str] = ()
) -> None:
    """Run the assets of ``'preprocess'`` or ``'model'``, as `run_and_report` does."""
    run_and_report(config, first, last, assets_of_half(half), accept_loss)


def run_demo(lake: Path | None, last: str | None = None) -> None:
    """Run the CDNOW months to ``last``, without regard to ``cltv.yaml``, and sum up."""
    given = {"lake_uri": str(lake)} if lake else {}
    settings = Settings.model_validate(given)
    if lake is None and Path("cltv.yaml").is_file() and load_settings(None).lake_root == settings.lake_root:
        raise ConfigError(
            f"The demo would write into {settings.lake_root}, the lake of the cltv.yaml here.",
            "Give it one of its own: cltv demo --lake demo-lake.",
        )
    _run(settings, months_between(settings, None, last), None, sum_up=lambda: show_summary(settings, None))


def _run(
    settings: Settings,
    months: Sequence[Month],
    assets: Sequence[str] | None,
    accepted: Collection[Month] = (),
    sum_up: Callable[[], None] | None = None,
) -> None:
    # Before the first month: otherwise every month would fail with the same error.
    check_lake(settings)
    with _kept_session(settings):
        if assets is None or RAW_TRANSACTIONS.name in assets:
            require_source(settings)
        _run_months(settings, months, assets, accepted, sum_up)


def _run_months(
    settings: Settings,
    months: Sequence[Month],
    assets: Sequence[str] | None,
    accepted: Collection[Month],
    sum_up: Callable[[], None] | None,
) -> None:
    console = open_console()
    began = time.monotonic()
    what = "all assets" if assets is None else ", ".join(assets)
    console.print(
        f"{_months(len(months))}, {months[0]} to {months[-1]}: {what}. "
        f"Engine {settings.engine}, lake {settings.lake_root}",
        soft_wrap=True,
    )
    done: list[MonthResult] = []

    def after(result: MonthResult) -> None:
        done.append(result)
        mark, colour = ("done", "green") if result.succeeded else ("failed", "red")
        count = len(result.warnings)
        warned = f", {count} warning{'s' if count > 1 else ''}" if count else ""
        console.print(f"  {result.month} ", end="")
        console.print(mark, style=colour, end="")
        console.print(f" in {result.seconds:.1f} s{warned}  [{len(done)}/{len(months)}]")
        for error in result.errors:
            console.print(f"    {error}", soft_wrap=True)

    with open_instance(settings) as instance:
        # On Spark the cluster does the work; a second process would only add a second driver.
        embedded = settings.engine == "duckdb" and (os.cpu_count() or 1) > 1
        if assets is None and len(months) >= WORTH_IT and embedded:
            results = run_two_halves(settings, months, instance, after, accepted)
        else:
            results = run_months(settings, months, instance, assets, after, accepted)
        look_on_time(settings, instance)
    failed = [result.month.key for result in results if not result.succeeded]
    elapsed = time.monotonic() - began
    if failed or sum_up is None:
        _say_warnings(console, results)
    if failed:
        console.print(
            f"{len(failed)} of {_months(len(results))} failed in {elapsed:.0f} s: {', '.join(failed)}. "
            "Readers keep what those months held before. Mend the cause and run the same command again.",
            soft_wrap=True,
        )
        raise typer.Exit(1)
    console.print(f"{_months(len(results))} done in {elapsed:.0f} s.")
    if sum_up is not None:
        sum_up()
        # Before two pages of figures nobody would read them.
        _say_warnings(console, results)


@contextlib.contextmanager
def _kept_session(settings: Settings) -> Iterator[None]:
    """Let the months of one command share a Spark session, so that only the first waits for executors.

    An error of Java, jars or the cluster then shows once, before any month.
    """
    if settings.engine != "spark":
        yield
        return
    from cltv_assets.engines.spark_session import spark_session

    with spark_session(settings) as lease:
        lease.session()
        yield


def _months(count: int) -> str:
    return "1 month" if count == 1 else f"{count} months"


def _say_warnings(console: Console, results: Sequence[MonthResult]) -> None:
    """Show the warnings of all months, a line for each check: its months, and what it says of the newest."""
    warned: dict[str, dict[Month, str]] = {}
    for result in results:
        for warning in result.warnings:
            name, _, message = warning.partition(": ")
            warned.setdefault(name, {})[result.month] = message
    if warned:
        console.print("Warnings (they block nothing):")
    for name, messages in warned.items():
        months = list(messages)
        named = ", ".join(month.key for month in months)
        if len(months) > _SHOWN_MONTHS:
            named = f"{len(months)} months from {months[0]} to {months[-1]}"
        of = f"; of {months[-1]}" if len(months) > 1 else ""
        console.print(f"  {named} {name}{of}: {messages[months[-1]]}", soft_wrap=True)
