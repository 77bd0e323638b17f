"""How months are made without anybody: expectations, conditions, schedules and sensors."""

from cltv_assets.dagster_defs.automation.automate import automate, sensors_of
from cltv_assets.dagster_defs.automation.schedules import monthly_schedule

__all__ = ["automate", "monthly_schedule", "sensors_of"]
