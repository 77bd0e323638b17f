"""``cltv preprocess`` as an orchestrator's job."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from cltv_assets.cli.launched import encoded, run_launched, settings_from
from cltv_assets.errors import ConfigError


def test_another_version_at_the_orchestrator_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"The orchestrator has cltv-assets 0\.0\.1, the remote process"):
        settings_from({"version": "0.0.1", "settings": {}})


def test_a_launched_job_runs_one_month() -> None:
    with pytest.raises(ConfigError, match="runs one month"):
        run_launched("2011-01", "2011-02")


def test_metadata_keeps_its_types() -> None:
    given: dict[str, Any] = {
        "int": dg.MetadataValue.int(1),
        "float": dg.MetadataValue.float(0.5),
        "bool": dg.MetadataValue.bool(True),
        "text": dg.MetadataValue.text("a"),
        "md": dg.MetadataValue.md("| a |"),
        "json": dg.MetadataValue.json({"a": [1]}),
        "null": dg.MetadataValue.null(),
    }
    from dagster._core.definitions.metadata import metadata_map_from_external

    carried = metadata_map_from_external(encoded(given))  # type: ignore[arg-type]
    assert carried == given
    # Values of different types may be equal.
    assert {name: type(value) for name, value in carried.items()} == {
        name: type(value) for name, value in given.items()
    }
