"""The settings of a command. Those of the demo are never taken without a word.

Without any settings the defaults are the demo's (CDNOW). What reads says so, and what runs refuses: in a wrong folder
it would fill a new lake with other people's transactions.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cltv_assets.dagster_defs.templates import load_settings
from cltv_assets.errors import ConfigError
from cltv_assets.settings import Settings
from cltv_assets.settings.file import nothing_given

_INIT = "`cltv init` makes a cltv.yaml for your own data"


def settings_to_read(config: Path | None) -> Settings:
    """Return the settings, and say on standard error where they are the demo's for want of others.

    Parameters
    ----------
    config : path or None
        What ``--config`` names.

    Raises
    ------
    ConfigError
        If a file cannot be read or any setting is wrong.
    """
    settings = load_settings(config)
    if nothing_given(config):
        sys.stderr.write(f"No cltv.yaml here: these are the settings of the demo (CDNOW). {_INIT}.\n")
    elif "source" not in settings.model_fields_set:
        sys.stderr.write(f"No source is configured: the transactions are the demo's (CDNOW). {_INIT}.\n")
    return settings


def settings_to_run(config: Path | None) -> Settings:
    """Return the settings of a command that makes months; the parameters are those of `settings_to_read`.

    Raises
    ------
    ConfigError
        As there, and if neither a file nor a variable gives any.
    """
    if nothing_given(config):
        raise ConfigError("No cltv.yaml here, and no CLTV_ variable.", f"{_INIT}; `cltv demo` runs the demo (CDNOW).")
    return settings_to_read(config)
