"""Environments of their own for what the platform is compared with."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path


def peers_python(folder: Path, requirements: Path) -> str:
    """Return the Python of an environment with the requirements, made and filled if it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(requirements)], check=True)
    return str(python)
