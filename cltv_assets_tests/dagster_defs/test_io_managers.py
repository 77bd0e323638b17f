"""Whoever looks at the resources of a graph sees what computes and where the lake is."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from cltv_assets import build_definitions
from cltv_assets.dagster_defs.io_managers import lake_io_manager
from cltv_assets.settings import Settings


@pytest.mark.parametrize(
    ("engine", "lake_uri", "needed", "named"),
    [
        ("duckdb", "lake", (), "DuckDBIOManager"),
        ("duckdb", "s3://bucket/lake", ("s3",), "DuckDBS3IOManager"),
        ("spark", "lake", ("spark",), "SparkIOManager"),
        ("spark", "s3://bucket/lake", ("s3", "spark"), "SparkS3IOManager"),
    ],
)
def test_the_io_manager_is_named_and_shows_its_settings(
    engine: str, lake_uri: str, needed: tuple[str, ...], named: str
) -> None:
    settings = Settings.model_validate({"engine": engine, "lake_uri": lake_uri, "time_zone": "Europe/London"})
    # In place of the resources of extras, which this environment may not have.
    others = {name: dg.ResourceDefinition.none_resource() for name in needed}
    lake: Any = lake_io_manager(settings, **others).get_resource_definition()
    assert lake.configurable_resource_cls.__name__ == named
    assert lake.config_schema.default_value == {
        "engine": engine,
        "lake_uri": settings.lake_root,
        "source": "cdnow",
        "time_zone": "Europe/London",
    }


def test_it_is_a_resource_of_the_graph() -> None:
    settings = Settings.model_validate({"asset_prefix": "acme"})
    lake: Any = build_definitions(settings).get_repository_def().get_top_level_resources()["acme__lake"]
    assert lake.configurable_resource_cls.__name__ == "DuckDBIOManager"
    assert lake.config_schema.default_value["lake_uri"] == settings.lake_root
