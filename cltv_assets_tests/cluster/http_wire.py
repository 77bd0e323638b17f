"""Just enough HTTP/1.1 to pass messages on byte for byte."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import unquote

_BLOCK = 65_536
_MOST_HEADERS = 200

#: Takes a part of a body.
Sink = Callable[[bytes], None]


class DisconnectedError(Exception):
    """The other side went away, or the proxy cuts the connection on purpose."""


@dataclass
class Head:
    """The first line and the headers of a request or an answer.

    Parameters
    ----------
    first : str
    headers : list of (name, value)
        In their order, names as they were written: signatures cover them.
    """

    first: str
    headers: list[tuple[str, str]]

    def get(self, name: str) -> str | None:
        """Return a header's value, whatever case its name is in."""
        return next((value for each, value in self.headers if each.lower() == name.lower()), None)

    def set(self, name: str, value: str) -> None:
        """Replace the value of a header that is there."""
        self.headers = [(each, value if each.lower() == name.lower() else old) for each, old in self.headers]

    def remove(self, name: str) -> None:
        """Take a header out."""
        self.headers = [(each, value) for each, value in self.headers if each.lower() != name.lower()]

    def encoded(self) -> bytes:
        """Return the bytes of the head, with the empty line."""
        lines = [self.first, *(f"{name}: {value}" for name, value in self.headers), "", ""]
        return "\r\n".join(lines).encode("latin-1")

    @property
    def method(self) -> str:
        """Method of a request."""
        return self.first.split(" ", 1)[0]

    @property
    def target(self) -> str:
        """Path and query of a request, as written."""
        return self.first.split(" ", 2)[1]

    @property
    def path(self) -> str:
        """Path of a request, readable: ``/bucket/key``."""
        return unquote(self.target.split("?", 1)[0])

    @property
    def status(self) -> int:
        """Status of an answer."""
        return int(self.first.split(" ", 2)[1])

    @property
    def chunked(self) -> bool:
        """Whether the body comes in HTTP's chunks."""
        return "chunked" in (self.get("Transfer-Encoding") or "").lower()

    @property
    def length(self) -> int | None:
        """Bytes of the body, where the head tells."""
        value = self.get("Content-Length")
        return None if value is None else int(value)

    @property
    def closes(self) -> bool:
        """Whether the sender closes the connection after this message."""
        return (self.get("Connection") or "").lower() == "close" or self.first.endswith("HTTP/1.0")


def read_head(stream: BinaryIO) -> Head | None:
    """Return the next head, or None where the connection ended before one."""
    first = stream.readline(_BLOCK)
    while first == b"\r\n":
        first = stream.readline(_BLOCK)
    if not first.endswith(b"\r\n"):
        return None
    headers: list[tuple[str, str]] = []
    for _ in range(_MOST_HEADERS):
        line = stream.readline(_BLOCK)
        if line == b"\r\n":
            return Head(first.decode("latin-1").rstrip("\r\n"), headers)
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            break
        headers.append((name, value.strip()))
    raise DisconnectedError("no end of the headers")


def copy_request_body(head: Head, stream: BinaryIO, sink: Sink) -> None:
    """Pass a request's body on."""
    if head.chunked:
        _copy_chunks(stream, sink)
    else:
        _copy_bytes(stream, head.length or 0, sink)


def copy_answer_body(method: str, head: Head, stream: BinaryIO, sink: Sink) -> bool:
    """Pass an answer's body on; return whether its end was told by more than the connection's."""
    if method == "HEAD" or head.status in {204, 304}:
        return True
    if head.chunked:
        _copy_chunks(stream, sink)
    elif head.length is not None:
        _copy_bytes(stream, head.length, sink)
    else:
        while block := stream.read(_BLOCK):
            sink(block)
        return False
    return True


def _copy_bytes(stream: BinaryIO, count: int, sink: Sink) -> None:
    while count:
        block = stream.read(min(count, _BLOCK))
        if not block:
            raise DisconnectedError("in the middle of a body")
        sink(block)
        count -= len(block)


def _copy_chunks(stream: BinaryIO, sink: Sink) -> None:
    while True:
        size = stream.readline(_BLOCK)
        if not size.endswith(b"\r\n"):
            raise DisconnectedError("in the middle of a chunked body")
        sink(size)
        count = int(size.split(b";")[0], 16)
        if count == 0:
            break
        _copy_bytes(stream, count + 2, sink)
    while (trailer := stream.readline(_BLOCK)) != b"\r\n":
        if not trailer:
            raise DisconnectedError("in the middle of a trailer")
        sink(trailer)
    sink(trailer)


def cut(connection: socket.socket) -> None:
    """End a connection at once, in both directions."""
    with suppress(OSError):  # it is gone already
        connection.shutdown(socket.SHUT_RDWR)
