"""The settings of ``customer_scores``: when a customer counts as at risk or lapsed, and what to do about whom."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from cltv_assets.settings.section import Section

#: What to do about the customers of each RFM segment: the keys are `tables.segmentation.RFM_SEGMENTS`.
DEFAULT_ACTIONS = {
    "champions": "Reward them; ask for reviews and referrals",
    "loyal": "Offer more of what they buy; invite to the loyalty programme",
    "potential loyalists": "Recommend what goes with their last orders",
    "new customers": "Welcome them; help with the first order",
    "promising": "Give a reason for a second order",
    "need attention": "Remind them with an offer that ends soon",
    "about to sleep": "Show what is new and popular",
    "cannot lose them": "Win them back in person",
    "at risk": "Win them back with a personal offer",
    "hibernating": "Try one cheap reminder",
    "lost": "Leave them out of paid campaigns",
}


class Scores(Section):
    """Churn states and suggested actions of `customer_scores`.

    A state changes only when P(alive) passes a bound's far side, so that a customer near a bound does not change
    every month.
    """

    active_above: float = Field(
        0.6, gt=0, lt=1, description="A customer at risk counts as `active` again once P(alive) is above it."
    )
    at_risk_below: float = Field(
        0.5, gt=0, lt=1, description="An active customer counts as `at risk` once P(alive) is below it."
    )
    recovered_above: float = Field(
        0.3, gt=0, lt=1, description="A lapsed customer counts as `at risk` again once P(alive) is above it."
    )
    lapsed_below: float = Field(0.2, gt=0, lt=1, description="A customer counts as `lapsed` once P(alive) is below it.")
    actions: dict[str, str] = Field(
        default_factory=lambda: dict(DEFAULT_ACTIONS),
        description="RFM segment to `suggested_action`, such as `{lost: No mail}`; segments that are not named keep "
        "their default.",
    )

    @field_validator("actions")
    @classmethod
    def _of_known_segments(cls, actions: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(actions) - set(DEFAULT_ACTIONS))
        if unknown:
            raise ValueError(
                f"there is no RFM segment {', '.join(map(repr, unknown))}: the segments are "
                f"{', '.join(DEFAULT_ACTIONS)}"
            )
        empty = [name for name, action in actions.items() if not action.strip()]
        if empty:
            raise ValueError(f"the action of {', '.join(map(repr, empty))} is empty: give a text, or leave it out")
        return DEFAULT_ACTIONS | actions

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if not self.lapsed_below < self.recovered_above <= self.at_risk_below < self.active_above:
            raise ValueError(
                "the bounds of P(alive) must rise in the order lapsed_below < recovered_above <= at_risk_below < "
                "active_above, for example 0.2, 0.3, 0.5 and 0.6"
            )
        return self
