"""``cltv forget``: erases one customer from everything that this platform keeps."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import dagster as dg
import typer
from markupsafe import escape
from rich.console import Console

from cltv_assets.cli.configuration import settings_to_read
from cltv_assets.cli.history import ERASED, shown_in_history
from cltv_assets.cli.housekeeping import delete_unread
from cltv_assets.cli.reading import configured_source, open_lake
from cltv_assets.cli.terminal import open_console
from cltv_assets.dagster_defs.build import build_definitions
from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets.errors import ConfigError, LakeError, SourceError
from cltv_assets.files.scratch import remove_orphans
from cltv_assets.foreign import visible
from cltv_assets.lake import Lake
from cltv_assets.lake.erasing import erase, holdings, names_customer
from cltv_assets.lake.spellings import Spellings
from cltv_assets.months import Month
from cltv_assets.report import REPORT, REPORT_FILE
from cltv_assets.settings import Settings
from cltv_assets.sources.meaning import fold
from cltv_assets.tables import lake_schemas
from cltv_assets.tables.damage import damage_explained

_SHOWN_FILES = 10


def forget_customer(
    config: Path | None, customer: str, *, dry_run: bool, source_cleaned_later: bool, ask: bool
) -> None:
    """Erase the customer, or show what would be erased.

    Raises
    ------
    SourceError
        If the source still delivers the customer.
    LakeError
        If a run publishes meanwhile, or the lake cannot be written.
    """
    customer = customer.strip()
    if not customer:
        raise ConfigError("The customer's id is empty.", "Give it as it stands in cleaned_transactions.")
    settings = settings_to_read(config)
    folding = settings.source.customer_id_folding
    # As `customer_key` reads it: somebody may have the id from the delivery.
    customer = re.sub(r"^(\d+)\.0+$", r"\1", fold(customer, folding))
    who = Spellings(customer, partial(fold, folding=folding))
    console = open_console(at_least=100)
    lake = open_lake(settings)
    lake.check_writable()
    delivered = lines_in_source(settings, who)
    _say_source(console, delivered)
    if delivered and not (source_cleaned_later or dry_run):
        raise SourceError(
            f"The source still delivers this customer, in {_files(delivered)}: the next run of these months would "
            "bring the customer back.",
            "Take the customer out of these files, then give the command again; with --source-cleaned-later it "
            "erases first. Nothing is erased yet.",
        )
    with damage_explained(settings, lake):
        _say_lake(console, lake, settings, who)
    if dry_run:
        with open_instance(settings) as instance:
            shown = shown_in_history(instance, _keys(settings), who)
        console.print(f"dagster: {shown} events show rows of the customer")
        console.print("Nothing is changed.")
        return
    if ask:
        typer.confirm("Erase for good?", abort=True)
    with damage_explained(settings, lake):
        _erase(console, lake, settings, who)
    if delivered:
        console.print(
            "The source still has the customer: until it is cleaned these months count as having late lines, and any "
            "run of them, also by automation, brings the customer back.",
            soft_wrap=True,
        )


def lines_in_source(settings: Settings, customer: Spellings) -> dict[str, int]:
    """Return the files that deliver the customer, with how many lines, of any month.

    Raises
    ------
    SourceError
        If a file cannot be read.
    """
    source = configured_source(settings)
    found: dict[str, int] = {}
    for file in source.list_files():
        for batch in source.transactions(file):
            if lines := names_customer(batch, customer).true_count:
                found[file.name] = found.get(file.name, 0) + lines
    return found


def _erase(console: Console, lake: Lake, settings: Settings, customer: Spellings) -> None:
    tables = lake_schemas(settings.horizons_months)
    for holding in holdings(lake, tables, customer):
        erase(lake, holding, customer)
    # Without waiting for readers: one that still reads the old files must fail. What runs have computed from them
    # is refused from here on, so reports come after it.
    gone = delete_unread(lake, settings, older_than_hours=0)
    reports = reports_naming(lake, customer, replace=True)
    again = holdings(lake, tables, customer) or reports_naming(lake, customer)
    if again:
        raise LakeError(
            "A run published months with the customer while they were erased.",
            "Let it end, or end it, then give the same command again.",
        )
    with open_instance(settings) as instance:
        events = shown_in_history(instance, _keys(settings), customer, remove=True)
    working = remove_orphans(kept=True)
    console.print(
        f"Erased. {len(reports)} reports and {events} events of Dagster named the customer; {gone:,} old files are "
        "deleted.",
        soft_wrap=True,
    )
    console.print(
        "Models stay as they are: they were fitted on counts. Figures summed up before, in reports, cohort_value, "
        "holdout_evaluation and check results, still count the customer; running the months again counts again without "
        "it. Not searched: exports, backups, old versions in a versioned bucket, logs outside Dagster's database, and "
        "what a daemon that runs has parsed, until it ends.",
        soft_wrap=True,
    )
    if working:
        console.print(
            f"Other processes of this package run here ({working}), and their temporary files may hold the customer. "
            "The files go when the processes end.",
            soft_wrap=True,
        )


def reports_naming(lake: Lake, customer: Spellings, *, replace: bool = False) -> list[Month]:
    """Return the months whose report names the customer; with ``replace``, write a word over the name."""
    files = lake.files(REPORT.name)
    # The report's template puts every customer's id into such an element.
    name = re.compile(rf"(<bdi class=\"id\" data-foreign>){re.escape(str(escape(customer.customer)))}(?=</bdi>)")
    found = []
    for month in sorted(files.months(REPORT_FILE)):
        html = files.read(month, REPORT_FILE).decode()
        if name.search(html):
            found.append(month)
            if replace:
                files.publish(month, REPORT_FILE, name.sub(rf"\g<1>{ERASED}", html).encode())
    return found


def _keys(settings: Settings) -> set[dg.AssetKey]:
    return set(build_definitions(settings).resolve_asset_graph().materializable_asset_keys)


def _say_source(console: Console, delivered: dict[str, int]) -> None:
    lines = sum(delivered.values())
    text = f"{lines:,} lines of the customer, in {_files(delivered)}" if delivered else "no line of the customer"
    console.print(f"source: {text}", soft_wrap=True)


def _say_lake(console: Console, lake: Lake, settings: Settings, customer: Spellings) -> None:
    found = holdings(lake, lake_schemas(settings.horizons_months), customer)
    for table in dict.fromkeys(holding.table.name for holding in found):
        months = [holding for holding in found if holding.table.name == table]
        rows = sum(holding.rows for holding in months)
        span = f"{months[0].month} to {months[-1].month}" if len(months) > 1 else str(months[0].month)
        console.print(f"{table}: {rows:,} rows in {len(months)} months, {span}")
    if not found:
        console.print("tables: no row of the customer")
    console.print(f"{REPORT.name}: {len(reports_naming(lake, customer))} months name the customer")


def _files(delivered: dict[str, int]) -> str:
    names = sorted(delivered)
    more = f" and {len(names) - _SHOWN_FILES} more" if len(names) > _SHOWN_FILES else ""
    return visible(", ".join(names[:_SHOWN_FILES])) + more
