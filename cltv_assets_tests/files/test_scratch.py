"""Temporary files go away, whatever happens to the process, and nobody else can read them."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cltv_assets.errors import EngineError
from cltv_assets.files.scratch import ScratchFolder, kept_folder, process_folder, remove_orphans

MAKE = (
    "from cltv_assets.files.scratch import ScratchFolder\n"
    "folder = ScratchFolder('landing'); (folder.path / 'lines').write_text('customer 17850')\n"
    "print(folder.path, flush=True)\n"
)


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def run(code: str) -> Path:
    done = subprocess.run([sys.executable, "-c", MAKE + code], capture_output=True, text=True, check=False)
    return Path(done.stdout.splitlines()[0])


@contextmanager
def living() -> Iterator[Path]:
    """Give the folder of another process, which lives until the end of the block."""
    waits = [sys.executable, "-c", MAKE + "import sys; sys.stdin.read()"]
    with subprocess.Popen(waits, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Path(process.stdout.readline().strip())
        process.communicate()
    assert process.returncode == 0


def files() -> list[Path]:
    return list(Path(tempfile.gettempdir()).rglob("lines"))


def test_it_goes_at_the_end_and_on_close() -> None:
    assert not run("raise SystemExit(3)").parent.exists()
    with ScratchFolder("landing") as folder:
        assert folder.is_dir()
    assert not folder.exists()


def test_a_forked_child_leaves_it_alone() -> None:
    code = (
        "import os, sys; pid = os.fork()\n"
        "if pid == 0: ScratchFolder('its own'); sys.exit()\n"
        "os.waitpid(pid, 0); sys.exit(0 if (folder.path / 'lines').exists() else 9)"
    )
    done = subprocess.run([sys.executable, "-c", MAKE + code], capture_output=True, check=False)
    assert done.returncode == 0


def test_what_a_killed_process_left_goes_and_what_a_living_one_has_stays() -> None:
    left = run(f"import os; os.kill(os.getpid(), {signal.SIGKILL.value})")
    assert files() == [left / "lines"]
    with living() as theirs:
        assert remove_orphans() == 1
        assert files() == [theirs / "lines"]
    assert remove_orphans() == 0
    assert files() == []


def test_many_processes_at_once_keep_their_own(tmp_path: Path) -> None:
    """A folder that is just being made is nobody's orphan, however many others are looking for some."""
    code = "import sys; sys.exit(0 if (folder.path / 'lines').exists() else 9)"
    for _ in range(2):
        started = [subprocess.Popen([sys.executable, "-c", MAKE + code], stdout=subprocess.DEVNULL) for _ in range(8)]
        assert [process.wait(30) for process in started] == [0] * 8
    assert files() == []


def test_a_half_removed_folder_is_removed(tmp_path: Path) -> None:
    left = run(f"import os; os.kill(os.getpid(), {signal.SIGKILL.value})")
    (left.parent / "lock").unlink()
    remove_orphans()
    assert not left.parent.exists()


def test_what_a_browser_shows_stays_for_a_day() -> None:
    fresh, old = kept_folder(), kept_folder()
    os.utime(old, (0, 0))
    remove_orphans()
    assert fresh.is_dir()
    assert not old.exists()
    remove_orphans(kept=True)
    assert not fresh.exists()


def test_a_folder_that_a_cleaner_of_tmp_took_is_made_again() -> None:
    first = process_folder()
    (first / "lock").unlink()
    first.rmdir()
    assert process_folder().is_dir()


def test_others_can_neither_read_nor_replace_it(tmp_path: Path) -> None:
    home = process_folder().parent
    assert home == tmp_path / f"cltv-{os.getuid()}"
    home.chmod(0o777)
    process_folder()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_refused(tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"cltv-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EngineError, match=f"cltv-{os.getuid()}, the folder for temporary files, is a link"):
        process_folder()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # No rights keep root from writing, so a file stands where the folder should be made.
    (tmp_path / f"cltv-{os.getuid()}").write_text("")
    with pytest.raises(EngineError, match=r"is a link, no folder or another user's.*set TMPDIR"):
        process_folder()
    monkeypatch.setattr(tempfile, "tempdir", "/proc/self")
    with pytest.raises(EngineError, match=r"cannot be written to /proc/self.*set TMPDIR"):
        process_folder()
