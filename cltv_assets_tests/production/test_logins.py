"""What the proxy gives away to who guesses, and how much it takes of anybody."""

from __future__ import annotations

import base64
import http.client
import ssl
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from cltv_assets_tests.production.client import Client
from cltv_assets_tests.production.local_deployment import LocalDeployment

#: Passwords are hashed in a few milliseconds. Of this one anybody would see whether it was hashed.
SLOW = "slow"


def asked(deployment: LocalDeployment, name: str, password: str, source: str = "127.0.0.1") -> tuple[int, float]:
    """Return the status of a request with a login, and the seconds that it took; ``source`` is whence it comes."""
    connection = http.client.HTTPSConnection(
        "localhost",
        deployment.ports["proxy"],
        context=ssl.create_default_context(cafile=deployment.certificate),
        source_address=(source, 0),
    )
    connection.connect()
    began = time.perf_counter()
    login = base64.b64encode(f"{name}:{password}".encode()).decode()
    connection.request("GET", "/server_info", headers={"Authorization": f"Basic {login}"})
    status = connection.getresponse().status
    took = time.perf_counter() - began
    connection.close()
    return status, took


@pytest.fixture
def slow_login(deployment: LocalDeployment) -> Iterator[None]:
    """A login whose password takes long to be hashed."""
    passwords = deployment.secrets / "passwords"
    before = passwords.read_text()
    hashed = subprocess.run(
        ["openssl", "passwd", "-6", "-salt", "rounds=500000$saltsalt", "-stdin"],
        input="its own", capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    passwords.write_text(f"{before}{SLOW}:{hashed}")
    yield
    passwords.write_text(before)


def test_a_refusal_takes_as_long_for_a_name_that_exists_as_for_one_that_does_not(deployment, slow_login):
    def fastest(name: str, password: str, expected: int) -> float:
        answers = [asked(deployment, name, password) for _ in range(8)]
        assert {status for status, _ in answers} == {expected}
        return min(took for _, took in answers)

    # What hashing alone takes; the right password is not held up.
    own = deployment.passwords["operator"]
    hashing = fastest(SLOW, "its own", 200) - fastest("operator", own, 200)
    assert hashing > 0.02
    assert abs(fastest(SLOW, "wrong", 401) - fastest("nobody-of-this-name", "wrong", 401)) < hashing / 2


def test_from_one_address_come_only_so_many_guesses(deployment, operator):
    # Another address of this machine: the other tests have theirs.
    source, began = "127.0.0.9", time.monotonic()
    with ThreadPoolExecutor(50) as pool:
        answers = pool.map(lambda guess: asked(deployment, "operator", f"guess {guess}", source), range(1200))
        found = Counter(status for status, _ in answers)
    took = time.monotonic() - began
    assert set(found) == {401, 429}
    assert found[401] <= 301 + 30 * took + 1
    # Who guesses is held up, nobody else.
    assert operator.get("/server_info").status_code == 200
    # And not for long.
    time.sleep(1)
    assert asked(deployment, "operator", deployment.passwords["operator"], source)[0] == 200


def test_a_page_with_all_its_files_is_within_that(deployment, viewer):
    assert {viewer.get("/favicon.png").status_code for _ in range(150)} == {200}


@pytest.mark.parametrize("path", ["/", "/no-such-page", "/graphql"])
def test_browsers_are_told_to_keep_to_https(deployment, operator, nobody, path):
    for client in operator, nobody:
        answer = client.get(path, headers={"Host": "cltv.example.com"})
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        # On one's own machine the name stands for other ports, too, where HTTP is served.
        assert "Strict-Transport-Security" not in client.get(path).headers


# --- the cost of a question --------------------------------------------------------------------


def padded(size: int) -> dict[str, str]:
    return {"query": "query { version }" + " " * size}


def test_a_question_of_a_viewer_has_a_bound(viewer: Client, operator: Client):
    assert viewer.get("/graphql", "POST", json=padded(50_000)).json()["data"]["version"]
    assert viewer.get("/graphql", "POST", json=padded(150_000)).status_code == 413
    # Nor one that does not say how long it is.
    chunks = iter([b'{"query": "query { version }', b" " * 150_000, b'"}'])
    headers = {"Content-Type": "application/json"}
    assert viewer.get("/graphql", "POST", data=chunks, headers=headers).status_code == 413
    # An operator's run may have many settings.
    assert operator.get("/graphql", "POST", json=padded(150_000)).json()["data"]["version"]
    assert operator.get("/graphql", "POST", json=padded(9_000_000)).status_code == 413
