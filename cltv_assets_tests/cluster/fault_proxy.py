"""A proxy between clients and the S3 server that fails as tests tell it to.

Requests pass unchanged, with the client's own ``Host``, so that signatures stay valid. The two kinds that must be
changed are signed again. Faults can be set and lifted at any moment, from the test's own thread.
"""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import unquote

_KEY = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/")


class _CutError(Exception):
    """The connection is to end without an answer."""


@dataclass
class Fault:
    """What happens to the requests that match.

    Parameters
    ----------
    method : str
        Method of the requests meant; empty for all.
    matching : str
        Regular expression, searched for in ``/bucket/key``.
    count : int
        How many matching requests it hits.
    access_key : str
        Only requests signed with it; empty for all.
    refusal : tuple of (int, str, str), optional
        Status, code and message that are answered in place of the store.
    until : float
        Moment of ``time.monotonic``, in seconds, from which the fault is over.
    seconds : float
        The answer comes so much later.
    cut_after : int, optional
        The connection is cut after so many bytes of the request's body.
    loses_answer : bool
        The store does what it is asked, and the client never hears of it.
    forgets_condition : bool
        ``If-None-Match`` is taken off.
    """

    method: str = ""
    matching: str = ""
    count: int = 1 << 60
    access_key: str = ""
    refusal: tuple[int, str, str] | None = None
    until: float = float("inf")
    seconds: float = 0.0
    cut_after: int | None = None
    loses_answer: bool = False
    forgets_condition: bool = False
    #: Matching requests so far.
    seen: int = field(default=0, init=False)

    def hits(self, request: _Request) -> bool:
        """Whether this request is to suffer. Counts it."""
        if (
            self.method not in {"", request.command}
            or self.access_key not in {"", request.access_key}
            or time.monotonic() >= self.until
            or not re.search(self.matching, request.readable)
            or (self.forgets_condition and "If-None-Match" not in request.headers)
        ):
            return False
        self.seen += 1
        return self.seen <= self.count

    def before(self) -> None:
        """Act before the request goes to the store."""

    def lift(self) -> None:
        """End the fault; requests that wait in it go on."""


@dataclass
class Hold(Fault):
    """Stops requests before they reach the store, until ``release`` or ``abandon``."""

    _reached: threading.Event = field(default_factory=threading.Event, init=False, repr=False)
    _go: threading.Event = field(default_factory=threading.Event, init=False, repr=False)
    _abandoned: bool = field(default=False, init=False)

    def before(self) -> None:
        """Say that a request is here, and wait."""
        if self._go.is_set():
            return
        self._reached.set()
        self._go.wait()
        if self._abandoned:
            raise _CutError

    def wait_reached(self, seconds: float) -> None:
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


class FaultProxy:
    """The proxy, as a context manager.

    Parameters
    ----------
    port : int
        Of the store, on the loopback interface.
    secret_of : callable
        Returns the secret of an access key, for requests that are changed and signed again.
    """

    def __init__(self, port: int, secret_of: Callable[[str], str]) -> None:
        self.store_port = port
        self.secret_of = secret_of
        self._faults: list[Fault] = []
        #: Method, path (as ``/bucket/key``) and status of each request that passed; status 0 where it was cut.
        self._passed: list[tuple[str, str, int]] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Request)
        self._server.proxy = self
        self.endpoint_url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="fault-proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.pass_through()
        self._server.shutdown()
        self._server.server_close()

    def add(self, fault: Fault) -> Fault:
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

    def slow_down(self, seconds: float) -> Fault:
        """Answer 503 SlowDown for so long."""
        refusal = (503, "SlowDown", "Please reduce your request rate.")
        return self.add(Fault(refusal=refusal, until=time.monotonic() + seconds))

    def expire(self, access_key: str) -> Fault:
        """Answer 400 ExpiredToken from now on to whoever uses this key."""
        return self.add(Fault(access_key=access_key, refusal=(400, "ExpiredToken", "The provided token has expired.")))

    def hold(self, method: str, matching: str, count: int = 1 << 60) -> Hold:
        """Stop matching requests before the store sees them, until released."""
        hold = Hold(method=method, matching=matching, count=count)
        self.add(hold)
        return hold

    def hitting(self, request: _Request) -> list[Fault]:
        """Return the faults that this request suffers."""
        with self._lock:
            return [fault for fault in self._faults if fault.hits(request)]

    def note(self, method: str, path: str, status: int) -> None:
        """Remember a request that passed."""
        with self._lock:
            self._passed.append((method, path, status))

    def forget_requests(self) -> None:
        """Begin to count again."""
        with self._lock:
            self._passed.clear()

    def count(self, method: str, matching: str, status: int) -> int:
        """Return how many requests passed, by method, path (a regular expression) and status."""
        with self._lock:
            return sum(
                (method, status) == (its_method, its_status) and bool(re.search(matching, path))
                for its_method, path, its_status in self._passed
            )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    proxy: FaultProxy

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that was killed is what the tests are about."""


class _Request(BaseHTTPRequestHandler):
    """One request: its faults, its way to the store and back."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    @property
    def readable(self) -> str:
        """The path as ``/bucket/key``."""
        return unquote(self.path.split("?", 1)[0])

    @property
    def access_key(self) -> str:
        """The key that the request is signed with; empty where it is not."""
        found = _KEY.search(self.headers.get("Authorization", ""))
        return found[1] if found else ""

    def handle_expect_100(self) -> bool:
        """Answer for the store, which is not asked: nobody signs this header."""
        del self.headers["Expect"]
        return super().handle_expect_100()

    def _exchange(self) -> None:
        status = 0
        try:
            faults = self.server.proxy.hitting(self)
            for fault in faults:
                fault.before()
            body = self._body()
            refusal = next((fault.refusal for fault in faults if fault.refusal), None)
            if refusal:
                status, headers, answer = _refused(*refusal)
            else:
                status, headers, answer = self._ask_store(body, faults)
            time.sleep(sum(fault.seconds for fault in faults))
            self._answer(status, headers, answer)
        except (_CutError, OSError, http.client.HTTPException):
            self.close_connection = True  # the client sees the connection end, which is all there is to say
        finally:
            self.server.proxy.note(self.command, self.readable, status)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _exchange

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass
        # The store gets it in one piece.
        del self.headers["Transfer-Encoding"]
        self.headers["Content-Length"] = str(sum(map(len, parts)))
        return b"".join(parts)

    def _ask_store(self, body: bytes, faults: list[Fault]) -> tuple[int, list[tuple[str, str]], bytes]:
        if any(fault.forgets_condition for fault in faults):
            self._sign_without("If-None-Match", body=body)
        # Debian's Ceph 16 answers XAmzContentSHA256Mismatch to an empty upload in chunks, as Spark's client makes
        # folders: it goes as a plain one.
        if self.headers.get("x-amz-decoded-content-length") == "0" and self.access_key:
            body = b""
            self._sign_without("x-amz-decoded-content-length", "Content-Encoding", "x-amz-trailer", body=body)
        store = http.client.HTTPConnection("127.0.0.1", self.server.proxy.store_port, timeout=120)
        try:
            store.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                store.putheader(name, value)
            store.endheaders()
            cut_after = next((fault.cut_after for fault in faults if fault.cut_after is not None), None)
            store.send(body[:cut_after])
            if cut_after is not None:
                raise _CutError
            answer = store.getresponse()
            found = answer.status, answer.getheaders(), answer.read()
        finally:
            store.close()
        if any(fault.loses_answer for fault in faults):
            raise _CutError
        return found

    def _sign_without(self, *names: str, body: bytes) -> None:
        """Take headers off and sign the request again, with the same key."""
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        found = _KEY.search(self.headers["Authorization"])
        assert found is not None
        for name in names:
            del self.headers[name]
        if "Content-Length" in self.headers:
            self.headers.replace_header("Content-Length", str(len(body)))
        request = AWSRequest(self.command, f"http://{self.headers['Host']}{self.path}", dict(self.headers), body)
        keys = Credentials(found[1], self.server.proxy.secret_of(found[1]), self.headers.get("x-amz-security-token"))
        S3SigV4Auth(keys, "s3", found[2]).add_auth(request)
        for name in self.headers:
            del self.headers[name]
        for name, value in request.headers.items():
            self.headers[name] = value

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in {"transfer-encoding", "connection"}:
                self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in headers) and status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _refused(status: int, code: str, message: str) -> tuple[int, list[tuple[str, str]], bytes]:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>tx0</RequestId></Error>".encode()
    return status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))], body
