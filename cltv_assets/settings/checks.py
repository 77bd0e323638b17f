"""The settings of ``checks``: when a check warns or blocks."""

from __future__ import annotations

from pydantic import Field

from cltv_assets.settings.section import Section


class CheckThresholds(Section):
    """When a check warns or blocks. A certain error blocks, whatever these settings are."""

    volume_change: float = Field(
        0.5, gt=0, description="Warn when a month's rows differ from the recent mean by a larger share."
    )
    max_lost_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Block when a larger share of a month's published lines is not delivered any more, or is "
        "delivered again and worth less than half, or a file of them is gone, empty or less than half. 1 publishes "
        "whatever is there.",
    )
    reject_share: float = Field(0.5, gt=0, le=1, description="Block when more than this share of lines is rejected.")
    reject_share_change: float = Field(0.1, gt=0, le=1, description="Warn when that share changes by more.")
    unreadable_share: float = Field(
        0.01, gt=0, le=1, description="Warn when lines that cannot be read are a larger share, of lines or of value."
    )
    missing_customer_share: float = Field(
        0.3, gt=0, le=1, description="Warn when lines without a customer are a larger share, of lines or of value."
    )
    customer_share: float = Field(
        0.3, gt=0, le=1, description="Warn when one customer has a larger share of the value."
    )
    silent_days: int = Field(
        10,
        ge=1,
        description="Warn when a month begins or ends with more days without any purchase, and chance does not explain "
        "them.",
    )
    frequency_value_correlation: float = Field(
        0.3, gt=0, le=1, description="Warn above this absolute correlation of frequency and order value."
    )
    parameter_drift_se: float = Field(
        4.0, gt=0, description="Warn when a parameter changes by more standard errors in a month."
    )
    distribution_drift: float = Field(
        0.25, gt=0, description="Warn when a distribution's population stability index against last month is larger."
    )
    month_ahead_error: float = Field(
        0.3,
        gt=0,
        description="Warn when last month's model misses this month's purchases by a larger share, and by more than "
        "chance.",
    )
    prediction_drift: float = Field(
        0.5, gt=0, description="Warn when the mean prediction changes by a larger share in a month."
    )
    churn_state_change: float = Field(
        0.2, gt=0, le=1, description="Warn when the churn state of a larger share of customers is not last month's."
    )
    holdout_bias: float = Field(0.5, gt=0, description="Warn above this absolute relative bias of a predicted total.")
