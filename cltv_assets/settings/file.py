"""Reads settings from ``cltv.yaml`` and ``CLTV_*`` variables, and explains what is wrong in them.

Nothing is read at import: ``load_settings`` reads when it is called. What an environment
changes stands in ``cltv.<environment>.yaml`` (``layers``). Variables override the
files: ``CLTV_LAKE_URI``, ``CLTV_ENGINE``, and for nested keys two underscores,
``CLTV_SOURCE__PATH``. An unknown key is an error that suggests the right one; errors name
the file and line, or the variable, that a value came from.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from cltv_assets.errors import ConfigError
from cltv_assets.settings.deprecations import with_new_names
from cltv_assets.settings.layers import (
    Places,
    chosen_environment,
    environment_file,
    lay_over,
    refuse_misnamed,
)
from cltv_assets.settings.model import CanonicalName, Settings

#: A brand's settings as Dagster's components keep them: under `attributes`.
COMPONENT_FILES = ("defs.yaml", "defs.yml")

#: Variables that belong to the command line and the deployment, not to the settings.
_OTHER_VARIABLES = {
    "CLTV_CONFIG",
    "CLTV_DEBUG",
    "CLTV_LOGS_BUCKET",
    "CLTV_LOGS_PREFIX",
    "CLTV_UI_URL",
    "CLTV_WEBHOOK_URL",
}


def load_settings(config: str | os.PathLike[str] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read ``cltv.yaml``, what the environment changes of it, and ``CLTV_*`` variables.

    Parameters
    ----------
    config : path, optional
        The file; by default ``$CLTV_CONFIG``, else ``cltv.yaml`` in the current
        folder where there is one, else the demo's settings.
    environ : mapping, optional
        The variables, ``os.environ`` by default.

    Raises
    ------
    ConfigError
        If a file cannot be read or any setting is wrong.
    """
    environ = os.environ if environ is None else environ
    path = settings_path(config, environ)
    if path.name in COMPONENT_FILES and path.is_file():
        # Templates may need Dagster, which a plain configuration does not.
        from cltv_assets.settings.component_file import settings_of_component_file

        return settings_of_component_file(path)
    if not path.is_file() and (config or environ.get("CLTV_CONFIG")):
        raise ConfigError(
            f"The configuration file {path} does not exist.", "Give the right path, or leave it out to run the demo."
        )
    refuse_misnamed(path)
    values: dict[str, Any] = {}
    places: Places = {}
    if path.is_file():
        values, places = _layer(path)
    environment, where = chosen_environment(values, environ, places)
    special = environment_file(path, environment)
    if special.is_file():
        changes, its_places = _layer(special)
        if changes.get("environment", environment) != environment:
            raise ConfigError(
                f"{its_places['environment',]}: environment is {changes['environment']!r}, "
                f"and the file is that of '{environment}' ({where}).",
                "Take the line out: the file's name says the environment.",
            )
        lay_over(values, places, changes, its_places)
    files = [file for file in (path, special) if file.is_file()]
    _apply_variables(values, places, environ)
    with_new_names(values, places)
    values.setdefault("home", path.resolve().parent if files else Path.cwd())
    return validated(values, files[0] if files else None, places)


def settings_path(config: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Path:
    """Return the settings' file, there or not."""
    return Path(config or environ.get("CLTV_CONFIG") or "cltv.yaml")


def settings_files(config: str | os.PathLike[str] | None, environment: str) -> list[Path]:
    """Return the files that ``load_settings`` reads for an environment, in the order in which they count."""
    path = settings_path(config, os.environ)
    if path.name in COMPONENT_FILES:
        return [path]
    return [file for file in (path, environment_file(path, environment)) if file.is_file()]


def validated(values: Mapping[str, Any], path: Path | None, places: Places) -> Settings:
    """Return the settings that ``values`` say.

    Parameters
    ----------
    values : mapping
        As YAML gives them.
    path : Path, optional
        The file that they stand in, for messages about what stands nowhere.
    places : mapping
        Where each key stands, by its keys from the outside in.

    Raises
    ------
    ConfigError
        If any is wrong, naming file, line and remedy.
    """
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise _explain(error, path, places) from None


def _layer(path: Path) -> tuple[dict[str, Any], Places]:
    values, lines = _read_yaml(path)
    return values, {keys: f"{path}, line {line}" for keys, line in lines.items()}


def _read_yaml(path: Path) -> tuple[dict[str, Any], dict[tuple[str, ...], int]]:
    """Return the file's values, and the line of each key for error messages."""
    documents = read_documents(path)
    if len(documents) > 1:
        raise ConfigError(f"{path} holds {len(documents)} documents.", "Remove the lines '---' between them.")
    values, lines = documents[0] if documents else (None, {})
    if values is None:
        return {}, {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no settings.", "Write 'key: value' lines; README.md shows an example.")
    return values, lines


def read_documents(path: Path) -> list[tuple[Any, dict[tuple[str, ...], int]]]:
    """Return what each document of a YAML file says, with the line of each key.

    Raises
    ------
    ConfigError
        If it is not readable, or a key stands there twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        values = list(yaml.safe_load_all(text))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        detail = " ".join(str(error).split())
        raise ConfigError(f"{path} is not readable YAML: {detail}.", "Mend the file at that place.") from None
    return [(value, _lines_of(path, node)) for value, node in zip(values, nodes, strict=True)]


def _lines_of(path: Path, node: yaml.Node | None) -> dict[tuple[str, ...], int]:
    lines: dict[tuple[str, ...], int] = {}

    def walk(node: yaml.Node, at: tuple[str, ...]) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                place = (*at, str(key.value))
                if place in lines:
                    raise ConfigError(
                        f"{path}, line {key.start_mark.line + 1}: {'.'.join(place)} stands there twice.",
                        "Keep one of the two.",
                    )
                lines[place] = key.start_mark.line + 1
                walk(value, place)

    if node is not None:
        walk(node, ())
    return lines


def _apply_variables(values: dict[str, Any], places: Places, environ: Mapping[str, str]) -> None:
    """Lay ``CLTV_*`` variables over the files' values, parsing each as YAML."""
    for name, text in sorted(environ.items()):
        if not name.startswith("CLTV_") or name in _OTHER_VARIABLES:
            continue
        keys = name.removeprefix("CLTV_").lower().split("__")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        target = values
        for key in keys[:-1]:
            inner = target.get(key)
            target[key] = dict(inner) if isinstance(inner, dict) else {}
            target = target[key]
        # YAML reads an empty variable as null: an unset value rather than an empty one.
        target[keys[-1]] = value
        for place in [place for place in places if place[: len(keys)] == tuple(keys)]:
            del places[place]
        places[tuple(keys)] = f"variable {name}"


def _names_at(place: tuple[str, ...]) -> list[str]:
    """Return the keys that are legal beside the last one of ``place``."""
    model: type[BaseModel] = Settings
    for key in place[:-1]:
        field = model.model_fields.get(key)
        if field is None:
            return []
        annotation = field.annotation
        if key == "columns":
            return list(get_args(CanonicalName))
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return [name for name in model.model_fields if name != "home"]


def _explain(error: ValidationError, path: Path | None, places: Places) -> ConfigError:
    """Turn pydantic's findings into one paragraph that names line and remedy."""
    problems: list[str] = []
    for item in error.errors():
        place = tuple(str(part) for part in item["loc"] if part != "[key]")
        shown = ".".join(place) or "the settings"
        known = next((places[place[:n]] for n in range(len(place), 0, -1) if place[:n] in places), None)
        where = f"{known}: " if known else (f"{path}: " if path else "")
        unknown_key = item["type"] == "extra_forbidden" or item["loc"][-1:] == ("[key]",)
        if unknown_key:
            legal = _names_at(place)
            near = difflib.get_close_matches(place[-1], legal, 1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"the keys there are {', '.join(legal)}."
            problems.append(f"{where}unknown key '{shown}'; {hint}")
            continue
        message = re.sub(r"^Value error, ", "", item["msg"])
        got = f" (got {item['input']!r})" if place and not isinstance(item["input"], dict) else ""
        if item["type"] == "string_type" and isinstance(item["input"], bool):
            message += "; YAML reads a bare Yes, No, On or Off as true or false: put it in quotes"
        problems.append(f"{where}{shown}: {message}{got}.")
    remedy = "Mend these and try again." if len(problems) > 1 else "Mend it and try again."
    return ConfigError(" ".join(problems), remedy)
