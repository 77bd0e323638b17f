"""Reads settings from ``cltv.yaml`` and ``CLTV_*`` variables.

Nothing is read at import: ``load_settings`` reads when it is called. An environment's
changes are in ``cltv.<environment>.yaml`` (``layers``). Variables such as ``CLTV_LAKE_URI``
override the files; nested keys take two underscores, as in ``CLTV_SOURCE__PATH``. An unknown
key is an error that suggests the right one. Errors name the file and line, or the variable,
that a value came from.

pydantic-settings is not used: it ignores an unknown variable silently, has no null that restores a
default, takes the second of two equal keys, and forgets where a value came from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cltv_assets.errors import ConfigError
from cltv_assets.settings.component_file import COMPONENT_FILES, Renderer, settings_of_component_file
from cltv_assets.settings.deprecations import with_new_names
from cltv_assets.settings.layers import (
    ENVIRONMENT_VARIABLE,
    chosen_environment,
    environment_file,
    lay_over,
    refuse_misnamed,
)
from cltv_assets.settings.model import Settings
from cltv_assets.settings.validating import validated
from cltv_assets.settings.yaml_file import FromEnvironment, Places, read_settings_file, read_text, shown

#: Has commands and runs print the whole text of errors; `cltv --debug` sets it.
DEBUG_VARIABLE = "CLTV_DEBUG"
#: Variables that belong to the command line and the deployment, not to the settings.
_OTHER_VARIABLES = {
    "CLTV_CONFIG",
    DEBUG_VARIABLE,
    "CLTV_LOGS_BUCKET",
    "CLTV_LOGS_PREFIX",
    "CLTV_REPORT_URL",
    "CLTV_UI_URL",
    "CLTV_WEBHOOK_URL",
}


def load_settings(
    config: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    renderer: Renderer | None = None,
) -> Settings:
    """Read ``cltv.yaml``, the environment's changes to it, and ``CLTV_*`` variables.

    Parameters
    ----------
    config : path, optional
        The file; by default ``$CLTV_CONFIG``, else ``cltv.yaml`` in the current
        folder where there is one, else the demo's settings.
    environ : mapping, optional
        The variables, ``os.environ`` by default.
    renderer : callable, optional
        Renders the templates in a component's file, which only Dagster can do:
        `cltv_assets.dagster_defs.templates.load_settings` passes one.

    Raises
    ------
    ConfigError
        If a file cannot be read or any setting is wrong.
    """
    environ = os.environ if environ is None else environ
    path = _settings_path(config, environ)
    # Not Path.is_file(), which fails with a name that is too long, and quotes it.
    is_file = os.path.isfile(path)  # noqa: PTH113
    if path.name in COMPONENT_FILES and is_file:
        return settings_of_component_file(path, renderer)
    if not is_file and (config or environ.get("CLTV_CONFIG")):
        named = path if config else "that CLTV_CONFIG names"
        raise ConfigError(
            f"The configuration file {named} does not exist.", "Give the right path; `cltv demo` runs the demo."
        )
    refuse_misnamed(path)
    values, places = read_settings_file(path) if is_file else ({}, {})
    environment, where = chosen_environment(values, environ, places)
    special = environment_file(path, environment)
    if special.is_file():
        changes, its_places = read_settings_file(special)
        if changes.get("environment", environment) != environment:
            raise ConfigError(
                f"{its_places['environment',]}: environment is {shown(changes['environment'])}, "
                f"but this is the file of '{environment}' ({where}).",
                "Take the line out: the file's name says the environment.",
            )
        lay_over(values, changes)
        places |= its_places
    files = [file for file in (path, special) if file.is_file()]
    _apply_variables(values, places, environ)
    with_new_names(values, places)
    values.setdefault("home", path.resolve().parent if files else Path.cwd())
    return validated(values, files[0] if files else None, places)


def nothing_given(config: str | os.PathLike[str] | None = None, environ: Mapping[str, str] | None = None) -> bool:
    """Return whether neither a file nor a variable gives a setting, so that all are the demo's.

    Parameters
    ----------
    config : path, optional
        The file, as `load_settings` takes it.
    environ : mapping, optional
        The variables, ``os.environ`` by default.
    """
    environ = os.environ if environ is None else environ
    if config or environ.get("CLTV_CONFIG"):
        return False
    # Naming an environment says nothing about the data.
    others = {*_OTHER_VARIABLES, ENVIRONMENT_VARIABLE}
    environment, _ = chosen_environment({}, environ, {})
    files = [path := _settings_path(config, environ), environment_file(path, environment)]
    by_variable = any(name.startswith("CLTV_") and name not in others for name in environ)
    return not by_variable and not any(file.is_file() for file in files)


def _settings_path(config: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Path:
    return Path(config or environ.get("CLTV_CONFIG") or "cltv.yaml")


def settings_files(config: str | os.PathLike[str] | None, environment: str) -> list[Path]:
    """Return the files that ``load_settings`` reads for an environment, the one that overrides the other last."""
    path = _settings_path(config, os.environ)
    if path.name in COMPONENT_FILES:
        return [path]
    return [file for file in (path, environment_file(path, environment)) if file.is_file()]


def _apply_variables(values: dict[str, Any], places: Places, environ: Mapping[str, str]) -> None:
    """Lay ``CLTV_*`` variables over the files' values, reading each as YAML."""
    for name, text in sorted(environ.items()):
        if not name.startswith("CLTV_") or name in _OTHER_VARIABLES:
            continue
        keys = tuple(name.removeprefix("CLTV_").lower().split("__"))
        where = FromEnvironment(f"variable {name}")
        try:
            found = read_text(text, where)
        except (yaml.YAMLError, ValueError, OverflowError):
            found = [(text, {})]
        # Several documents are no value: the text is taken as it is.
        value = found[0][0] if len(found) == 1 else text if found else None
        section = values
        for key in keys[:-1]:
            inner = section.get(key)
            section[key] = dict(inner) if isinstance(inner, dict) else {}
            section = section[key]
        # YAML reads an empty variable as null. Here null is a value and does not restore the default.
        section[keys[-1]] = value
        for place in [place for place in places if place[: len(keys)] == keys]:
            del places[place]
        places[keys] = where
