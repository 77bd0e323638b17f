"""Warnings that the webhook is told of: which, when, how often, and what stays in the house."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cltv_assets.cli.runner import QUIET
from cltv_assets.dagster_defs.automation.alerts import Cursor, alerts_sensor
from cltv_assets.dagster_defs.automation.expectations import expectations
from cltv_assets.dagster_defs.automation.state import parents_of
from cltv_assets.dagster_defs.automation.told_warnings import Memory, WarningsWatch
from cltv_assets.dagster_defs.automation.webhook import WebhookError
from cltv_assets.dagster_defs.build import MONTH_JOB, build_definitions
from cltv_assets.dagster_defs.graph import all_assets
from cltv_assets.errors import ConfigError
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets_tests.dagster_defs.automation.webhook_server import WebhookServer
from cltv_assets_tests.e2e.running import settings_in
from cltv_assets_tests.e2e.shop import Line, deliver, months_of

MONTHS = months_of("2011-01", 3)
#: Of few lines in a month the check `usual_volume` says nothing.
STEADY, TWICE = 200, 400


def sold(month: Month, count: int = STEADY) -> list[Line]:
    days = [month.first_day + dt.timedelta(days=n % 28) for n in range(count)]
    return [(f"I{month}{n}", f"C{n % 50:02}", f"{day} 10:00:00", "1", "5.00") for n, day in enumerate(days)]


class Shop:
    """A shop with the sensor, and the runs that a test makes."""

    def __init__(self, home: Path, instance: dg.DagsterInstance, *warnings: str, **changes: Any) -> None:
        automation = {"overdue_after": "50000d", "webhook_warnings": list(warnings)}
        source = {"path": "shop/{month}*.csv"}
        self.home, self.instance = home, instance
        self.settings = settings_in(home, end_month="2011-03", automation=automation, source=source, **changes)
        self.job = build_definitions(self.settings).resolve_job_def(MONTH_JOB)
        expected = expectations(self.settings, parents_of(all_assets(self.settings)))
        self.sensor = alerts_sensor(self.settings, self.job, expected)
        self.cursor: str | None = None

    def deliver(self, month: Month, lines: list[Line]) -> None:
        deliver(self.home / "shop", {month: lines})

    def tick(self) -> None:
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor, sensor_name=self.sensor.name) as given:
            self.cursor = self.sensor.evaluate_tick(given).cursor

    def run(self, *months: Month, assets: tuple[str, ...] = ("raw_transactions",)) -> str:
        first, last = months[0].key, months[-1].key
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        done = self.job.execute_in_process(
            run_config=QUIET,
            instance=self.instance,
            **({"partition_key": first} if len(months) == 1 else {"tags": tags}),
            asset_selection=[dg.AssetKey(asset) for asset in assets],
            raise_on_error=False,
        )
        return done.run_id


def test_a_warning_is_told_once_for_its_month_and_again_when_it_says_something_else(
    tmp_path: Path, instance: dg.DagsterInstance, webhook: WebhookServer
) -> None:
    shop = Shop(tmp_path, instance, "usual_volume")
    for month, count in zip(MONTHS, (STEADY, TWICE, STEADY), strict=True):
        shop.deliver(month, sold(month, count))
    shop.tick()
    shop.run(MONTHS[0])
    shop.tick()
    assert webhook.texts == []
    run_id = shop.run(MONTHS[1])
    shop.tick()
    shop.tick()
    (text,) = webhook.texts
    title, line = text.splitlines()
    assert title == "*cltv*"
    assert line.startswith(":warning: 2011-02: raw_transactions.usual_volume warns: ")
    assert "400" in line
    assert line.endswith(f" run {run_id}")
    # The same lines again are no news, others are.
    shop.run(MONTHS[1])
    shop.tick()
    assert len(webhook.texts) == 1
    shop.deliver(MONTHS[1], sold(MONTHS[1], 2 * TWICE))
    shop.run(MONTHS[1])
    shop.tick()
    assert "800" in webhook.texts[1]
    assert len(webhook.texts) == 2


def test_many_months_of_one_run_are_one_line_with_what_the_newest_says(
    tmp_path: Path, instance: dg.DagsterInstance, webhook: WebhookServer
) -> None:
    shop = Shop(tmp_path, instance, "raw_transactions.usual_volume")
    for month, count in zip(MONTHS, (STEADY, TWICE, 4 * TWICE), strict=True):
        shop.deliver(month, sold(month, count))
    shop.tick()
    shop.run(*MONTHS)
    shop.tick()
    (text,) = webhook.texts
    assert ":warning: 2011-02 to 2011-03: raw_transactions.usual_volume warns: of 2011-03: " in text
    assert "1,600" in text
    memory = Cursor.parse(shop.cursor)
    assert memory is not None
    told = memory.warnings.told["raw_transactions.usual_volume"]
    assert [item.split(":")[0] for item in told.split()] == ["2011-02", "2011-03"]


def test_what_is_not_chosen_and_what_was_before_the_choice_is_not_told(
    tmp_path: Path, instance: dg.DagsterInstance, webhook: WebhookServer
) -> None:
    shop = Shop(tmp_path, instance)
    for month, count in zip(MONTHS, (STEADY, TWICE, TWICE), strict=True):
        shop.deliver(month, sold(month, count))
    shop.tick()
    shop.run(MONTHS[0])
    shop.run(MONTHS[1])
    shop.tick()
    chosen = Shop(tmp_path, instance, "usual_volume")
    chosen.cursor = shop.cursor
    chosen.tick()
    chosen.tick()
    assert webhook.texts == []


def test_a_month_that_is_refused_is_told_as_a_failure_only(
    tmp_path: Path, instance: dg.DagsterInstance, webhook: WebhookServer
) -> None:
    """Its checks warned before another one blocked it."""
    shop = Shop(tmp_path, instance, "lost_value", "customer_ids", checks={"reject_share": 0.01})
    unreadable = [(*line[:3], "many", line[4]) for line in sold(MONTHS[0])[:100]]
    shop.deliver(MONTHS[0], sold(MONTHS[0])[100:] + unreadable)
    shop.tick()
    shop.run(MONTHS[0], assets=("raw_transactions", "cleaned_transactions", "rejected_transactions"))
    shop.tick()
    (text,) = webhook.texts
    assert ":x: 2011-01 failed." in text
    assert ":warning:" not in text


def test_no_customer_is_named(tmp_path: Path, instance: dg.DagsterInstance, webhook: WebhookServer) -> None:
    shop = Shop(tmp_path, instance, "customer_ids")
    whale = ("W1", "anna@example.org", "2011-01-05 10:00:00", "1", "90000.00")
    shop.deliver(MONTHS[0], [*sold(MONTHS[0]), whale])
    shop.tick()
    shop.run(MONTHS[0], assets=("raw_transactions", "cleaned_transactions", "rejected_transactions"))
    shop.tick()
    (text,) = webhook.texts
    assert ":warning: 2011-01: cleaned_transactions.customer_ids warns: One customer has" in text
    assert "anna" not in text
    assert "anna" not in (shop.cursor or "")


def test_what_the_webhook_does_not_take_is_told_again(
    tmp_path: Path, instance: dg.DagsterInstance, webhook: WebhookServer
) -> None:
    shop = Shop(tmp_path, instance, "usual_volume")
    for month, count in zip(MONTHS, (STEADY, TWICE, STEADY), strict=True):
        shop.deliver(month, sold(month, count))
    shop.tick()
    shop.run(*MONTHS[:2])
    webhook.status = 500
    with pytest.raises(WebhookError):
        shop.tick()
    webhook.status = 200
    shop.tick()
    assert ["usual_volume warns" in text for text in webhook.texts] == [True]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("prediction_drif", "Did you mean prediction_drift?"),
        ("cltv_prediction.no_outlier_carries", "Did you mean cltv_predictions.no_outlier_carries?"),
        # A failure of one that blocks is always told.
        ("money_given", "is no check that warns"),
    ],
)
def test_a_name_of_no_warning_is_refused(name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=r"automation.webhook_warnings names") as refused:
        build_definitions(Settings.model_validate({"automation": {"webhook_warnings": [name]}}))
    assert told in str(refused.value)


def test_a_name_that_several_tables_have_means_all_of_them() -> None:
    watch = WarningsWatch(Settings.model_validate({"automation": {"webhook_warnings": ["model_fitted"]}}))
    assert set(watch._checks) == {"purchase_model.model_fitted", "spend_model.model_fitted"}


def test_the_cursor_of_a_release_without_warnings_is_read_and_memory_stays_small(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    old = Cursor.parse('{"failures": 7, "overdue": {"raw_transactions": "2011-01/2011-02"}}')
    assert old is not None
    assert (old.failures, old.warnings) == (7, Memory())
    assert Cursor.parse(old.text()) == old
    watch = WarningsWatch(settings_in(tmp_path, automation={"webhook_warnings": ["usual_volume"]}))
    many = " ".join(f"{month}:{'0' * 8}" for month in months_of("1990-01", 300))
    _, memory = watch.look(instance, Memory(0, {"raw_transactions.usual_volume": many}), lambda _run: True)
    assert memory.told["raw_transactions.usual_volume"].startswith("2010-01:")
