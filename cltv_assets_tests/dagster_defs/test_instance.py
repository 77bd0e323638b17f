"""The persistent instance: what months write to it must be there for the UI."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from cltv_assets.dagster_defs.instance import dagster_home, open_instance, prepare_home
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
