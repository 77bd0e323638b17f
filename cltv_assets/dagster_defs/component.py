"""The graph as a Dagster component: one brand, its source and its lake, in a ``defs.yaml``.

```yaml
type: cltv_assets.CltvComponent
attributes:
  source: {kind: csv, path: "{{ context.project_root }}/data/acme/*.csv", columns: {…}}
  start_month: 2024-01
  lake_uri: "{{ context.project_root }}/lakes/acme"
  translation: {group_name: "crm_{{ table.group }}", tags: {domain: customers}}
  op: {pool: warehouse, tags: {cost: crm}}
```
"""

# No `from __future__ import annotations` here: Dagster reads the annotations of `ForDagster` as types.

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

import dagster as dg
from dagster.components.resolved.core_models import OpSpec
from dagster.components.utils.translation import TranslationFn, TranslationFnResolver
from pydantic import BaseModel, Field, ModelWrapValidatorHandler, PrivateAttr, create_model, model_validator
from pydantic.json_schema import SkipJsonSchema

from cltv_assets.dagster_defs.build import build_definitions
from cltv_assets.dagster_defs.customising import Custom, Step
from cltv_assets.dagster_defs.graph import ASSETS
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.templates import in_project, rendering
from cltv_assets.errors import ConfigError
from cltv_assets.settings import Settings
from cltv_assets.settings.component_file import FOR_DAGSTER, component_settings, prefix_for
from cltv_assets.tables.table import Asset

_TEMPLATE = """\
type: {type}

# The keys of cltv.yaml; the README of cltv_assets explains every one.
attributes:
  asset_prefix: {prefix}
  source:
    kind: csv
    path: "{{{{ context.project_root }}}}/data/{prefix}/*.csv"
    # Canonical name to the name of your column.
    columns:
      customer_id: customer_id
      transacted_at: transacted_at
      amount: amount
  start_month: 2024-01
  currency: USD
  time_zone: UTC
  # A lake of its own; s3://bucket/prefix works as well.
  lake_uri: "{{{{ context.project_root }}}}/lakes/{prefix}"
"""

#: The component that uses each lake in this process, by project and lake.
_lakes: dict[tuple[str, str], tuple[Path, object]] = {}


class _Scaffolder(dg.Scaffolder[Any]):
    """Writes a ``defs.yaml`` to start from."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        """Write the file."""
        if request.scaffold_format != "yaml" or request.append:
            dg.scaffold_component(request)
            return
        text = _TEMPLATE.format(type=request.type_name, prefix=prefix_for(request.target_path))
        (request.target_path / "defs.yaml").write_text(text, encoding="utf-8")


class CltvAttributes(Settings):
    """Every setting of ``cltv.yaml``."""

    home: SkipJsonSchema[Path] = Field(default_factory=Path.cwd)
    _written: Mapping[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _as_written(cls, values: Any, _handler: ModelWrapValidatorHandler[Self]) -> Self:
        # Settings are validated in `load`: templates are not rendered yet, and errors shall read
        # like those of cltv.yaml.
        made = cls.model_construct()
        made._written = dict(values)
        return cast("Self", made)

    @property
    def written(self) -> Mapping[str, Any]:
        """The attributes as the file has them."""
        return self._written


@dataclass
class ForDagster(dg.Resolvable):
    """The attributes that are no settings, in the form of Dagster's own components.

    Parameters
    ----------
    translation : callable, optional
        Attributes of the specs: ``spec`` in a template is the asset's spec, ``table`` what the graph says of it
        (``table.name``, ``table.half``).
    op : OpSpec, optional
        Tags, pool and backfill policy of the steps.
    executor : {"in_process", "project"}
        What runs the steps: the graph's own executor, or that of the project's ``Definitions``.
    """

    translation: Annotated[
        TranslationFn[Asset] | None, TranslationFnResolver[Asset](lambda asset: {"table": asset})
    ] = None
    op: OpSpec | None = None
    executor: Literal["in_process", "project"] = "in_process"


_DESCRIPTIONS = {
    "translation": "What Dagster shows of each asset and when it makes it: group, owners, tags, kinds, description, "
    "metadata, deps, automation condition. Templates may use `spec` and `table` (`table.name`, `table.half`).",
    "op": "Tags, pool and backfill policy of every step.",
    "executor": "What runs the steps: `in_process`, all steps of a run in its process, which becomes the executor of "
    "the whole project; or `project`, the executor that a `Definitions` of the project names.",
}
#: What ``attributes`` may hold, for editors and ``dg check yaml``.
_FIELDS: dict[str, Any] = {
    name: (info.annotation, Field(info.default, description=_DESCRIPTIONS[name]))
    for name, info in ForDagster.model().model_fields.items()
}
_Attributes = create_model("CltvAttributes", __base__=CltvAttributes, **_FIELDS)


@dg.scaffold_with(_Scaffolder)
class CltvComponent(dg.Component):
    """Customer lifetime value of one brand, every month: the assets, their checks, a job and sensors.

    Attributes are the keys of ``cltv.yaml``, and ``translation``, ``op`` and ``executor``. Relative paths start from
    the folder of ``defs.yaml``; ``asset_prefix`` is that folder's name unless it is given. The name of a subclass
    should end with ``CltvComponent``, so that ``cltv --config`` knows its file.

    Parameters
    ----------
    settings : Settings
    for_dagster : ForDagster, optional
    """

    def __init__(self, settings: Settings, for_dagster: ForDagster | None = None) -> None:
        self.settings = settings
        self.for_dagster = for_dagster or ForDagster()

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return the model of the attributes."""
        return _Attributes

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Return the component that a file declares.

        Raises
        ------
        ConfigError
            If a setting is wrong. The message names file and line.
        """
        written = attributes.written if isinstance(attributes, CltvAttributes) else {}
        scope = in_project(context.resolution_context, context.project_root)
        tree = context.resolution_context.source_position_tree
        inner = tree.children.get("attributes") if tree else None
        path = Path(tree.position.filename) if tree else context.path / "defs.yaml"
        places = {keys: f"{path}, line {line}" for keys, line in _lines(inner, ())}
        given = {name: written[name] for name in FOR_DAGSTER if name in written}
        for_dagster = ForDagster.resolve_from_model(scope.at_path("attributes"), ForDagster.model()(**given))
        return cls(component_settings(written, path, places, rendering(scope)), for_dagster)

    def get_asset_spec(self, spec: dg.AssetSpec, table: Asset) -> dg.AssetSpec:
        """Return the spec of an asset; a subclass may change all but its key and partitions.

        Parameters
        ----------
        spec : AssetSpec
            As the graph declares it.
        table : Asset
            What the graph knows of it: name, group, half.
        """
        translation = self.for_dagster.translation
        return translation(spec, table) if translation else spec

    def execute(self, context: dg.AssetExecutionContext, step: Step) -> Iterator[Any]:
        """Run a step; a subclass may do something before and after it, or with what it yields.

        Parameters
        ----------
        context : AssetExecutionContext
            Of the step.
        step : callable
            Makes the months of the run, and yields what Dagster is told.
        """
        del context
        yield from step()

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the graph.

        Raises
        ------
        ConfigError
            If another component of the project uses the same lake, or a spec is changed that must not be.
        """
        _claim(self.settings, context)
        return build_definitions(self.settings, custom=self._custom())

    def _custom(self) -> Custom:
        op = self.for_dagster.op or OpSpec()
        if op.name or op.description:
            raise ConfigError(
                "op names a step or describes it, and the graph has many.", "Keep op.tags, op.pool, op.backfill_policy."
            )
        if op.backfill_policy and self.settings.pipes.kind:
            raise ConfigError("op.backfill_policy is set, and a remote job makes one month.", "Take it out, or pipes.")
        tables = {asset.name: asset for asset in ASSETS}
        return Custom(
            spec=lambda spec: self.get_asset_spec(spec, tables[Names.table(spec.key)]),
            execute=self.execute,
            op_tags=op.tags or {},
            pool=op.pool or "",
            backfills=op.backfill_policy,
            own_executor=self.for_dagster.executor == "in_process",
        )


def _lines(tree: Any, at: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    for key, child in (tree.children if tree else {}).items():
        yield (*at, str(key)), child.position.start.line
        yield from _lines(child, (*at, str(key)))


def _claim(settings: Settings, context: dg.ComponentLoadContext) -> None:
    """Refuse a lake that another component of the project uses.

    The lake is not asked, because definitions load without opening a connection. If another
    deployment has a graph on the lake, the lake refuses the second graph when its first month runs.
    """
    lake = settings.lake_root
    key = (str(context.project_root), lake if "://" in lake else os.path.realpath(lake))
    here = (context.path, cast("object", context.component_path.instance_key))
    other = _lakes.setdefault(key, here)
    if other == here:
        return
    if other[0].exists():
        raise ConfigError(
            f"The components {other[0]} and {here[0]} use the same lake, {lake}: "
            "they would overwrite each other's months.",
            "Give each a lake_uri of its own.",
        )
    _lakes[key] = here
