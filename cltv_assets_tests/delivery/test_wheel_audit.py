"""The look for known vulnerabilities fails where it should: on a finding, on an expired excuse, on silence."""

from __future__ import annotations

import datetime
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from delivery import audit
from delivery.audit import KNOWN, IgnoreError, main, read_ignored

TODAY = datetime.datetime.now(datetime.UTC).date()
DIGEST = "0" * 64


class Osv(ThreadingHTTPServer):
    """A stand-in for OSV on loopback. It knows what it is told, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1/query"
        self.vulnerable: dict[tuple[str, str], str] = {KNOWN: "GHSA-known-known-known"}
        self.asked: list[tuple[str, str]] = []
        #: What it does not answer about.
        self.broken: set[tuple[str, str]] = set()


class _Handler(BaseHTTPRequestHandler):
    server: Osv

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        about = query["package"]["name"], query["version"]
        self.server.asked.append(about)
        body = b"{}"
        if identifier := self.server.vulnerable.get(about):
            affected = {
                "package": {"name": about[0], "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9.9"}]}],
            }
            found = {
                "id": identifier,
                "aliases": [identifier.replace("GHSA", "CVE")],
                "summary": "Reads what it must not. More.",
                "published": "2026-01-01T00:00:00Z",
                "affected": [affected],
            }
            body = json.dumps({"vulns": [found]}).encode()
        self.send_response(503 if about in self.server.broken else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def osv() -> Iterator[Osv]:
    with Osv() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def written(path: Path, *pins: str) -> Path:
    path.write_text("".join(f"{pin} \\\n    --hash=sha256:{DIGEST}\n" for pin in pins))
    return path


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return written(tmp_path / "requirements.lock", "Alpha==1.0", "beta==2.0 ; sys_platform == 'win32'")


@pytest.fixture
def ignoring(tmp_path: Path) -> Callable[..., list[str]]:
    def write(**changes: Any) -> list[str]:
        entry = {"id": "CVE-1", "package": "alpha", "reason": "Nothing here ever calls it.", "expires": TODAY} | changes
        lines = [
            f"{key} = {value if isinstance(value, datetime.date) else json.dumps(value)}"
            for key, value in entry.items()
        ]
        path = tmp_path / "ignored.toml"
        path.write_text("[[ignored]]\n" + "\n".join(lines))
        return ["--ignored", str(path)]

    return write


def test_every_version_of_every_lock_is_looked_up(osv, lock, tmp_path, capsys):
    other = written(
        tmp_path / "requirements-other.lock",
        "alpha==1.0",
        "gamma==3.0 ; python_full_version < '3.0'",
        "gamma==3.1 ; python_full_version >= '3.0'",
    )
    assert main(["--osv-url", osv.url, str(lock), str(other)]) == 0
    # Those for other systems and Pythons, too, and each once.
    assert sorted(osv.asked) == [("alpha", "1.0"), ("beta", "2.0"), ("gamma", "3.0"), ("gamma", "3.1"), KNOWN]
    assert capsys.readouterr().out == "4 versions looked up, 0 known vulnerabilities, 0 ignored\n"


def test_a_known_vulnerability_fails_and_says_where_it_is(osv, lock, capsys):
    osv.vulnerable["beta", "2.0"] = "GHSA-1"
    assert main(["--osv-url", osv.url, str(lock)]) == 1
    said = capsys.readouterr().err
    assert said == "beta 2.0 (requirements.lock): CVE-1 GHSA-1; fixed in 9.9. Reads what it must not\n"


def test_an_ignored_one_passes_until_its_day(osv, lock, ignoring, capsys):
    osv.vulnerable["alpha", "1.0"] = "GHSA-1"
    # By its id or an alias, of this package alone.
    assert main(["--osv-url", osv.url, *ignoring(), str(lock)]) == 0
    assert capsys.readouterr().out.endswith("0 known vulnerabilities, 1 ignored\n")
    assert main(["--osv-url", osv.url, *ignoring(package="beta"), str(lock)]) == 1
    assert "CVE-1 is not found in beta: take it out" in capsys.readouterr().err
    assert main(["--osv-url", osv.url, *ignoring(expires=TODAY - datetime.timedelta(days=1)), str(lock)]) == 1
    assert "CVE-1 of alpha was ignored until" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"reason": "later"}, "has no reason"),
        ({"expires": "2026-01-01"}, "a day without quotes"),
        ({"expires": TODAY + datetime.timedelta(days=184)}, "more than 183 days ahead"),
        ({"until": "ever"}, "Needs id, package, reason and expires"),
    ],
)
def test_an_excuse_needs_a_reason_and_a_day_that_is_near(ignoring, changes, complaint):
    path = Path(ignoring(**changes)[1])
    with pytest.raises(IgnoreError, match=complaint):
        read_ignored(path, TODAY)


def refused(osv: Osv) -> None:
    osv.shutdown()
    osv.server_close()


def silent(osv: Osv) -> None:
    # What pip-audit takes for "nothing is known".
    osv.vulnerable.clear()


def failing_in_the_middle(osv: Osv) -> None:
    osv.broken.add(("alpha", "1.0"))


@pytest.mark.parametrize("trouble", [refused, silent, failing_in_the_middle])
def test_a_service_that_does_not_really_answer_is_a_failure(osv, lock, capsys, trouble):
    trouble(osv)
    assert main(["--osv-url", osv.url, str(lock)]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("The vulnerability service osv could not be asked: ")
    assert "Nothing is known about the 2 versions in the locks, and that is a failure." in said.err
    assert said.out == ""


def test_a_version_that_the_service_does_not_know_is_a_failure(monkeypatch, lock, capsys):
    def skipping(batch: Any, service: Any) -> Any:
        if batch == [KNOWN]:
            return [{"name": "jinja2", "version": "2.11.2", "vulns": [{"id": "x"}]}]
        return [{"name": name, "version": version, "vulns": []} for name, version in batch if name != "alpha"]

    monkeypatch.setattr(audit, "_asked", skipping)
    assert main([str(lock)]) == 2
    assert "not looked up: alpha 1.0" in capsys.readouterr().err
