"""The graph as Dagster shows it: nothing nameless, ownerless, unexplained or unchecked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import dagster as dg
import pytest
from dagster._core.execution.backfill import PartitionBackfill

from cltv_assets.columns import MONTH
from cltv_assets.dagster_defs.automation.state import needs_of
from cltv_assets.dagster_defs.build import MONTH_JOB, build_assets, build_definitions
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables import all_schemas, checks_of
from cltv_assets_tests.e2e.reading import REPORT, TABLES

ASSETS = (*TABLES, REPORT)


@pytest.fixture
def definitions(shop_settings: Callable[..., Settings]) -> dg.Definitions:
    return build_definitions(shop_settings())


@pytest.fixture
def specs(definitions: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


def test_the_assets_are_the_tables_and_the_report(specs: dict[str, dg.AssetSpec]) -> None:
    # An asset that only a job knows, or a table that no asset makes, would go unseen.
    assert set(specs) == set(ASSETS)


@pytest.mark.parametrize("name", ASSETS)
def test_every_asset_says_what_it_is_and_whose(specs: dict[str, dg.AssetSpec], name: str) -> None:
    spec = specs[name]
    first, rest = str(spec.description).split("\n\n")
    # The catalogue cuts a line where its column ends, and what it asks for at 240 characters; nodes show one paragraph.
    assert 20 < len(first) <= 50
    assert first.count(".") == 1
    assert first.endswith(".")
    assert len(first + rest) < 239
    assert rest.endswith(".")
    assert spec.owners
    assert spec.group_name != "default"
    assert spec.kinds
    assert spec.metadata["grain"]
    assert spec.tags["cltv/half"] in ("preprocess", "model")


@pytest.mark.parametrize("name", ASSETS)
def test_every_column_has_a_type_and_a_meaning(specs: dict[str, dg.AssetSpec], name: str) -> None:
    schema = specs[name].metadata["dagster/column_schema"]
    assert isinstance(schema, dg.TableSchema)
    assert schema.columns
    assert [column.name for column in schema.columns if len(column.description or "") < 10] == []
    assert all(column.type for column in schema.columns)


@pytest.mark.parametrize("name", ASSETS)
def test_every_asset_has_a_blocking_check_and_every_check_a_promise(definitions: dg.Definitions, name: str) -> None:
    graph = definitions.resolve_asset_graph()
    checks = [graph.get_check_spec(key) for key in graph.asset_check_keys if key.asset_key == dg.AssetKey(name)]
    assert any(check.blocking for check in checks)
    assert [check.name for check in checks if len(check.description or "") < 15] == []
    assert len({check.name for check in checks}) == len(checks)


def test_the_columns_shown_are_those_written(
    shop_settings: Callable[..., Settings], specs: dict[str, dg.AssetSpec]
) -> None:
    for table in all_schemas(shop_settings().horizons_months):
        shown = [column.name for column in specs[table.name].metadata["dagster/column_schema"].columns]
        assert shown == [*table.column_names, MONTH]


def test_the_checks_declared_are_those_evaluated(
    shop_settings: Callable[..., Settings], definitions: dg.Definitions
) -> None:
    graph = definitions.resolve_asset_graph()
    declared = {(key.asset_key.to_user_string(), key.name) for key in graph.asset_check_keys}
    evaluated = {
        (table, check.name) for table, checks in checks_of(shop_settings().horizons_months).items() for check in checks
    }
    on_time = {(key.to_user_string(), "on_time") for key in graph.get_all_asset_keys()}
    assert declared == evaluated | {(REPORT, "report_whole")} | on_time


@pytest.mark.parametrize(
    ("changes", "first", "last", "count"),
    [
        ({}, "2011-01", "2011-06", 6),
        ({"start_month": "2010-11", "end_month": "2010-11"}, "2010-11", "2010-11", 1),
        # Either side of the change of clocks in London: no month twice, none left out.
        ({"start_month": "2010-09", "end_month": "2011-11"}, "2010-09", "2011-11", 15),
        ({"time_zone": "Pacific/Auckland"}, "2011-01", "2011-06", 6),
    ],
)
def test_one_monthly_partitioning_for_all(
    shop_settings: Callable[..., Settings], changes: dict[str, str], first: str, last: str, count: int
) -> None:
    definitions = build_definitions(shop_settings(**changes))
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        partitions = graph.get(key).partitions_def
        assert isinstance(partitions, dg.MonthlyPartitionsDefinition)
        keys = partitions.get_partition_keys()
        assert (keys[0], keys[-1], len(keys)) == (first, last, count)
        assert partitions.timezone == changes.get("time_zone", "Europe/London")


def test_an_open_end_grows_to_the_last_closed_month(shop_settings: Callable[..., Settings]) -> None:
    settings = shop_settings(end_month=None)
    job = build_definitions(settings).resolve_job_def(MONTH_JOB)
    assert job.partitions_def is not None
    assert job.partitions_def.get_partition_keys()[-1] == settings.last_month().key


def test_the_month_job_makes_everything(definitions: dg.Definitions) -> None:
    job = definitions.resolve_job_def(MONTH_JOB)
    assert {key.to_user_string() for key in job.asset_layer.executable_asset_keys} == set(ASSETS)


def test_the_months_that_each_asset_reads(shop_settings: Callable[..., Settings]) -> None:
    settings = shop_settings(horizons_months=[3, 6])
    month, first = Month.parse("2012-06"), Month.parse("2011-01")

    def keys(first_key: str, last_key: str) -> list[str]:
        return [at.key for at in Month.parse(first_key).until(Month.parse(last_key))]

    read = {
        (Names.table(key), need.table): [at.key for at in need.months(month, first)]
        for definition in build_assets(settings)
        for key in definition.keys
        for need in needs_of(definition)
    }
    others = {edge: months for edge, months in read.items() if months != ["2012-06"]}
    # Nothing reads the future: history must not change when later months arrive.
    assert others == {
        ("repeat_customers", "purchase_days"): keys("2011-07", "2012-06"),
        ("rfm_summary", "purchase_days"): keys("2011-01", "2012-06"),
        ("customer_attributes", "purchase_days"): keys("2011-01", "2012-06"),
        ("purchase_model", "purchase_days"): keys("2011-01", "2012-06"),
        ("spend_model", "purchase_days"): keys("2011-01", "2012-06"),
        ("cltv_predictions", "purchase_days"): keys("2011-01", "2012-06"),
        ("segment_summary", "cltv_predictions"): keys("2012-05", "2012-06"),
        ("segment_movement", "cltv_predictions"): keys("2012-05", "2012-06"),
        ("cohort_value", "purchase_days"): keys("2011-01", "2012-06"),
        ("acquisition_payback", "acquisition_costs"): keys("2011-01", "2012-06"),
        ("new_customer_value", "rfm_summary"): keys("2011-12", "2012-06"),
        ("new_customer_value", "purchase_model"): keys("2011-12", "2012-06"),
        ("new_customer_value", "spend_model"): keys("2011-12", "2012-06"),
        # The cohort that came two horizons ago.
        ("new_customer_value", "purchase_days"): keys("2011-06", "2012-06"),
        ("customer_scores", "cltv_predictions"): keys("2012-01", "2012-06"),
        ("customer_scores", "purchase_days"): keys("2011-01", "2012-06"),
        ("holdout_evaluation", "cltv_predictions"): keys("2011-12", "2012-03"),
        ("holdout_evaluation", "purchase_model"): keys("2011-12", "2012-03"),
        ("holdout_evaluation", "segment_summary"): keys("2011-12", "2012-03"),
        ("holdout_evaluation", "purchase_days"): keys("2011-01", "2012-06"),
        ("cltv_report", "purchase_days"): keys("2011-01", "2012-06"),
        ("cltv_report", "customer_scores"): keys("2012-05", "2012-06"),
    }
    assert len(read) == 52


def test_a_backfill_of_some_months_makes_those_and_no_others(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    with dg.DagsterInstance.ephemeral() as instance:
        backfill = PartitionBackfill.from_asset_partitions(
            backfill_id="one",
            asset_graph=graph,
            partition_names=["2011-02", "2011-03"],
            asset_selection=list(graph.get_all_asset_keys()),
            backfill_timestamp=dt.datetime.now(dt.UTC).timestamp(),
            tags={},
            dynamic_partitions_store=instance,
            all_partitions=False,
            title=None,
            description=None,
            run_config=None,
        )
        chosen = backfill.get_asset_backfill_data(graph).target_subset
    assert {(at.asset_key, at.partition_key) for at in chosen.iterate_asset_partitions()} == {
        (key, month) for key in graph.get_all_asset_keys() for month in ("2011-02", "2011-03")
    }


def test_tables_of_one_step_have_one_parent(shop_settings: Callable[..., Settings]) -> None:
    """With more, Dagster refuses backfills when the hashes of its process fall so."""
    for definition in build_assets(shop_settings()):
        if len(definition.keys) > 1:
            assert len(definition.dependency_keys) == 1, definition.keys
