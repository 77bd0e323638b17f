"""``cltv preprocess`` where an orchestrator started it through Dagster Pipes."""

from __future__ import annotations

import sys

from cltv_assets.errors import ConfigError


def run_launched(first: str | None, last: str | None) -> None:
    """Run the month that the orchestrator named, with the settings that it sent.

    Parameters
    ----------
    first, last : str or None
        What the job's arguments say; the orchestrator decides.

    Raises
    ------
    ConfigError
        If the arguments name more than one month.
    SystemExit
        With 1 if the month is not published: the service then shows its job as failed too.
    """
    if first != last:
        raise ConfigError(f"A launched job runs one month, and its arguments say {first} to {last}.", "Name one month.")
    from cltv_assets.dagster_defs.remote.reporting import run_and_tell

    errors = run_and_tell()
    if errors:
        sys.stderr.write("".join(f"cltv: {error}\n" for error in errors))
        raise SystemExit(1)
