"""Everything a month's report is made from."""

from __future__ import annotations

from dataclasses import dataclass

from cltv_assets.months import Month
from cltv_assets.report.facts.matrices import Matrices
from cltv_assets.report.facts.population import Population
from cltv_assets.report.facts.segments import Segments
from cltv_assets.report.facts.tracking import Tracking
from cltv_assets.report.facts.value import ValueFacts
from cltv_assets.settings import Settings
from cltv_assets.tables.cleaned_and_rejected.line_counts import LineCounts
from cltv_assets.tables.fitted_rows import FittedModel
from cltv_assets.tables.holdout_evaluation.cases import HoldoutCase
from cltv_assets.tables.purchase_model.facts import Histogram

#: The model without dropout: what every other purchase model is held against.
NULL_MODEL = "nbd"


@dataclass(frozen=True)
class Models:
    """The month's models.

    Parameters
    ----------
    candidates : tuple of FittedModel
        The purchase models: the one that predicts first, the others by their holdout score.
    spend : FittedModel
        The spend model that predicts.
    """

    candidates: tuple[FittedModel, ...]
    spend: FittedModel

    @property
    def purchase(self) -> FittedModel:
        """The purchase model that predicts."""
        return self.candidates[0]

    @property
    def null(self) -> FittedModel | None:
        """The model without dropout, on the chosen one's clock where there is one."""
        found = [one for one in self.candidates if one.name == NULL_MODEL]
        return min(found, key=lambda one: one.seasonal != self.purchase.seasonal, default=None)


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
    quality : LineCounts
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
    quality: LineCounts

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
