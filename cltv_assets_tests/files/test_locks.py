"""Locks say who lives, and nothing is taken from a process of which nobody knows."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from cltv_assets.files.locks import hold, hold_if_free


def test_a_held_file_is_not_free_and_a_free_one_is_held(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    assert hold_if_free(file) is None
    with hold(file):
        assert hold_if_free(file) is None
    found = hold_if_free(file)
    assert found is not None
    assert hold_if_free(file) is None
    found.close()


def test_who_waits_for_a_file_that_is_deleted_makes_a_new_one(tmp_path: Path) -> None:
    """Its lock on the deleted one would be no lock for those who come later."""
    file = tmp_path / "lock"
    first = hold(file)
    held = []
    waiting = threading.Thread(target=lambda: held.append(hold(file)))
    waiting.start()
    waiting.join(0.2)
    assert not held
    file.unlink()
    first.close()
    waiting.join(10)
    assert hold_if_free(file) is None
    held[0].close()


def test_without_fcntl_nothing_is_taken_from_anybody(tmp_path: Path) -> None:
    """So it is on Windows; the whole package can be imported there."""
    code = (
        "import sys, tempfile; sys.modules['fcntl'] = None\n"
        "import cltv_assets.definitions, cltv_assets.cli.app, cltv_assets.cli.running\n"
        "from cltv_assets.files.scratch import ScratchFolder, process_folder, remove_orphans\n"
        "other = process_folder().parent / '1-other'; other.mkdir(); (other / 'lock').touch()\n"
        "with ScratchFolder('landing') as folder: assert folder.is_dir()\n"
        "assert remove_orphans() == 1 and other.is_dir()\n"
        "from cltv_assets.dagster_defs.instance import open_instance\n"
        "from cltv_assets.dagster_defs.run_owner import end_killed_runs, owner_tags\n"
        "from cltv_assets.settings import Settings\n"
        "with open_instance(Settings()) as instance: assert owner_tags(instance) and not end_killed_runs(instance)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
