"""Adds to the graph what makes it run by itself, and what says when it does not."""

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
from cltv_assets.settings import Settings

#: Plain names; ``Names`` adds the prefix.
AUTOMATION_SENSOR = "cltv_automation"


@dataclass(frozen=True)
class Automated:
    """The graph with its automation.

    Parameters
    ----------
    assets : list of AssetsDefinition
    checks : list of AssetChecksDefinition
    sensor : SensorDefinition
        Evaluates the conditions.
    expected : dict of str to Expectation
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
    assets : sequence of AssetsDefinition
        The whole graph, none before what it is made from.

    Raises
    ------
    ConfigError
        If ``automation`` names an asset that does not exist.
    """
    expected = expectations(settings, parents_of(assets))
    planner = Planner(settings, steps_of(assets, expected))
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
    """Return every sensor of the graph: automation, source files, alerts.

    Parameters
    ----------
    settings : Settings
    automated : Automated
    job : job definition
        Makes a month of the whole graph.
    """
    watching = source_sensor(settings, job)
    return [
        automated.sensor,
        *([watching] if watching is not None else []),
        alerts_sensor(settings, job, automated.expected),
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
        # The plan is Python of ours; the daemon itself knows only Dagster's own conditions.
        use_user_code_server=True,
        emit_backfills=True,
    )
