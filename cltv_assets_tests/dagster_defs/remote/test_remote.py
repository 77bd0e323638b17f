"""Settings of, and verdicts on, months that run elsewhere."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
from pydantic import ValidationError

from cltv_assets.cli.runner import QUIET, errors_of
from cltv_assets.dagster_defs.build import MONTH_JOB, build_definitions
from cltv_assets.dagster_defs.graph import assets_of_half
from cltv_assets.dagster_defs.remote.launching import Told
from cltv_assets.dagster_defs.remote.pipes_resource import launcher_for
from cltv_assets.errors import ConfigError
from cltv_assets.settings import Settings
from cltv_assets.tables import checks_of

SERVERLESS = {
    "kind": "emr_serverless",
    "bucket": "b",
    "application_id": "a",
    "execution_role": "r",
    "entry_point": "s3://c/e.py",
}
FIRST_HALF = assets_of_half("preprocess")


def settings(**pipes: Any) -> Settings:
    return Settings.model_validate({"lake_uri": "s3://lake/cltv", "pipes": pipes})


@pytest.mark.parametrize(
    ("pipes", "told"),
    [
        ({"kind": "emr", "entry_point": "s3://c/e.py"}, "pipes needs bucket"),
        ({"kind": "databricks", "bucket": "b"}, "either cluster_id or new_cluster"),
        ({"kind": "databricks", "bucket": "b", "cluster_id": "c", "new_cluster": {}}, "either cluster_id or new"),
        ({"kind": "emr", "bucket": "b", "job": {"Instances": {}}}, "lacks ReleaseLabel, JobFlowRole, ServiceRole, ent"),
        ({"kind": "emr_serverless", "bucket": "b"}, "lacks application_id, execution_role, entry_point"),
    ],
)
def test_a_job_that_lacks_something_is_told_at_once(pipes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        settings(**pipes)


def test_a_volume_will_do_on_databricks() -> None:
    assert settings(kind="databricks", cluster_id="c", volume="/Volumes/a/b/c").pipes.bucket is None


def test_a_lake_that_only_this_machine_sees_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"lake_uri is '\./here'"):
        launcher_for(Settings.model_validate({"lake_uri": "./here", "pipes": SERVERLESS}))


def test_the_graph_is_the_same_but_for_one_step() -> None:
    here = build_definitions(Settings.model_validate({})).resolve_asset_graph()
    there = build_definitions(Settings.model_validate({"pipes": SERVERLESS})).resolve_asset_graph()
    assert there.get_all_asset_keys() == here.get_all_asset_keys()
    assert there.asset_check_keys == here.asset_check_keys
    for key in here.get_all_asset_keys():
        assert there.get(key).parent_keys == here.get(key).parent_keys, key
        assert there.get(key).metadata == here.get(key).metadata, key
    assert len({there.get(dg.AssetKey(name)).assets_def.op.name for name in FIRST_HALF}) == 1


class Saying:
    """A launcher that says what it is told to."""

    def __init__(self, told: Told) -> None:
        self._told = told

    def launch(self, _context: Any, _month: Any) -> Told:
        return self._told


def run(told: Told) -> Any:
    launcher = dg.ResourceDefinition.hardcoded_resource(Saying(told))
    definitions = build_definitions(Settings.model_validate({"pipes": SERVERLESS}), pipes=launcher)
    return definitions.resolve_job_def(MONTH_JOB).execute_in_process(
        run_config=QUIET,
        instance=dg.DagsterInstance.ephemeral(),
        partition_key="1997-03",
        asset_selection=[dg.AssetKey(name) for name in FIRST_HALF],
        raise_on_error=False,
    )


def all_made() -> list[dg.MaterializeResult[None]]:
    return [dg.MaterializeResult(asset_key=name) for name in FIRST_HALF]


def test_a_job_that_ends_well_but_told_too_little_has_failed() -> None:
    result = run(Told(all_made()[:-1]))
    assert errors_of(result) == [
        "The remote run of 1997-03 ended before rfm_summary was published: its job ended without a word. Published "
        "before that: cleaned_transactions, purchase_days, raw_transactions, rejected_transactions, repeat_customers. "
        "Look at the job's own logs, then run the month again."
    ]
    assert len(result.get_asset_materialization_events()) == 5


def test_a_month_that_was_published_whole_succeeds_whatever_the_client_says() -> None:
    # One client takes the ordinary end of its cluster for a failure.
    passed = [
        dg.AssetCheckResult(passed=True, asset_key=name, check_name=check.name)
        for name in FIRST_HALF
        for check in checks_of((3,))[name]
    ]
    assert run(Told([*passed, *all_made()], fault="Exception: EMR job j-1 failed")).success
