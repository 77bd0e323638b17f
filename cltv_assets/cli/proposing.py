"""Writes a first ``cltv.yaml`` for files, and shows what the doctor finds of them."""

from __future__ import annotations

from pathlib import Path

import typer

from cltv_assets.errors import ConfigError


def propose_configuration(path: str, output: Path, force: bool) -> None:
    """Write the proposal, examine the source with it and name the next command.

    Raises
    ------
    ConfigError
        If the file exists and was not to be replaced.
    """
    from cltv_assets.cli.doctor.delivery import look_at_source
    from cltv_assets.dagster_defs.templates import load_settings
    from cltv_assets.errors import CltvError
    from cltv_assets.sources.proposal import propose

    if output.exists() and not force:
        raise ConfigError(f"{output} exists.", "Give --output another name, or --force to replace it.")
    text = propose(path)
    output.write_text(text, encoding="utf-8")
    typer.echo(text)
    try:
        for finding in look_at_source(load_settings(output)):
            typer.echo(f"{finding.state.value}: {finding.name}: {finding.text} {finding.remedy}".rstrip())
    except CltvError as error:
        typer.echo(f"Not complete yet: {error}")
    typer.echo(f"\nAnswer the questions in {output}, then: cltv doctor -c {output}")
