"""The option --delivery."""

from __future__ import annotations

from pathlib import Path

import pytest

#: Tests of what is delivered, with tools that the package does not need; ``make test-delivery`` runs them.
DELIVERY = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--delivery", action="store_true", help="Run the tests of what is delivered, too.")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    # Not collected, rather than skipped: these tests need tools of other locks.
    unwanted = not config.getoption("--delivery") and DELIVERY in (collection_path, *collection_path.parents)
    return True if unwanted else None
