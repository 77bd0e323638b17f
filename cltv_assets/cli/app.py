"""The commands and their options; each calls a module of this package.

Heavy imports happen inside the commands, so that ``cltv --help`` does not wait for Dagster.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

#: Holds the password of the database that ``cltv export`` writes to, if no other variable is named.
PASSWORD_VARIABLE = "CLTV_EXPORT_PASSWORD"  # noqa: S105 - its name

app = typer.Typer(
    help="Customer lifetime value, every month, from your transactions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="With any command: --environment NAME (development, test or production; by default $CLTV_ENVIRONMENT) "
    "takes the settings of that environment, and --debug shows the traceback of an error.",
)

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Settings; by default $CLTV_CONFIG, else ./cltv.yaml."),
]
First = Annotated[
    str | None, typer.Option("--from", metavar="YYYY-MM", help="First month, or latest; by default the first.")
]
Last = Annotated[
    str | None, typer.Option("--to", metavar="YYYY-MM", help="Last month; by default latest, the last closed.")
]
Select = Annotated[
    str | None,
    typer.Option("--select", help="Assets to run, comma-separated; '+' adds what is downstream, as rfm_summary+."),
]
AcceptLoss = Annotated[
    list[str] | None,
    typer.Option(
        "--accept-loss",
        metavar="YYYY-MM",
        help="Publish this month although lines of it that are published are not delivered any more, or are worth far "
        "less; repeatable.",
    ),
]


def _show_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def _common(
    show: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None: ...


@app.command()
def init(
    path: Annotated[
        str,
        typer.Argument(
            help="A file, a folder or a glob in quotes; a Delta table's folder; with --table a database file."
        ),
    ] = ".",
    table: Annotated[str | None, typer.Option(help="A database's table, such as shop.orders.")] = None,
    url_variable: Annotated[
        str | None, typer.Option(help="The environment variable that holds the database's URL, if it is no file.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Where to write the proposal.")] = Path("cltv.yaml"),
    force: Annotated[bool, typer.Option("--force", "--yes", help="Replace the file if it exists.")] = False,
) -> None:
    """Look at files or a table and propose a commented configuration for them."""
    from cltv_assets.cli.proposing import propose_configuration

    propose_configuration(path, table, url_variable, output, force)


@app.command()
def run(
    config: Config = None,
    first: First = None,
    last: Last = None,
    select: Select = None,
    accept_loss: AcceptLoss = None,
) -> None:
    """Materialise months, oldest first."""
    from cltv_assets.cli.running import run_and_report

    assets = None if select is None else [name.strip() for name in select.split(",")]
    run_and_report(config, first, last, assets, accept_loss or ())


#: Where Dagster Pipes exchanges its messages: in variables, or in arguments where variables cannot be set.
PipesContext = Annotated[
    str | None, typer.Option("--dagster-pipes-context", envvar="DAGSTER_PIPES_CONTEXT", hidden=True)
]
PipesMessages = Annotated[str | None, typer.Option("--dagster-pipes-messages", hidden=True)]


@app.command()
def preprocess(
    config: Config = None,
    first: First = None,
    last: Last = None,
    accept_loss: AcceptLoss = None,
    launched: PipesContext = None,
    _messages: PipesMessages = None,
) -> None:
    """Run the first half: from delivered lines to the RFM summary."""
    if launched:
        from cltv_assets.cli.launched import run_launched

        return run_launched(first, last)
    from cltv_assets.cli.running import run_half

    return run_half("preprocess", config, first, last, accept_loss or ())


@app.command()
def model(config: Config = None, first: First = None, last: Last = None) -> None:
    """Run the second half: models, predictions, evaluation, report."""
    from cltv_assets.cli.running import run_half

    run_half("model", config, first, last)


@app.command()
def demo(
    lake: Annotated[Path | None, typer.Option(help="Where to put the demo's lake.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="YYYY-MM", help="Stop earlier: all are 18.")] = None,
) -> None:
    """Run the months of the CDNOW purchase log and sum up."""
    from cltv_assets.cli.running import run_demo

    run_demo(lake, last)


@app.command()
def summary(config: Config = None, month: Annotated[str | None, typer.Option(metavar="YYYY-MM")] = None) -> None:
    """Sum up a published month: lines, models, holdout error, the most valuable customers."""
    from cltv_assets.cli.configuration import settings_to_read
    from cltv_assets.cli.summary import show_summary

    show_summary(settings_to_read(config), month)


@app.command()
def report(
    month: Annotated[str | None, typer.Option(metavar="YYYY-MM", help="By default the newest.")] = None,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Whether to open it in the browser.")] = True,
    config: Config = None,
) -> None:
    """Open a month's report in the browser, and print where it is."""
    from cltv_assets.cli.report import open_report

    open_report(config, month, show)


@app.command()
def status(
    month: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="Show one month, with what its checks say.")
    ] = None,
    config: Config = None,
) -> None:
    """Show which months exist, are stale, or failed their checks, and why."""
    from cltv_assets.cli.status import show_status

    show_status(config, month)


@app.command()
def export(
    to: Annotated[
        str,
        typer.Option(
            metavar="TARGET",
            help="A file or s3://bucket/name that ends in .csv or .parquet; or a database's table: "
            "postgresql://user@host/database/table, mysql://user@host/database/table or file.duckdb/table.",
        ),
    ],
    month: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="Month of the rows; by default the newest.")
    ] = None,
    table: Annotated[str, typer.Option(help="The table, such as customer_scores.")] = "cltv_predictions",
    segment: Annotated[
        list[str] | None,
        typer.Option(help="RFM or value segment; may be repeated. Of both kinds, a customer must be in one of each."),
    ] = None,
    columns: Annotated[str | None, typer.Option(help="Columns, comma-separated; by default all.")] = None,
    raw_text: Annotated[
        bool, typer.Option("--raw-text", help="In CSV, leave texts that a spreadsheet takes for a formula as they are.")
    ] = False,
    delete_missing: Annotated[
        bool, typer.Option("--delete-missing", help="In a database, delete the rows that are not in the selection.")
    ] = False,
    password_variable: Annotated[
        str, typer.Option(metavar="NAME", help="The environment variable that holds the database's password.")
    ] = PASSWORD_VARIABLE,
    config: Config = None,
) -> None:
    """Write a month's predictions or scores to a file, or into a table of a database."""
    from cltv_assets.cli.exporting import export_rows

    export_rows(
        config,
        month,
        to,
        table=table,
        segments=segment or [],
        columns=columns,
        raw_text=raw_text,
        delete_missing=delete_missing,
        password_variable=password_variable,
    )


@app.command()
def scenario(
    discount_rate: Annotated[
        list[float] | None,
        typer.Option("--discount-rate", min=0.0, max=10.0, help="Rate a year, 0.08 for 8 %; repeat it for several."),
    ] = None,
    margin: Annotated[
        list[float] | None,
        typer.Option("--margin", min=0.0, max=1.0, help="Share of spend that is margin, for everybody; repeatable."),
    ] = None,
    horizon: Annotated[
        list[int] | None,
        typer.Option("--horizon", min=1, max=60, help="Months ahead, configured or not; repeatable."),
    ] = None,
    month: Annotated[str | None, typer.Option(metavar="YYYY-MM", help="By default the newest.")] = None,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="A file for all figures; ends in .csv.")] = None,
    config: Config = None,
) -> None:
    """Show a month's predicted totals under other discount rates, margins and horizons; the lake is only read."""
    from cltv_assets.cli.scenario import show_scenarios

    show_scenarios(config, month, discount_rate or (), margin or (), horizon or (), to)


@app.command()
def sql(
    query: Annotated[str | None, typer.Argument(metavar="QUERY", help="One SELECT; - reads standard input.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="A file that holds it.")] = None,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="table, csv or json.")] = "table",
    to: Annotated[
        str | None, typer.Option(metavar="FILE", help="A file or s3://bucket/name; ends in .csv or .parquet.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many rows the printed table shows.")] = 50,
    config: Config = None,
) -> None:
    """Answer a question in SQL: every table of the lake by its name, its newest month as current_<table>."""
    from cltv_assets.cli.analysis.sql import answer

    answer(config, query, file, form, to, limit)


@app.command()
def views(
    to: Annotated[Path, typer.Option(metavar="FILE", help="The DuckDB file.")] = Path("analysis.duckdb"),
    config: Config = None,
) -> None:
    """Write a DuckDB file of views over the lake, for notebooks and BI tools; again after each run."""
    from cltv_assets.cli.analysis.views_file import write_views

    write_views(config, to)


@app.command()
def doctor(
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")] = False,
) -> None:
    """Check configuration, source, lake, store, database, automation and versions, and say what is wrong."""
    from cltv_assets.cli.doctor.examine import examine

    examine(config, as_json)


@app.command()
def forget(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER_ID", help="The id as it stands in the tables.")],
    config: Config = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go, and change nothing.")] = False,
    later: Annotated[
        bool, typer.Option("--source-cleaned-later", help="Go on although the source still has the customer.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase one customer from every table, month and report, and from Dagster's history."""
    from cltv_assets.cli.forgetting import forget_customer

    forget_customer(config, customer, dry_run=dry_run, source_cleaned_later=later, ask=not yes)


@app.command()
def vacuum(
    config: Config = None,
    keep_days: Annotated[
        int, typer.Option("--keep-days", min=1, help="Spare files replaced more recently; longer than any run.")
    ] = 7,
) -> None:
    """Delete files that no reader can need: those of replaced months, and what killed runs left."""
    from cltv_assets.cli.housekeeping import vacuum_lake

    vacuum_lake(config, keep_days)


@app.command()
def verify(
    table: Annotated[str | None, typer.Option(metavar="NAME", help="One table only.")] = None,
    month: Annotated[str | None, typer.Option(metavar="YYYY-MM", help="One month only.")] = None,
    config: Config = None,
) -> None:
    """Read every published file and compare its bytes with what was published; exit with 1 if one is damaged."""
    from cltv_assets.cli.verifying import verify_lake

    verify_lake(config, table, month)


@app.command()
def repair(config: Config = None) -> None:
    """Mend tables whose log is damaged: the version before stands again. Let runs end first."""
    from cltv_assets.cli.repairing import repair_logs

    repair_logs(config)


@app.command()
def adopt(config: Config = None) -> None:
    """Hand the lake over to the graph of this configuration, after asset_prefix was changed."""
    from cltv_assets.cli.housekeeping import adopt_lake

    adopt_lake(config)


@app.command()
def migrate(
    config: Config = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")] = False,
) -> None:
    """Bring the lake of an older release forward to this one's format."""
    from cltv_assets.cli.migrating import migrate_lake

    migrate_lake(config, dry_run)


@app.command()
def jars(
    into: Annotated[Path, typer.Option(metavar="FOLDER", help="Where to put them; made if it is not there.")],
    config: Config = None,
) -> None:
    """Fetch the jars with which Spark reads and writes s3://, once, for machines without network."""
    from cltv_assets.cli.jars import fetch_jars
    from cltv_assets.dagster_defs.templates import load_settings

    fetch_jars(load_settings(config), into)


@app.command()
def constraints(
    lock: Annotated[
        str | None,
        typer.Option(metavar="VARIANT", help="All to install, by hash: embedded, production or production-spark."),
    ] = None,
) -> None:
    """Print the versions that this release was tested with, for pip's -c; with --lock, for pip's -r."""
    from cltv_assets.constraints import VARIANTS
    from cltv_assets.constraints import constraints as tested

    if lock is not None and lock not in VARIANTS:
        raise typer.BadParameter(f"{lock!r} is none of {', '.join(VARIANTS)}.", param_hint="--lock")
    typer.echo(tested(lock), nl=False)


@app.command()
def version() -> None:
    """Show the version."""
    from cltv_assets import __version__

    typer.echo(__version__)
