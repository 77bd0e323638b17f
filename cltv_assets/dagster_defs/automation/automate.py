"""Adds automation to the graph, and the checks and sensors that report when a month is late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from cltv_assets.dagster_defs.automation.alerts import alerts_sensor
from cltv_assets.dagster_defs.automation.conditions import Planner, when_due
from cltv_assets.dagster_defs.automation.expectations import Expectation, expectations, freshness_policy
from cltv_assets.dagster_defs.automation.on_time import on_time_checks
from cltv_assets.dagster_defs.automation.source_sensor import source_sensor
from cltv_assets.dagster_defs.automation.state import parents_of, steps_of
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.run_owner import killed_runs_sensor
from cltv_assets.dagster_defs.upstream import upstream_keys
from cltv_assets.settings import Settings

#: Plain name; ``Names`` adds the prefix.
AUTOMATION_SENSOR = "cltv_automation"


@dataclass(frozen=True)
class Automated:
    """The graph with its automation.

    Parameters
    ----------
    assets : list of AssetsDefinition
        The graph's assets, each with its condition and freshness policy.
    checks : list of AssetChecksDefinition
        The check ``on_time`` of every asset.
    sensor : SensorDefinition
        Evaluates the conditions.
    expected : dict of str to Expectation
        When each asset is due, by its plain name.
    """

    assets: list[dg.AssetsDefinition]
    checks: list[dg.AssetChecksDefinition]
    sensor: dg.SensorDefinition
    expected: dict[str, Expectation]


def automate(settings: Settings, assets: Sequence[dg.AssetsDefinition]) -> Automated:
    """Return the graph with conditions, freshness, checks and their sensor.

    Parameters
    ----------
    settings : Settings
        They say when assets are due, and whether the sensor runs from the start.
    assets : sequence of AssetsDefinition
        The whole graph; each asset comes after its parents.

    Raises
    ------
    ConfigError
        If ``automation`` names an asset that does not exist.
    """
    expected = expectations(settings, parents_of(assets))
    planner = Planner(settings, steps_of(assets, expected, tuple(upstream_keys(settings))))
    condition = when_due(planner)

    def expecting(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(
            automation_condition=condition,
            freshness_policy=freshness_policy(settings, expected[Names.table(spec.key)]),
        )

    return Automated(
        [definition.map_asset_specs(expecting) for definition in assets],
        [on_time_checks(planner, expected)],
        _automation_sensor(settings, planner),
        expected,
    )


def sensors_of(settings: Settings, automated: Automated, job: Any) -> list[dg.SensorDefinition]:
    """Return every sensor of the graph: automation, source files, alerts, killed runs.

    Parameters
    ----------
    settings : Settings
        They choose the sensors, and whether each runs from the start.
    automated : Automated
        What `automate` returned.
    job : job definition
        Makes a month of the whole graph.
    """
    watching, names = source_sensor(settings, job), Names(settings.asset_prefix)
    return [
        automated.sensor,
        *([watching] if watching is not None else []),
        alerts_sensor(settings, job, automated.expected),
        killed_runs_sensor(settings, job.name, [names.key(asset) for asset in automated.expected]),
    ]


def _automation_sensor(settings: Settings, planner: Planner) -> dg.AutomationConditionSensorDefinition:
    names = planner.names
    runs = settings.environment == "production" and settings.automation.trigger == "due"
    keys = [names.key(table) for step in planner.steps for table in step.tables]
    return dg.AutomationConditionSensorDefinition(
        names.name(AUTOMATION_SENSOR),
        target=dg.AssetSelection.assets(*keys) | dg.AssetSelection.checks_for_assets(*keys),
        default_status=dg.DefaultSensorStatus.RUNNING if runs else dg.DefaultSensorStatus.STOPPED,
        description="Makes each month when it is due, and again what later changes of its data touch.",
        # The plan is our own code; the daemon itself can evaluate only Dagster's own conditions.
        use_user_code_server=True,
        emit_backfills=True,
    )
