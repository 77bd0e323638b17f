"""Names that have changed, and how long the old ones still work.

A setting, command or Python name that is renamed works under its old name for at least
one release. Using the old name raises the warning ``CltvDeprecation``, which the command line
shows as a line on stderr and ``cltv doctor`` as a finding. The release in `gone` removes the
old name; a test fails until it does.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from cltv_assets.errors import ConfigError


class CltvDeprecation(DeprecationWarning):
    """Something was used that a later release of this package removes."""


@dataclass(frozen=True)
class Renamed:
    """A name that has been replaced.

    Parameters
    ----------
    old, new : str
        A setting with its section (``automation.overdue_after``), a command, or a Python name.
    since : str
        The release that brought the new name.
    gone : str
        The first release in which the old name no longer works.
    """

    old: str
    new: str
    since: str
    gone: str

    def warn(self, where: str = "") -> None:
        """Say that the old name was used.

        Parameters
        ----------
        where : str
            The file and line, or the variable, that has the old name.
        """
        place = f"{where}: " if where else ""
        warnings.warn(
            f"{place}'{self.old}' is called '{self.new}' since {self.since}; the old name works until {self.gone}.",
            CltvDeprecation,
            stacklevel=2,
        )


RENAMED_SETTINGS: tuple[Renamed, ...] = ()
RENAMED_COMMANDS: tuple[Renamed, ...] = ()
#: Python names that moved to another module; the old module uses `moved`.
MOVED_NAMES: tuple[Renamed, ...] = (
    Renamed("cltv_assets.settings_file.load_settings", "cltv_assets.settings.load_settings", "0.3.0", "0.4.0"),
    Renamed("cltv_assets.build.build_definitions", "cltv_assets.build_definitions", "0.3.0", "0.4.0"),
)


def moved(module: str) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module whose names have moved; it warns and returns the moved name.

    Parameters
    ----------
    module : str
        The old module, as in ``MOVED_NAMES``.
    """

    def answer(name: str) -> Any:
        for entry in MOVED_NAMES:
            if entry.old == f"{module}.{name}":
                entry.warn()
                place, _, new_name = entry.new.rpartition(".")
                return getattr(importlib.import_module(place), new_name)
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return answer


def with_new_names(
    values: MutableMapping[str, Any],
    places: MutableMapping[tuple[str, ...], str],
    renamed: Sequence[Renamed] | None = None,
) -> None:
    """Move settings that have an old name to the new one, in place, and warn.

    Parameters
    ----------
    values : mapping
        As YAML reads them.
    places : mapping
        Where each key is, by the path of keys that leads to it.
    renamed : sequence of Renamed, optional
        ``RENAMED_SETTINGS`` by default.

    Raises
    ------
    ConfigError
        If both names are given.
    """
    for entry in RENAMED_SETTINGS if renamed is None else renamed:
        old, new = tuple(entry.old.split(".")), tuple(entry.new.split("."))
        holder = _holder(values, old)
        if holder is None or old[-1] not in holder:
            continue
        where = places.get(old, "")
        target = _holder(values, new)
        if target is not None and new[-1] in target:
            raise ConfigError(
                f"{f'{where}: ' if where else ''}'{entry.old}' and '{entry.new}' are the same setting.",
                f"Keep '{entry.new}': the other is its old name.",
            )
        entry.warn(where)
        value = holder.pop(old[-1])
        inner: Any = values
        for key in new[:-1]:
            inner = inner.setdefault(key, {})
        inner[new[-1]] = value
        for place in [place for place in places if place[: len(old)] == old]:
            places[(*new, *place[len(old) :])] = places.pop(place)


def _holder(values: Any, keys: tuple[str, ...]) -> Any:
    """Return the mapping that holds the last of ``keys``, or None if there is none."""
    for key in keys[:-1]:
        values = values.get(key) if isinstance(values, MutableMapping) else None
    return values if isinstance(values, MutableMapping) else None
