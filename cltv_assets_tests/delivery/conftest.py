"""What is shipped, built once for all of its tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from cltv_assets_tests.delivery.image_fixtures import embedded, run_in
from cltv_assets_tests.delivery.interpreters import SUPPORTED, interpreters
from delivery.locks import ROOT
from delivery.wheel import build_twice

__all__ = ["embedded", "run_in"]


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return wheel and source archive; building them has compared two builds."""
    sdist, wheel = sorted(build_twice(ROOT, tmp_path_factory.mktemp("dist")), key=lambda path: path.suffix)
    return wheel, sdist


@pytest.fixture(scope="session")
def wheel(archives: tuple[Path, Path]) -> Path:
    return archives[0]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # A Python that is not here is not tested; that is said rather than left to be noticed.
    found = interpreters()
    for version in SUPPORTED:
        where = found.get(version, "not found, not tested (CLTV_WHEEL_PYTHONS makes it a failure)")
        terminalreporter.write_line(f"wheel on Python {version}: {where}")
