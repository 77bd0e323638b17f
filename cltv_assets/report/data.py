"""Everything a month's report is made from."""

from __future__ import annotations

from dataclasses import dataclass

from cltv_assets.months import Month
from cltv_assets.report.facts.fitted import Models
from cltv_assets.report.facts.holdout import HoldoutCase
from cltv_assets.report.facts.model_view import Histogram, Matrices, Tracking
from cltv_assets.report.facts.population import Population
from cltv_assets.report.facts.quality import Quality
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
    matrices : Matrices or None
        ``None`` where the purchase model is not fitted.
    histogram : Histogram
    tracking : Tracking or None
        ``None`` without customers.
    holdout : tuple of HoldoutCase
        Empty while no prediction is old enough.
    quality : Quality
    """

    month: Month
    settings: Settings
    now: Population
    before: Population | None
    models: Models
    value: ValueFacts | None
    matrices: Matrices | None
    histogram: Histogram
    tracking: Tracking | None
    holdout: tuple[HoldoutCase, ...]
    quality: Quality

    @property
    def horizon(self) -> int:
        """The longest horizon, in months: the one that values are ranked by."""
        return self.settings.horizons_months[-1]
