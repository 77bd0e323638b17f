"""Each check catches what it is there for, and passes on good tables."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.tables import checks_of
from cltv_assets.tables.month_run import MonthRun
from cltv_assets_tests.tables.checks.good_month import (
    DAY,
    GOOD,
    LINE,
    LINES_OF_DAYS,
    MONTH,
    NEW,
    NO_SPEND,
    NULL_MODEL,
    PURCHASE,
    RAW,
    RFM,
    SPEND,
    TABLES,
    Audited,
    Given,
    NoSource,
    ahead,
    audited,
    bought,
    changed_new,
    changed_segment,
    cohort,
    cohorts,
    every_day,
    metric,
    moneyless,
    move,
    payback,
    prediction,
    publish,
    score,
    two_months,
)


@pytest.fixture
def findings(engine, shop_settings, tmp_path):
    """Audit one table of GOOD with some tables replaced."""

    def look(
        name: str,
        changed: Mapping[str, list[dict[str, Any]]] | None = None,
        start_month: str = "2010-12",
        month: Month = MONTH,
    ) -> Audited:
        rows: dict[str, Any] = {
            **GOOD,
            **({"cleaned_transactions": LINES_OF_DAYS} if name == "purchase_days" else {}),
            **(changed or {}),
        }
        lake = Lake(str(tmp_path / "lake"))
        if before := rows.pop(PUBLISHED, None):
            publish(engine, lake, TABLES[name], before)
        if name.startswith(("segment_", "customer_scores")):
            rows["cltv_predictions"] = two_months(rows["cltv_predictions"])
        inputs = Given(engine, rows)
        settings = shop_settings(start_month=start_month)
        run = MonthRun(month, settings, engine, lake, NoSource(), inputs)
        return audited(name, inputs, run)

    return look


@pytest.mark.parametrize("name", TABLES)
def test_a_good_month_passes_every_check(findings, name):
    failed = {check: f.verdict.message for check, f in findings(name).all().items() if not f.verdict.passed}
    assert failed == {}


def test_a_customer_who_costs_more_than_they_bring_is_no_fault(findings):
    loss = {f"cltv_{h}m{end}": value for h in (3, 6, 12) for end, value in (("", -h), ("_low", -20.0), ("_high", 0.0))}
    found = findings(
        "cltv_predictions", {"cltv_predictions": [prediction("a"), prediction("b", gross_margin=-0.5, **loss)]}
    )
    for name in ("finite_numbers", "possible", "intervals_and_horizons"):
        assert found[name].verdict.passed, name


def test_a_month_without_money_is_published_and_says_why(findings):
    no_money = {"spend_model": [NO_SPEND], "cltv_predictions": [moneyless("a"), moneyless("b")]}
    found = findings("cltv_predictions", no_money).all()
    assert [name for name, one in found.items() if not one.verdict.passed] == ["money_predicted"]
    message = found["money_predicted"].verdict.message
    assert "could not be fitted (4 repeat customers; a fit needs 10)" in message
    assert "value_segment is by expected_purchases_12m" in message
    # Nothing to tell either where nobody is predicted.
    empty = findings("cltv_predictions", {**no_money, "cltv_predictions": []})
    assert empty["money_predicted"].verdict.message == "No predictions."


@pytest.mark.parametrize(("frequency", "value", "passes"), [(1, 60.0, False), (9, 60.0, True), (1, 30.0, True)])
def test_one_order_that_carries_the_total_is_told(findings, frequency, value, passes):
    # Sixty others are worth 12 each.
    rows = [prediction(f"c{i}", cltv_12m=12.0) for i in range(60)]
    found = findings(
        "cltv_predictions", {"cltv_predictions": [*rows, prediction("z", frequency=frequency, cltv_12m=value)]}
    )
    verdict = found["no_outlier_carries"].verdict
    assert verdict.passed == passes
    if not passes:
        assert "One customer with 1 repeat purchases holds 8% of the value" in verdict.message


NAN, INF = math.nan, math.inf
#: Stands for the version of the table itself that readers have.
PUBLISHED = "published"
PLANTED: list[tuple[str, str, bool, dict[str, list[dict[str, Any]]]]] = [
    # table, check that must fail, whether it blocks, replaced tables
    ("raw_transactions", "unique_grain", True, {"raw_transactions": [RAW, RAW]}),
    ("raw_transactions", "month_has_lines", False, {"raw_transactions": []}),
    ("raw_transactions", "nothing_lost", True, {PUBLISHED: GOOD["raw_transactions"], "raw_transactions": []}),
    ("raw_transactions", "nothing_lost", True, {PUBLISHED: [*GOOD["raw_transactions"], {**RAW, "source_file": "late", "customer_id": "z"}]}),
    ("cleaned_transactions", "column_schema", True, {"cleaned_transactions": [{**LINE, "customer_id": None}]}),
    ("cleaned_transactions", "within_month", True, {"cleaned_transactions": [{**LINE, "purchase_day": dt.date(2011, 4, 1)}]}),
    ("cleaned_transactions", "lines_reconcile", True, {"rejected_transactions": []}),
    ("cleaned_transactions", "lines_reconcile", True, {"raw_transactions": [RAW] * 4}),
    ("cleaned_transactions", "amounts_signed", True, {"cleaned_transactions": [{**LINE, "amount": Decimal(-1)}]}),
    ("cleaned_transactions", "amounts_signed", True, {"cleaned_transactions": [{**LINE, "kind": "refund"}]}),
    ("rejected_transactions", "reject_share", True, {"raw_transactions": [RAW]}),
    ("purchase_days", "unique_grain", True, {"purchase_days": [bought("a", DAY, "5"), bought("a", DAY, "5")]}),
    ("purchase_days", "spend_reconciles", True, {"purchase_days": [bought("a", DAY, "10.0001")]}),
    ("purchase_days", "counts_positive", True, {"purchase_days": [{**bought("a", DAY, "10"), "refunds": Decimal(-1)}]}),
    ("purchase_days", "counts_positive", True, {"purchase_days": [{**bought("a", DAY, "10"), "order_count": 0, "refunds": Decimal(9)}]}),
    ("purchase_days", "within_month", True, {"purchase_days": [bought("a", dt.date(2011, 1, 31), "1")]}),
    ("purchase_days", "month_covered", False, {"purchase_days": every_day(1, 20)}),
    ("purchase_days", "month_covered", False, {"purchase_days": every_day(12, 31)}),
    ("repeat_customers", "repeat_bounds", True, {"repeat_customers": [{**GOOD["repeat_customers"][0], "purchase_day_count": 1}]}),
    ("repeat_customers", "repeat_bounds", True, {"repeat_customers": [{**GOOD["repeat_customers"][0], "first_purchase": dt.date(2010, 3, 31)}]}),
    ("rfm_summary", "finite_numbers", True, {"rfm_summary": [{**RFM, "monetary_value": NAN}, NEW]}),
    ("rfm_summary", "finite_numbers", True, {"rfm_summary": [{**RFM, "monetary_value": -1.0}, NEW]}),
    ("rfm_summary", "rfm_bounds", True, {"rfm_summary": [{**RFM, "recency": 27.0}, NEW]}),
    ("rfm_summary", "rfm_bounds", True, {"rfm_summary": [RFM, {**NEW, "recency": 1.0}]}),
    ("rfm_summary", "rfm_bounds", True, {"rfm_summary": [RFM, {**NEW, "is_repeat": True}]}),
    ("rfm_summary", "scores_in_range", True, {"rfm_summary": [{**RFM, "r_score": 6}, NEW]}),
    ("rfm_summary", "everyone_summarised", True, {"rfm_summary": [RFM]}),
    ("rfm_summary", "spend_reconciles", True, {"rfm_summary": [RFM, {**NEW, "total_spend": Decimal(2)}]}),
    ("purchase_model", "converged", True, {"purchase_model": [{**PURCHASE, "gradient_norm": 1e-2}, NULL_MODEL]}),
    ("purchase_model", "converged", True, {"purchase_model": [{**PURCHASE, "hessian_positive_definite": False}, NULL_MODEL]}),
    ("purchase_model", "finite_numbers", True, {"purchase_model": [{**PURCHASE, "alpha_se": INF}, NULL_MODEL]}),
    ("purchase_model", "weights_add_up", True, {"purchase_model": [PURCHASE, {**NULL_MODEL, "role": "chosen"}]}),
    ("purchase_model", "parameters_possible", True, {"purchase_model": [{**PURCHASE, "alpha": 0.0}, NULL_MODEL]}),
    ("purchase_model", "all_customers_included", False, {"purchase_model": [{**PURCHASE, "truncated": True}, NULL_MODEL]}),
    ("spend_model", "one_model_chosen", True, {"spend_model": [{**SPEND, "role": "comparison"}]}),
    ("spend_model", "parameters_possible", True, {"spend_model": [{**SPEND, "v_se": 0.0}]}),
    ("purchase_model", "fitted_on_all_customers", True, {"purchase_model": [{**PURCHASE, "customers": 1}, NULL_MODEL]}),
    ("purchase_model", "model_fitted", False, {"purchase_model": [{**PURCHASE, "status": "not_fitted"}, NULL_MODEL]}),
    ("purchase_model", "dropout_identified", False, {"purchase_model": [{**PURCHASE, "status": "boundary"}, NULL_MODEL]}),
    ("purchase_model", "dropout_identified", False, {"purchase_model": [{**PURCHASE, "b": 1e6}, NULL_MODEL]}),
    ("purchase_model", "dropout_identified", False, {"purchase_model": [PURCHASE, {**NULL_MODEL, "log_likelihood": -101.0}]}),
    ("spend_model", "fitted_on_all_spenders", True, {"spend_model": [{**SPEND, "customers": 2}]}),
    ("spend_model", "fitted_on_all_spenders", True, {"rfm_summary": [{**RFM, "monetary_value": 0.0}, NEW]}),
    ("spend_model", "frequency_value_independent", False, {"spend_model": [{**SPEND, "frequency_value_correlation": -0.5}]}),
    ("customer_attributes", "everybody_has_one", True, {"customer_attributes": [{"customer_id": "a", "attribute": "country", "value": "DE"}]}),
    ("cltv_predictions", "finite_numbers", True, {"cltv_predictions": [prediction("a", cltv_3m=NAN), prediction("b")]}),
    ("cltv_predictions", "finite_numbers", True, {"cltv_predictions": [prediction("a", cltv_12m=INF), prediction("b")]}),
    ("cltv_predictions", "finite_numbers", True, {"cltv_predictions": [prediction("a", p_alive=-0.1), prediction("b")]}),
    ("cltv_predictions", "possible", True, {"cltv_predictions": [prediction("a", cltv_3m=-6.0), prediction("b")]}),
    ("cltv_predictions", "possible", True, {"cltv_predictions": [prediction("a", gross_margin=0.5), prediction("b")]}),
    ("cltv_predictions", "probabilities", True, {"cltv_predictions": [prediction("a", p_alive=1.1), prediction("b")]}),
    ("cltv_predictions", "intervals_and_horizons", True, {"cltv_predictions": [prediction("a", cltv_3m_low=41.0), prediction("b")]}),
    ("cltv_predictions", "intervals_and_horizons", True, {"cltv_predictions": [prediction("a", cltv_6m=1.0), prediction("b")]}),
    # From April to June 2011 there are 91 days.
    ("cltv_predictions", "possible", True, {"cltv_predictions": [prediction("a", expected_purchases_3m=91.01, cltv_3m=1820.0), prediction("b")]}),
    ("cltv_predictions", "possible", True, {"cltv_predictions": [prediction("a", expected_purchases_3m_high=92.0), prediction("b")]}),
    ("cltv_predictions", "possible", True, {"cltv_predictions": [prediction("a", expected_order_value=0.0, cltv_3m=0.0, cltv_6m=0.0, cltv_12m=0.0), prediction("b")]}),
    ("cltv_predictions", "possible", True, {"cltv_predictions": [prediction("a", cltv_3m=0.0), prediction("b")]}),
    ("cltv_predictions", "possible", True, {"cltv_predictions": [prediction("a", cltv_3m=6.001), prediction("b")]}),
    ("cltv_predictions", "covers_population", True, {"cltv_predictions": [prediction("a")]}),
    ("cltv_predictions", "unique_grain", True, {"cltv_predictions": [prediction("a"), prediction("a")]}),
    ("cleaned_transactions", "money_given", True, {"cleaned_transactions": [{**LINE, "amount": None}, GOOD["cleaned_transactions"][1]]}),
    ("purchase_days", "money_given", True, {"purchase_days": [{**bought("a", DAY, "4"), "spend": None}]}),
    ("repeat_customers", "money_given", True, {"repeat_customers": [{**GOOD["repeat_customers"][0], "refunds": None}]}),
    ("rfm_summary", "money_given", True, {"rfm_summary": [{**RFM, "m_score": None}, NEW]}),
    ("rfm_summary", "money_given", True, {"rfm_summary": [RFM, {**NEW, "monetary_value": None}]}),
    ("cltv_predictions", "covers_population", True, {"purchase_model": [{**PURCHASE, "status": "not_fitted"}, NULL_MODEL]}),
    ("cltv_predictions", "covers_population", True, {"spend_model": [NO_SPEND], "cltv_predictions": []}),
    ("cltv_predictions", "predictions_made", False, {"purchase_model": [{**PURCHASE, "status": "not_fitted"}, NULL_MODEL], "cltv_predictions": []}),
    ("cltv_predictions", "money_predicted", False, {"spend_model": [NO_SPEND], "cltv_predictions": [moneyless("a"), moneyless("b")]}),
    ("cltv_predictions", "money_whole", True, {"spend_model": [NO_SPEND]}),
    ("cltv_predictions", "money_whole", True, {"spend_model": [NO_SPEND], "cltv_predictions": [moneyless("a"), moneyless("b", cltv_6m=0.0)]}),
    ("cltv_predictions", "money_whole", True, {"cltv_predictions": [prediction("a"), prediction("b", cltv_3m_low=None)]}),
    ("cltv_predictions", "money_whole", True, {"cltv_predictions": [moneyless("a"), moneyless("b")]}),
    ("cltv_predictions", "someone_may_have_left", False, {"cltv_predictions": [prediction("a", p_alive=0.9999), prediction("b", p_alive=1.0)]}),
    ("segment_summary", "unique_grain", True, {"segment_summary": GOOD["segment_summary"] * 2}),
    ("segment_summary", "segments_add_up", True, {"segment_summary": changed_segment(customers=1)}),
    ("segment_summary", "segments_add_up", True, {"segment_summary": changed_segment(expected_purchases=2.4001)}),
    ("segment_summary", "segments_add_up", True, {"segment_summary": changed_segment(expected_value=47.999)}),
    ("segment_summary", "segments_add_up", True, {"cltv_predictions": [prediction("a"), prediction("b", cltv_6m=12.01)]}),
    ("segment_summary", "segments_add_up", True, {"segment_summary": []}),
    # A sum of nothing known is not 0, and 0 is not unknown.
    ("segment_summary", "segments_add_up", True, {"cltv_predictions": [moneyless("a"), moneyless("b")], "segment_summary": [{**row, "expected_value": 0.0} for row in GOOD["segment_summary"]]}),
    ("segment_summary", "segments_add_up", True, {"cltv_predictions": [prediction(c, cltv_3m=0.0, cltv_6m=0.0, cltv_12m=0.0) for c in "ab"], "segment_summary": [{**row, "expected_value": None} for row in GOOD["segment_summary"]]}),
    ("segment_summary", "intervals_ordered", True, {"segment_summary": changed_segment(expected_value_low=97.0)}),
    ("segment_summary", "intervals_ordered", True, {"segment_summary": changed_segment(share_of_value=1.01)}),
    ("segment_summary", "finite_numbers", True, {"segment_summary": changed_segment(expected_purchases_high=INF)}),
    ("segment_movement", "everyone_moved", True, {"segment_movement": GOOD["segment_movement"][:3]}),
    ("segment_movement", "everyone_moved", True, {"segment_movement": [move("value", "new", "low", 2), *GOOD["segment_movement"][2:]]}),
    ("segment_movement", "everyone_moved", True, {"segment_movement": [*GOOD["segment_movement"], move("rfm", "at risk", "gone", 1)]}),
    ("segment_movement", "everyone_moved", True, {"segment_movement": []}),
    ("acquisition_costs", "spend_positive", False, {"acquisition_costs": [{**GOOD["acquisition_costs"][0], "spend": Decimal(-1)}]}),
    ("acquisition_payback", "costs_reconcile", True, {"acquisition_payback": payback()[1:]}),
    ("acquisition_payback", "costs_reconcile", True, {"acquisition_costs": [{**GOOD["acquisition_costs"][0], "spend": Decimal("6.01")}]}),
    ("acquisition_payback", "payback_possible", True, {"acquisition_payback": payback(ltv_low=100.0)}),
    ("acquisition_payback", "payback_possible", True, {"acquisition_payback": payback(payback_age=1.0)}),
    ("acquisition_payback", "payback_possible", True, {"acquisition_payback": payback(payback_age=None)}),
    ("acquisition_payback", "costs_have_customers", False, {"acquisition_payback": [row | {"customers": 0} for row in payback()]}),
    ("cohort_value", "unique_grain", True, {"cohort_value": [*cohorts(), cohort(0)]}),
    ("cohort_value", "finite_numbers", True, {"cohort_value": ahead(expected_purchases_low=-0.1)}),
    ("cohort_value", "realised_adds_up", True, {"cohort_value": cohorts(customers=1, active_customers=1)}),
    ("cohort_value", "realised_adds_up", True, {"cohort_value": cohorts(orders=4)}),
    ("cohort_value", "realised_adds_up", True, {"cohort_value": cohorts(purchases=2)}),
    ("cohort_value", "realised_adds_up", True, {"cohort_value": cohorts(revenue=Decimal("10.0001"))}),
    ("cohort_value", "realised_adds_up", True, {"cohort_value": [*cohorts(), cohort(0, kind="no_purchase", cohort=None, customers=0, revenue=Decimal(-1), orders=0, purchases=0)]}),
    ("cohort_value", "realised_adds_up", True, {"cohort_value": [*cohorts(), *(cohort(0, attribute="country", attribute_value=value) for value in ("FI", "PL"))]}),
    ("cohort_value", "realised_adds_up", True, {"cohort_value": []}),
    ("cohort_value", "attributes_add_up", True, {"cohort_value": [*cohorts(), *(row | {"attribute": "country", "attribute_value": "DE"} for row in ahead(expected_purchases=2.4001))]}),
    ("cohort_value", "attributes_add_up", True, {"cohort_value": [*cohorts(), cohort(0, attribute="country", attribute_value="DE"), cohort(3, 3, attribute="country", attribute_value="DE")]}),
    ("cohort_value", "predicted_adds_up", True, {"cohort_value": ahead(expected_purchases=2.4001)}),
    ("cohort_value", "predicted_adds_up", True, {"cohort_value": ahead(expected_revenue=Decimal("48.0001"))}),
    ("cohort_value", "predicted_adds_up", True, {"cohort_value": ahead(expected_value=Decimal("47.9999"))}),
    ("cohort_value", "predicted_adds_up", True, {"cohort_value": cohorts()[:3]}),
    ("cohort_value", "predicted_adds_up", True, {"cltv_predictions": [moneyless("a"), moneyless("b")]}),
    ("cohort_value", "cumulative_joins", True, {"cohort_value": cohorts(cumulative_revenue=Decimal("10.0001"))}),
    ("cohort_value", "cumulative_joins", True, {"cohort_value": cohorts(cumulative_purchases=2.0)}),
    ("cohort_value", "cumulative_joins", True, {"cohort_value": ahead(cumulative_margin=Decimal("57.9999"))}),
    ("cohort_value", "cumulative_joins", True, {"cohort_value": ahead(cumulative_purchases=5.5)}),
    ("cohort_value", "rows_possible", True, {"cohort_value": cohorts(retention=1.01)}),
    ("cohort_value", "rows_possible", True, {"cohort_value": cohorts(active_customers=3)}),
    ("cohort_value", "rows_possible", True, {"cohort_value": ahead(age_months=11)}),
    ("cohort_value", "rows_possible", True, {"cohort_value": ahead(expected_revenue_low=97.0)}),
    ("cohort_value", "rows_possible", True, {"cohort_value": ahead(orders=1)}),
    ("cohort_value", "rows_possible", True, {"cohort_value": cohorts(cohort=None)}),
    ("cohort_value", "rows_possible", True, {"cohort_value": cohorts(kind="guessed")}),
    ("cohort_value", "money_known", True, {"cohort_value": cohorts(revenue=None)}),
    ("cohort_value", "money_known", True, {"cohort_value": ahead(cumulative_revenue=None)}),
    ("cohort_value", "money_known", True, {"spend_model": [NO_SPEND]}),
    ("cohort_value", "falls_by_refunds_only", True, {"cohort_value": [*cohorts(), cohort(1, revenue=Decimal("-0.01"))]}),
    ("new_customer_value", "unique_grain", True, {"new_customer_value": GOOD["new_customer_value"] * 2}),
    ("new_customer_value", "finite_numbers", True, {"new_customer_value": changed_new(first_order_value=-1.0)}),
    ("new_customer_value", "possible", True, {"new_customer_value": changed_new(expected_orders=0.99, expected_orders_low=0.9)}),
    ("new_customer_value", "possible", True, {"new_customer_value": changed_new(discounted_value_low=1e6)}),
    ("new_customer_value", "possible", True, {"new_customer_value": changed_new(discounted_value=1e6)}),
    ("new_customer_value", "money_whole", True, {"new_customer_value": changed_new(expected_value=None)}),
    ("new_customer_value", "money_whole", True, {"new_customer_value": changed_new(repeat_order_value=None)}),
    ("new_customer_value", "horizons_rise", True, {"new_customer_value": changed_new(expected_value=26.0)}),
    ("new_customer_value", "orders_from_probabilities", True, {"new_customer_value": changed_new(expected_orders=1.2)}),
    ("new_customer_value", "orders_from_probabilities", True, {"new_customer_value": GOOD["new_customer_value"][:2]}),
    ("new_customer_value", "orders_from_probabilities", True, {"purchase_model": [{**PURCHASE, "status": "not_fitted"}, NULL_MODEL]}),
    ("new_customer_value", "holdout_near", False, {"new_customer_value": changed_new(holdout_customers=900, holdout_predicted_orders=2.0, holdout_actual_orders=1.5)}),
    ("new_customer_value", "holdout_near", False, {"new_customer_value": changed_new(holdout_customers=900, holdout_predicted_orders=2.0, holdout_actual_orders=2.0, holdout_predicted_value=90.0, holdout_actual_value=50.0)}),
    ("customer_scores", "everyone_scored", True, {"customer_scores": [score("a")]}),
    ("customer_scores", "everyone_scored", True, {"cltv_predictions": [prediction("a"), prediction("c")]}),
    ("customer_scores", "money_given", True, {"customer_scores": [score("a", historic_value=None, total_value=None), score("b")]}),
    ("customer_scores", "spend_whole", True, {"customer_scores": [score("a", historic_value=Decimal("9.0001")), score("b")]}),
    ("customer_scores", "spend_whole", True, {"purchase_days": [*GOOD["purchase_days"], bought("b", dt.date(2011, 3, 9), "0.01")]}),
    ("customer_scores", "values_add_up", True, {"customer_scores": [score("a", total_value=33.0001), score("b")]}),
    ("customer_scores", "values_add_up", True, {"customer_scores": [score("a", total_value=None), score("b")]}),
    ("customer_scores", "values_add_up", True, {"customer_scores": [score("a", predicted_value_12m=None), score("b")]}),
    ("customer_scores", "probabilities_ordered", True, {"customer_scores": [score("a", p_order_30d=0.41), score("b")]}),
    ("customer_scores", "probabilities_ordered", True, {"customer_scores": [score("a", p_order_90d=0.71), score("b")]}),
    ("customer_scores", "probabilities_ordered", True, {"customer_scores": [score("a", p_alive=1.01), score("b")]}),
    ("customer_scores", "days_possible", True, {"customer_scores": [score("a", expected_next_order=MONTH.last_day), score("b")]}),
    ("customer_scores", "days_possible", True, {"customer_scores": [score("a", expected_next_order=dt.date(2014, 4, 1)), score("b")]}),
    ("customer_scores", "days_possible", True, {"customer_scores": [score("a", days_since_last_order=-1), score("b")]}),
    ("customer_scores", "days_possible", True, {"customer_scores": [score("a", median_days_between_orders=0.5), score("b")]}),
    ("customer_scores", "states_known", True, {"customer_scores": [score("a", churn_state="gone"), score("b")]}),
    ("customer_scores", "states_known", True, {"customer_scores": [score("a", value_decile=11), score("b")]}),
    ("holdout_evaluation", "origins_match", True, {"holdout_evaluation": [metric("mae", "m", 1.0, origin_month=dt.date(2010, 11, 1))]}),
    ("holdout_evaluation", "beats_naive", False, {"holdout_evaluation": [metric("rmse", "m", 0.7), metric("rmse", "naive_rate", 0.6)]}),
    ("holdout_evaluation", "coverage_as_promised", False, {"holdout_evaluation": [metric("interval_coverage", "m", 0.7, customers=5000)]}),
    ("holdout_evaluation", "bias_within_bounds", False, {"holdout_evaluation": [metric("relative_bias", "m", -0.6)]}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "check", "blocks", "changed"), PLANTED, ids=[f"{p[0]}-{p[1]}-{n}" for n, p in enumerate(PLANTED)]
)
def test_a_planted_fault_is_found_and_blocks_if_it_is_wrong(findings, table, check, blocks, changed):
    finding = findings(table, changed)[check]
    assert not finding.verdict.passed
    assert finding.blocks is blocks
    assert len(finding.verdict.message) > 20


def test_every_blocking_check_has_a_planted_fault():
    planted = {(table, check) for table, check, _, _ in PLANTED}
    structural = {"column_schema", "unique_grain", "within_month", "finite_numbers", "converged"}
    for table, checks in checks_of([3, 6, 12]).items():
        for check in checks:
            shared = check.name in structural and any(name == check.name for _, name in planted)
            assert not check.blocking or shared or (table, check.name) in planted, (table, check.name)


def test_a_failed_row_check_shows_the_offending_rows_and_no_others(findings):
    found = findings("rfm_summary", {"rfm_summary": [{**RFM, "recency": 27.0}, NEW]})["rfm_bounds"]
    assert [row["customer_id"] for row in found.examples] == ["a"]


def test_all_measures_of_a_table_take_one_query(findings, monkeypatch, engine):
    calls = []
    plain = type(engine)._sql
    monkeypatch.setattr(type(engine), "_sql", lambda self, e: calls.append(1) or plain(self, e))
    findings("rfm_summary").all()
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("days", "passes"),
    [
        pytest.param(every_day(1, 21), True, id="ten days are within checks.silent_days"),
        pytest.param(every_day(1, 20), False, id="eleven are not"),
        # Two days in eight: eleven more without a purchase happen by chance.
        pytest.param(every_day(13, 13) + every_day(20, 20), True, id="a small shop"),
        pytest.param([], True, id="a month without purchases is month_has_lines' affair"),
    ],
)
def test_a_month_that_ends_early_is_told_from_a_quiet_one(findings, days, passes):
    assert findings("purchase_days", {"purchase_days": days})["month_covered"].verdict.passed is passes


def test_a_month_that_ends_early_is_told_by_its_days(findings):
    message = findings("purchase_days", {"purchase_days": every_day(1, 9)})["month_covered"].verdict.message
    assert message.startswith("No purchase after 2011-03-09, for 22 days")


def test_a_day_that_the_month_does_not_have_is_told_as_such(findings):
    # February 2011 has 28 days.
    found = findings("purchase_days", {"purchase_days": every_day(1, 31)}, month=Month.parse("2011-02"))
    assert not found["within_month"].verdict.passed


def test_a_source_may_begin_within_its_first_month(findings):
    late = every_day(12, 31)
    assert not findings("purchase_days", {"purchase_days": late})["month_covered"].verdict.passed
    assert findings("purchase_days", {"purchase_days": late}, start_month="2011-03")["month_covered"].verdict.passed


def test_a_boundary_fit_with_real_dropout_is_not_called_one_without(findings):
    unclear = {
        **PURCHASE,
        "status": "boundary",
        "status_reason": "the spread cannot be identified",
        "a": 180.0,
        "b": 820.0,
    }
    message = findings("purchase_model", {"purchase_model": [unclear, NULL_MODEL]})[
        "dropout_identified"
    ].verdict.message
    assert "the spread cannot be identified" in message
    assert "nearly everyone" not in message
