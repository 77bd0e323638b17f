"""The console that commands print with."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from cltv_assets.foreign import visible_lines


class PlainConsole(Console):
    """A console that obeys nothing that stands in a text: much of what is printed came from others.

    Square brackets are no markup, and characters that a terminal would obey are spelled out. Colours are given
    as ``style``. Text that a reader must not take for lines of ours goes through `visible` before.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Turn every text into what is printed, also those in tables and rules."""
        return super().render_str(visible_lines(text), **options)


def open_console(at_least: int = 0) -> PlainConsole:
    """Return a console for plain text.

    Parameters
    ----------
    at_least : int
        The least width in characters, even if the terminal is narrower or is a pipe.
    """
    return PlainConsole(width=max(at_least, Console().width) if at_least else None)
