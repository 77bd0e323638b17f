"""One deployment for all tests of this folder; they leave it running."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cltv_assets_tests.cluster.radosgw import Radosgw
from cltv_assets_tests.production.client import Client
from cltv_assets_tests.production.local_deployment import LocalDeployment
from cltv_assets_tests.production.shop import SETTINGS, write_shop


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the delivered files of a small shop."""
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder)
    return folder


@pytest.fixture(scope="session")
def deployment(s3_server: Radosgw, server_logs: Path, shop: Path) -> Iterator[LocalDeployment]:
    folder = server_logs / "deployment"
    running = LocalDeployment(folder, s3_server, "cltv", SETTINGS.format(data=shop))
    try:
        running.start_everything()
        yield running
    finally:
        running.close()
        shutil.rmtree(folder / "secrets")


@pytest.fixture(scope="session")
def login(deployment: LocalDeployment) -> Callable[[str | None], Client]:
    """Return a client with somebody's login, or with none."""

    def with_login(name: str | None) -> Client:
        pair = (name, deployment.passwords[name]) if name else None
        return Client(deployment.address, deployment.certificate, pair)

    return with_login


@pytest.fixture(scope="session")
def nobody(login: Callable[[str | None], Client]) -> Client:
    return login(None)


@pytest.fixture(scope="session")
def operator(login: Callable[[str | None], Client]) -> Client:
    return login("operator")


@pytest.fixture(scope="session")
def viewer(login: Callable[[str | None], Client]) -> Client:
    return login("viewer")
