"""The user's own assets that make the source's files: when a month waits for them, and when it is made again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cltv_assets.cli.status import month_statuses
from cltv_assets.dagster_defs.automation.planning import Attempt, Calendar, History, Step, Verdict, plan
from cltv_assets.dagster_defs.automation.state import read_upstream
from cltv_assets.dagster_defs.build import build_definitions
from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets.errors import ConfigError
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets_tests.dagster_defs.automation.daemon import Daemon
from cltv_assets_tests.dagster_defs.remote.test_remote import SERVERLESS
from cltv_assets_tests.e2e.running import settings_in
from cltv_assets_tests.e2e.shop import deliver, lines_of_shop, months_of

DAY = dt.timedelta(days=1)
JANUARY, FEBRUARY = months_of("2024-01", 2)
ORDERS = dg.AssetKey(["dbt", "orders"])
RAW = Step(("raw",), (), DAY, ("dbt/orders",))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def settings(partitions: str = "none", **source: Any) -> Settings:
    columns = {"customer_id": "c", "transacted_at": "t", "amount": "a"}
    given = {"kind": "csv", "path": "x.csv", "columns": columns, "asset_key": "dbt/orders", **source}
    return Settings.model_validate(
        {"start_month": "2024-01", "end_month": "2024-02", "source": {"asset_partitions": partitions, **given}}
    )


def made(instance: dg.DagsterInstance, *partitions: str | None) -> None:
    for partition in partitions:
        instance.report_runless_asset_event(dg.AssetMaterialization(ORDERS, partition=partition))


def days(month: Month) -> list[str]:
    return [f"{month}-{day:02}" for day in range(1, month.last_day.day + 1)]


def verdicts(made: dict[str, dict[Month, int]], late: int = 3, **attempts: Attempt) -> list[Verdict]:
    def closes(month: Month) -> dt.datetime:
        return dt.datetime.combine(month.shift(1).first_day, dt.time(), dt.UTC)

    calendar = Calendar(JANUARY, FEBRUARY, closes(FEBRUARY) + 5 * DAY, closes, late)
    tried = {Month.parse(f"2024-{name[1:]}"): attempt for name, attempt in attempts.items()}
    return list(plan([RAW], History(made, {"raw": tried}), calendar).values())


def test_a_month_is_made_once_what_makes_its_files_is_there() -> None:
    assert verdicts({"dbt/orders": {JANUARY: 5}}) == [Verdict.REQUESTED, Verdict.WAITING]


def test_a_month_is_made_again_if_what_makes_its_files_is_newer_and_then_no_more() -> None:
    orders = {JANUARY: 5, FEBRUARY: 8}

    assert verdicts({"dbt/orders": orders, "raw": {JANUARY: 6, FEBRUARY: 7}}) == [Verdict.SETTLED, Verdict.REQUESTED]
    assert verdicts({"dbt/orders": orders, "raw": {JANUARY: 6, FEBRUARY: 9}}) == [Verdict.SETTLED] * 2


def test_an_old_month_is_not_made_again() -> None:
    orders = {JANUARY: 9, FEBRUARY: 9}

    assert verdicts({"dbt/orders": orders, "raw": {JANUARY: 6, FEBRUARY: 7}}, late=0)[0] is Verdict.SETTLED


def test_a_failed_month_is_tried_again_only_with_newer_files() -> None:
    failed = Attempt(6, "run", running=False)

    assert verdicts({"dbt/orders": {JANUARY: 5}}, m01=failed)[0] is Verdict.TRIED
    assert verdicts({"dbt/orders": {JANUARY: 7}}, m01=failed)[0] is Verdict.REQUESTED


def test_every_day_of_a_month_must_be_there(instance: dg.DagsterInstance) -> None:
    made(instance, *days(JANUARY), *days(FEBRUARY)[:-2])

    found = read_upstream(instance, settings("daily"), [JANUARY, FEBRUARY])

    assert set(found.made["dbt/orders"]) == {JANUARY}
    assert found.lacking == {FEBRUARY: ["dbt/orders lacks 2024-02-28 and 1 more day"]}
    before = found.made["dbt/orders"][JANUARY]
    made(instance, "2024-01-15")
    assert read_upstream(instance, settings("daily"), [JANUARY]).made["dbt/orders"][JANUARY] > before


@pytest.mark.parametrize("key", ["2024-01", "2024-01-01"])
def test_a_monthly_partition_counts_for_its_month(instance: dg.DagsterInstance, key: str) -> None:
    made(instance, key)

    found = read_upstream(instance, settings("monthly"), [JANUARY, FEBRUARY])

    assert set(found.made["dbt/orders"]) == {JANUARY}
    assert found.lacking == {FEBRUARY: ["dbt/orders lacks 2024-02"]}


def test_days_are_not_taken_for_months(instance: dg.DagsterInstance) -> None:
    made(instance, "2024-01-01", "2024-01-02")

    with pytest.raises(ConfigError, match="asset_partitions is monthly, but dbt/orders has the partition 2024-01-02"):
        read_upstream(instance, settings("monthly"), [JANUARY])


def test_without_partitions_it_must_have_been_made_after_the_month_closed(instance: dg.DagsterInstance) -> None:
    made(instance, None)
    this = Month.of(dt.datetime.now(dt.UTC).date())

    found = read_upstream(instance, settings(), [this.shift(-1), this])

    assert set(found.made["dbt/orders"]) == {this.shift(-1)}
    assert found.lacking == {this: ["dbt/orders has not been materialised since the month closed"]}


@pytest.mark.parametrize("pipes", [{}, SERVERLESS])
@pytest.mark.parametrize("prefix", ["", "acme"])
def test_only_raw_transactions_depends_on_it_and_nothing_defines_it(prefix: str, pipes: dict[str, Any]) -> None:
    given = settings("daily", asset_key=["dbt/orders", "sizes"]).model_dump(by_alias=True, exclude_unset=True)
    graph = build_definitions(
        Settings.model_validate({**given, "pipes": pipes, "asset_prefix": prefix})
    ).resolve_asset_graph()

    foreign = {ORDERS, dg.AssetKey("sizes")}
    assert not foreign & graph.materializable_asset_keys
    below = {key.path[-1] for key in graph.materializable_asset_keys if foreign & graph.get(key).parent_keys}
    assert below == {"raw_transactions"}


@pytest.mark.parametrize(
    ("partitions", "zone", "paired"),
    [
        ("daily", "UTC", ["2024-01-01", "2024-01-31"]),
        ("monthly", "UTC", ["2024-01-01", "2024-01-01"]),
        ("daily", "America/New_York", ["2023-12-15", "2024-03-01"]),
        ("daily", None, ["2023-12-15", "2024-03-01"]),
        ("none", None, None),
    ],
)
def test_a_month_is_paired_with_its_own_days_in_one_zone_and_else_with_all(
    partitions: str, zone: str | None, paired: list[str] | None
) -> None:
    """Dagster resolves both graphs together without an error."""
    there = {
        "daily": dg.DailyPartitionsDefinition("2023-12-15", end_date="2024-03-02", timezone=zone or "Asia/Tokyo"),
        "monthly": dg.MonthlyPartitionsDefinition("2023-12-01", end_date="2024-04-01", timezone=zone or "Asia/Tokyo"),
        "none": None,
    }[partitions]

    @dg.asset(key=ORDERS, partitions_def=there)
    def orders() -> None:
        pass

    ours = build_definitions(settings(partitions, asset_time_zone=zone))
    graph = dg.Definitions.merge(dg.Definitions([orders]), ours).resolve_asset_graph()
    raw = graph.get(dg.AssetKey("raw_transactions"))
    mapping = raw.partition_mappings[ORDERS]
    assert raw.partitions_def is not None
    mapping.validate_partition_mapping(there, raw.partitions_def) if there else None
    if there is not None and paired is not None:
        subset = raw.partitions_def.subset_with_partition_keys(["2024-01"])
        found = mapping.get_upstream_mapped_partitions_result_for_partitions(subset, raw.partitions_def, there)
        keys = sorted(found.partitions_subset.get_partition_keys())
        assert [keys[0], keys[-1]] == paired


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"kind": "cdnow", "path": None, "columns": {}}, "asset_key is not for kind 'cdnow'"),
        ({"asset_key": "dbt//orders"}, "asset_key 'dbt//orders' is no key"),
        ({"asset_key": ["a", "a"]}, "asset_key names one asset twice"),
        ({"asset_key": [], "asset_partitions": "daily"}, "asset_partitions needs asset_key"),
        ({"asset_time_zone": "UTC"}, "asset_time_zone is that of partitions"),
        ({"asset_partitions": "daily", "asset_time_zone": "London"}, "asset_time_zone 'London' is not an IANA zone"),
    ],
)
def test_what_cannot_be_meant_is_refused(source: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        settings(**source)


def test_months_wait_in_words_are_made_and_made_again(tmp_path: Path) -> None:
    deliver(tmp_path / "shop", lines_of_shop([JANUARY, FEBRUARY], customers=40))
    source = {"asset_key": "dbt/orders", "asset_partitions": "monthly"}
    given = settings_in(tmp_path, start_month="2024-01", end_month="2024-02", source=source)

    with open_instance(given) as instance:
        daemon = Daemon(given, instance)

        def asked() -> set[str]:
            wanted = daemon.evaluate().get("raw_transactions", set())
            if wanted:
                daemon.run({"raw_transactions": wanted})
            assert not daemon.errors
            return wanted

        assert asked() == set()
        made(instance, "2024-01-01")
        assert asked() == {"2024-01"}
        found = month_statuses(given)
        assert (found[JANUARY].waiting, found[FEBRUARY].waiting) == ([], ["dbt/orders lacks 2024-02"])
        made(instance, "2024-02-01")
        assert asked() == {"2024-02"}
        made(instance, "2024-01-01")
        assert {month.key: found.stale for month, found in month_statuses(given).items()} == {
            "2024-01": ["raw_transactions"],
            "2024-02": [],
        }
        assert asked() == {"2024-01"}
        assert asked() == set()
