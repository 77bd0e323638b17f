"""Reads YAML together with the line of each key, so that messages can name it.

Settings are small and plain. What YAML can do beside them is refused: tags that make objects, a value that contains
itself or, by aliases of aliases, millions of others, and nesting that no setting has.
"""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Any

import yaml

from cltv_assets.errors import ConfigError
from cltv_assets.foreign import without_credentials

#: The keys that lead to a value.
Keys = tuple[str, ...]
#: Where each key is (``cltv.yaml, line 3``), by the path of keys that leads to it.
Places = dict[Keys, str]


class FromEnvironment(str):
    """The place of a value that came from the environment, by a variable or a template: no message shows the value.

    It may be a password, or the address of a database with one, in the wrong variable.
    """


#: The plain kinds of values. Others, such as ``!!python/object``, stand for things that no setting is.
_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map")} | {"!"}
_DEEPEST = 30
#: Values that a document may hold, each alias counted as what it stands for.
_MOST_VALUES = 10_000
#: Characters, and items of a list, that a message shows of a value.
_SHOWN, _SHOWN_ITEMS = 200, 20
_shortened = reprlib.Repr()
_shortened.maxstring = _shortened.maxother = _SHOWN
_shortened.maxlist = _shortened.maxdict = _SHOWN_ITEMS


def shown(value: object) -> str:
    """Return a value as a message shows it: as Python writes it, and not at any length."""
    return shorter(without_credentials(_shortened.repr(value)))


def shorter(text: str, most: int = 2 * _SHOWN) -> str:
    """Return a text for a message, cut if it is long."""
    return text if len(text) <= most else f"{text[:most]}…"


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
        If the file cannot be read, has a key twice, or something that is no plain setting.
    """
    try:
        return read_text(path.read_text(encoding="utf-8"), str(path))
    # Of its own, YAML raises the other two for days and numbers that there are not.
    except (OSError, yaml.YAMLError, ValueError, OverflowError) as error:
        detail = shorter(" ".join(str(error).split()))
        raise ConfigError(f"{path} is not readable YAML: {detail}.", "Mend the file at that place.") from None


def read_text(text: str, where: str) -> list[tuple[Any, Places]]:
    """Return the value of each document in a text, and where its keys are.

    Parameters
    ----------
    text : str
        YAML.
    where : str
        What it is called in messages.

    Raises
    ------
    ConfigError
        If a key is there twice, or something that is no plain setting.
    yaml.YAMLError, ValueError, OverflowError
        If it cannot be read.
    """
    _refuse_odd(text, where)
    nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    for node in nodes:
        _count(node, where, {})
    places = [_places_in(where, node) for node in nodes]
    return list(zip(yaml.safe_load_all(text), places, strict=True))


def _refuse_odd(text: str, where: str) -> None:
    """Refuse tags and deep nesting, before anything that calls itself for each level reads it."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = f"{where}, line {event.start_mark.line + 1 if event.start_mark else 1}"
        if (tag := getattr(event, "tag", None)) is not None and tag not in _TAGS:
            named = "a tag (!)" if isinstance(where, FromEnvironment) else f"the tag {shorter(tag)}"
            raise ConfigError(f"{line}: {named} stands for no setting.", "Take it out, or put the value in quotes.")
        if isinstance(event, yaml.CollectionStartEvent | yaml.CollectionEndEvent):
            depth += 1 if isinstance(event, yaml.CollectionStartEvent) else -1
        if depth > _DEEPEST:
            raise ConfigError(f"{line}: more than {_DEEPEST} levels lie inside each other.", "No setting is so deep.")


def _count(node: yaml.Node | None, where: str, known: dict[int, int]) -> int:
    """Return how many values a node stands for, by aliases too; refuse one that contains itself, and very many."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    line = f"{where}, line {node.start_mark.line + 1}"
    if id(node) in known:
        if not known[id(node)]:
            raise ConfigError(f"{line}: this value contains itself.", "Take the alias out.")
        return known[id(node)]
    known[id(node)] = 0
    pairs = isinstance(node, yaml.MappingNode)
    inner = [one for pair in node.value for one in pair] if pairs else node.value
    number = 1 + sum(_count(one, where, known) for one in inner)
    if number > _MOST_VALUES:
        raise ConfigError(f"{line}: this value holds more than {_MOST_VALUES:,} others.", "No setting is so large.")
    known[id(node)] = number
    return number


def _places_in(where: str, node: yaml.Node | None) -> Places:
    places: Places = {}

    def walk(node: yaml.Node | None, at: tuple[str, ...]) -> None:
        if isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                walk(item, (*at, str(number)))
        if not isinstance(node, yaml.MappingNode):
            return
        for key, value in node.value:
            keys = (*at, str(key.value))
            line = f"{where}, line {key.start_mark.line + 1}"
            if keys in places:
                named = "a key" if isinstance(where, FromEnvironment) else shorter(".".join(keys))
                raise ConfigError(f"{line}: {named} is there twice.", "Keep one of the two.")
            places[keys] = line
            walk(value, keys)

    walk(node, ())
    return places
