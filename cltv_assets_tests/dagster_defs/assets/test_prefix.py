"""Two graphs in one deployment: their names do not meet, and neither runs the other's assets."""

from __future__ import annotations

import dagster as dg
import pytest

from cltv_assets.cli.runner import QUIET, errors_of
from cltv_assets.dagster_defs.build import MONTH_JOB, build_definitions
from cltv_assets.dagster_defs.graph import assets_of_half
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.remote.launching import Told, extras_for
from cltv_assets.dagster_defs.resources import Platform
from cltv_assets.errors import LakeError
from cltv_assets.settings import Settings
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables import checks_of


def graph(prefix: str, **changes: object) -> dg.Definitions:
    return build_definitions(
        Settings.model_validate({"asset_prefix": prefix, "lake_uri": f"lakes/{prefix}", **changes})
    )


@pytest.mark.parametrize("prefixes", [("acme", "bolt"), ("", "bolt")])
def test_graphs_merge(prefixes: tuple[str, str]) -> None:
    merged_graphs_stay_apart(prefixes)


def merged_graphs_stay_apart(prefixes: tuple[str, str], **changes: object) -> None:
    merged = dg.Definitions.merge(*(graph(prefix, **changes) for prefix in prefixes))
    dg.Definitions.validate_loadable(merged)
    for prefix in prefixes:
        names = Names(prefix)
        job = merged.resolve_job_def(names.name(MONTH_JOB))
        made = set(job.asset_layer.executable_asset_keys)
        assert made == {names.key(Names.table(key)) for key in made}
        assert len(made) == 19
        assert {check.asset_key for check in job.asset_layer.asset_graph.asset_check_keys} == made


def test_a_prefixed_graph_is_the_plain_one_by_other_names() -> None:
    plain, prefixed = (graph(prefix).resolve_asset_graph() for prefix in ("", "acme"))
    names = Names("acme")

    def edges(of: object, key: dg.AssetKey) -> set[str]:
        return {Names.table(parent) for parent in of.get(key).parent_keys}  # type: ignore[attr-defined]

    for key in plain.get_all_asset_keys():
        there = names.key(Names.table(key))
        assert edges(plain, key) == edges(prefixed, there)
        assert prefixed.get(there).group_name == f"acme__{plain.get(key).group_name}"


def test_a_lake_refuses_another_graph_s_runs(tmp_path: object) -> None:
    def table(prefix: str) -> object:
        settings = Settings.model_validate({"asset_prefix": prefix, "home": tmp_path})
        return Platform(settings).lake.table(RAW_TRANSACTIONS)

    table("acme").ensure()  # type: ignore[attr-defined]
    table("acme").ensure()  # type: ignore[attr-defined]
    for other in ("bolt", ""):
        with pytest.raises(LakeError, match=r"belongs to the graph 'acme', not to .*lake_uri of its own"):
            table(other).ensure()  # type: ignore[attr-defined]


class _Published:
    """A launcher whose far end published every table, under the graph's keys."""

    def launch(self, _context: object, _month: object) -> Told:
        keys = {name: Names("acme").key(name) for name in assets_of_half("preprocess")}
        passed = [
            dg.AssetCheckResult(passed=True, asset_key=key, check_name=check.name)
            for name, key in keys.items()
            for check in checks_of((3,))[name]
        ]
        return Told([*passed, *(dg.MaterializeResult(asset_key=key) for key in keys.values())])


def test_months_that_ran_elsewhere_arrive_under_the_prefix() -> None:
    pipes = {
        "kind": "emr_serverless",
        "bucket": "b",
        "application_id": "a",
        "execution_role": "r",
        "entry_point": "s3://c/e.py",
    }
    settings = Settings.model_validate({"asset_prefix": "acme", "pipes": pipes})
    assert extras_for(settings)["settings"]["asset_prefix"] == "acme", "the far end claims the same lake"
    launcher = dg.ResourceDefinition.hardcoded_resource(_Published())
    # By the plain name, as the resources are overridden.
    job = build_definitions(settings, pipes=launcher).resolve_job_def("acme__cltv_month")
    keys = [Names("acme").key(name) for name in assets_of_half("preprocess")]
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(
            run_config=QUIET, instance=instance, partition_key="1997-03", asset_selection=keys, raise_on_error=False
        )
    assert errors_of(result) == []
    assert {event.asset_key for event in result.get_asset_materialization_events()} == set(keys)
