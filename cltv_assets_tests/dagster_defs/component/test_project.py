"""Two brands in one deployment, through Dagster's own commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable

from cltv_assets.dagster_defs.templates import load_settings
from cltv_assets.errors import ConfigError
from cltv_assets.tables import all_schemas
from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.dagster_defs.component.conftest import BRANDS, Project
from cltv_assets_tests.settings.canary import assert_hides

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


def test_what_a_template_became_is_in_no_error_of_dagster(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_ACME", "CANARY-7391")
    project.file("acme").write_text(project.file("acme").read_text() + '  currency: "{{ env.SECRET_OF_ACME }}"\n')
    with pytest.raises(Exception, match=r"building definitions for acme|loading component acme") as refused:
        project.load(monkeypatch)
    assert isinstance(refused.value.__cause__, ConfigError)
    assert "currency" in str(refused.value.__cause__)
    assert_hides("CANARY-7391", refused.value)


def test_commands_render_the_project_s_own_template_variables_as_dagster_does(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project.file("acme").parent
    (folder / "variables.py").write_text(
        "import dagster as dg\n\n\n@dg.template_var\ndef base(context):\n    return f'{context.project_root}/own'\n"
    )
    (folder / "shop.py").write_text(
        "import dagster as dg\nfrom cltv_assets import CltvComponent\n\n\n"
        "class AcmeCltvComponent(CltvComponent):\n    @staticmethod\n    @dg.template_var\n"
        "    def money() -> str:\n        return 'GBP'\n"
    )
    text = project.file("acme").read_text()
    text = text.replace("../../../../lakes/acme", '"{{ base }}/acme"').replace("cltv_assets.Cltv", ".shop.AcmeCltv")
    project.file("acme").write_text(text + '  currency: "{{ money }}"\ntemplate_vars_module: .variables\n')
    # Not installed: the message says so, and no folder of another name is taken.
    assert code_of("status", "--config", str(project.file("acme"))) == 2
    said = capsys.readouterr().err
    assert "lake_uri: {{ base }}/acme cannot be rendered: 'base' is no variable of Dagster's" in said
    assert f"`pip install -e .` in {project.root}" in said

    defs = project.load(monkeypatch)
    settings = load_settings(project.file("acme"))
    assert settings.lake_root == f"{project.root}/own/acme"
    assert settings.currency == "GBP"
    assert settings.source_path == f"{project.root}/data/acme.csv"
    tables = {
        spec.metadata.get("dagster/table_name", "")
        for spec in defs.resolve_all_asset_specs()
        if spec.key.path[0] == "acme"
    }
    assert any(f"{project.root}/own/acme" in name for name in tables), tables
    found = project.run("cltv", "status", "--config", str(project.file("acme")))
    assert found.returncode == 1, found.stdout + found.stderr


def test_importing_the_package_does_not_import_dagster() -> None:
    code = "import sys, cltv_assets; sys.exit('dagster' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
