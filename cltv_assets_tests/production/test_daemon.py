"""The daemon by itself: months close, fail and are mended, and nobody touches anything.

The clock is the real one. The newest month has closed at the beginning of this month;
``due`` is chosen so that it is due about a minute after the start.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from cltv_assets.dagster_defs.build import build_definitions
from cltv_assets.months import Month
from cltv_assets.settings import load_settings
from cltv_assets_tests.e2e.running import surroundings, write_config
from cltv_assets_tests.e2e.shop import deliver, lines_of_shop

DEPLOY = Path(__file__).parents[2] / "deploy"
PREPARED = {"raw_transactions", "cleaned_transactions", "rejected_transactions", "purchase_days"}
PATIENCE = 420.0


class Live:
    """A daemon on a made-up shop, and what its instance says.

    Parameters
    ----------
    home : Path
    until_due : datetime.timedelta
        From now until the newest month is due.
    """

    def __init__(self, home: Path, until_due: dt.timedelta) -> None:
        self.home = home
        now = dt.datetime.now(dt.UTC)
        self.newest = Month.of(now.date()).shift(-1)
        self.months = list(self.newest.shift(-2).until(self.newest))
        closed = dt.datetime.combine(self.newest.shift(1).first_day, dt.time(), dt.UTC)
        self.due_at = now + until_due
        deliver(home / "shop", lines_of_shop(self.months, customers=60))
        long_ago = time.time() - 3600
        for file in (home / "shop").iterdir():
            os.utime(file, (long_ago, long_ago))
        write_config(
            home,
            start_month=self.months[0].key,
            end_month=None,
            time_zone="UTC",
            environment="production",
            automation={"due": {"raw_transactions": f"{(self.due_at - closed).total_seconds():.0f}s"}},
        )
        self.settings = load_settings(home / "cltv.yaml")
        self.assets = {
            key.path[-1] for key in build_definitions(self.settings).resolve_asset_graph().get_all_asset_keys()
        }
        instance_home = home / "dagster"
        instance_home.mkdir()
        shutil.copy(DEPLOY / "dagster.yaml", instance_home)
        self.environ = surroundings({"DAGSTER_HOME": str(instance_home), "CLTV_CONFIG": str(home / "cltv.yaml")})
        self.log = home / "daemon.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.instance = dg.DagsterInstance.from_config(str(instance_home))

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).with_name("dagster-daemon")), "run", "-m", "cltv_assets.definitions"],
                cwd=self.home,
                env=self.environ,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, how)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def made(self) -> dict[tuple[str, str], int]:
        """Return how often each month of each asset was materialised."""
        counts: dict[tuple[str, str], int] = {}
        for table in self.assets:
            for record in self.instance.fetch_materializations(dg.AssetKey(table), limit=500).records:
                at = (table, str(record.partition_key))
                counts[at] = counts.get(at, 0) + 1
        return counts

    def wait_for(self, what: str, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert self.process is not None
            assert self.process.poll() is None, f"the daemon has ended: {self.log.read_text()[-2000:]}"
            if time.monotonic() > end:
                runs = [(run.status.value, run.tags.get("dagster/partition")) for run in self.instance.get_runs()]
                raise AssertionError(
                    f"not within {PATIENCE:.0f} s: {what}. Runs: {runs}. {self.log.read_text()[-3000:]}"
                )
            time.sleep(1)

    def wait_idle(self) -> None:
        """Wait until the automation has looked twice since the last run ended, and asked for nothing."""
        finished = [run for run in self.instance.get_run_records() if run.end_time]
        since = max((run.end_time or 0.0 for run in finished), default=0.0)

        def looked_twice() -> bool:
            running = [run for run in self.instance.get_runs() if not run.is_finished]
            (state,) = [s for s in self.instance.all_instigator_state() if s.instigator_name == "cltv_automation"]
            ticks = self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=10)
            quiet = [tick for tick in ticks if tick.timestamp > since and tick.end_timestamp and not tick.run_ids]
            return not running and len(quiet) >= 2

        self.wait_for("two evaluations that ask for nothing", looked_twice)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    opened = Live(tmp_path, dt.timedelta(seconds=75))
    yield opened
    opened.stop()
    opened.instance.dispose()


@pytest.mark.soak
def test_months_close_fail_and_are_mended_with_nobody_there(live: Live) -> None:
    older = {(table, month.key) for table in live.assets for month in live.months[:-1]}
    newest = {(table, live.newest.key) for table in live.assets}
    live.start()

    # An empty lake is filled with what is due, and no more.
    live.wait_for("the older months", lambda: older <= set(live.made()))
    made = live.made()
    if dt.datetime.now(dt.UTC) < live.due_at:
        assert not newest & set(made), "not before it is due"
    # The month that has closed is made once, when it is due.
    live.wait_for("the newest month", lambda: newest <= set(live.made()))
    live.wait_idle()
    assert live.made() == dict.fromkeys(older | newest, 1)
    first = min(
        record.timestamp
        for record in live.instance.fetch_materializations(dg.AssetKey("raw_transactions"), limit=50).records
        if record.partition_key == live.newest.key
    )
    assert first >= live.due_at.timestamp() - 1

    # A delivery of which most is broken: its month fails, alone, and readers keep what they had.
    broken = [(f"B{i}", "", f"{live.newest.key}-05 10:00:00", "1", "5.00") for i in range(2000)]
    deliver(live.home / "shop", {live.newest: broken}, "second.csv")
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])
    live.wait_for("the failure", lambda: bool(live.instance.get_runs(filters=failed)))
    live.wait_idle()
    assert len(live.instance.get_runs(filters=failed)) == 1
    made = live.made()
    again = {at for at, times in made.items() if times > 1}
    assert again == {("raw_transactions", live.newest.key)}
    assert set(made) == older | newest
    # In the UI red is what failed: the run took back the plans of checks that it did not reach.
    checks = live.instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [dg.AssetCheckKey(dg.AssetKey(name), "unique_grain") for name in ("purchase_days", "rfm_summary")]
    )
    assert {record.status.value for record in checks.values()} == {"SUCCEEDED"}
    assert len(checks) == 2

    # Stopped in between, as for an upgrade: what happens meanwhile is not missed.
    live.stop()
    (live.home / "shop/second.csv").unlink()
    live.start()
    live.wait_for("the mended month", lambda: live.made().get(("cltv_report", live.newest.key)) == 2)
    live.wait_idle()
    made = live.made()
    assert {at for at, times in made.items() if at in older and times > 1} == set()
    assert {made[at] for at in newest - {("raw_transactions", live.newest.key)}} == {2}
    assert made["raw_transactions", live.newest.key] == 3
    assert len(live.instance.get_runs(filters=failed)) == 1
