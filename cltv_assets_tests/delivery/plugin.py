"""The option --delivery: tests that build what is shipped."""

from __future__ import annotations

from pathlib import Path

import pytest

#: Tests that build and run what is shipped; ``make test-delivery`` runs them.
DELIVERY = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--delivery", action="store_true", help="Run the tests that build what is shipped, too.")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    # Not collected, rather than skipped: these tests need programs that the package does not.
    unwanted = not config.getoption("--delivery") and DELIVERY in (collection_path, *collection_path.parents)
    return True if unwanted else None
