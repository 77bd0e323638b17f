"""How a run says that published lines may vanish: in the configuration of the step that lands them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from cltv_assets.dagster_defs.naming import Names
from cltv_assets.settings import Settings
from cltv_assets.sources.delivered import RAW_TRANSACTIONS

#: Key of the step's configuration, and of what a remote job is told.
ACCEPT_LOSS = "accept_loss"
#: Name of the step that makes every table of the first half elsewhere.
REMOTE_PREPARATION = "remote_preparation"

#: The step's configuration.
CONFIG: Mapping[str, Any] = {
    ACCEPT_LOSS: dg.Field(
        bool,
        default_value=False,
        description="Whether it is meant that published lines of the run's months are not delivered any more, or are "
        "worth far less: the check nothing_lost then warns only.",
    )
}


def accepts_loss(context: dg.AssetExecutionContext) -> bool:
    """Return whether the run's configuration accepts it; a step without the key does not."""
    return bool((context.op_execution_context.op_config or {}).get(ACCEPT_LOSS))


def accepting(settings: Settings) -> dict[str, Any]:
    """Return the run configuration that accepts it."""
    step = REMOTE_PREPARATION if settings.pipes.kind else RAW_TRANSACTIONS.name
    return {"ops": {Names(settings.asset_prefix).name(step): {"config": {ACCEPT_LOSS: True}}}}
