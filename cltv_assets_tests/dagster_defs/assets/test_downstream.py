"""The asset of docs/activation.md behind the scores: loaded from the document, made, and asked for by itself."""

from __future__ import annotations

import csv
import re
import runpy
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from cltv_assets_tests.e2e.ran import Ran
from cltv_assets_tests.e2e.reading import rows_of
from cltv_assets_tests.e2e.running import surroundings, values_in

DOCUMENT = Path(__file__).parents[3] / "docs" / "activation.md"
DAGSTER = str(Path(sys.executable).with_name("dagster"))
NEWEST = "2011-04"
WIN_BACK = dg.AssetKey("win_back")


@pytest.fixture
def location(ran: Ran, tmp_path: Path) -> Path:
    """The document's file beside settings that name the lake which has run."""
    [code] = re.findall(r"```python\n(\"\"\"definitions.py.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "definitions.py").write_text(code, encoding="utf-8")
    (tmp_path / "cltv.yaml").write_text(yaml.safe_dump(values_in(lake_uri=str(ran.lake))), encoding="utf-8")
    return tmp_path / "definitions.py"


def test_the_asset_is_made_as_the_document_says(ran: Ran, location: Path) -> None:
    (location.parent / "instance").mkdir()
    made = subprocess.run(
        [DAGSTER, *["asset", "materialize", "-f", "definitions.py", "--select", "win_back", "--partition"], NEWEST],
        cwd=location.parent,
        env=surroundings({"DAGSTER_HOME": str(location.parent / "instance")}),
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert made.returncode == 0, made.stderr
    with (location.parent / "campaigns" / f"win_back_{NEWEST}.csv").open(encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    wanted = [
        row
        for row in rows_of(ran.lake, "customer_scores", NEWEST)
        if row["rfm_segment"] in ("at risk", "cannot lose them")
    ]
    assert wanted
    assert {row["customer_id"]: row["suggested_action"] for row in written} == {
        row["customer_id"]: row["suggested_action"] for row in wanted
    }
    for row in wanted:
        [mine] = [one for one in written if one["customer_id"] == row["customer_id"]]
        assert float(mine["total_value"]) == row["total_value"]
    with dg.DagsterInstance.from_config(str(location.parent / "instance")) as instance:
        [event] = instance.fetch_materializations(WIN_BACK, limit=9).records
        assert event.partition_key == NEWEST
        metadata = event.asset_materialization.metadata if event.asset_materialization else {}
        assert metadata["rows"].value == len(wanted)


def test_the_newest_month_is_asked_for_once_its_scores_are_made(location: Path) -> None:
    definitions = runpy.run_path(str(location))["defs"]()
    asked_for = dg.AssetSelection.assets(WIN_BACK)
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.evaluate_automation_conditions(definitions, instance, asked_for)
        assert result.get_requested_partitions(WIN_BACK) == set()
        for month in ("2011-03", NEWEST):
            instance.report_runless_asset_event(dg.AssetMaterialization("customer_scores", partition=month))
        result = dg.evaluate_automation_conditions(definitions, instance, asked_for, cursor=result.cursor)
        assert result.get_requested_partitions(WIN_BACK) == {NEWEST}
