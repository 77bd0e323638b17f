"""What each format version of the lake changed, table by table: the list that ``cltv migrate`` follows."""

from __future__ import annotations

from cltv_assets.lake.migrations import Step

#: Oldest first, without a gap: the last one leads to ``FORMAT_VERSION``.
STEPS: tuple[Step, ...] = (
    Step(
        2,
        "0.2.0",
        frozenset(
            {
                "raw_transactions",
                "cleaned_transactions",
                "rejected_transactions",
                "purchase_days",
                "repeat_customers",
                "rfm_summary",
            }
        ),
        {
            "purchase_model": "has columns for more models, the season and the choice among them",
            "spend_model": "has a column for the parameters' covariance",
            "cltv_predictions": "has RFM segments; the interval of value is another one",
            "segment_summary": "is made from the predictions",
            "segment_movement": "is made from the predictions",
            "holdout_evaluation": "has other metrics and baselines",
        },
    ),
)
