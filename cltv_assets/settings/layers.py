"""Settings in layers: ``cltv.yaml``, the changes of an environment, and variables.

Later layers win: defaults, ``cltv.yaml``, ``cltv.<environment>.yaml`` beside it, ``CLTV_*``
variables. Mappings are merged key by key; anything else is replaced. A null in an
environment's file removes the value in ``cltv.yaml``, so that the default applies.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from cltv_assets.errors import ConfigError
from cltv_assets.settings.model import EnvironmentName
from cltv_assets.settings.yaml_file import Places, shown

ENVIRONMENTS: tuple[str, ...] = get_args(EnvironmentName)
ENVIRONMENT_VARIABLE = "CLTV_ENVIRONMENT"
#: Common names in files and commands, and the environment that they mean.
_SHORT = {"dev": "development", "local": "development", "prod": "production", "tests": "test", "testing": "test"}


def environment_file(path: Path, environment: str) -> Path:
    """Return the path of the file with the changes of ``environment`` to ``path``; it need not exist."""
    return path.with_name(f"{path.stem}.{environment}{path.suffix}")


def chosen_environment(values: Mapping[str, Any], environ: Mapping[str, str], places: Places) -> tuple[str, str]:
    """Return the environment that the variable or the file names, and where it is named.

    Raises
    ------
    ConfigError
        If there is no environment of this name.
    """
    named: Any = environ.get(ENVIRONMENT_VARIABLE) or values.get("environment")
    if named is None:
        return ENVIRONMENTS[0], "the default"
    variable = environ.get(ENVIRONMENT_VARIABLE)
    where = f"variable {ENVIRONMENT_VARIABLE}" if variable else places.get(("environment",), "environment")
    if named in ENVIRONMENTS:
        return str(named), where
    near = _meant(str(named)) if isinstance(named, str) else None
    problem = f"{where}: there is no {'such environment' if variable else f'environment {shown(named)}'}"
    raise ConfigError(
        problem + (f"; did you mean '{near}'?" if near else "."),
        f"The environments are {', '.join(ENVIRONMENTS)}.",
    )


def refuse_misnamed(path: Path) -> None:
    """Refuse a file beside ``path`` that looks like an environment's file but has a name that is never read.

    Otherwise production could run without its settings, and nobody would notice.

    Raises
    ------
    ConfigError
        If there is one. The message gives its right name.
    """
    if not path.parent.is_dir():
        return
    for other in sorted(path.parent.iterdir()):
        middle = other.name.removeprefix(f"{path.stem}.").removesuffix(other.suffix)
        if other.suffix not in (".yaml", ".yml") or not other.name.startswith(f"{path.stem}.") or not middle:
            continue
        meant = _meant(middle)
        if meant is not None and other.name != environment_file(path, meant).name:
            raise ConfigError(
                f"{other} is read for no environment: the environments are {', '.join(ENVIRONMENTS)}.",
                f"Rename it to {environment_file(path, meant).name}, or move it away.",
            )


def _meant(name: str) -> str | None:
    """Return the environment that a name probably means."""
    lower = name.lower()
    if lower in _SHORT:
        return _SHORT[lower]
    return next(iter(difflib.get_close_matches(lower, ENVIRONMENTS, 1, cutoff=0.75)), None)


def lay_over(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    """Merge a layer into the one below it, in place.

    Parameters
    ----------
    below : dict
        What the lower layers say; changed in place.
    above : mapping
        What this layer says. A null removes the lower layers' value.
    """
    for key, value in above.items():
        if isinstance(value, Mapping):
            inner = below.get(key)
            below[key] = merged = dict(inner) if isinstance(inner, dict) else {}
            lay_over(merged, value)
        elif value is None:
            below.pop(key, None)
        else:
            below[key] = value
