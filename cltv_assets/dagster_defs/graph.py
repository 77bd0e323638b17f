"""Dagster's assets, made from the tables: the one place that turns a `Table` into an asset."""

from __future__ import annotations

import dagster as dg

from cltv_assets.dagster_defs.catalogue import catalogue_metadata
from cltv_assets.dagster_defs.customising import Custom
from cltv_assets.dagster_defs.lake_asset import lake_asset
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.partitions import monthly_partitions
from cltv_assets.dagster_defs.remote_preparation import remote_preparation
from cltv_assets.dagster_defs.report_asset import report_asset
from cltv_assets.files.object_store import is_s3
from cltv_assets.report import REPORT
from cltv_assets.settings import Settings
from cltv_assets.tables import TABLES, steps
from cltv_assets.tables.table import ENGINE, SOURCE, Asset, Half

#: Everything that is made every month, in the order of the graph.
ASSETS: tuple[Asset, ...] = (*TABLES, REPORT)


def all_assets(settings: Settings, custom: Custom | None = None) -> list[dg.AssetsDefinition]:
    """Return every asset, in the order of the graph.

    Parameters
    ----------
    settings : Settings
        They choose columns, inputs and checks.
    custom : Custom, optional
        What a project changes of the steps. The specs are as they are without it.
    """
    custom = custom or Custom()
    names = Names(settings.asset_prefix)
    partitions = monthly_partitions(settings)
    remote = bool(settings.pipes.kind)
    assets = [remote_preparation(settings, partitions, names, custom)] if remote else []
    # All assets of a Dagster job share one backfill policy. A remote job makes one month, and so does a run whose
    # steps may be in several processes, see `make_months`.
    one_each = dg.BackfillPolicy.multi_run(1)
    usual = dg.BackfillPolicy.single_run() if custom.own_executor else one_each
    backfills = one_each if remote else custom.backfills or usual
    assets += [
        lake_asset(settings, tables, partitions, names, backfills, custom)
        for tables in steps()
        if not (remote and tables[0].half == "preprocess")
    ]
    assets.append(report_asset(settings, partitions, names, backfills, custom))
    by_name = {asset.name: asset for asset in ASSETS}

    def described(spec: dg.AssetSpec) -> dg.AssetSpec:
        asset = by_name[names.table(spec.key)]
        return spec.merge_attributes(kinds=_kinds(asset, settings), metadata=catalogue_metadata(asset, settings, names))

    return list(dg.map_asset_specs(described, assets))


def assets_of_half(half: Half) -> list[str]:
    """Return the names of what ``cltv preprocess`` or ``cltv model`` makes, in the order of the graph."""
    return [asset.name for asset in ASSETS if asset.half == half]


def _kinds(asset: Asset, settings: Settings) -> set[str]:
    """Return the kinds that Dagster shows on an asset, three at most: what computes it and what stores it."""
    # The demo's purchase log is a text file too, and Dagster has a picture for JSON.
    source = {"cdnow": "csv", "jsonl": "json"}.get(settings.source.kind, settings.source.kind)
    chosen = {ENGINE: settings.engine, SOURCE: source}
    kinds = {chosen.get(kind, kind) for kind in asset.kinds}
    return kinds | {"s3"} if is_s3(settings.lake_root) else kinds
