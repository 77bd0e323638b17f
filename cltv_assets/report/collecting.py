"""From a month's tables to the facts of its report."""

from __future__ import annotations

from cltv_assets.report.data import ReportData
from cltv_assets.report.facts.fitted import fitted_models
from cltv_assets.report.facts.frequencies import histogram
from cltv_assets.report.facts.holdout import earlier_cases, holdout_cases
from cltv_assets.report.facts.matrices import matrices
from cltv_assets.report.facts.model_view import model_view
from cltv_assets.report.facts.population import Population, customer_counts, month_before
from cltv_assets.report.facts.quality import quality
from cltv_assets.report.facts.segments import segment_facts
from cltv_assets.report.facts.tracking import tracking
from cltv_assets.report.facts.value import value_facts
from cltv_assets.tables.month_run import MonthRun

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
    models = fitted_models(run)
    view = model_view(models.purchase, run.settings)
    counts = customer_counts(run)
    value, lines = value_facts(run), quality(run)
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
