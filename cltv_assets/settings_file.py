"""Reads settings from ``cltv.yaml`` and ``CLTV_*`` variables, and explains what is wrong in them.

Nothing is read at import: ``load_settings`` reads when it is called. Variables
override the file: ``CLTV_LAKE_URI``, ``CLTV_ENGINE``, and for nested keys two
underscores, ``CLTV_SOURCE__PATH``. An unknown key is an error that suggests the
right one; errors name the file and line.
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
from cltv_assets.settings import CanonicalName, Settings

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
    """Read ``cltv.yaml`` and ``CLTV_*`` variables.

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
        If the file cannot be read or any setting is wrong.
    """
    environ = os.environ if environ is None else environ
    named = config or environ.get("CLTV_CONFIG")
    path = Path(named) if named else Path("cltv.yaml")
    values: dict[str, Any] = {}
    lines: dict[tuple[str, ...], int] = {}
    home = Path.cwd()
    if path.name in COMPONENT_FILES and path.is_file():
        # Templates may need Dagster, which a plain configuration does not.
        from cltv_assets.component_file import settings_of_component_file

        return settings_of_component_file(path)
    if path.is_file():
        values, lines = _read_yaml(path)
        home = path.resolve().parent
    elif named:
        raise ConfigError(
            f"The configuration file {path} does not exist.", "Give the right path, or leave it out to run the demo."
        )
    _apply_variables(values, environ)
    values.setdefault("home", home)
    return validated(values, path if lines else None, lines)


def validated(values: Mapping[str, Any], path: Path | None, lines: Mapping[tuple[str, ...], int]) -> Settings:
    """Return the settings that ``values`` say.

    Parameters
    ----------
    values : mapping
        As YAML gives them.
    path : Path, optional
        The file that they stand in, for messages.
    lines : mapping
        The line of each key, by its keys from the outside in.

    Raises
    ------
    ConfigError
        If any is wrong, naming file, line and remedy.
    """
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise _explain(error, path, lines) from None


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


def _apply_variables(values: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Lay ``CLTV_*`` variables over the file's values, parsing each as YAML."""
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
        target[keys[-1]] = value
    # YAML reads an empty variable as null: an unset value rather than an empty one.


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


def _explain(error: ValidationError, path: Path | None, lines: Mapping[tuple[str, ...], int]) -> ConfigError:
    """Turn pydantic's findings into one paragraph that names line and remedy."""
    problems: list[str] = []
    for item in error.errors():
        place = tuple(str(part) for part in item["loc"] if part != "[key]")
        shown = ".".join(place) or "the settings"
        known = next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), None)
        where = f"{path}, line {known}: " if path and known else (f"{path}: " if path else "")
        unknown_key = item["type"] == "extra_forbidden" or item["loc"][-1:] == ("[key]",)
        if unknown_key:
            legal = _names_at(place)
            near = difflib.get_close_matches(place[-1], legal, 1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"the keys there are {', '.join(legal)}."
            variable = "" if known else f" (variable CLTV_{'__'.join(place).upper()})"
            problems.append(f"{where}unknown key '{shown}'{variable}; {hint}")
            continue
        message = re.sub(r"^Value error, ", "", item["msg"])
        got = f" (got {item['input']!r})" if place and not isinstance(item["input"], dict) else ""
        if item["type"] == "string_type" and isinstance(item["input"], bool):
            message += "; YAML reads a bare Yes, No, On or Off as true or false: put it in quotes"
        problems.append(f"{where}{shown}: {message}{got}.")
    remedy = "Mend these and try again." if len(problems) > 1 else "Mend it and try again."
    return ConfigError(" ".join(problems), remedy)
