"""What a project changes of a component's graph: in its file, after it, and in a subclass."""

from __future__ import annotations

import inspect
import json
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cltv_assets import CltvComponent
from cltv_assets.dagster_defs.build import build_definitions
from cltv_assets.dagster_defs.customising import Custom
from cltv_assets.dagster_defs.graph import all_assets
from cltv_assets.dagster_defs.instance_state import calm_sqlite
from cltv_assets.dagster_defs.templates import load_settings
from cltv_assets.errors import ConfigError
from cltv_assets.settings import Settings
from cltv_assets.tables import cltv_predictions
from cltv_assets_tests.dagster_defs.component.conftest import BRANDS, Project
from cltv_assets_tests.dagster_defs.remote.test_remote import SERVERLESS

_TRANSLATION = """\
  translation:
    group_name: "shop_{{ spec.group_name }}"
    owners: ["team:crm"]
    tags: {domain: customers, stage: "{{ table.half }}"}
    kinds: [deltalake]
    description: "{{ spec.description }} Of Acme."
    deps: [warehouse/orders]
    automation_condition: "{{ automation_condition.eager() }}"
    metadata: {runbook: "{{ env.RUNBOOK }}"}
  op:
    pool: warehouse
    tags: {team: crm}
    backfill_policy: {type: multi_run, max_partitions_per_run: 3}
"""
_POST_PROCESSING = """\
post_processing:
  assets:
    - target: "key:acme/cltv_predictions"
      attributes:
        owners: ["team:crm"]
        tags: {tier: gold}
"""
_SUBCLASS = """\
import dagster as dg
from cltv_assets import CltvComponent


class AcmeCltvComponent(CltvComponent):
    def get_asset_spec(self, spec, table):
        changed = super().get_asset_spec(spec, table)
        return changed.merge_attributes(tags={"half": table.half})

    def execute(self, context, step):
        context.log.info("before the step")
        for event in super().execute(context, step):
            if isinstance(event, dg.MaterializeResult):
                event = event._replace(metadata={**(event.metadata or {}), "cost": 3})
            yield event
"""
_EXECUTOR = """\
import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    return dg.Definitions(executor=dg.multiprocess_executor, resources={"lake": 1, "io_manager": dg.mem_io_manager})
"""
DOCUMENT = Path(__file__).parents[3] / "docs" / "project.md"
ORDERS = dg.AssetKey(["warehouse", "orders"])


def key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["acme", name])


def definition(defs: dg.Definitions, name: str) -> dg.AssetsDefinition:
    return next(made for made in defs.assets or () if isinstance(made, dg.AssetsDefinition) and key(name) in made.keys)


def spec(defs: dg.Definitions, name: str) -> dg.AssetSpec:
    return definition(defs, name).specs_by_key[key(name)]


def changed(project: Project, text: str, old: str = "", new: str = "") -> None:
    """Add text to the file of acme, or replace some of it."""
    file = project.file("acme")
    file.write_text(file.read_text().replace(old, new) + text)


def materialise(
    defs: dg.Definitions, home: Path, name: str = "acme__cltv_month"
) -> tuple[dg.ExecuteInProcessResult, list[dg.AssetMaterialization]]:
    """Make the month of acme."""
    with calm_sqlite(), dg.DagsterInstance.local_temp(str(home)) as instance:
        job = defs.resolve_job_def(name)
        done = job.execute_in_process(instance=instance, partition_key="2024-01")
        return done, [event.materialization for event in done.get_asset_materialization_events()]  # type: ignore[attr-defined]


def test_translation_and_op_change_specs_and_steps_as_in_dagster_s_own_components(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNBOOK", "https://runbook.example")
    plain = spec(project.load(monkeypatch), "cltv_predictions")
    changed(project, _TRANSLATION)
    defs = project.load(monkeypatch)
    found = spec(defs, "cltv_predictions")
    assert found.group_name == f"shop_{plain.group_name}"
    assert list(found.owners) == ["team:crm"]
    assert (found.tags["domain"], found.tags["stage"]) == ("customers", "model")
    # Tags and metadata are merged, the rest is replaced.
    assert found.tags["cltv/half"] == "model"
    assert found.kinds == {"deltalake"}
    assert found.description == f"{plain.description} Of Acme."
    assert found.metadata["runbook"] == "https://runbook.example"
    assert found.metadata["grain"] == "customer_id"
    assert found.automation_condition == dg.AutomationCondition.eager()
    # What it is made from stays, and others' assets are there whatever their partitions are.
    deps = {dep.asset_key: dep.partition_mapping for dep in found.deps}
    assert {dep.asset_key for dep in plain.deps} < set(deps)
    assert deps[ORDERS] == dg.AllPartitionMapping()
    for made in defs.assets or ():
        assert isinstance(made, dg.AssetsDefinition)
        if made.keys & {key("cltv_predictions"), key("cltv_report")}:
            assert made.op.pool == "warehouse"
            assert made.op.tags["team"] == "crm"
            assert made.backfill_policy == dg.BackfillPolicy.multi_run(3)
    # The other brand has its own.
    other = next(made for made in defs.assets or () if dg.AssetKey(["bolt", "cltv_report"]) in made.keys)  # type: ignore[union-attr]
    assert other.op.pool == "bolt__cltv_lake"  # type: ignore[union-attr]


def test_a_month_is_made_with_all_of_it_and_the_command_line_reads_the_file(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNBOOK", "https://runbook.example")
    changed(project, _TRANSLATION)
    done, made = materialise(project.load(monkeypatch), project.home)
    assert done.success
    assert {event.asset_key for event in made} >= {key("raw_transactions"), key("cltv_report")}
    assert load_settings(project.file("acme")).asset_prefix == "acme"


def test_post_processing_changes_what_a_target_names_and_months_are_made(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(project, _POST_PROCESSING)
    defs = project.load(monkeypatch)
    found = spec(defs, "cltv_predictions")
    assert list(found.owners) == ["team:crm"]
    assert found.tags["tier"] == "gold"
    assert "tier" not in spec(defs, "cltv_report").tags
    done, made = materialise(defs, project.home)
    assert done.success
    assert key("cltv_predictions") in {event.asset_key for event in made}


def test_a_subclass_changes_specs_and_surrounds_the_steps(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (project.root / "src" / "shops" / "components.py").write_text(_SUBCLASS)
    changed(
        project, _TRANSLATION.split("    deps")[0], "cltv_assets.CltvComponent", "shops.components.AcmeCltvComponent"
    )
    defs = project.load(monkeypatch)
    found = spec(defs, "cltv_predictions")
    assert found.tags["half"] == "model"
    assert list(found.owners) == ["team:crm"]
    done, made = materialise(defs, project.home)
    assert done.success
    assert {event.metadata["cost"].value for event in made} == {3}
    assert load_settings(project.file("acme")).asset_prefix == "acme"


def _behind(project: Project, code: str) -> dict[str, Any]:
    file = project.root / "behind.py"
    file.write_text(code)
    return runpy.run_path(str(file))


def test_what_the_document_shows_loads(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    document = DOCUMENT.read_text()
    demo, attributes, after = re.findall(r"```yaml\n(.*?)```", document, re.DOTALL)
    code, behind = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    (project.root / "src" / "shops" / "components.py").write_text(code)
    changed(project, attributes.removeprefix("attributes:\n  # ...\n") + after)
    project.add("shown")
    project.file("shown").write_text(demo.replace("cltv_assets.", "shops.components.Acme").replace("/acme", "/shown"))
    defs = project.load(monkeypatch)
    found = spec(defs, "cltv_predictions")
    assert found.tags["tier"] == "gold"
    assert list(found.owners) == ["team:crm"]
    assert list(spec(defs, "cltv_report").owners) == ["team:crm", "ana@acme.example"]
    assert definition(defs, "cltv_report").op.tags["cost"] == "crm"
    shown = defs.resolve_asset_graph().get(dg.AssetKey(["shown", "cltv_report"]))
    assert shown.tags["half"] == "model"
    # Equal partitions, so that one run makes both.
    ours = _behind(project, behind)["leaving"]
    assert ours.partitions_def == shown.partitions_def


def test_an_asset_behind_the_scores_gets_its_month_as_a_frame_in_the_same_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, behind = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    code = behind.replace("1997-01", "2024-01").replace("1997-04", "2024-02").replace('== "at risk"', '!= ""')
    job = 'both = dg.define_asset_job("both", dg.AssetSelection.assets(["acme", "customer_scores"], "leaving"))\n'
    (project.root / "src" / "shops" / "defs" / "campaigns.py").write_text(code + job)
    defs = project.load(monkeypatch)
    done, _ = materialise(defs, project.home)
    assert done.success
    done, made = materialise(defs, project.home, "both")
    assert done.success
    (ours,) = (event for event in made if event.asset_key == dg.AssetKey("leaving"))
    # As many as the fixture has customers.
    assert ours.metadata["customers"].value == 20


def test_a_project_keeps_its_executor(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (project.root / "src" / "shops" / "defs" / "shared.py").write_text(_EXECUTOR)
    with pytest.raises(Exception, match="building definitions") as refused:
        project.load(monkeypatch)
    # As docs/project.md quotes it.
    assert "both have an executor" in str(refused.value.__cause__)
    for brand in BRANDS:
        project.file(brand).write_text(project.file(brand).read_text() + "  executor: project\n")
    defs = project.load(monkeypatch)
    assert defs.resolve_job_def("acme__cltv_month").executor_def.name == "multiprocess"
    # A step in another process would not know which months failed before it.
    assert definition(defs, "cltv_report").backfill_policy == dg.BackfillPolicy.multi_run(1)


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ("  translation: {key: other}\n", "has another key or other partitions"),
        ("  translation: {key_prefix: other}\n", "Set asset_prefix, start_month and end_month instead"),
        (
            "  translation: {partitions_def: {type: daily, start_date: '2024-01-01'}}\n",
            "has another key or other partitions",
        ),
        ("  op: {name: mine}\n", "Keep op.tags, op.pool, op.backfill_policy"),
        (
            f"  op: {{backfill_policy: {{type: single_run}}}}\n  pipes: {json.dumps(SERVERLESS)}\n",
            "a remote job makes one month",
        ),
    ],
)
def test_what_says_where_the_months_are_cannot_be_changed(
    project: Project, monkeypatch: pytest.MonkeyPatch, attributes: str, told: str
) -> None:
    changed(project, attributes)
    with pytest.raises(Exception, match="building definitions for acme") as refused:
        project.load(monkeypatch)
    assert isinstance(refused.value.__cause__, ConfigError)
    assert told in str(refused.value.__cause__)


@pytest.mark.parametrize("pipes", [{}, SERVERLESS])
def test_more_dependencies_leave_what_tables_are_made_from(pipes: dict[str, Any]) -> None:
    settings = Settings.model_validate({"pipes": pipes})
    own = {spec.key: spec for made in all_assets(settings) for spec in made.specs}

    def changing(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(deps=[ORDERS]) if spec.key.path[-1] == "rfm_summary" else spec

    assets = build_definitions(settings, custom=Custom(spec=changing)).assets or ()
    made = next(
        made for made in assets if isinstance(made, dg.AssetsDefinition) and dg.AssetKey("rfm_summary") in made.keys
    )
    for spec in made.specs:
        more = {ORDERS} if spec.key.path[-1] == "rfm_summary" else set()
        assert {dep.asset_key for dep in spec.deps} == {dep.asset_key for dep in own[spec.key].deps} | more
    inputs = {name: made.op.input_dict[name].dagster_type.is_nothing for name in made.keys_by_input_name}
    assert inputs == ({"warehouse_orders": True} if pipes else {"purchase_days": False, "warehouse_orders": True})


def test_every_attribute_is_described() -> None:
    """As `dg utils inspect-component` and the UI's page of the component show them."""
    schema = CltvComponent.get_model_cls().model_json_schema()
    of_class = {f"#/$defs/{name}": "description" in there for name, there in schema["$defs"].items()}
    lacking = [
        name
        for name, there in schema["properties"].items()
        if "description" not in there and not of_class.get(there.get("$ref", ""))
    ]
    assert lacking == []
    assert {"translation", "op", "executor", "source"} < set(schema["properties"])


def test_dg_knows_the_attributes_that_are_no_settings(project: Project) -> None:
    changed(project, "  translation: {group_name: all, owner: me}\n  op: {pools: x}\n  executor: k8s\n")
    checked = project.run("dg", "check", "yaml", str(project.file("acme").parent))
    assert checked.returncode != 0
    said = checked.stdout + checked.stderr
    assert "owner" in said
    assert "pools" in said
    assert "k8s" in said
    assert "'translation' was unexpected" not in said


def test_specs_name_their_table_their_code_and_the_columns_that_they_carry_along(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    defs = project.load(monkeypatch)
    metadata: dict[str, Any] = dict(spec(defs, "cltv_predictions").metadata)
    assert metadata["dagster/table_name"] == f"{project.lake('acme')}/cltv_predictions"
    assert metadata["dagster/storage_kind"] == "deltalake"
    lines = {reference.file_path: reference.line_number for reference in _references(metadata)}
    assert cltv_predictions.TABLE.make is not None
    _, first = inspect.getsourcelines(cltv_predictions.TABLE.make)
    assert lines[str(inspect.getsourcefile(cltv_predictions.TABLE.make))] == first
    # Dagster adds the file of the component.
    assert str(project.file("acme")) in lines
    lineage = metadata["dagster/column_lineage"].deps_by_column
    assert dg.TableColumnDep(key("rfm_summary"), "frequency") in lineage["frequency"]
    assert {dep.asset_key for dep in lineage["customer_id"]} == {key("rfm_summary"), key("purchase_days")}
    assert "p_alive" not in lineage
    # A segment's customers are not those that a model was fitted on.
    assert "customers" not in spec(defs, "segment_summary").metadata["dagster/column_lineage"].deps_by_column
    # Made with the cleaned lines, by the same function; the report is no table.
    cleaned, rejected = (
        {reference.file_path for reference in _references(dict(spec(defs, f"{kind}_transactions").metadata))}
        for kind in ("cleaned", "rejected")
    )
    assert cleaned == rejected
    assert "dagster/table_name" not in spec(defs, "cltv_report").metadata
    assert len(list(_references(dict(spec(defs, "cltv_report").metadata)))) == 2


def _references(metadata: dict[str, Any]) -> Iterator[Any]:
    yield from metadata["dagster/code_references"].code_references
