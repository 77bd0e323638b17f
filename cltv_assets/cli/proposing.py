"""Writes a first ``cltv.yaml`` for files or a table, and shows what the doctor finds of them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import typer

from cltv_assets.errors import ConfigError
from cltv_assets.foreign import visible_lines

#: Stands for columns until somebody has looked which there are.
_NOT_YET = {name: f"the column of {name}" for name in ("customer_id", "transacted_at", "amount")}


def propose_configuration(path: str, table: str | None, url_variable: str | None, output: Path, force: bool) -> None:
    """Write the proposal, examine the source with it and name the next command.

    Raises
    ------
    ConfigError
        If the file exists and was not to be replaced, or a table lacks its name.
    """
    from cltv_assets.cli.doctor.delivery import look_at_source
    from cltv_assets.dagster_defs.templates import load_settings
    from cltv_assets.errors import CltvError

    if output.exists() and not force:
        raise ConfigError(f"{output} exists.", "Give --output another name, or --force to replace it.")
    text = _proposed(path, table, url_variable)
    output.write_text(text, encoding="utf-8")
    typer.echo(visible_lines(text))
    try:
        for finding in look_at_source(load_settings(output)):
            said = f"{finding.state.value}: {finding.name}: {finding.text} {finding.remedy}"
            typer.echo(visible_lines(said.rstrip()))
    except CltvError as error:
        typer.echo(visible_lines(f"Not complete yet: {error}"))
    typer.echo(f"\nAnswer the questions in {output}, then: cltv doctor -c {output}")


def _proposed(path: str, table: str | None, url_variable: str | None) -> str:
    from cltv_assets.settings import Settings
    from cltv_assets.sources import new_source
    from cltv_assets.sources.proposal import propose, propose_for_table
    from cltv_assets.sources.tables import MonthsOfTable

    delta = Path(path, "_delta_log").is_dir()
    if not (table or url_variable or delta):
        return propose(path)
    if table is None and not delta:
        raise ConfigError("--url-variable needs the name of a table.", "Add --table, such as --table shop.orders.")
    where = {"url_variable": url_variable} if url_variable else {"path": path}
    place = {"kind": "delta" if delta else "sql", **where} | ({"table": table} if table else {})
    settings = Settings.model_validate({"source": {**place, "columns": _NOT_YET}, "start_month": "2000-01"})
    with closing(new_source(settings)) as source:
        assert isinstance(source.reader, MonthsOfTable)
        return propose_for_table(source.reader, place)
