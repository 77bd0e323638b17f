"""The month's HTML report: written whole, or not at all."""

# No `from __future__ import annotations` here: Dagster reads the context's annotation as a class.

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import ibis.expr.types as ir

from cltv_assets.dagster_defs.assets.policy import backfill_policy, policy_of
from cltv_assets.dagster_defs.assets.presentation import report_metadata
from cltv_assets.dagster_defs.assets.ranges import Event, MonthMade, make_months
from cltv_assets.dagster_defs.failures import faults_as_failures
from cltv_assets.dagster_defs.io_managers import LakeWindow
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.partitions import ALL_HISTORY, SAME_MONTH, month_of
from cltv_assets.dagster_defs.resources import LAKE, PLATFORM, POOL, Platform
from cltv_assets.months import Month
from cltv_assets.report import INPUTS, REPORT_FILE, REPORT_NAME, collect, essentials, problems, render
from cltv_assets.schemas import PURCHASE_DAYS
from cltv_assets.settings import Settings

_CHECK = "report_whole"


def report_asset(settings: Settings, partitions: dg.PartitionsDefinition[str], names: Names) -> dg.AssetsDefinition:
    """Return ``cltv_report``."""
    policy = policy_of(REPORT_NAME)
    platform_key = names.name(PLATFORM)

    @dg.asset(
        key=names.key(REPORT_NAME),
        description="The month's report as one self-contained HTML file: expected value, segments, models, "
        "how wrong earlier predictions were, data quality.",
        ins={
            name: dg.AssetIn(
                key=names.key(name),
                input_manager_key=names.name(LAKE),
                metadata=(ALL_HISTORY if name == PURCHASE_DAYS.name else SAME_MONTH).metadata(),
            )
            for name in INPUTS
        },
        partitions_def=partitions,
        group_name=names.name(policy.group),
        owners=list(policy.owners),
        tags=dict(policy.tags),
        metadata={
            "grain": "one file a month",
            "dagster/column_schema": dg.TableSchema(
                columns=[dg.TableColumn(REPORT_FILE, "html", description="The report; no network, no scripts.")]
            ),
        },
        check_specs=[
            dg.AssetCheckSpec(
                _CHECK,
                asset=names.key(REPORT_NAME),
                description="Every section is there, every number is a number, nothing is fetched from a network.",
                blocking=True,
                partitions_def=partitions,
            )
        ],
        required_resource_keys={platform_key},
        pool=names.name(POOL),
        backfill_policy=backfill_policy(settings),
    )
    def cltv_report(context: dg.AssetExecutionContext, **upstream: LakeWindow) -> Iterator[Event]:
        platform: Platform = getattr(context.resources, platform_key)

        def make(month: Month) -> MonthMade:
            with faults_as_failures(platform.engine):
                return _make(platform, names, month, {name: window.of(month) for name, window in upstream.items()})

        if context.has_partition_key:
            made = make(month_of(context.partition_key))
            yield from made.check_results
            if made.refusal:
                raise dg.Failure(description=made.refusal, allow_retries=False)
            yield dg.MaterializeResult(metadata=made.publish(None))
            return

        yield from make_months(context, [REPORT_NAME], names, platform.failed, make)

    return cltv_report


def _make(platform: Platform, names: Names, month: Month, inputs: Mapping[str, ir.Table]) -> MonthMade:
    """Render a month's report and look at it."""
    run = platform.month_run(month, inputs)
    data = collect(run)
    html = render(data)
    found = problems(html, data)
    shown = essentials(data)
    message = " ".join(found) or "Whole and self-contained."
    key = names.key(REPORT_NAME)
    result = dg.AssetCheckResult(passed=not found, asset_key=key, check_name=_CHECK, description=message)
    refusal = f"The report of {month} is not published; readers keep what they had. {message}" if found else ""

    def publish(_value: None) -> Mapping[str, Any]:
        path = run.lake.files(REPORT_NAME).publish(month, REPORT_FILE, html.encode())
        return report_metadata(month, path, len(html.encode()), shown)

    return MonthMade([result], refusal, [dg.MaterializeResult(asset_key=key)], publish)
