"""Group, owners, kinds, tags and backfills of every asset, in one place."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

from cltv_assets.settings import Settings

#: Stages in reading order; Dagster draws groups, so the names carry the order.
INGESTION, PREPARATION, MODELLING, PREDICTION, EVALUATION = (
    "ingestion",
    "preparation",
    "modelling",
    "prediction",
    "evaluation",
)

_PLATFORM = ("team:data-platform",)
_ANALYTICS = ("team:customer-analytics",)


@dataclass(frozen=True)
class Policy:
    """What Dagster shows of an asset besides its columns."""

    group: str
    owners: tuple[str, ...]
    tags: tuple[tuple[str, str], ...]


#: ``cltv/half`` is what ``cltv preprocess`` and ``cltv model`` select by.
_HALF = "cltv/half"
#: Stand for what the settings choose: the engine, and what the source's files are.
_ENGINE, _SOURCE = "engine", "source"
_TABLE_KINDS = (_ENGINE, "deltalake")

_POLICIES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...], str]] = {
    "raw_transactions": (INGESTION, _PLATFORM, (_SOURCE, "deltalake"), "preprocess"),
    "cleaned_transactions": (PREPARATION, _PLATFORM, _TABLE_KINDS, "preprocess"),
    "rejected_transactions": (PREPARATION, _PLATFORM, _TABLE_KINDS, "preprocess"),
    "purchase_days": (PREPARATION, _PLATFORM, _TABLE_KINDS, "preprocess"),
    "repeat_customers": (PREPARATION, _PLATFORM, _TABLE_KINDS, "preprocess"),
    "rfm_summary": (PREPARATION, _ANALYTICS, _TABLE_KINDS, "preprocess"),
    "purchase_model": (MODELLING, _ANALYTICS, ("scipy", "deltalake"), "model"),
    "spend_model": (MODELLING, _ANALYTICS, ("scipy", "deltalake"), "model"),
    "cltv_predictions": (PREDICTION, _ANALYTICS, _TABLE_KINDS, "model"),
    "segment_summary": (PREDICTION, _ANALYTICS, _TABLE_KINDS, "model"),
    "segment_movement": (PREDICTION, _ANALYTICS, _TABLE_KINDS, "model"),
    "holdout_evaluation": (EVALUATION, _ANALYTICS, _TABLE_KINDS, "model"),
    "cltv_report": (EVALUATION, _ANALYTICS, ("html", "matplotlib"), "model"),
}


def policy_of(asset: str) -> Policy:
    """Return an asset's policy.

    Raises
    ------
    KeyError
        If none is declared: every asset has one.
    """
    group, owners, _, half = _POLICIES[asset]
    return Policy(group, owners, ((_HALF, half),))


def kinds_of(asset: str, settings: Settings) -> set[str]:
    """Return what computes an asset and what holds it, as Dagster shows it: three at most.

    Parameters
    ----------
    asset : str
    settings : Settings
        They choose the engine, the kind of source, and whether the lake is on S3.

    Raises
    ------
    KeyError
        If the asset has no policy.
    """
    # The demo's purchase log is a text file too.
    chosen = {_ENGINE: settings.engine, _SOURCE: "parquet" if settings.source.kind == "parquet" else "csv"}
    kinds = {chosen.get(kind, kind) for kind in _POLICIES[asset][2]}
    return kinds | {"s3"} if settings.lake_root.startswith("s3://") else kinds


def assets_of_half(half: str) -> list[str]:
    """Return the assets of ``'preprocess'`` or ``'model'``, in the graph's order."""
    return [name for name, policy in _POLICIES.items() if policy[3] == half]


def backfill_policy(settings: Settings) -> dg.BackfillPolicy:
    """Return how many months of an asset one run makes.

    Parameters
    ----------
    settings : Settings
    """
    # Elsewhere a month is a job of its own, and one job of Dagster's has one policy for all.
    return dg.BackfillPolicy.multi_run(1) if settings.pipes.kind else dg.BackfillPolicy.single_run()
