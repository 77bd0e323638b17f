"""The persistent instance: what months write to it must be there for the UI."""

from __future__ import annotations

import contextlib
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from alembic.util import CommandError

from cltv_assets.dagster_defs.instance import dagster_home, open_instance, prepare_home
from cltv_assets.dagster_defs.instance_state import are_made
from cltv_assets.errors import ConfigError
from cltv_assets.settings import Settings

KEYS = ["1997-01", "1997-02", "1997-03"]


@dg.asset(
    partitions_def=dg.StaticPartitionsDefinition(KEYS),
    check_specs=[dg.AssetCheckSpec(name, asset="made") for name in ("one", "two")],
)
def made():
    yield dg.AssetCheckResult(passed=True, check_name="one")
    yield dg.AssetCheckResult(passed=False, check_name="two", severity=dg.AssetCheckSeverity.WARN)
    yield dg.MaterializeResult(metadata={"rows": 3})


def test_materialisations_checks_and_runs_are_kept_for_the_next_process():
    settings = Settings()
    with open_instance(settings) as instance:
        for key in KEYS:
            assert dg.materialize([made], partition_key=key, instance=instance).success
    # A plain instance, as the UI opens it: nothing of ours between it and the databases.
    with dg.DagsterInstance.from_config(str(dagster_home(settings))) as instance:
        assert instance.get_materialized_partitions(dg.AssetKey("made")) == set(KEYS)
        event = instance.get_latest_materialization_event(dg.AssetKey("made"))
        assert event is not None
        assert event.asset_materialization.metadata["rows"].value == 3
        assert len(instance.get_run_records()) == len(KEYS)
        for name, status in (("one", "SUCCEEDED"), ("two", "FAILED")):
            record = instance.get_latest_asset_check_evaluation_record(dg.AssetCheckKey(dg.AssetKey("made"), name))
            assert record is not None
            assert record.status.value == status


def test_a_fresh_instance_is_the_one_of_deploy(tmp_path: Path) -> None:
    """`make demo` makes the instance that `make dev` opens: queue, pool and freshness must be there."""
    prepare_home(tmp_path / "home")
    deployed = Path(__file__).parents[2] / "deploy" / "dagster.yaml"
    assert (tmp_path / "home" / "dagster.yaml").read_bytes() == deployed.read_bytes()


def test_an_instance_that_is_made_by_many_at_once_is_whole(tmp_path: Path) -> None:
    """Without the lock one of several found tables without a revision, and noted that of an old release beside it."""
    done = subprocess.run(
        [sys.executable, "-c", OPENED_BY_MANY], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "opened" * 24), done.stderr
    homes = list(tmp_path.glob("home-*"))
    assert len(homes) == 3
    assert all(are_made(home) for home in homes)


#: Three times eight processes, which begin when the pipe that they read from is closed.
OPENED_BY_MANY = """
import os, traceback
from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets.settings import Settings
for number in range(3):
    os.environ["DAGSTER_HOME"] = f"home-{number}"
    wait, go = os.pipe()
    for _ in range(8):
        if not os.fork():
            os.close(go)
            os.read(wait, 1)
            try:
                with open_instance(Settings()) as instance:
                    assert instance.get_runs_count() == 0
                    assert not instance.all_instigator_state()
                os.write(1, b"opened")
            except BaseException:
                traceback.print_exc()
            os._exit(0)
    os.close(wait), os.close(go)
    for _ in range(8):
        os.wait()
"""


@pytest.mark.parametrize("database", ["history/runs.db", "history/runs/index.db", "schedules/schedules.db"])
def test_a_database_with_two_revisions_is_mended(database: str) -> None:
    """So an earlier release left it when two commands were the first ones."""
    settings = Settings()
    with open_instance(settings) as instance:
        dg.materialize([made], partition_key=KEYS[0], instance=instance)
    file = dagster_home(settings) / database
    (newest,) = revisions(file)
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("INSERT INTO alembic_version VALUES ('5771160a95ad')")
    # Dagster itself refuses it, when it opens or first uses it.
    refused = pytest.raises(CommandError, match="more than one head")
    with refused, dg.DagsterInstance.from_config(str(dagster_home(settings))) as broken:
        broken.get_materialized_partitions(dg.AssetKey("made"))
    with open_instance(settings) as instance:
        assert instance.get_materialized_partitions(dg.AssetKey("made")) == {KEYS[0]}
    assert revisions(file) == [newest]


def test_a_database_of_which_nobody_knows_what_it_lacks_is_named() -> None:
    settings = Settings()
    with open_instance(settings):
        home = dagster_home(settings)
    file = home / "history" / "runs.db"
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("INSERT INTO alembic_version VALUES ('5771160a95ad')")
        connection.execute("DROP INDEX idx_runs_by_backfill_id")
        connection.execute("ALTER TABLE runs DROP COLUMN backfill_id")
    with (
        pytest.raises(ConfigError, match=f"{file} says .* several revisions.*Move {home} away"),
        open_instance(settings),
    ):
        pass
    assert len(revisions(file)) == 2


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    # No rights keep root from writing; a folder where a file should be does.
    (tmp_path / "home" / "dagster.yaml").write_text("{}")
    (tmp_path / "home" / "history" / "runs.db").mkdir(parents=True)
    with (
        pytest.raises(ConfigError, match=f"{tmp_path}/home cannot be written: unable to open"),
        open_instance(settings),
    ):
        pass


def test_a_database_that_is_full_meanwhile_is_named() -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def record() -> None:
        with open_instance(Settings()) as instance:
            # Not one more byte of a file.
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
            instance.report_runless_asset_event(dg.AssetMaterialization("made", partition=KEYS[0]))

    try:
        with pytest.raises(ConfigError, match=r"\.dagster cannot be written: .* Make room there"):
            record()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def revisions(database: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return [name for (name,) in connection.execute("SELECT version_num FROM alembic_version")]


def test_a_first_start_that_broke_off_leaves_nothing_of_an_old_release(tmp_path: Path) -> None:
    settings = Settings()
    with open_instance(settings):
        home = dagster_home(settings)
    file = home / "history" / "runs.db"
    (newest,) = revisions(file)
    for half in ("DELETE FROM alembic_version", "DROP TABLE alembic_version"):
        with contextlib.closing(sqlite3.connect(file)) as connection, connection:
            for table in ("secondary_indexes", "instance_info"):
                connection.execute(f"DELETE FROM {table}")
            connection.execute(half)
        with open_instance(settings) as instance:
            assert instance.get_runs_count() == 0
        assert revisions(file) == [newest]
