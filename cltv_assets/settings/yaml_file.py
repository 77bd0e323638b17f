"""Reads YAML files together with the line of each key, so that messages can name it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from cltv_assets.errors import ConfigError

#: Where each key is (``cltv.yaml, line 3``), by the path of keys that leads to it.
Places = dict[tuple[str, ...], str]


def read_settings_file(path: Path) -> tuple[dict[str, Any], Places]:
    """Return the settings in a file, and where each key is.

    Raises
    ------
    ConfigError
        If the file cannot be read, or holds anything but one mapping.
    """
    documents = read_documents(path)
    if len(documents) > 1:
        raise ConfigError(f"{path} holds {len(documents)} documents.", "Remove the lines '---' between them.")
    values, places = documents[0] if documents else (None, {})
    if values is None:
        return {}, {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no settings.", "Write 'key: value' lines; README.md shows an example.")
    return values, places


def read_documents(path: Path) -> list[tuple[Any, Places]]:
    """Return the value of each document in a YAML file, and where its keys are.

    Raises
    ------
    ConfigError
        If the file cannot be read, or has a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        values = list(yaml.safe_load_all(text))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        detail = " ".join(str(error).split())
        raise ConfigError(f"{path} is not readable YAML: {detail}.", "Mend the file at that place.") from None
    return [(value, _places_in(path, node)) for value, node in zip(values, nodes, strict=True)]


def _places_in(path: Path, node: yaml.Node | None) -> Places:
    places: Places = {}

    def walk(node: yaml.Node | None, at: tuple[str, ...]) -> None:
        if not isinstance(node, yaml.MappingNode):
            return
        for key, value in node.value:
            keys = (*at, str(key.value))
            where = f"{path}, line {key.start_mark.line + 1}"
            if keys in places:
                raise ConfigError(f"{where}: {'.'.join(keys)} is there twice.", "Keep one of the two.")
            places[keys] = where
            walk(value, keys)

    walk(node, ())
    return places
