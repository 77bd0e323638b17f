"""What catalogues read of an asset: where its table is, which code makes it, and which columns it carries along."""

from __future__ import annotations

from typing import Any

import dagster as dg

from cltv_assets.columns import TableSchema
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.report import render
from cltv_assets.settings import Settings
from cltv_assets.tables import TABLES
from cltv_assets.tables.table import Asset, Table

_TABLES = {table.name: table for table in TABLES}


def catalogue_metadata(asset: Asset, settings: Settings, names: Names) -> dict[str, Any]:
    """Return metadata under the keys that Dagster gives them.

    Parameters
    ----------
    asset : Asset
        A table or the report.
    settings : Settings
        They say where the lake is, and choose columns and inputs.
    names : Names
        What assets are called in this graph.
    """
    maker = _TABLES.get(asset.made_with, asset).make if isinstance(asset, Table) else render
    found: dict[str, Any] = {"dagster/code_references": _references(maker)}
    if isinstance(asset, Table):
        # The address by which any reader opens it; names of tables are the same in every lake.
        found["dagster/table_name"] = f"{settings.lake_root}/{asset.name}"
        found["dagster/storage_kind"] = "deltalake"
        found["dagster/column_lineage"] = _lineage(asset, settings, names)
    return found


def _references(maker: Any) -> dg.CodeReferencesMetadataValue:
    code = maker.__code__
    return dg.CodeReferencesMetadataValue(
        code_references=[
            dg.LocalFileCodeReference(
                file_path=code.co_filename, line_number=code.co_firstlineno, label="what makes its rows"
            )
        ]
    )


def _lineage(table: Table, settings: Settings, names: Names) -> dg.TableColumnLineage:
    """Return the columns that come from columns of the same name.

    They have the same declaration, or the tables have the same grain. Others of the same name may mean something
    else: ``customers`` of a model are those it is fitted on, those of a segment are its own.
    """
    schema = table.schema_for(settings.horizons_months)
    found: dict[str, list[dg.TableColumnDep]] = {}
    for given in table.inputs(settings):
        above = _TABLES[given.table].schema_for(settings.horizons_months)
        for name in _carried(above, schema):
            found.setdefault(name, []).append(dg.TableColumnDep(names.key(given.table), name))
    return dg.TableColumnLineage(found)


def _carried(above: TableSchema, schema: TableSchema) -> list[str]:
    there = {column.name: column for column in above.columns}
    same_rows = set(above.grain) == set(schema.grain)
    return [
        column.name
        for column in schema.columns
        if (other := there.get(column.name)) is not None
        and (column == other or (same_rows and column.type == other.type))
    ]
