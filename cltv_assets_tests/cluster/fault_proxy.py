"""A proxy between clients and an object store that fails as tests tell it to.

Requests pass byte for byte, with the client's own ``Host``, so that signatures
stay valid; only empty uploads in chunks are made plain ones, which the store needs.
Clients are given ``endpoint_url``; faults can be set and lifted at any moment, from
the test's own thread.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Self, TypeVar

from cltv_assets_tests.cluster.faults import CutUpload, Delay, Fault, Forget, Hold, LoseAnswer, Refusal, error_body
from cltv_assets_tests.cluster.http_wire import (
    DisconnectedError,
    Head,
    copy_answer_body,
    copy_request_body,
    cut,
    read_head,
)
from cltv_assets_tests.cluster.signing import access_key_of, is_empty_in_chunks, sign_as_empty

AnyFault = TypeVar("AnyFault", bound=Fault)


@dataclass(frozen=True)
class Passed:
    """A request that the proxy saw to its end.

    Parameters
    ----------
    method, path : str
        The path as ``/bucket/key``.
    status : int
        Of the answer; 0 where the connection was cut.
    """

    method: str
    path: str
    status: int


class FaultProxy:
    """The proxy, as a context manager.

    Parameters
    ----------
    port : int
        Of the store, on the loopback interface.
    secret_of : callable
        Returns the secret of an access key, for requests that are changed and signed anew.
    """

    def __init__(self, port: int, secret_of: Callable[[str], str] = lambda _: "") -> None:
        self._upstream = ("127.0.0.1", port)
        self._secret_of = secret_of
        self._faults: list[Fault] = []
        self._passed: list[Passed] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self.endpoint_url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="fault-proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.pass_through()
        cut(self._listener)  # wakes the thread that waits in accept
        self._listener.close()
        self.cut_all()

    # --- faults ------------------------------------------------------------------------------

    def add(self, fault: AnyFault) -> AnyFault:
        """Set a fault, beside those that are set, and return it."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def pass_through(self) -> None:
        """Lift every fault; what waits goes on."""
        with self._lock:
            lifted, self._faults = self._faults, []
        for fault in lifted:
            fault.lift()

    def slow_down(self, seconds: float = float("inf"), share: float = 1.0, matching: str = "") -> Refusal:
        """Answer 503 SlowDown to a share of the requests, for so long."""
        return self.add(Refusal(matching=matching, share=share, until=time.monotonic() + seconds))

    def refuse(self, status: int, code: str, method: str = "", matching: str = "", count: int = 1 << 60) -> Refusal:
        """Answer an error from now on, such as ``403, "AccessDenied"``."""
        return self.add(
            Refusal(method=method, matching=matching, count=count, status=status, code=code, message="Refused.")
        )

    def expire(self, access_key: str = "") -> Refusal:
        """Answer 400 ExpiredToken from now on to whoever uses this key (empty: to all)."""
        message = "The provided token has expired."
        return self.add(Refusal(access_key=access_key, status=400, code="ExpiredToken", message=message))

    def delay(self, seconds: float, matching: str = "") -> Delay:
        """Deliver each answer later."""
        return self.add(Delay(matching=matching, seconds=seconds))

    def cut_upload(self, after_bytes: int, matching: str = "", nth: int = 1, count: int = 1) -> CutUpload:
        """Cut the connection in the middle of the n-th matching PUT, and of the ``count - 1`` after it."""
        return self.add(CutUpload(method="PUT", matching=matching, first=nth, count=count, cut_after=after_bytes))

    def lose_answer(self, method: str, matching: str = "", nth: int = 1, count: int = 1) -> LoseAnswer:
        """Let the store do it and cut the connection before the client hears of it."""
        return self.add(LoseAnswer(method=method, matching=matching, first=nth, count=count))

    def hold(self, method: str, matching: str, first: int = 1, count: int = 1 << 60) -> Hold:
        """Stop matching requests before the store sees them, until released."""
        return self.add(Hold(method=method, matching=matching, first=first, count=count))

    def forget_conditions(self) -> Forget:
        """Behave like a store without ``If-None-Match``: later writers overwrite earlier ones."""
        return self.add(Forget(secret_of=self._secret_of))

    def cut_all(self) -> None:
        """Cut every connection that is open at this moment."""
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            cut(connection)

    # --- what passed -------------------------------------------------------------------------

    @property
    def requests(self) -> list[Passed]:
        """The requests since the start or the last ``forget_requests``, in the order of their answers."""
        with self._lock:
            return list(self._passed)

    def forget_requests(self) -> None:
        """Begin to count anew."""
        with self._lock:
            self._passed.clear()

    def count(self, method: str = "", matching: str = "", status: int | None = None) -> int:
        """Return how many requests passed, by method, path (a regular expression) and status."""
        return sum(
            method in {"", each.method} and bool(re.search(matching, each.path)) and status in {None, each.status}
            for each in self.requests
        )

    # --- passing on --------------------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open.add(connection)
        try:
            with connection, connection.makefile("rb") as stream:
                while (head := read_head(stream)) is not None:
                    if not self._exchange(head, stream, connection):
                        break
        except (DisconnectedError, OSError):
            pass  # the client sees the connection end, which is all there is to say
        finally:
            with self._lock:
                self._open.discard(connection)

    def _exchange(self, head: Head, stream: BinaryIO, client: socket.socket) -> bool:
        """Serve one request; return whether the connection goes on."""
        status = 0
        method, path = head.method, head.path
        try:
            with self._lock:
                faults = list(self._faults)
            faults = [fault for fault in faults if fault.hits(head)]
            refusal = next((answer for fault in faults if (answer := fault.answer())), None)
            # Answered here for the store, which is not asked: nobody signs this header.
            if (head.get("Expect") or "").lower() == "100-continue":
                head.remove("Expect")
                client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            for fault in faults:
                fault.before(head)
            if refusal:
                copy_request_body(head, stream, lambda _: None)
                for fault in faults:
                    fault.before_answer()
                client.sendall(_refused(head, *refusal))
                status = refusal[0]
                return not head.closes
            with socket.create_connection(self._upstream, timeout=120) as store:
                status, goes_on = self._forward(head, stream, client, store, faults)
            return goes_on and not head.closes
        finally:
            with self._lock:
                self._passed.append(Passed(method, path, status))

    def _forward(
        self, head: Head, stream: BinaryIO, client: socket.socket, store: socket.socket, faults: list[Fault]
    ) -> tuple[int, bool]:
        store.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if is_empty_in_chunks(head):
            # Debian's Ceph 16 answers XAmzContentSHA256Mismatch to it, and Spark's S3 client makes folders so.
            copy_request_body(head, stream, lambda _: None)
            sign_as_empty(head, self._secret_of(access_key_of(head) or ""))
        store.sendall(head.encoded())
        limits = [fault.cut_after for fault in faults if fault.cut_after is not None]
        copy_request_body(head, stream, _Uploading(store, min(limits, default=None)))
        with store.makefile("rb") as answers:
            answer = read_head(answers)
            while answer is not None and answer.status < 200:
                answer = read_head(answers)
            if answer is None or any(fault.loses_answer for fault in faults):
                raise DisconnectedError("no answer")
            for fault in faults:
                fault.before_answer()
            client.sendall(answer.encoded())
            whole = copy_answer_body(head.method, answer, answers, client.sendall)
        return answer.status, whole and not answer.closes


class _Uploading:
    """Sends a body to the store, at most ``limit`` bytes of it."""

    def __init__(self, store: socket.socket, limit: int | None) -> None:
        self._store = store
        self._left = limit
        self._answered = False

    def __call__(self, block: bytes) -> None:
        if self._left is not None:
            part, self._left = block[: self._left], self._left - min(len(block), self._left)
            self._store.sendall(part)
            if self._left == 0:
                raise DisconnectedError("cut by the test")
        elif not self._answered:
            try:
                self._store.sendall(block)
            except OSError:
                # The store refused before the end of the body: its answer is there to be read.
                self._answered = True


def _refused(head: Head, status: int, code: str, message: str) -> bytes:
    body = b"" if head.method == "HEAD" else error_body(code, message, head.path)
    answer = Head(
        f"HTTP/1.1 {status} {code}",
        [("Content-Type", "application/xml"), ("Content-Length", str(len(body))), ("x-amz-request-id", "tx0")],
    )
    return answer.encoded() + body
