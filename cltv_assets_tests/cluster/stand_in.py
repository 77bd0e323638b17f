"""A remote service that is a process of this machine: it starts the wheel's entry point, and nothing else.

What passes between the two goes through the real S3 server, as with the real services.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from cltv_assets.dagster_defs.remote.job import ENTRY_POINT, arguments_for
from cltv_assets.months import Month

_PATIENCE = 180


class StandIn:
    """Runs months by starting ``cltv-preprocess``.

    Parameters
    ----------
    folder : Path
        Where the process runs; it finds no settings there.
    environment : dict of str to str
        Its variables.
    by_arguments : bool
        Tell the locations by arguments, as for a Databricks cluster that runs already.
    meanwhile : callable, optional
        Called with the process while it runs.
    """

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str],
        by_arguments: bool = False,
        meanwhile: Callable[[subprocess.Popen[bytes]], None] | None = None,
    ) -> None:
        self._folder = folder
        self._environment = environment
        self._by_arguments = by_arguments
        self._meanwhile = meanwhile

    def run(
        self,
        context: dg.AssetExecutionContext,
        month: Month,
        extras: dict[str, Any],
        ends: tuple[dg.PipesContextInjector, Any],
    ) -> object:
        """Start the process and wait for its end, as the clients do: they know its exit code, no more."""
        command = [str(Path(sys.executable).parent / ENTRY_POINT), *arguments_for(month)]
        with dg.open_pipes_session(
            context=context, extras=extras, context_injector=ends[0], message_reader=ends[1]
        ) as session:
            environment = dict(self._environment)
            if self._by_arguments:
                command += [part for pair in session.get_bootstrap_cli_arguments().items() for part in pair]
            else:
                environment |= session.get_bootstrap_env_vars()
            with subprocess.Popen(command, cwd=self._folder, env=environment, stdout=subprocess.DEVNULL) as process:
                try:
                    if self._meanwhile is not None:
                        self._meanwhile(process)
                    code = process.wait(_PATIENCE)
                finally:
                    process.kill()
            if code:
                raise RuntimeError(f"the job ended with {code}")
            return None
