"""The asset of the month's HTML report, which is published complete or not at all."""

# No `from __future__ import annotations` here: Dagster reads the context's annotation as a class.

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from cltv_assets.dagster_defs.customising import Custom
from cltv_assets.dagster_defs.failures import faults_as_failures
from cltv_assets.dagster_defs.io_managers import LakeWindow
from cltv_assets.dagster_defs.lake_asset import HALF
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.partitions import metadata_of_input, month_of
from cltv_assets.dagster_defs.presentation import in_paragraphs, report_metadata
from cltv_assets.dagster_defs.ranges import Event, MonthMade, make_months, outputs_of_checks, record_checks
from cltv_assets.dagster_defs.resources import LAKE, POOL, Platform
from cltv_assets.foreign import for_markdown
from cltv_assets.months import Month
from cltv_assets.report import REPORT, REPORT_FILE, collect, essentials, problems, render
from cltv_assets.settings import Settings

_CHECK = "report_whole"


def report_asset(
    settings: Settings,
    partitions: dg.PartitionsDefinition[str],
    names: Names,
    backfills: dg.BackfillPolicy,
    custom: Custom,
) -> dg.AssetsDefinition:
    """Return ``cltv_report``; the parameters are those of `lake_asset`."""
    lake_key = names.name(LAKE)

    @dg.asset(
        key=names.key(REPORT.name),
        ins={
            given.table: dg.AssetIn(
                key=names.key(given.table), input_manager_key=lake_key, metadata=metadata_of_input(given)
            )
            for given in REPORT.inputs(settings)
        },
        deps=custom.deps_of([REPORT.name]),
        partitions_def=partitions,
        description=in_paragraphs(REPORT.description),
        group_name=names.name(REPORT.group),
        owners=[REPORT.owner],
        tags={HALF: REPORT.half},
        metadata={
            "grain": "one file a month",
            "dagster/column_schema": dg.TableSchema(
                columns=[dg.TableColumn(REPORT_FILE, "html", description="The report; no network, no scripts.")]
            ),
        },
        check_specs=[
            dg.AssetCheckSpec(
                _CHECK,
                asset=names.key(REPORT.name),
                description="Every section is there, every number is a number, nothing is fetched from a network.",
                blocking=True,
                partitions_def=partitions,
            )
        ],
        required_resource_keys={lake_key},
        pool=custom.pool or names.name(POOL),
        op_tags=custom.op_tags,
        backfill_policy=backfills,
    )
    def cltv_report(context: dg.AssetExecutionContext, **upstream: LakeWindow) -> Iterator[Event]:
        platform: Platform = getattr(context.resources, lake_key).platform

        def make(month: Month) -> MonthMade:
            with platform.step():
                return _make(platform, names, month, upstream)

        def step() -> Iterator[Event]:
            if context.has_partition_key:
                month = month_of(context.partition_key)
                made = make(month)
                record_checks(context, made, month)
                yield dg.MaterializeResult(metadata=made.publish(None))
                yield from outputs_of_checks(context)
            else:
                yield from make_months(context, [REPORT.name], names, platform.failed, make)

        yield from custom.steps(context, step)

    return cltv_report


def _make(platform: Platform, names: Names, month: Month, upstream: Mapping[str, LakeWindow]) -> MonthMade:
    """Render a month's report and check it."""
    # Before anything is read: a customer who is erased meanwhile must not come back.
    schema = next(iter(upstream.values())).schema
    fence = platform.lake.table(schema).fence(REPORT.name, month)
    run = platform.month_run(month, {name: window.of(month) for name, window in upstream.items()})
    data = collect(run)
    html = render(data, run.pictures)
    found = problems(html, data)
    shown = essentials(data)
    message = " ".join(found) or "Whole and self-contained."
    key = names.key(REPORT.name)
    result = dg.AssetCheckResult(passed=not found, asset_key=key, check_name=_CHECK, description=for_markdown(message))
    refusal = f"The report of {month} is not published; readers keep what they had. {message}" if found else ""

    def publish(_value: None) -> Mapping[str, Any]:
        with faults_as_failures():
            path = run.lake.files(REPORT.name).publish(month, REPORT_FILE, html.encode(), fence)
        return report_metadata(run, schema, path, len(html.encode()), shown)

    return MonthMade([result], refusal, [dg.MaterializeResult(asset_key=key)], publish)
