"""``kill -9`` of a real ``cltv run`` at chosen moments: every month of every table stays whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cltv_assets_tests.e2e.ran import Ran
from cltv_assets_tests.e2e.reading import REPORT, contents, differences
from cltv_assets_tests.e2e.running import CLTV, run, settings_in, surroundings, write_config
from cltv_assets_tests.e2e.shop import deliver, lines_of_shop

PATIENCE_SECONDS = 120
POLL_SECONDS = 0.005


def data_files(lake: Path, table: str) -> set[Path]:
    return set(lake.glob(f"{table}/month=*/*.parquet"))


def versions(lake: Path, table: str) -> int:
    return len(list(lake.glob(f"{table}/_delta_log/*.json")))


def staged_in(table: str) -> Callable[[Path], Callable[[], bool]]:
    """Return the moment at which a new file of ``table`` is there, written or half written."""

    def prepare(lake: Path) -> Callable[[], bool]:
        before = data_files(lake, table)
        return lambda: bool(data_files(lake, table) - before)

    return prepare


def published_in(table: str, times: int = 1) -> Callable[[Path], Callable[[], bool]]:
    """Return the moment after the n-th publication of ``table``."""

    def prepare(lake: Path) -> Callable[[], bool]:
        before = versions(lake, table)
        return lambda: versions(lake, table) >= before + times

    return prepare


#: When to kill, how much longer to wait (a random part of it), and the months of the run: four take two processes.
KILLS = {
    "between the two halves of the verdict": (published_in("cleaned_transactions"), 0.0, "2011-02"),
    "a file staged": (staged_in("rfm_summary"), 0.0, "2011-02"),
    "both processes busy": (published_in("purchase_days", 2), 0.8, "2011-04"),
}


@pytest.fixture
def home(ran: Ran, tmp_path: Path) -> Path:
    """The shop that ran, in a lake whose first two months are of other data and whose last two do not exist."""
    months = ran.months[:2]
    deliver(tmp_path / "shop", lines_of_shop(months, customers=30, seed=2))
    assert [result.errors for result in run(settings_in(tmp_path), months)] == [[]] * 2
    deliver(tmp_path / "shop", ran.lines)
    write_config(tmp_path)
    return tmp_path


def test_killed_at_any_moment_each_month_is_old_or_new(ran: Ran, home: Path) -> None:
    lake = home / "lake"
    old, new = contents(lake), contents(ran.lake)
    assert len(differences(old, new)) == len(new)
    chance = random.Random(7)
    reached = []
    for moment, (prepare, longer, last) in KILLS.items():
        arrived = prepare(lake)
        before = contents(lake)
        process = subprocess.Popen(
            [CLTV, "run", "--to", last],
            cwd=home,
            env=surroundings(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            wait_for(arrived, process)
            time.sleep(chance.uniform(0, longer))
        finally:
            process.kill()
            process.wait()
        assert process.returncode == -signal.SIGKILL, f"{moment}: it ended before it could be killed"
        assert_group_ends(process.pid)
        now = contents(lake)
        for key in now.keys() | before.keys():
            assert now.get(key) in (before.get(key), new.get(key)), f"{moment}: {key} is neither old nor new"
        reached.append(len(differences(before, now)))
    # The kills did hit runs under way, neither before their first publication nor after their last.
    assert all(0 < count < len(new) for count in reached), reached

    done = subprocess.run([CLTV, "run"], cwd=home, env=surroundings(), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert differences(new, contents(lake)) == []
    assert not list(lake.glob(f"{REPORT}/**/*.html.*"))


def wait_for(arrived: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not arrived():
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < until, "the moment never came"
        time.sleep(POLL_SECONDS)


def assert_group_ends(group: int) -> None:
    """Require that no process of the killed run lives on: it would publish beside the next run, or wait for ever."""
    until = time.monotonic() + 20
    while True:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        if time.monotonic() > until:
            os.killpg(group, signal.SIGKILL)
            pytest.fail("processes of a killed run lived on")
        time.sleep(0.1)
