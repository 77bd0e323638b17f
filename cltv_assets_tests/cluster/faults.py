"""What can go wrong between a client and an object store, one class each.

A fault sees every request that its ``matching`` finds. ``FaultProxy`` offers a
method for each, so tests rarely name these classes.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self
from xml.sax.saxutils import escape

from cltv_assets_tests.cluster.http_wire import DisconnectedError, Head
from cltv_assets_tests.cluster.signing import access_key_of, sign_without


@dataclass
class Fault:
    """Base of all faults: does nothing to requests that it matches.

    Parameters
    ----------
    method : str
        Method of the requests meant; empty for all.
    matching : str
        Regular expression, searched for in ``/bucket/key``.
    first, count : int
        The fault hits from the ``first`` matching request on, ``count`` of them.
    """

    method: str = ""
    matching: str = ""
    first: int = 1
    count: int = 1 << 60
    #: Matching requests so far.
    seen: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def hits(self, head: Head) -> bool:
        """Whether this request is to suffer. Counts it."""
        if self.method not in {"", head.method} or not re.search(self.matching, head.path) or not self.means(head):
            return False
        with self._lock:
            self.seen += 1
            return self.first <= self.seen < self.first + self.count

    def means(self, head: Head) -> bool:
        """Whether the fault is about this request at all."""
        return True

    def before(self, head: Head) -> None:
        """Act before the request goes to the store: wait, or change its head."""

    def before_answer(self) -> None:
        """Act between the store's answer and its delivery."""

    def answer(self) -> tuple[int, str, str] | None:
        """Return status, code and message to answer with in place of the store."""
        return None

    #: The connection is cut after so many bytes of the request's body.
    cut_after: int | None = None
    #: The store does what it is asked, and the client never hears of it.
    loses_answer: bool = False

    def lift(self) -> None:
        """End the fault; requests that wait in it go on."""


@dataclass
class Refusal(Fault):
    """Answers with an error in place of the store.

    Parameters
    ----------
    status : int
    code, message : str
        As Amazon's errors have them.
    share : float
        Share of the requests, spread evenly and without chance.
    until : float
        Moment of ``time.monotonic``, in seconds, from which the fault is over.
    access_key : str
        Only requests signed with it; empty for all.
    """

    status: int = 503
    code: str = "SlowDown"
    message: str = "Please reduce your request rate."
    share: float = 1.0
    until: float = float("inf")
    access_key: str = ""

    def means(self, head: Head) -> bool:
        """Only while it lasts and only requests of that key."""
        return time.monotonic() < self.until and self.access_key in {"", access_key_of(head)}

    def hits(self, head: Head) -> bool:
        """Take its share: of a half every second one."""
        if not super().hits(head):
            return False
        with self._lock:
            return int(self.seen * self.share) > int((self.seen - 1) * self.share)

    def answer(self) -> tuple[int, str, str]:
        """Return the error."""
        return self.status, self.code, self.message


@dataclass
class Delay(Fault):
    """Delivers each answer later, by ``seconds``."""

    seconds: float = 0.0

    def before_answer(self) -> None:
        """Wait."""
        time.sleep(self.seconds)


@dataclass
class Hold(Fault):
    """Stops requests before they reach the store, until ``release`` or ``abandon``. A context manager that releases."""

    _reached: threading.Event = field(default_factory=threading.Event, init=False, repr=False)
    _go: threading.Event = field(default_factory=threading.Event, init=False, repr=False)
    _abandoned: bool = field(default=False, init=False)

    def before(self, head: Head) -> None:
        """Say that a request is here, and wait."""
        if self._go.is_set():
            return
        self._reached.set()
        self._go.wait()
        if self._abandoned:
            raise DisconnectedError("abandoned by the test")

    def wait_reached(self, seconds: float = 30) -> None:
        """Wait until a request is held.

        Raises
        ------
        TimeoutError
            If none comes within ``seconds``.
        """
        if not self._reached.wait(seconds):
            raise TimeoutError(f"no {self.method} of {self.matching!r} within {seconds} s")

    def release(self) -> None:
        """Let the held requests go on, and all later ones pass."""
        self._go.set()

    def abandon(self) -> None:
        """Cut the held requests, which the store never sees; all later ones pass.

        For a client that was killed: what it had sent before would else arrive.
        """
        self._abandoned = not self._go.is_set()
        self._go.set()

    lift = release

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


@dataclass
class CutUpload(Fault):
    """Cuts the connection after ``cut_after`` bytes of a request's body."""


@dataclass
class LoseAnswer(Fault):
    """Cuts the connection when the store has done what it was asked."""

    loses_answer: bool = True


@dataclass
class Forget(Fault):
    """Takes ``If-None-Match`` off uploads: the store behaves like one that never heard of it.

    Parameters
    ----------
    secret_of : callable
        Returns the secret of an access key: the header is signed, so the request is signed anew.
    """

    method: str = "PUT"
    secret_of: Callable[[str], str] = lambda _: ""

    def means(self, head: Head) -> bool:
        """Only requests with the condition."""
        return head.get("If-None-Match") is not None

    def before(self, head: Head) -> None:
        """Drop the condition."""
        sign_without(head, ["If-None-Match"], self.secret_of(access_key_of(head) or ""))


def error_body(code: str, message: str, path: str) -> bytes:
    """Return an error as S3 words it."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{escape(code)}</Code>'
        f"<Message>{escape(message)}</Message><Resource>{escape(path)}</Resource>"
        "<RequestId>tx0000000000000000</RequestId></Error>"
    ).encode()
