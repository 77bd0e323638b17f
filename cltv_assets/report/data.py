"""The data of a month's report, and how they are gathered from the month's tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from cltv_assets.models.choosing.candidates import NULL_MODEL
from cltv_assets.months import Month
from cltv_assets.report.facts.acquisition import NewCustomers, Paid, read_new_customers, read_paid
from cltv_assets.report.facts.churn import SCORES, ChurnStates, churn_states
from cltv_assets.report.facts.matrices import Matrices, matrices
from cltv_assets.report.facts.tracking import Tracking, tracking
from cltv_assets.report.facts.value import ValueFacts, value_facts
from cltv_assets.settings import Settings
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.acquisition_payback import ACQUISITION_PAYBACK
from cltv_assets.tables.cleaned_and_rejected.columns import REJECTED_TRANSACTIONS
from cltv_assets.tables.cleaned_and_rejected.line_counts import LineCounts, line_counts
from cltv_assets.tables.cltv_predictions.columns import predictions_schema
from cltv_assets.tables.cltv_predictions.order_values import OrderValueBias, measured_bias
from cltv_assets.tables.cohort_value.columns import COHORT_VALUE
from cltv_assets.tables.cohort_value.facts import Cohorts, cohorts_of
from cltv_assets.tables.fitted_rows import FittedModel, fitted_rows
from cltv_assets.tables.holdout_evaluation.cases import HoldoutCase, earlier_cases, holdout_cases
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.new_customer_value.columns import NEW_CUSTOMER_VALUE
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.purchase_model.facts import Histogram, customer_counts, histogram, model_view
from cltv_assets.tables.purchase_model.reading import predicting, staying_weight
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.segment_movement import SEGMENT_MOVEMENT, Moves, moves_of, tier_place
from cltv_assets.tables.segment_summary import SEGMENT_SUMMARY
from cltv_assets.tables.segmentation import ALL
from cltv_assets.tables.spend_model.columns import SPEND_MODEL
from cltv_assets.tables.table import ALL_HISTORY, Input

#: A row of a small table, by its columns' names.
Row: TypeAlias = Mapping[str, Any]
#: What a report is made from. Months that an older version made lack the tables that came later.
INPUTS = (
    Input(RAW_TRANSACTIONS.name),
    Input(REJECTED_TRANSACTIONS.name),
    Input(PURCHASE_DAYS.name, ALL_HISTORY),
    Input(RFM_SUMMARY.name),
    Input(PURCHASE_MODEL.name),
    Input(SPEND_MODEL.name),
    Input("cltv_predictions"),
    Input(SEGMENT_SUMMARY.name),
    Input(SEGMENT_MOVEMENT.name),
    Input(COHORT_VALUE.name),
    Input(NEW_CUSTOMER_VALUE.name, holes=True),
    Input(ACQUISITION_PAYBACK.name, holes=True),
    SCORES,
    Input("holdout_evaluation"),
)


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
        """The purchase model that predicts, or that counts most where several do."""
        return self.candidates[0]

    @property
    def predicting(self) -> tuple[FittedModel, ...]:
        """The purchase models that predict together, that one first."""
        return tuple(one for one in self.candidates if one.weight > 0.0)

    @property
    def names(self) -> str:
        """The names of those, with a plus between them."""
        return "+".join(one.name for one in self.predicting)

    @property
    def staying(self) -> float:
        """Weight of the model without dropout among those that predict."""
        return staying_weight([one.row for one in self.predicting])

    @property
    def null(self) -> FittedModel | None:
        """The model without dropout, on the chosen model's clock if there is one."""
        found = [one for one in self.candidates if one.name == NULL_MODEL]
        return min(found, key=lambda one: one.seasonal != self.purchase.seasonal, default=None)


@dataclass(frozen=True)
class Population:
    """One month in a few numbers; ``None`` where a month lacks the number.

    Parameters
    ----------
    customers, repeat_customers : int or None
        Customers who ever bought, and those who bought on two days or more.
    lines_in, rejected : int or None
        The month's delivered lines, and how many were rejected.
    expected_value, expected_purchases : float or None
        Total predicted value and purchase days over the longest horizon; no value without a spend model.
    model : tuple of (str, bool) or None
        Names of the purchase models that predicted, with a plus between them, and whether they were seasonal.
    """

    customers: int | None
    repeat_customers: int | None
    lines_in: int | None
    rejected: int | None
    expected_value: float | None
    model: tuple[str, bool] | None = None
    expected_purchases: float | None = None


@dataclass(frozen=True)
class Segments:
    """What ``segment_summary`` and ``segment_movement`` hold of the month.

    Parameters
    ----------
    base : mapping of int to row
        ``segment_summary`` of the whole base, by horizon.
    tiers : list of row
        The same for the value tiers from the top, longest horizon.
    rfm : list of row
        The same for the RFM segments, the largest expected value (purchases without money) per customer first.
    moves : Moves
        Movement between segments since last month.
    """

    base: Mapping[int, Row]
    tiers: Sequence[Row]
    rfm: Sequence[Row]
    moves: Moves


@dataclass(frozen=True)
class ReportData:
    """A month's facts. The report's sections read these and never an engine.

    Parameters
    ----------
    month : Month
        The month reported on.
    settings : Settings
        The project's configuration.
    now : Population
        This month in a few numbers.
    before : Population or None
        Last month; ``None`` where it is not in the lake.
    models : Models
        The fitted purchase and spend models.
    value : ValueFacts or None
        Predicted value; ``None`` in a month without predictions.
    order_values : OrderValueBias or None
        Expected order values against the customers' own; ``None`` where too few tell.
    segments : Segments
        Empty in a month without predictions.
    cohorts : Cohorts
        Customers by the month of their first purchase; empty without customers.
    new_customers : NewCustomers or None
        What a new customer is worth; None where that is not told.
    paid : tuple of Paid
        What customers cost beside what they bring; empty without costs.
    churn : ChurnStates or None
        Customers by churn state; None in a month without scores.
    matrices : Matrices or None
        The model by frequency and recency; ``None`` where it is not fitted.
    histogram : Histogram
        Customers by number of repeat purchases.
    tracking : Tracking or None
        Repeat purchases by week; ``None`` without customers.
    holdout : tuple of HoldoutCase
        Predictions whose horizon ends with this month; empty while none is old enough.
    earlier_holdout : tuple of HoldoutCase
        Those whose horizon ended with an earlier month, oldest first.
    quality : LineCounts
        Delivered and rejected lines.
    """

    month: Month
    settings: Settings
    now: Population
    before: Population | None
    models: Models
    value: ValueFacts | None
    order_values: OrderValueBias | None
    segments: Segments
    cohorts: Cohorts
    new_customers: NewCustomers | None
    paid: tuple[Paid, ...]
    churn: ChurnStates | None
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

    def held(self, horizon: int) -> list[bool]:
        """Return whether each interval of total revenue held, for this and earlier months that had one."""
        return [case.held for case in self.trend(horizon, "revenue") if case.held is not None]

    def tested_horizon(self, target: str = "purchases") -> int | None:
        """Return the longest horizon that ended with this month; ``None`` while none did."""
        return max((case.horizon for case in self.holdout if case.target == target), default=None)


def collect(run: MonthRun) -> ReportData:
    """Gather a month's facts; data per customer stay in the engine.

    Parameters
    ----------
    run : MonthRun
        The month, with the tables of `INPUTS`. Earlier months' figures come from its lake.
    """
    models = Models(fitted_rows(run, PURCHASE_MODEL), fitted_rows(run, SPEND_MODEL)[0])
    view = model_view(models.candidates, run.settings)
    counts = customer_counts(run)
    value, lines = value_facts(run, models.staying), line_counts(run)
    summary, moves = (
        run.engine.collect(run.inputs[schema.name]).to_pylist() for schema in (SEGMENT_SUMMARY, SEGMENT_MOVEMENT)
    )
    cohorts = run.inputs[COHORT_VALUE.name]
    return ReportData(
        month=run.month,
        settings=run.settings,
        now=Population(
            counts.customers,
            counts.repeat_customers,
            lines.lines_in,
            lines.rejected_lines,
            value.total.value if value else None,
            (models.names, models.purchase.seasonal),
            value.total.purchases if value else None,
        ),
        before=_month_before(run),
        models=models,
        value=value,
        order_values=measured_bias(run),
        segments=segments_of(summary, moves, run.settings.horizons_months[-1]),
        cohorts=cohorts_of(run.engine.collect(cohorts.filter(cohorts.attribute == ALL)).to_pylist()),
        new_customers=read_new_customers(run),
        paid=read_paid(run),
        churn=churn_states(run),
        matrices=matrices(run, view, counts) if view else None,
        histogram=histogram(run, view, counts),
        tracking=tracking(run, view, counts),
        holdout=holdout_cases(run),
        earlier_holdout=earlier_cases(run),
        quality=lines,
    )


def segments_of(rows: Sequence[Row], moves: Sequence[Row], horizon: int) -> Segments:
    """Arrange rows of ``segment_summary`` and ``segment_movement``; segments are shown for ``horizon`` months."""
    shown = [row for row in rows if row["horizon_months"] == horizon]
    tiers = [row for row in shown if row["scheme"] == "value"]
    # Leave out segments that have no customers now and had none before.
    rfm = [row for row in shown if row["scheme"] == "rfm" and (row["customers"] or row["customers_before"])]
    return Segments(
        base={row["horizon_months"]: row for row in rows if row["scheme"] == ALL},
        tiers=sorted(tiers, key=lambda row: (tier_place(row["segment"]), row["segment"])),
        rfm=sorted(rfm, key=lambda row: (-_expected(row) / max(row["customers"], 1), row["segment"])),
        moves=moves_of(moves),
    )


def _expected(row: Row) -> float:
    """Return a segment's expected value, or purchases where no value is known."""
    return float(row["expected_purchases"] if row["expected_value"] is None else row["expected_value"])


def _month_before(run: MonthRun) -> Population | None:
    """Read last month's figures from the lake; ``None`` where none of it is published."""
    horizon = run.settings.horizons_months[-1]
    model = run.earlier(PURCHASE_MODEL)
    customers = repeat = chosen_model = None
    if model is not None:
        rows = predicting(run.engine.collect(model).to_pylist())
        if rows:
            customers, repeat = rows[0]["customers"], rows[0]["repeat_customers"]
            chosen_model = "+".join(row["model_name"] for row in rows), rows[0]["seasonality"] == "monthly"
    predictions = run.earlier(predictions_schema(run.settings.horizons_months))
    value = purchases = None
    if predictions is not None:
        wanted = {"value": f"cltv_{horizon}m", "purchases": f"expected_purchases_{horizon}m"}
        sums = run.engine.measure(predictions, {name: predictions[column].sum() for name, column in wanted.items()})
        value, purchases = sums["value"], sums["purchases"]
    before = run.month.shift(-1)
    lines, rejected = (
        run.earlier_row_counts(schema, 1).get(before) for schema in (RAW_TRANSACTIONS, REJECTED_TRANSACTIONS)
    )
    if customers is None and lines is None:
        return None
    return Population(customers, repeat, lines, rejected, value, chosen_model, purchases)
