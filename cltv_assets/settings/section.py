"""What sections of the settings are made of."""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Any
from zoneinfo import available_timezones

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema


class Section(BaseModel):
    """A group of settings. An unknown key is an error, and nothing changes once it is read."""

    # pydantic's own errors show the values otherwise, and a template may have put a password there.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _text(value: object) -> object:
    """Read a number in YAML as the text that it was written as."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _texts(value: object) -> object:
    """Read one value or several as several."""
    return tuple(map(_text, value)) if isinstance(value, list | tuple) else (_text(value),)


#: A name or another text; YAML reads some of them as numbers.
Text = Annotated[str, BeforeValidator(_text)]
_ONE: dict[str, Any] = {"type": ["string", "number"]}
#: What the schema of the settings says of one text or several.
SOME_TEXTS: dict[str, Any] = {"anyOf": [_ONE, {"type": "array", "items": _ONE}]}
#: One text or several.
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts), WithJsonSchema(SOME_TEXTS)]


def refuse_credentials(setting: str, address: str | None) -> None:
    """Raise a ``ValueError`` for an address with a password in it: addresses are shown everywhere."""
    # A key may hold slashes; digits before one are a port.
    if re.search(r"://[^/@]*:(?!\d+/)[^@;]*@", address or ""):
        raise ValueError(f"{setting} holds a password; take it out, credentials come from variables: see s3")


def require_zone(setting: str, name: str | None) -> None:
    """Raise a ``ValueError`` for the name of a time zone that does not exist."""
    if name is not None and name not in available_timezones():
        near = difflib.get_close_matches(name, sorted(available_timezones()), 1)
        raise ValueError(f"{setting} '{name}' is not an IANA zone" + (f"; did you mean '{near[0]}'?" if near else ""))
