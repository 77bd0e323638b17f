"""What both sides know about a launched job: its command, its arguments, and the keys of what is sent."""

from __future__ import annotations

from cltv_assets.months import Month

#: The console script of the package's wheel.
ENTRY_POINT = "cltv-preprocess"
#: Key of the custom message with which the remote process says why a month was not published.
ERRORS = "errors"
#: Keys of the extras that the remote process gets.
SETTINGS, VERSION = "settings", "version"


def arguments_for(month: Month) -> list[str]:
    """Return the entry point's arguments."""
    return ["--from", month.key, "--to", month.key]
