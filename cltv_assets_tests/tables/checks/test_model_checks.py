"""What the checks of the models find, and what they let pass."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from cltv_assets.lake import Lake
from cltv_assets.models.choosing.histories import normalised
from cltv_assets.months import Month
from cltv_assets.tables.fitted_models import SEASON_COLUMNS
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets_tests.models.shops import CHRISTMAS
from cltv_assets_tests.tables.checks.good_month import GOOD, PURCHASE, SPEND, TABLES, Audited, Given, NoSource, audited

MONTH = Month.parse("2011-03")
SEASON = {"seasonality": "monthly", **dict(zip(SEASON_COLUMNS, normalised(CHRISTMAS).tolist(), strict=True))}
NULL = {
    **PURCHASE, "model_name": "nbd", "role": "comparison", "log_likelihood": -150.0, "a": None, "b": None,
    "a_se": None, "b_se": None,
}  # fmt: skip
MBG = {**PURCHASE, "model_name": "mbg_nbd"}
PARETO = {
    **NULL, "model_name": "pareto_nbd", "role": "chosen", "log_likelihood": -100.0, "s": 0.6, "beta": 80.0,
    "s_se": 0.2, "beta_se": 20.0,
}  # fmt: skip

Look = Callable[..., Audited]


@pytest.fixture
def findings(engine, shop_settings, tmp_path) -> Look:
    """Audit model rows, beside last month's where some are given."""

    def look(
        rows: list[dict[str, Any]], before: list[dict[str, Any]] | None = None, table: str = "purchase_model"
    ) -> Audited:
        lake = Lake(str(tmp_path / "lake"))
        if before is not None:
            with lake.table(TABLES[table]).begin(MONTH.shift(-1)) as staging:
                engine.write(
                    engine.from_arrow(pa.Table.from_pylist(before, schema=TABLES[table].arrow)),
                    TABLES[table],
                    staging.new_file(),
                )
                lake.table(TABLES[table]).publish(staging.seal())
        inputs = Given(engine, {**GOOD, table: rows})
        run = MonthRun(MONTH, shop_settings(start_month="2010-12"), engine, lake, NoSource(), inputs)
        return audited(table, inputs, run)

    return look


@pytest.mark.parametrize("chosen", [PURCHASE, MBG, PARETO], ids=lambda row: row["model_name"])
def test_a_model_that_found_dropout_is_told_with_its_gain(findings, chosen):
    found = findings([chosen, NULL]).all()
    assert all(f.verdict.passed for f in found.values()), {n: f.verdict.message for n, f in found.items()}
    assert "50.0 nats" in found["dropout_identified"].verdict.message
    assert found["dropout_identified"].verdict.facts["gain_over_nbd"] == 50.0


def test_the_share_that_leaves_within_a_year_is_that_of_exponential_lifetimes(findings):
    facts = findings([PARETO, NULL])["dropout_identified"].verdict.facts
    # An integral over dropout rates gamma(0.6, 80) of 1 - exp(-rate x 365.25), by hand.
    assert facts["mean_dropout_probability"] == pytest.approx(1 - (80 / 445.25) ** 0.6)
    weekly = findings([{**PARETO, "time_unit": "week", "beta": 80 / 7}, NULL])["dropout_identified"].verdict.facts
    assert weekly["mean_dropout_probability"] == pytest.approx(facts["mean_dropout_probability"])


@pytest.mark.parametrize("chosen", [PURCHASE, MBG, PARETO], ids=lambda row: row["model_name"])
def test_a_model_no_better_than_one_without_dropout_warns_and_shows_it(findings, chosen):
    finding = findings([chosen, {**NULL, "log_likelihood": -101.5}])["dropout_identified"]
    assert not finding.verdict.passed
    assert not finding.blocks
    assert "1.5 nats" in finding.verdict.message
    assert "Read P(alive) as unknown" in finding.verdict.message


def test_the_null_model_itself_says_that_no_dropout_was_found(findings):
    chosen = {**NULL, "role": "chosen", "choice_reason": "nbd is set by purchase_model."}
    finding = findings([chosen, {**PURCHASE, "role": "comparison"}])["dropout_identified"]
    assert not finding.verdict.passed
    assert "nbd is set by purchase_model." in finding.verdict.message


#: A model of regular purchases; all customers buy alike, so r runs away.
REGULAR = {
    **PURCHASE, "model_name": "mbg_cnbd_12", "k": 12, "regularity": 12.3, "status": "boundary",
    "status_reason": "customers hardly differ in how often they buy", "r": 1e4, "r_se": None, "alpha_se": None,
    "a_se": None, "b_se": None, "log_covariance": '{"a": {"a": 0.01, "b": 0.0}, "b": {"a": 0.0, "b": 0.01}}',
}  # fmt: skip


@pytest.mark.parametrize("of_chance", [{"status": "boundary", "status_reason": "r runs away"}, {"a": 1e-6}])
def test_regular_purchases_are_named_as_the_cause(findings, of_chance):
    chosen = {**PURCHASE, "k": 1, "regularity": 12.3, **of_chance}
    finding = findings([chosen, {**REGULAR, "role": "comparison"}, NULL])["dropout_identified"]
    assert not finding.verdict.passed
    assert "Customers buy more regularly than by chance (k = 12)" in finding.verdict.message
    assert "bg_cnbd_k or mbg_cnbd_k" in finding.verdict.message
    assert "A longer history helps" not in finding.verdict.message
    by_chance = findings([chosen, NULL])["dropout_identified"]
    assert by_chance.verdict.message.endswith("A longer history helps.")


def test_dropout_is_identified_although_everybody_buys_at_one_pace(findings):
    found = findings([REGULAR, {**PURCHASE, "role": "comparison"}, NULL]).all()
    assert all(f.verdict.passed for f in found.values()), {n: f.verdict.message for n, f in found.items()}
    alike = {"log_covariance": "{}", "a": 640.0, "b": 1e4}
    assert findings([{**REGULAR, **alike}, NULL])["dropout_identified"].verdict.passed
    unknown = findings([{**REGULAR, "log_covariance": "{}"}, NULL])["dropout_identified"]
    assert not unknown.verdict.passed


@pytest.mark.parametrize("wrong", [{"k": 0}, {"regularity": -1.0}, {"regularity": math.inf}, {"alpha": -1.0}])
def test_impossible_regularity_is_refused(findings, wrong):
    assert findings([{**REGULAR, **wrong}, NULL])["parameters_possible"].blocks


def test_a_seasonal_model_is_held_against_the_null_model_on_its_own_clock(findings):
    """A season explains purchases as well: 48 of these 50 nats are its, not dropout's."""
    seasonal = {**NULL, **SEASON, "log_likelihood": -102.0}
    comparison = {**PURCHASE, "role": "comparison"}
    finding = findings([{**PURCHASE, **SEASON}, comparison, NULL, seasonal])["dropout_identified"]
    assert finding.verdict.facts["gain_over_nbd"] == 2.0
    assert not finding.verdict.passed
    plain = findings([PURCHASE, NULL, {**seasonal, "log_likelihood": -99.0}])["dropout_identified"]
    assert plain.verdict.facts["gain_over_nbd"] == 50.0


IMPOSSIBLE: list[tuple[str, dict[str, Any]]] = [
    ("a parameter of nil", {**PURCHASE, "r": 0.0}),
    ("a negative one", {**PURCHASE, "a": -0.1}),
    ("an infinite one", {**PURCHASE, "b": math.inf}),
    ("a missing one", {**PURCHASE, "alpha": None}),
    ("another model's", {**PARETO, "beta": None}),
    ("an error of nil", {**PURCHASE, "r_se": 0.0}),
    ("an error that is missing from a proper maximum", {**PURCHASE, "b_se": None}),
    ("a seasonal month of nil", {**PURCHASE, **SEASON, "season_07": 0.0}),
    ("a seasonal month that is missing", {**PURCHASE, **SEASON, "season_07": None}),
    ("a year that is no year", {**PURCHASE, **SEASON, "season_07": 1.1}),
]


@pytest.mark.parametrize(("what", "row"), IMPOSSIBLE, ids=[what for what, _ in IMPOSSIBLE])
def test_an_impossible_parameter_blocks_wherever_it_stands(findings, what, row):
    assert findings([row, NULL])["parameters_possible"].blocks, what
    comparison = {**row, "role": "comparison"}
    assert findings([{**MBG, "r": 0.3}, comparison, NULL])["parameters_possible"].blocks, what


@pytest.mark.parametrize(
    "row",
    [
        {**PURCHASE, "status": "boundary", "b": 1e4, "b_se": None, "a_se": None},
        {**PURCHASE, **SEASON},
        {**PURCHASE, "status": "not_fitted", "r": None, "alpha": None, "a": None, "b": None, "r_se": None},
    ],
    ids=["boundary", "seasonal", "not fitted"],
)
def test_what_a_fit_may_leave_open_does_not_block(findings, row):
    assert findings([row, NULL])["parameters_possible"].verdict.passed


def test_a_missing_or_second_choice_blocks(findings):
    assert findings([{**PURCHASE, "role": "comparison"}, NULL])["weights_add_up"].blocks
    assert findings([PURCHASE, {**NULL, "role": "chosen"}])["weights_add_up"].blocks


def test_weights_of_models_that_predict_together_are_told(findings):
    finding = findings([{**PURCHASE, "weight": 0.7}, {**NULL, "weight": 0.3}])["weights_add_up"]
    assert finding.verdict.passed
    assert "2 models predict; bg_nbd counts 70%" in finding.verdict.message
    # Months of before have none.
    assert "bg_nbd predicts" in findings([PURCHASE, NULL])["weights_add_up"].verdict.message


@pytest.mark.parametrize(
    ("chosen", "beside", "said"),
    [
        ({"weight": 0.7}, {"weight": 0.2}, "sum to something else"),
        ({"weight": 1.2}, {"weight": -0.2}, "negative"),
        ({"weight": 0.4}, {"weight": 0.6}, "more than the chosen"),
        ({"weight": 0.7}, {"weight": 0.3, "status": "not_fitted"}, "not fitted"),
        ({"weight": 0.7}, {"weight": 0.3, **SEASON}, "another clock"),
        ({"weight": 0.7, **SEASON}, {"weight": 0.3}, "another clock"),
    ],
)
def test_weights_that_cannot_be_mixed_block(findings, chosen, beside, said):
    finding = findings([{**PURCHASE, **chosen}, {**NULL, **beside}])["weights_add_up"]
    assert finding.blocks
    assert said in finding.verdict.message


def test_a_null_model_beside_others_is_no_lack_of_dropout(findings):
    rows = [{**NULL, "role": "chosen", "weight": 0.6}, {**PURCHASE, "role": "comparison", "weight": 0.4}]
    assert findings(rows)["dropout_identified"].verdict.passed


def test_a_filtered_extract_warns_with_what_it_means(findings):
    finding = findings([{**PURCHASE, "truncated": True}, {**NULL, "truncated": True}])["all_customers_included"]
    assert not finding.verdict.passed
    assert not finding.blocks
    assert "repeat customers only" in finding.verdict.message
    plain = findings([PURCHASE, NULL])["all_customers_included"].verdict
    assert plain.message == "1 of 2 customers have bought on one day only."


def test_an_extract_with_exceptions_names_its_bound_and_counts_them(findings):
    extract = {"truncated": True, "least_frequency": 2, "left_out": 1}
    found = findings([{**PURCHASE, **extract}, {**NULL, **extract}])
    verdict = found["all_customers_included"].verdict
    assert not verdict.passed
    assert "customers with 3 purchase days or more only: 1 of 2 have bought on fewer than 3 days" in verdict.message
    assert "on the condition of 2 repeat purchases or more" in verdict.message
    assert "exceptions are left out of the fits, and predicted" in verdict.message
    assert (verdict.facts["least_frequency"], verdict.facts["left_out"]) == (2, 1)
    seen = found["fitted_on_all_customers"].verdict
    assert seen.passed
    assert seen.message == "Fitted on 1 of 2 customers; left out as exceptions to a filtered extract: 1."


def test_a_comparison_that_could_not_be_fitted_is_told(findings):
    failed = {**MBG, "role": "comparison", "status": "not_fitted", "hessian_positive_definite": None}
    finding = findings([PURCHASE, failed, NULL])["model_fitted"]
    assert finding.verdict.passed
    assert "1 of its comparisons could not be fitted" in finding.verdict.message
    assert finding.verdict.facts == {
        "r": 0.25, "alpha": 30.0, "a": 0.7, "b": 2.0,
    }  # fmt: skip


def test_a_parameter_that_jumps_warns(findings):
    moved = findings([{**PURCHASE, "alpha": 35.1}, NULL], [PURCHASE, NULL])["parameter_drift"]
    assert not moved.verdict.passed
    assert not moved.blocks
    assert moved.verdict.facts["alpha"] == 5.1
    assert findings([{**PURCHASE, "alpha": 33.9}, NULL])["parameter_drift"].verdict.passed


def test_a_pareto_nbd_is_compared_in_its_own_parameters(findings):
    moved = findings([{**PARETO, "beta": 300.0}, NULL], [PARETO, NULL])["parameter_drift"]
    assert not moved.verdict.passed
    assert moved.verdict.facts == {"r": 0.0, "alpha": 0.0, "s": 0.0, "beta": 11.0}


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({**MBG, "r": 9.0}, "bg_nbd instead of mbg_nbd"),
        ({**PURCHASE, **SEASON, "alpha": 99.0}, "bg_nbd instead of bg_nbd, monthly seasonality"),
        ({**PURCHASE, "truncated": True, "r": 9.0}, "bg_nbd instead of bg_nbd, repeat customers only"),
    ],
    ids=["model", "season", "truncated"],
)
def test_parameters_of_another_model_are_not_compared(findings, now, told):
    verdict = findings([now, NULL], [PURCHASE, NULL])["parameter_drift"].verdict
    assert verdict.passed
    assert told in verdict.message


def test_the_spend_models_drift_is_looked_at_as_before(findings):
    moved = findings([{**SPEND, "q": 5.5}], [SPEND], "spend_model")["parameter_drift"]
    assert moved.verdict.facts["q"] == 5.0
    assert not moved.verdict.passed


def test_every_parameter_of_the_table_is_watched(findings):
    # A parameter is a column with a standard error, of a model and not of a comparison.
    columns = {name for name in PURCHASE_MODEL.column_names if not name.startswith("holdout")}
    parameters = {name for name in columns if f"{name}_se" in columns}
    assert parameters == {"r", "alpha", "a", "b", "s", "beta"}
    for name in parameters:
        row = {**(PARETO if name in ("s", "beta") else PURCHASE), name: -1.0}
        assert findings([row, NULL])["parameters_possible"].blocks, name


@pytest.mark.parametrize(
    ("changes", "passes", "said"),
    [
        ({"q": 4.0, "log_covariance": '{"q": {"q": 0.01}}'}, True, "known to 13%"),
        ({"q": 1.4, "log_covariance": '{"q": {"q": 0.0001}}'}, False, "near 1"),
        ({"q": 3.0, "log_covariance": '{"q": {"q": 0.04}}'}, False, "not clearly apart from 1"),
        ({"q": 1.4, "log_covariance": None}, True, "No spread"),
    ],
)
def test_a_mean_that_a_few_customers_decide_warns(findings, changes, passes, said):
    verdict = findings([{**SPEND, **changes}], table="spend_model")["mean_is_known"].verdict
    assert (verdict.passed, said in verdict.message) == (passes, True)
    assert passes or "It is 30.00 " in verdict.message


@pytest.mark.parametrize(("correlation", "misvalued"), [(0.5, "too much"), (-0.5, "too little")])
def test_a_correlation_names_those_who_are_given_the_mean(findings, correlation, misvalued):
    row = {**SPEND, "frequency_value_correlation": correlation}
    verdict = findings([row], table="spend_model")["frequency_value_independent"].verdict
    assert f"Customers with few purchases are given nearly the mean of all, which is {misvalued}" in verdict.message
