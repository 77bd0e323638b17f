"""The month's HTML report: written whole, or not at all."""

# No `from __future__ import annotations` here: Dagster reads the context's annotation as a class.

import base64
from collections.abc import Iterator

import dagster as dg
import ibis.expr.types as ir

from cltv_assets.assets.policy import policy_of
from cltv_assets.failures import faults_as_failures
from cltv_assets.partitions import all_history, month_of
from cltv_assets.report import INPUTS, REPORT_FILE, REPORT_NAME, collect, key_plot_png, problems, render
from cltv_assets.resources import Platform
from cltv_assets.schemas import PURCHASE_DAYS
from cltv_assets.settings import Settings

_CHECK = "report_whole"


def report_asset(settings: Settings, partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    """Return ``cltv_report``."""
    policy = policy_of(REPORT_NAME)

    @dg.asset(
        name=REPORT_NAME,
        description="The month's report as one self-contained HTML file: expected value, segments, models, "
        "how wrong earlier predictions were, data quality.",
        ins={
            name: dg.AssetIn(
                input_manager_key="lake",
                partition_mapping=all_history(settings) if name == PURCHASE_DAYS.name else None,
            )
            for name in INPUTS
        },
        partitions_def=partitions,
        group_name=policy.group,
        owners=list(policy.owners),
        kinds=set(policy.kinds),
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
                asset=REPORT_NAME,
                description="Every section is there, every number is a number, nothing is fetched from a network.",
                blocking=True,
            )
        ],
        required_resource_keys={"platform"},
    )
    def cltv_report(
        context: dg.AssetExecutionContext, **upstream: ir.Table
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        platform: Platform = context.resources.platform
        with faults_as_failures(platform.engine):
            run = platform.month_run(month_of(context.partition_key), upstream)
            data = collect(run)
            html = render(data)
            found = problems(html, data)
            picture = base64.b64encode(key_plot_png(data)).decode()
        message = " ".join(found) or "Whole and self-contained."
        yield dg.AssetCheckResult(passed=not found, check_name=_CHECK, description=message)
        if found:
            raise dg.Failure(
                description=f"The report of {run.month} is not published; readers keep what they had. {message}",
                allow_retries=False,
            )
        path = run.lake.files(REPORT_NAME).publish(run.month, REPORT_FILE, html.encode())
        yield dg.MaterializeResult(
            metadata={
                "dagster/uri": path,
                "bytes": len(html.encode()),
                "report": dg.MetadataValue.path(path),
                "picture": dg.MetadataValue.md(f"![The month's key picture](data:image/png;base64,{picture})"),
            }
        )

    return cltv_report
