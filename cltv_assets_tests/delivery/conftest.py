"""What is shipped, built once for all of its tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from cltv_assets_tests.delivery.image import image, run_in
from delivery.locks import ROOT
from delivery.wheel import build_twice

__all__ = ["image", "run_in"]


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return wheel and source archive; building them has compared two builds."""
    sdist, wheel = sorted(build_twice(ROOT, tmp_path_factory.mktemp("dist")), key=lambda path: path.suffix)
    return wheel, sdist


@pytest.fixture(scope="session")
def wheel(archives: tuple[Path, Path]) -> Path:
    return archives[0]
