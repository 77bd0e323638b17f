"""The option --production, and what its tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

#: Tests on the processes of deploy/compose.yaml; ``make test-production`` runs them.
PRODUCTION = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--production", action="store_true", help="Run the tests of the whole production instance, too.")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    # Not collected, rather than skipped: these tests need PostgreSQL, nginx and an S3 server.
    unwanted = not config.getoption("--production") and PRODUCTION in (collection_path, *collection_path.parents)
    return True if unwanted else None
