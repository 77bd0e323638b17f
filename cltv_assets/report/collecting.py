"""From a month's tables to the facts of its report."""

from __future__ import annotations

from cltv_assets.report.data import ReportData
from cltv_assets.report.facts.fitted import fitted_models
from cltv_assets.report.facts.holdout import holdout_cases
from cltv_assets.report.facts.model_view import histogram, matrices, tracking
from cltv_assets.report.facts.population import Population, customer_counts, month_before
from cltv_assets.report.facts.quality import quality
from cltv_assets.report.facts.value import value_facts
from cltv_assets.steps.month_run import MonthRun

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
    "holdout_evaluation",
)


def collect(run: MonthRun) -> ReportData:
    """Gather a month's facts; everything customer-sized stays in the engine.

    Parameters
    ----------
    run : MonthRun
        With the tables of `INPUTS`. Last month's figures come from its lake.
    """
    from cltv_assets.steps.fit import purchase_fit

    models = fitted_models(run)
    fit = purchase_fit(models.purchase.row) if models.purchase.usable else None
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
        ),
        before=month_before(run),
        models=models,
        value=value,
        matrices=matrices(run, fit, counts) if fit else None,
        histogram=histogram(run, fit, counts),
        tracking=tracking(run, fit, counts),
        holdout=holdout_cases(run),
        quality=lines,
    )
