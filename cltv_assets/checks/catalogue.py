"""Which checks each table has. The one list; specs, audits and docs read it."""

from __future__ import annotations

from collections.abc import Sequence

import ibis.expr.types as ir

from cltv_assets.checks import (
    customers,
    drift,
    holdout,
    models,
    predictions,
    purchase_models,
    segments,
    structure,
    transactions,
)
from cltv_assets.checks.check import Check
from cltv_assets.models import gamma_gamma
from cltv_assets.models.purchase.registry import PURCHASE_MODELS
from cltv_assets.schemas import (
    CLEANED_TRANSACTIONS,
    HOLDOUT_EVALUATION,
    PURCHASE_DAYS,
    PURCHASE_MODEL,
    RAW_TRANSACTIONS,
    REJECTED_TRANSACTIONS,
    REPEAT_CUSTOMERS,
    RFM_SUMMARY,
    SEGMENT_MOVEMENT,
    SEGMENT_SUMMARY,
    SPEND_MODEL,
    TableSchema,
    cltv_predictions,
)


def _net(table: ir.Table) -> ir.Scalar:
    return table.spend.sum() - table.refunds.sum()


def checks_of(horizons_months: Sequence[int]) -> dict[str, tuple[Check, ...]]:
    """Return every table's checks.

    Parameters
    ----------
    horizons_months : sequence of int
        Configured horizons: they make columns of ``cltv_predictions``.
    """
    prediction_schema = cltv_predictions(horizons_months)

    def structural(schema: TableSchema) -> tuple[Check, Check]:
        return structure.column_schema(schema), structure.unique_grain(schema)

    return {
        RAW_TRANSACTIONS.name: (
            *structural(RAW_TRANSACTIONS),
            transactions.month_has_lines(),
            transactions.usual_volume(RAW_TRANSACTIONS),
            transactions.late_lines(),
        ),
        CLEANED_TRANSACTIONS.name: (
            *structural(CLEANED_TRANSACTIONS),
            structure.within_month("purchase_day"),
            transactions.lines_reconcile(),
            structure.rows_where(
                "amounts_signed",
                "Purchases are not negative, refunds not positive.",
                lambda table, _run: (
                    ((table.kind == "purchase") & (table.amount < 0)) | ((table.kind == "refund") & (table.amount > 0))
                ),
            ),
        ),
        REJECTED_TRANSACTIONS.name: (
            *structural(REJECTED_TRANSACTIONS),
            transactions.reject_share(),
            transactions.usual_reject_mix(),
        ),
        PURCHASE_DAYS.name: (
            *structural(PURCHASE_DAYS),
            structure.within_month("purchase_day"),
            transactions.month_covered(),
            transactions.spend_reconciles(
                CLEANED_TRANSACTIONS.name, lambda cleaned: cleaned.amount.sum(), lambda days: _net(days)
            ),
            structure.rows_where(
                "counts_positive",
                "Every row has an order or a refund, and no money is negative.",
                lambda table, _run: (
                    ((table.order_count == 0) & (table.refunds == 0) & (table.line_count > 0))
                    | (table.spend < 0)
                    | (table.refunds < 0)
                    | (table.line_count < table.order_count)
                ),
            ),
        ),
        REPEAT_CUSTOMERS.name: (*structural(REPEAT_CUSTOMERS), customers.repeat_bounds()),
        RFM_SUMMARY.name: (
            *structural(RFM_SUMMARY),
            structure.finite_numbers(RFM_SUMMARY),
            customers.rfm_bounds(),
            customers.scores_in_range(),
            customers.everyone_summarised(),
            transactions.spend_reconciles(
                PURCHASE_DAYS.name, lambda days: days.spend.sum(), lambda rfm: rfm.total_spend.sum()
            ),
            customers.customers_never_vanish(),
            drift.rfm_drift(),
        ),
        PURCHASE_MODEL.name: (
            *structural(PURCHASE_MODEL),
            structure.finite_numbers(PURCHASE_MODEL, non_negative=False),
            models.converged(),
            models.one_model_chosen(),
            models.parameters_possible({name: model.parameter_names for name, model in PURCHASE_MODELS.items()}),
            purchase_models.fitted_on_all_customers(),
            purchase_models.all_customers_included(),
            models.model_fitted(),
            purchase_models.dropout_identified(),
            models.parameter_drift(PURCHASE_MODEL, ("r", "alpha", "a", "b", "s", "beta")),
        ),
        SPEND_MODEL.name: (
            *structural(SPEND_MODEL),
            structure.finite_numbers(SPEND_MODEL, non_negative=False),
            models.converged(),
            models.one_model_chosen(),
            models.parameters_possible({gamma_gamma.NAME: gamma_gamma.PARAMETER_NAMES}),
            models.fitted_on_all_spenders(),
            models.model_fitted(),
            models.frequency_value_independent(),
            models.parameter_drift(SPEND_MODEL, ("p", "q", "v")),
        ),
        prediction_schema.name: (
            *structural(prediction_schema),
            structure.finite_numbers(prediction_schema),
            predictions.probabilities(),
            predictions.intervals_and_horizons(),
            predictions.possible(),
            predictions.covers_population(),
            predictions.predictions_made(),
            predictions.someone_may_have_left(),
            drift.score_drift(),
            drift.month_ahead_error(),
            drift.prediction_drift(),
        ),
        SEGMENT_SUMMARY.name: (
            *structural(SEGMENT_SUMMARY),
            structure.finite_numbers(SEGMENT_SUMMARY),
            segments.segments_add_up(),
            segments.intervals_ordered(),
        ),
        SEGMENT_MOVEMENT.name: (
            *structural(SEGMENT_MOVEMENT),
            structure.finite_numbers(SEGMENT_MOVEMENT),
            segments.everyone_moved(),
        ),
        HOLDOUT_EVALUATION.name: (
            *structural(HOLDOUT_EVALUATION),
            structure.finite_numbers(HOLDOUT_EVALUATION, non_negative=False),
            holdout.origins_match(),
            holdout.beats_naive(),
            holdout.bias_within_bounds(),
            holdout.coverage_as_promised(),
            holdout.totals_within_interval(),
        ),
    }
