"""From a month's tables to the facts of its report."""

from __future__ import annotations

from cltv_assets.report.data import Models, ReportData
from cltv_assets.report.facts.matrices import matrices
from cltv_assets.report.facts.population import Population, month_before
from cltv_assets.report.facts.segments import segment_facts
from cltv_assets.report.facts.tracking import tracking
from cltv_assets.report.facts.value import value_facts
from cltv_assets.tables.cleaned_and_rejected.line_counts import line_counts
from cltv_assets.tables.fitted_rows import fitted_rows
from cltv_assets.tables.holdout_evaluation.cases import earlier_cases, holdout_cases
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.purchase_model.facts import customer_counts, histogram, model_view
from cltv_assets.tables.spend_model import SPEND_MODEL

#: The upstream tables that a report is made from: this month's of each, and all
#: months of ``purchase_days``.
INPUTS = (
    "raw_transactions",
    "rejected_transactions",
    "purchase_days",
    "rfm_summary",
    "purchase_model",
    "spend_model",
    "cltv_predictions",
    "segment_summary",
    "segment_movement",
    "holdout_evaluation",
)


def collect(run: MonthRun) -> ReportData:
    """Gather a month's facts; everything customer-sized stays in the engine.

    Parameters
    ----------
    run : MonthRun
        With the tables of `INPUTS`. Earlier months' figures come from its lake.
    """
    models = Models(fitted_rows(run, PURCHASE_MODEL), fitted_rows(run, SPEND_MODEL)[0])
    view = model_view(models.purchase, run.settings)
    counts = customer_counts(run)
    value, lines = value_facts(run), line_counts(run)
    return ReportData(
        month=run.month,
        settings=run.settings,
        now=Population(
            counts.customers,
            counts.repeat_customers,
            lines.lines_in,
            lines.rejected_lines,
            value.total.value if value else None,
            (models.purchase.name, models.purchase.seasonal),
        ),
        before=month_before(run),
        models=models,
        value=value,
        segments=segment_facts(run),
        matrices=matrices(run, view, counts) if view else None,
        histogram=histogram(run, view, counts),
        tracking=tracking(run, view, counts),
        holdout=holdout_cases(run),
        earlier_holdout=earlier_cases(run),
        quality=lines,
    )
