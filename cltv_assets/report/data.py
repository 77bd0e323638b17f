"""Everything a month's report is made from."""

from __future__ import annotations

from dataclasses import dataclass

from cltv_assets.months import Month
from cltv_assets.report.facts.fitted import Models
from cltv_assets.report.facts.frequencies import Histogram
from cltv_assets.report.facts.holdout import HoldoutCase
from cltv_assets.report.facts.matrices import Matrices
from cltv_assets.report.facts.population import Population
from cltv_assets.report.facts.quality import Quality
from cltv_assets.report.facts.segments import Segments
from cltv_assets.report.facts.tracking import Tracking
from cltv_assets.report.facts.value import ValueFacts
from cltv_assets.settings import Settings


@dataclass(frozen=True)
class ReportData:
    """A month's facts. A section of the report reads its own and no engine.

    Parameters
    ----------
    month : Month
    settings : Settings
    now : Population
    before : Population or None
        Last month; ``None`` where it is not in the lake.
    models : Models
    value : ValueFacts or None
        ``None`` in a month without predictions.
    segments : Segments
        Empty in a month without predictions.
    matrices : Matrices or None
        ``None`` where the purchase model is not fitted.
    histogram : Histogram
    tracking : Tracking or None
        ``None`` without customers.
    holdout : tuple of HoldoutCase
        Predictions whose horizon ends with this month; empty while none is old enough.
    earlier_holdout : tuple of HoldoutCase
        Those whose horizon ended with an earlier month, oldest first.
    quality : Quality
    """

    month: Month
    settings: Settings
    now: Population
    before: Population | None
    models: Models
    value: ValueFacts | None
    segments: Segments
    matrices: Matrices | None
    histogram: Histogram
    tracking: Tracking | None
    holdout: tuple[HoldoutCase, ...]
    earlier_holdout: tuple[HoldoutCase, ...]
    quality: Quality

    @property
    def horizon(self) -> int:
        """The longest horizon, in months: the one that values are ranked by."""
        return self.settings.horizons_months[-1]

    def trend(self, horizon: int, target: str) -> list[HoldoutCase]:
        """Return the cases of one horizon and target over the months, oldest first, this month last."""
        every = (*self.earlier_holdout, *self.holdout)
        return [case for case in every if case.horizon == horizon and case.target == target]

    def tested_horizon(self, target: str = "purchases") -> int | None:
        """Return the longest horizon that ended with this month; ``None`` while none did."""
        return max((case.horizon for case in self.holdout if case.target == target), default=None)
