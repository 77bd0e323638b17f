"""The temporary folder goes away, whatever happens to the process."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cltv_assets.files.scratch import ScratchFolder

MAKE = "from cltv_assets.files.scratch import ScratchFolder; folder = ScratchFolder(); print(folder.path, flush=True); "


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def run(code: str) -> Path:
    done = subprocess.run([sys.executable, "-c", MAKE + code], capture_output=True, text=True, check=False)
    return Path(done.stdout.splitlines()[0])


def test_it_goes_at_the_end_and_on_close() -> None:
    assert not run("raise SystemExit(3)").exists()
    folder = ScratchFolder()
    assert folder.path.is_dir()
    folder.close()
    assert not folder.path.exists()


def test_a_forked_child_leaves_it_alone() -> None:
    code = (
        "import os, sys; pid = os.fork()\n"
        "if pid == 0: sys.exit()\n"
        "os.waitpid(pid, 0); sys.exit(0 if folder.path.is_dir() else 9)"
    )
    done = subprocess.run([sys.executable, "-c", MAKE + code], capture_output=True, check=False)
    assert done.returncode == 0


def test_a_killed_process_leaves_it_to_the_next() -> None:
    left = run(f"import os; os.kill(os.getpid(), {signal.SIGKILL.value})")
    assert left.is_dir()
    living = ScratchFolder()
    assert not left.exists()
    other = ScratchFolder()
    assert living.path.is_dir()
    living.close()
    other.close()
    assert not list(Path(tempfile.gettempdir()).iterdir())
