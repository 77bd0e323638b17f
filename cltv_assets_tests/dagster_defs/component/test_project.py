"""Two brands in one deployment, through Dagster's own commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable

from cltv_assets.errors import ConfigError
from cltv_assets.tables import all_schemas
from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.dagster_defs.component.conftest import BRANDS, Project

TABLES = [schema.name for schema in all_schemas((3,))]


def customers(table: Path) -> set[str]:
    rows = DeltaTable(str(table)).to_pyarrow_table()
    return set(rows["customer_id"].to_pylist()) if "customer_id" in rows.column_names else set()


def test_dg_scaffolds_the_component_and_finds_every_graph(project: Project) -> None:
    made = project.run("dg", "scaffold", "defs", "cltv_assets.CltvComponent", "new-shop")
    assert made.returncode == 0, made.stdout + made.stderr
    text = project.file("new-shop").read_text()
    assert "asset_prefix: new_shop" in text
    assert "{{ context.project_root }}/lakes/new_shop" in text

    checked = project.run("dg", "check", "yaml")
    assert checked.returncode == 0, checked.stdout
    listed = project.run("dg", "list", "defs", "--json")
    assert listed.returncode == 0, listed.stdout[-2000:] + listed.stderr[-2000:]
    found = json.loads(listed.stdout)
    graphs = (*BRANDS, "new_shop")
    keys = {asset["asset_key"] for asset in found["assets"]}
    assert keys == {f"{graph}/{name}" for graph in graphs for name in [*TABLES, "cltv_report"]}
    assert {job["name"] for job in found["jobs"]} >= {f"{graph}__cltv_month" for graph in graphs}
    checks = {check["key"] for check in found["asset_checks"]}
    assert {f"{graph}/cltv_report:report_whole" for graph in graphs} <= checks, sorted(checks)[:5]


def test_each_brand_s_month_stays_with_the_brand(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    launched = project.run("dg", "launch", "--assets", 'key:"acme/*"', "--partition", "2024-01")
    assert launched.returncode == 0, launched.stdout[-3000:] + launched.stderr[-3000:]
    # The same instance, the other brand: by its defs.yaml. A variable would reach both, so it counts for neither.
    monkeypatch.setenv("DAGSTER_HOME", str(project.home))
    monkeypatch.setenv("CLTV_LAKE_URI", "elsewhere")
    assert code_of("run", "--config", str(project.file("bolt"))) == 0
    for brand in BRANDS:
        for table in TABLES:
            found = customers(project.lake(brand) / table)
            assert all(name.startswith(f"{brand}-") for name in found), (brand, table, found)
        assert len(customers(project.lake(brand) / "cltv_predictions")) == 20
        capsys.readouterr()
        assert code_of("status", "--config", str(project.file(brand))) == 0
        assert "2024-01 is in order." in capsys.readouterr().out
    assert not (project.file("bolt").parent / "elsewhere").exists()


def test_one_lake_for_two_brands_is_refused_when_definitions_load(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = project.file("bolt").read_text()
    project.file("bolt").write_text(text.replace("../lakes/bolt", "../lakes/acme"))
    with pytest.raises(Exception, match="building definitions for bolt") as refused:
        project.load(monkeypatch)
    said = refused.value.__cause__
    assert isinstance(said, ConfigError)
    assert "use the same lake" in str(said)
    assert "Give each a lake_uri of its own" in str(said)


def test_a_typo_names_file_line_and_the_right_key(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = project.file("acme").read_text()
    line = next(n for n, found in enumerate(text.splitlines(), 1) if "start_month" in found)
    project.file("acme").write_text(text.replace("start_month", "start_monht"))
    expected = f"{project.file('acme')}, line {line}: unknown key 'start_monht'; did you mean 'start_month'?"
    checked = project.run("dg", "check", "defs")
    assert checked.returncode != 0
    assert expected in checked.stdout + checked.stderr
    assert code_of("status", "--config", str(project.file("acme"))) == 2
    assert expected in capsys.readouterr().err
    # dg's own look at the YAML names the key as well.
    yaml = project.run("dg", "check", "yaml", str(project.file("acme").parent))
    assert yaml.returncode != 0
    assert "start_monht" in yaml.stdout + yaml.stderr


def test_importing_the_package_does_not_import_dagster() -> None:
    code = "import sys, cltv_assets; sys.exit('dagster' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
