"""Group, owners, kinds and tags of every asset, in one place."""

from __future__ import annotations

from dataclasses import dataclass

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
    kinds: tuple[str, ...]
    tags: tuple[tuple[str, str], ...]


#: ``cltv/half`` is what ``cltv preprocess`` and ``cltv model`` select by.
_HALF = "cltv/half"
_TABLE_KINDS = ("deltalake", "ibis")

_POLICIES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...], str]] = {
    "raw_transactions": (INGESTION, _PLATFORM, ("deltalake", "csv"), "preprocess"),
    "cleaned_transactions": (PREPARATION, _PLATFORM, _TABLE_KINDS, "preprocess"),
    "rejected_transactions": (PREPARATION, _PLATFORM, _TABLE_KINDS, "preprocess"),
    "purchase_days": (PREPARATION, _PLATFORM, _TABLE_KINDS, "preprocess"),
    "repeat_customers": (PREPARATION, _PLATFORM, _TABLE_KINDS, "preprocess"),
    "rfm_summary": (PREPARATION, _ANALYTICS, _TABLE_KINDS, "preprocess"),
    "purchase_model": (MODELLING, _ANALYTICS, ("deltalake", "scipy"), "model"),
    "spend_model": (MODELLING, _ANALYTICS, ("deltalake", "scipy"), "model"),
    "cltv_predictions": (PREDICTION, _ANALYTICS, _TABLE_KINDS, "model"),
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
    group, owners, kinds, half = _POLICIES[asset]
    return Policy(group, owners, kinds, ((_HALF, half),))


def assets_of_half(half: str) -> list[str]:
    """Return the assets of ``'preprocess'`` or ``'model'``, in the graph's order."""
    return [name for name, policy in _POLICIES.items() if policy[3] == half]
