"""Two brands in one deployment, through Dagster's own commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from deltalake import DeltaTable

from cltv_assets.tables import all_schemas
from cltv_assets_tests.dagster_defs.component.conftest import BRANDS, Project

TABLES = [schema.name for schema in all_schemas((3,))]


def customers(table: Path) -> set[str]:
    rows = DeltaTable(str(table)).to_pyarrow_table()
    return set(rows["customer_id"].to_pylist()) if "customer_id" in rows.column_names else set()


def test_dg_finds_the_component_and_both_graphs(project: Project) -> None:
    listed = project.run("dg", "list", "defs", "--json")
    found = json.loads(listed.stdout)
    keys = {asset["asset_key"] for asset in found["assets"]}
    assert keys == {f"{brand}/{name}" for brand in BRANDS for name in [*TABLES, "cltv_report"]}
    assert {job["name"] for job in found["jobs"]} >= {f"{brand}__cltv_month" for brand in BRANDS}
    checks = {check["key"] for check in found["asset_checks"]}
    assert {f"{brand}/cltv_report:report_whole" for brand in BRANDS} <= checks, sorted(checks)[:5]


def test_each_brand_s_month_stays_with_the_brand(project: Project) -> None:
    launched = project.run("dg", "launch", "--assets", 'key:"acme/*"', "--partition", "2024-01")
    assert launched.returncode == 0, launched.stdout[-3000:] + launched.stderr[-3000:]
    # The same instance, the other brand: by its defs.yaml. A variable would reach both, so it counts for neither.
    other = project.run("cltv", "run", "--config", str(project.file("bolt")), CLTV_LAKE_URI="elsewhere")
    assert other.returncode == 0, other.stdout + other.stderr
    for brand in BRANDS:
        for table in TABLES:
            found = customers(project.lake(brand) / table)
            assert all(name.startswith(f"{brand}-") for name in found), (brand, table, found)
        assert len(customers(project.lake(brand) / "cltv_predictions")) == 20
        state = project.run("cltv", "status", "--config", str(project.file(brand)))
        assert state.returncode == 0, state.stdout + state.stderr
        assert "All 1 months are in order" in state.stdout
    assert not (project.file("bolt").parent / "elsewhere").exists()


def test_one_lake_for_two_brands_is_refused_when_definitions_load(project: Project) -> None:
    text = project.file("bolt").read_text()
    project.file("bolt").write_text(text.replace("../lakes/bolt", "../lakes/acme"))
    checked = project.run("dg", "check", "defs")
    assert checked.returncode != 0
    said = " ".join((checked.stdout + checked.stderr).split())
    assert "use the same lake" in said
    assert "Give each a lake_uri of its own" in said


def test_a_typo_names_file_line_and_the_right_key(project: Project) -> None:
    text = project.file("acme").read_text()
    line = next(n for n, found in enumerate(text.splitlines(), 1) if "start_month" in found)
    project.file("acme").write_text(text.replace("start_month", "start_monht"))
    checked = project.run("dg", "check", "defs")
    assert checked.returncode != 0
    expected = f"{project.file('acme')}, line {line}: unknown key 'start_monht'; did you mean 'start_month'?"
    assert expected in checked.stdout + checked.stderr
    asked = project.run("cltv", "status", "--config", str(project.file("acme")))
    assert (asked.returncode, expected in asked.stderr) == (2, True), asked.stderr


def test_scaffolding_writes_a_component_that_loads(project: Project) -> None:
    made = project.run("dg", "scaffold", "defs", "cltv_assets.CltvComponent", "new-shop")
    assert made.returncode == 0, made.stdout + made.stderr
    text = project.file("new-shop").read_text()
    assert "asset_prefix: new_shop" in text
    assert "{{ context.project_root }}/lakes/new_shop" in text
    checked = project.run("dg", "check", "defs")
    assert checked.returncode == 0, checked.stdout[-2000:] + checked.stderr[-2000:]


def test_importing_the_package_does_not_import_dagster() -> None:
    code = "import sys, cltv_assets; sys.exit('dagster' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
