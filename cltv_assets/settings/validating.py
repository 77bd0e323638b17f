"""Turns the files' values into settings, and explains in plain words what is wrong with them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from cltv_assets.errors import ConfigError
from cltv_assets.settings.model import Settings
from cltv_assets.settings.source_fields import CanonicalName
from cltv_assets.settings.yaml_file import FromEnvironment, Keys, Places, shorter, shown

#: What people call a setting, or a canonical column, elsewhere.
_USUAL_WORDS = {
    **dict.fromkeys(("filter", "filters", "conditions"), "where"),
    **dict.fromkeys(("statuses", "valid_statuses"), "count_status"),
    **dict.fromkeys(("sep", "separator"), "delimiter"),
    **dict.fromkeys(("date_format", "datetime_format", "format"), "timestamp_format"),
    **dict.fromkeys(("timezone", "tz"), "time_zone"),
    **dict.fromkeys(("na_values", "null_values"), "missing_values"),
    **dict.fromkeys(("decimal", "decimals"), "decimal_separator"),
    **dict.fromkeys(("date", "datetime", "time", "timestamp", "created_at"), "transacted_at"),
    **dict.fromkeys(("customer", "email", "user_id"), "customer_id"),
    **dict.fromkeys(("order_id", "invoice", "order"), "transaction_id"),
    **dict.fromkeys(("price", "unitprice"), "unit_price"),
    **dict.fromkeys(("total", "value", "revenue", "sales"), "amount"),
    **dict.fromkeys(("refund", "refunded", "amount_refunded"), "refund_amount"),
}


#: The most that one message lists.
_SHOWN_PROBLEMS = 10
#: Stands for a value that came from the environment.
_HIDDEN = "(not shown)"


def validated(values: Mapping[str, Any], path: Path | None, places: Places) -> Settings:
    """Return the settings for ``values``.

    Parameters
    ----------
    values : mapping
        As YAML reads them.
    path : Path, optional
        The file they come from, for messages about a setting that is missing.
    places : mapping
        Where each key is, by the path of keys that leads to it.

    Raises
    ------
    ConfigError
        If any setting is wrong. The message names file and line, or the variable, and remedy.
    """
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        found = error.errors()
    hidden = {keys: _at(values, keys) for keys, place in places.items() if isinstance(place, FromEnvironment)}
    problems = [_problem(item, path, places, hidden) for item in found[:_SHOWN_PROBLEMS]]
    if len(found) > _SHOWN_PROBLEMS:
        problems.append(f"And {len(found) - _SHOWN_PROBLEMS} more.")
    # Raised here, pydantic's error, which holds every value, is not in its chain.
    raise ConfigError(" ".join(problems), f"Mend {'these' if len(problems) > 1 else 'it'} and try again.")


def _at(values: Any, keys: Keys) -> Any:
    for key in keys:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def _leaves(value: Any) -> Iterator[str]:
    """Yield every text in a value, names of keys too."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif value is not None:
        yield str(value)


def _without(text: str, values: Iterable[Any]) -> str:
    """Return a message without what it quotes of some values: a rule between settings says what both are."""
    leaves = {leaf for value in values for leaf in _leaves(value)}
    for leaf in sorted(leaves, key=len, reverse=True):
        text = text.replace(f"'{leaf}'", _HIDDEN).replace(repr(leaf), _HIDDEN)
    return text


def _problem(item: Mapping[str, Any], path: Path | None, places: Places, hidden: Mapping[Keys, Any]) -> str:
    keys = tuple(str(part) for part in item["loc"] if part != "[key]")
    # One text in place of a list is an item that nobody wrote.
    while keys and keys not in places and keys[-1].isdecimal():
        keys = keys[:-1]
    by = next((one for one in hidden if one == keys[: len(one)]), None)
    name = shorter(".".join(keys if by is None else by)) or "the settings"
    # A missing key has no line, so the line of its section is named.
    known = next((places[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in places), path)
    where = f"{known}: " if known else ""
    if item["type"] == "extra_forbidden" or item["loc"][-1:] == ("[key]",):
        allowed = _allowed_beside(keys)
        usual = _USUAL_WORDS.get(keys[-1].lower())
        near = [usual] if usual in allowed else difflib.get_close_matches(keys[-1], allowed, 1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"the keys there are {', '.join(allowed)}."
        return f"{where}unknown key {'in ' if by and len(keys) > len(by) else ''}'{name}'; {hint}"
    message = _without(re.sub(r"^Value error, ", "", item["msg"]), hidden.values())
    if item["type"] == "string_type" and isinstance(item["input"], bool):
        message += "; YAML reads a bare Yes, No, On or Off as true or false: put it in quotes"
    got = f" (got {shown(item['input'])})" if keys and not by and not isinstance(item["input"], dict) else ""
    return f"{where}{name}: {shorter(message, 1_000)}{got}."


def _allowed_beside(keys: tuple[str, ...]) -> list[str]:
    """Return the keys that are allowed beside the last of ``keys``."""
    model: type[BaseModel] = Settings
    for key in keys[:-1]:
        if key == "columns":
            return list(get_args(CanonicalName))
        field = model.model_fields.get(key)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return []
        model = field.annotation
    return [name for name in model.model_fields if name != "home"]
