"""The few messages of Terraform's provider protocol (version 5) that a provider without a service needs.

Protocol buffers by hand: a message is fields of a number and a value, and what is not known is passed over. Numbers are
those of Terraform's protocol definition.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

NESTING = {"single": 1, "list": 2, "set": 3}


def fields(message: bytes) -> dict[int, list[Any]]:
    """Return a message's fields: number to values, each bytes or an integer."""
    found: dict[int, list[Any]] = {}
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        if key & 7 == 0:
            value, at = _varint(message, at)
        else:
            assert key & 7 == 2, f"wire type {key & 7}"
            length, at = _varint(message, at)
            value, at = message[at : at + length], at + length
        found.setdefault(key >> 3, []).append(value)
    return found


def message(*parts: tuple[int, Any]) -> bytes:
    """Return a message of fields; a value that is None or False is left out."""
    return b"".join(_field(number, value) for number, value in parts if value is not None and value is not False)


def _field(number: int, value: bytes | str | int | bool) -> bytes:
    if isinstance(value, int):
        return _encoded(number << 3) + _encoded(int(value))
    content = value.encode() if isinstance(value, str) else value
    return _encoded(number << 3 | 2) + _encoded(len(content)) + content


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def schema(block: dict[str, Any]) -> bytes:
    """Return a Schema of what ``Block.as_json`` gave."""
    return message((1, 0), (2, _block(block)))


def _block(block: dict[str, Any]) -> bytes:
    return message(*_parts(block))


def _parts(block: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    for name, attribute in block["attributes"].items():
        required, computed = attribute.get("required"), attribute.get("computed")
        type_ = json.dumps(attribute["type"])
        yield 2, message((1, name), (2, type_), (4, required), (5, attribute.get("optional")), (6, computed))
    for name, nested in block["blocks"].items():
        content = _block(nested["block"])
        yield (
            3,
            message((1, name), (2, content), (3, NESTING[nested["nesting"]]), (4, nested["min"]), (5, nested["max"])),
        )


def provider_schema(config: dict[str, Any], resources: dict[str, Any], data_sources: dict[str, Any]) -> bytes:
    """Return the answer to GetProviderSchema."""
    return message(
        (1, schema(config)),
        *((2, message((1, name), (2, schema(block)))) for name, block in resources.items()),
        *((3, message((1, name), (2, schema(block)))) for name, block in data_sources.items()),
    )
