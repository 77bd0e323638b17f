"""The console that commands print with."""

from __future__ import annotations

from rich.console import Console


def open_console(at_least: int = 0) -> Console:
    """Return a console that colours only marked text.

    Parameters
    ----------
    at_least : int
        The least width in characters, even if the terminal is narrower or is a pipe.
    """
    return Console(highlight=False, width=max(at_least, Console().width) if at_least else None)
