"""An instance that is forgotten, a webhook that takes messages, and a copy of a module's shop at rest."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from cltv_assets_tests.dagster_defs.automation.watched_shop import WatchedShop
from cltv_assets_tests.dagster_defs.automation.webhook_server import WebhookServer
from cltv_assets_tests.e2e.running import instance_below


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookServer]:
    with WebhookServer() as server:
        monkeypatch.setenv("CLTV_WEBHOOK_URL", server.address)
        yield server


@pytest.fixture
def landed(at_rest: WatchedShop, tmp_path: Path) -> Iterator[WatchedShop]:
    """A copy of the module's ``at_rest``, its instance and the sensor's cursor."""
    shutil.copytree(at_rest.settings.home, tmp_path, dirs_exist_ok=True)
    with instance_below(tmp_path) as opened:
        made = WatchedShop(tmp_path, opened)
        made.cursor = at_rest.cursor
        yield made
