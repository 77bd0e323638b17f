"""Publications in the lake beside those that Dagster recorded; and the commands that are advised for lost months."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cltv_assets.cli.lake_state import out_of_step
from cltv_assets.cli.reading import open_lake
from cltv_assets.dagster_defs.io_managers import PUBLICATION
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.damage import commands
from cltv_assets_tests.e2e.running import settings_in

JAN, FEB, MAR, APR = Month.parse("2011-01").until(Month.parse("2011-04"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path, asset_prefix="acme")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def publish(settings: Settings, month: Month, *, recorded: bool = True) -> None:
    table = open_lake(settings).table(RAW_TRANSACTIONS)
    table.publish(table.begin(month).seal(), recorded=recorded)


def record(settings: Settings, instance: dg.DagsterInstance, month: Month, **metadata: Any) -> None:
    key = Names(settings.asset_prefix).key(RAW_TRANSACTIONS.name)
    instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=month.key, metadata=metadata))


def found(settings: Settings, instance: dg.DagsterInstance) -> list[tuple[str, Month, int, int]]:
    state = out_of_step(settings, open_lake(settings), instance)
    return [(one.table, one.month, one.published, one.recorded) for one in state]


def test_the_newest_record_counts_and_months_without_a_number_do_not(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    for month in (JAN, FEB, MAR):
        publish(settings, month)
        # As an earlier release recorded it, or somebody in the UI.
        record(settings, instance, month, table_version=1)
    assert found(settings, instance) == []
    for month in (JAN, FEB, MAR):
        record(settings, instance, month, **{PUBLICATION: 1})
    assert found(settings, instance) == []
    publish(settings, JAN)
    record(settings, instance, MAR, **{PUBLICATION: 2})
    assert found(settings, instance) == [("raw_transactions", JAN, 2, 1), ("raw_transactions", MAR, 1, 2)]
    record(settings, instance, JAN, **{PUBLICATION: 2})
    publish(settings, MAR)
    assert found(settings, instance) == []
    # A publication that no run records, such as that of `cltv forget`, leaves what was recorded right.
    publish(settings, FEB, recorded=False)
    assert found(settings, instance) == []
    record(settings, instance, APR, **{PUBLICATION: 1})
    ((*_, published, recorded),) = found(settings, instance)
    assert (published, recorded) == (0, 1)


@dataclass(frozen=True)
class Lost:
    table: str
    month: Month


@pytest.mark.parametrize(
    ("lost", "expected"),
    [
        ([("rfm_summary", FEB)], ["--from 2011-02 --to 2011-02 --select rfm_summary+"]),
        ([("raw_transactions", FEB), ("spend_model", FEB)], ["--from 2011-02 --to 2011-02"]),
        ([("refused_lines", JAN)], ["--from 2011-01 --to 2011-01"]),
        # What is made from another damaged table comes with it.
        ([("cohort_value", JAN), ("purchase_days", JAN)], ["--from 2011-01 --to 2011-01 --select purchase_days+"]),
        (
            [("purchase_model", JAN), ("spend_model", JAN)],
            ["--from 2011-01 --to 2011-01 --select purchase_model+,spend_model+"],
        ),
        ([("rejected_transactions", JAN)], ["--from 2011-01 --to 2011-01 --select cleaned_transactions+"]),
        # Months in a row that lost the same are one command, oldest first.
        (
            [("rfm_summary", MAR), ("rfm_summary", FEB), ("raw_transactions", JAN), ("rfm_summary", APR)],
            ["--from 2011-01 --to 2011-01", "--from 2011-02 --to 2011-04 --select rfm_summary+"],
        ),
        ([("rfm_summary", JAN), ("rfm_summary", MAR)], [
            "--from 2011-01 --to 2011-01 --select rfm_summary+", "--from 2011-03 --to 2011-03 --select rfm_summary+",
        ]),
        ([], []),
    ],
)  # fmt: skip
def test_what_to_run_for_lost_months(settings: Settings, lost: list[tuple[str, Month]], expected: list[str]) -> None:
    assert commands(settings, [Lost(*one) for one in lost]) == [f"cltv run {what}" for what in expected]
