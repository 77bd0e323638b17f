"""A scratch project of two brands, as ``dg`` and users lay one out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

BRANDS = ("acme", "bolt")

_PYPROJECT = """\
[project]
name = "shops"
version = "0"

[tool.dg]
directory_type = "project"

[tool.dg.cli]
suppress_warnings = ["project_and_activated_venv_mismatch"]

[tool.dg.project]
root_module = "shops"
code_location_target_module = "shops.definitions"
"""

_DEFINITIONS = """\
from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
"""

_BRAND = """\
type: cltv_assets.CltvComponent
attributes:
  source:
    kind: csv
    path: "{{{{ context.project_root }}}}/data/{brand}.csv"
    columns: {{customer_id: customer, transacted_at: day, amount: amount}}
  start_month: 2024-01
  end_month: 2024-01
  horizons_months: [3]
  lake_uri: ../../../../lakes/{brand}
"""


@dataclass(frozen=True)
class Project:
    """A ``dg`` project.

    Parameters
    ----------
    root : Path
    """

    root: Path

    def file(self, brand: str) -> Path:
        """Return the ``defs.yaml`` of a brand."""
        return self.root / "src" / "shops" / "defs" / brand / "defs.yaml"

    def lake(self, brand: str) -> Path:
        """Return the lake of a brand."""
        return self.root / "lakes" / brand

    @property
    def home(self) -> Path:
        """Return the folder of Dagster's instance."""
        return self.root / ".dagster"

    def load(self, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
        """Load the definitions in this process, as a code server does in its own."""
        for name in [name for name in sys.modules if name.split(".")[0] == "shops"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.syspath_prepend(self.root / "src")
        return dg.load_from_defs_folder(path_within_project=self.root)

    def add(self, brand: str) -> None:
        """Add a brand with a month of purchases of its own customers."""
        self.file(brand).parent.mkdir(parents=True)
        self.file(brand).write_text(_BRAND.format(brand=brand))
        lines = [f"{brand}-{c},2024-01-{d:02},{10 + c}.50" for c in range(20) for d in range(1 + c, 3 + c % 4 + c)]
        (self.root / "data").mkdir(exist_ok=True)
        (self.root / "data" / f"{brand}.csv").write_text("\n".join(["customer,day,amount", *lines]) + "\n")

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in the project."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        paths = [str(self.root / "src"), os.environ["PYTHONPATH"]]
        environ: Mapping[str, str] = {
            **os.environ,
            "PATH": path,
            "PYTHONPATH": os.pathsep.join(paths),
            "DAGSTER_HOME": str(self.home),
            "NO_COLOR": "1",
            "COLUMNS": "200",
            **variables,
        }
        return subprocess.run(
            [str(Path(sys.executable).parent / command[0]), *command[1:]],
            cwd=self.root,
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
        )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project with both brands."""
    made = Project(tmp_path / "shops")
    package = made.root / "src" / "shops"
    (package / "defs").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "defs" / "__init__.py").touch()
    (package / "definitions.py").write_text(_DEFINITIONS)
    (made.root / "pyproject.toml").write_text(_PYPROJECT)
    made.home.mkdir()
    (made.home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    for brand in BRANDS:
        made.add(brand)
    return made
