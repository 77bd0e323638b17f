"""Many months in one run: each written, checked, published and recorded by itself."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path

import dagster as dg
import pytest

from cltv_assets.cli.runner import QUIET, errors_of
from cltv_assets.dagster_defs.build import MONTH_JOB, build_definitions
from cltv_assets.dagster_defs.customising import Custom
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets_tests.e2e.ran import Ran
from cltv_assets_tests.e2e.reading import contents, differences, unfinished_files
from cltv_assets_tests.e2e.running import run, settings_in
from cltv_assets_tests.e2e.shop import deliver, months_of

MONTHS = months_of("2011-01", 3)
FEB = MONTHS[1]
BROKEN = [(f"B{i}", "", "2011-02-05 10:00:00", "1", "5.00") for i in range(2000)]
#: What looks back over February.
LATER = {"repeat_customers", "rfm_summary", "customer_attributes", "purchase_model", "spend_model", "cltv_predictions"}


def run_range(
    settings: Settings, instance: dg.DagsterInstance, months: list[Month], assets: list[str] | None = None
) -> dg.ExecuteInProcessResult:
    """Run months as the daemon runs a backfill with a single run."""
    return (
        build_definitions(settings)
        .resolve_job_def(MONTH_JOB)
        .execute_in_process(
            run_config=QUIET,
            instance=instance,
            tags={
                "dagster/asset_partition_range_start": months[0].key,
                "dagster/asset_partition_range_end": months[-1].key,
            },
            asset_selection=[dg.AssetKey(name) for name in assets] if assets else None,
            raise_on_error=False,
        )
    )


@pytest.fixture
def settings(ran: Ran, tmp_path: Path) -> Settings:
    """The shop that ran, delivered anew."""
    deliver(tmp_path / "shop", ran.lines)
    return settings_in(tmp_path, end_month=ran.months[-1].key)


def differences_from(ran: Ran, settings: Settings) -> list[str]:
    """Compare with the same months, run one by one, and the newest of them drawn."""
    copy = settings_in(settings.home / "one-by-one", end_month=MONTHS[-1].key)
    shutil.copytree(ran.lake, copy.lake_root)
    assert [result.errors for result in run(copy, MONTHS[-1:], ["cltv_report"])] == [[]]
    alone = {key: rows for key, rows in contents(copy.lake_root).items() if key[1] <= MONTHS[-1].key}
    return differences(alone, contents(settings.lake_root))


def materialized(instance: dg.DagsterInstance, settings: Settings) -> dict[str, set[str]]:
    keys = build_definitions(settings).resolve_asset_graph().get_all_asset_keys()
    return {key.to_user_string(): set(instance.get_materialized_partitions(key)) for key in keys}


def evaluations(result: dg.ExecuteInProcessResult) -> dict[str, dict[str | None, bool]]:
    """Return what each check said of each month."""
    found: dict[str, dict[str | None, bool]] = defaultdict(dict)
    for said in result.get_asset_check_evaluations():
        name = f"{said.asset_key.to_user_string()}.{said.check_name}"
        assert said.partition not in found[name], f"{name} spoke twice about {said.partition}"
        found[name][said.partition] = said.passed
    return found


def test_each_month_of_a_range_shows_its_own_figures(settings: Settings) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert run_range(settings, instance, MONTHS[:2], ["raw_transactions"]).success
        records = instance.fetch_materializations(dg.AssetKey("raw_transactions"), limit=9).records
    tables = contents(settings.lake_root)
    shown = {
        record.partition_key: record.asset_materialization.metadata["dagster/partition_row_count"].value
        for record in records
        if record.asset_materialization is not None
    }
    assert shown == {month.key: len(tables["raw_transactions", month.key]) for month in MONTHS[:2]}
    assert list(shown) == [month.key for month in reversed(MONTHS[:2])], "what Dagster calls latest is the newest month"


def test_a_month_that_fails_neither_stops_nor_spoils_the_others(settings: Settings, ran: Ran, tmp_path: Path) -> None:
    deliver(tmp_path / "shop", {FEB: BROKEN}, "second.csv")
    with dg.DagsterInstance.ephemeral() as instance:
        result = run_range(settings, instance, MONTHS)
        assert not result.success
        there = materialized(instance, settings)
        spoken = evaluations(result)
    every = {month.key for month in MONTHS}
    assert there["raw_transactions"] == every
    assert there["cleaned_transactions"] == there["purchase_days"] == every - {"2011-02"}
    # A summary of all history with a hole in it would be wrong: those months wait.
    assert all(there[name] == {"2011-01"} for name in LATER | {"cltv_report"})
    assert spoken["rejected_transactions.reject_share"] == {key: key != "2011-02" for key in every}
    assert set(spoken["purchase_days.column_schema"]) == every - {"2011-02"}
    # The last steps of the run say which months, and why.
    errors = {event.step_key: " ".join(errors_of(result)) for event in result.get_step_failure_events()}
    assert set(errors) == {"repeat_customers", "customer_attributes", "cltv_report"}
    told = errors["cltv_report"]
    assert "2 of 3 months could not be made" in told
    assert "cleaned_transactions 2011-02: 2011-02 is not published" in told
    assert "rejected_transactions.reject_share" in told
    assert "purchase_days" in told

    # The range again makes what single months make.
    (tmp_path / "shop/second.csv").unlink()
    with dg.DagsterInstance.ephemeral() as instance:
        result = run_range(settings, instance, MONTHS[1:])
        assert errors_of(result) == []
        assert result.success
        keys = {"2011-02", "2011-03"}
        assert materialized(instance, settings) == dict.fromkeys(materialized(instance, settings), keys)
        spoken = evaluations(result)
    assert differences_from(ran, settings) == []
    assert unfinished_files(settings.lake_root) == []
    # Every check has looked at every month by itself.
    declared = {
        f"{key.asset_key.to_user_string()}.{key.name}"
        for key in build_definitions(settings).resolve_asset_graph().asset_check_keys
        if key.name != "on_time"
    }
    assert set(spoken) == declared
    assert all(set(said) == keys for said in spoken.values())


def test_the_last_step_of_a_selection_says_what_failed(settings: Settings, tmp_path: Path) -> None:
    deliver(tmp_path / "shop", {FEB: BROKEN}, "second.csv")
    with dg.DagsterInstance.ephemeral() as instance:
        assets = ["raw_transactions", "cleaned_transactions", "rejected_transactions"]
        result = run_range(settings, instance, MONTHS, assets)
        assert [event.step_key for event in result.get_step_failure_events()] == [
            "cleaned_transactions_and_rejected_transactions"
        ]
        assert "1 of 3 months" in errors_of(result)[0]
        assert materialized(instance, settings)["cleaned_transactions"] == {"2011-01", "2011-03"}


def test_a_month_published_before_is_kept_when_it_fails_again(settings: Settings, ran: Ran, tmp_path: Path) -> None:
    shutil.copytree(ran.lake, settings.lake_root)
    before = contents(ran.lake)
    deliver(tmp_path / "shop", {FEB: BROKEN}, "second.csv")
    with dg.DagsterInstance.ephemeral() as instance:
        assert not run_range(settings, instance, MONTHS[1:]).success
    # Only what was delivered is new; what failed, and what is made from it, stays. Later reports tell of it.
    changed = [name for name in differences(before, contents(settings.lake_root)) if not name.startswith("cltv_report")]
    assert changed == ["raw_transactions 2011-02"]


@dg.executor(name="of_the_project", config_schema=dg.in_process_executor.config_schema)  # type: ignore[call-overload,untyped-decorator]
def of_the_project(context: dg.InitExecutorContext) -> dg.Executor:
    """Dagster's own, by a name that does not say that it is one process."""
    create = dg.in_process_executor.executor_creation_fn
    assert create is not None
    return create(context)


def month_job(home: str) -> dg.JobDefinition:
    """Return the job of a shop's graph in a project with an executor of its own."""
    ours = build_definitions(settings_in(Path(home), end_month="2011-03"), custom=Custom(own_executor=False))
    return dg.Definitions.merge(ours, dg.Definitions(executor=of_the_project)).resolve_job_def(MONTH_JOB)


def test_months_in_one_run_need_one_process(tmp_path: Path) -> None:
    job = dg.build_reconstructable_job(__name__, "month_job", (str(tmp_path),))
    tags = {"dagster/asset_partition_range_start": "2011-01", "dagster/asset_partition_range_end": "2011-03"}
    with dg.DagsterInstance.local_temp() as instance, dg.execute_job(job, instance, tags=tags) as done:
        (failed,) = done.get_step_failure_events()
        assert "of_the_project: in another process a step does not know" in str(failed.step_failure_data.error)
        assert "max_partitions_per_run: 1" in str(failed.step_failure_data.user_failure_data)
