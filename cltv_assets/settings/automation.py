"""The settings of ``automation``, and the durations in them."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from cltv_assets.settings.section import Section

#: Units of a duration such as ``36h``.
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _duration(value: object) -> object:
    """Read ``36h``, ``2d`` or ``90s``; leave anything else to pydantic."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", value) if isinstance(value, str) else None
    return dt.timedelta(**{_UNITS[found[2]]: float(found[1])}) if found else value


def _not_negative(value: dt.timedelta) -> dt.timedelta:
    if value < dt.timedelta(0):
        raise ValueError("a duration cannot be negative")
    return value


Duration = Annotated[dt.timedelta, BeforeValidator(_duration), AfterValidator(_not_negative)]


class Automation(Section):
    """When months are made without anybody starting them. Durations have the units `s`, `m`, `h`, `d` and `w`."""

    trigger: Literal["due", "cron"] = Field(
        "due",
        description="`due`: each month when it is due or its delivery has arrived, and again what later changes "
        "affect. `cron`: the monthly schedule.",
    )
    due: dict[str, Duration] = Field(
        default_factory=dict,
        description="Asset to how long after the month closes it is due: `{raw_transactions: 36h, cltv_report: 5d}`; "
        "by default one day. An asset is never due before what it is made from.",
    )
    overdue_after: Duration = Field(
        dt.timedelta(days=1), description="How long after it was due a missing month is overdue."
    )
    late_data_months: int = Field(
        3, ge=0, le=120, description="How many months before the newest are brought up to date without a command."
    )
    webhook_variable: str = Field(
        "CLTV_WEBHOOK_URL",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable that holds the address of a Slack-compatible webhook.",
    )
    webhook_warnings: tuple[str, ...] = Field(
        (),
        description="Checks whose warnings the webhook is told, each once for its month, named as in the UI: "
        "`[bias_within_bounds, no_outlier_carries]`, or `asset.check`: `[cltv_predictions.prediction_drift]`. Failures "
        "are always told.",
    )
