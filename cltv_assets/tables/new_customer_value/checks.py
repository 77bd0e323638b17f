"""Checks of what new customers are worth."""

from __future__ import annotations

import itertools
import math
from functools import reduce
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np

from cltv_assets.models.pattern_predictions import expected_total
from cltv_assets.models.value.new_customers import NEW
from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.common_checks import any_of, no_rows
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.new_customer_value.cohorts import of_month
from cltv_assets.tables.new_customer_value.columns import ALL
from cltv_assets.tables.new_customer_value.known import ENOUGH
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.purchase_model.reading import new_customers_mixture, operational_time, predicting

#: Relative difference that sums of floats may have; and that of a sum of tails, whose last ones are left out.
_ROUNDING, _TAILS = 1e-9, 1e-5

#: Standard deviations of a Poisson count beyond which chance does not explain a holdout.
_BEYOND_CHANCE = 3.0

_MONEY = ("first_order_value", "repeat_order_value", "expected_value", "discounted_value")


@no_rows("An order is the first one at least, intervals are ordered, and discounting takes nothing but from value.")
def possible(table: ir.Table, _run: MonthRun) -> ir.BooleanValue:
    """Promise possible numbers."""
    wrong = [table.expected_orders < 1.0, table.expected_orders_low < 1.0, table.customers < 0]
    names = ("expected_orders", "expected_value", "discounted_value")
    wrong += [table[f"{name}_low"] > table[f"{name}_high"] for name in names]
    wrong.append(table.discounted_value.abs() > table.expected_value.abs() * (1 + _ROUNDING))
    wrong.append(table.expected_value * table.gross_margin < 0)
    return any_of([one.fill_null(False) for one in wrong])


@no_rows("Money is known in whole, and nowhere where the source has no amounts.")
def money_whole(table: ir.Table, run: MonthRun) -> ir.BooleanValue:
    """Promise that a value has both of its parts, and that no money is made up."""
    if run.settings.source.counted:
        return any_of([table[name].notnull() for name in _MONEY])
    whole = table.first_order_value.notnull() & table.repeat_order_value.notnull()
    return any_of([table[name].notnull() != whole for name in ("expected_value", "discounted_value")])


def _figures(table: ir.Table, _run: MonthRun) -> dict[str, ir.Scalar]:
    """Return the rows of the small table as one aggregate of text, the same for every check."""
    names = ("horizon_months", "expected_orders", "expected_value", "discounted_value", *_HOLDOUT)
    parts = [table[name].cast("string").fill_null("") for name in ("attribute", "attribute_value", *names)]
    return {"lines": reduce(lambda left, right: left + ibis.literal("\x1f") + right, parts).collect()}


_HOLDOUT = (
    "holdout_customers", "holdout_predicted_orders", "holdout_actual_orders", "holdout_predicted_value",
    "holdout_actual_value", "holdout_naive_value",
)  # fmt: skip


def _rows(values: Values) -> list[dict[str, Any]]:
    found = []
    names = ("attribute", "attribute_value", "horizon_months", "expected_orders", "expected_value", "discounted_value")
    for line in values["lines"] or ():
        row = dict(zip((*names, *_HOLDOUT), line.split("\x1f"), strict=True))
        found.append(
            {
                name: text if name.startswith("attribute") else float(text) if text else None
                for name, text in row.items()
            }
        )
    return sorted(found, key=lambda row: (row["attribute"] != ALL, _group(row), row["horizon_months"]))


def _group(row: dict[str, Any]) -> tuple[str, str]:
    return row["attribute"], row["attribute_value"]


@check("Longer horizons expect no less.", measures=_figures)
def horizons_rise(values: Values, _run: MonthRun) -> Verdict:
    """Promise that a longer horizon holds what a shorter one does; at a negative margin it loses no less."""
    wrong = []
    for (attribute, value), rows in itertools.groupby(_rows(values), _group):
        for shorter, longer in itertools.pairwise(rows):
            for name in ("expected_orders", "expected_value", "discounted_value"):
                less, more = shorter[name], longer[name]
                if less is not None and more is not None and abs(less) > abs(more) * (1 + _ROUNDING):
                    wrong.append(f"{name} of {attribute} '{value}', {longer['horizon_months']:.0f} months")
    if wrong:
        return Verdict(False, f"Less is expected than over a shorter horizon: {', '.join(wrong[:5])}.")
    return Verdict(True, "Longer horizons expect no less.")


@check(
    "A new customer's repeat orders are what the models' probabilities of each number of them add up to.",
    measures=_figures,
)
def orders_from_probabilities(values: Values, run: MonthRun) -> Verdict:
    """Promise that E[N] equals the sum over m of P(N >= m), which the models compute in another way."""
    rows = predicting(run.engine.collect(of_month(run.inputs[PURCHASE_MODEL.name], run.month)).to_pylist())
    every = [row for row in _rows(values) if _group(row) == (ALL, ALL)]
    unfit = not rows or rows[0]["status"] == "not_fitted" or bool(rows[0]["truncated"])
    if unfit:
        return Verdict(not every, "No model of new customers, hence no rows." if not every else "Rows without a model.")
    if sorted(int(row["horizon_months"]) for row in every) != list(run.settings.horizons_months):
        return Verdict(False, "There is not one row for all customers at each horizon.")
    mixture, clock = new_customers_mixture(rows), operational_time(rows[0], run.settings)
    end = np.datetime64(run.month.last_day, "D")
    facts: dict[str, float] = {}
    wrong = []
    for row in every:
        h = int(row["horizon_months"])
        ahead = clock.elapsed(end, np.array([run.month.shift(h).last_day], dtype="datetime64[D]"))
        summed, _ = expected_total(mixture, NEW, np.ones(1), float(ahead[0]))
        facts[f"repeat_orders_{h}m"] = summed
        if abs(row["expected_orders"] - 1.0 - summed) > _TAILS * max(summed, _TAILS):
            wrong.append(f"{h} months: {row['expected_orders'] - 1.0:.6f} for {summed:.6f}")
    if wrong:
        return Verdict(False, f"Expected repeat orders are not those of the models: {'; '.join(wrong)}.", facts)
    shown = ", ".join(
        f"{name.removeprefix('repeat_orders_').removesuffix('m')} months {n:.3f}" for name, n in facts.items()
    )
    return Verdict(True, f"Repeat orders of a new customer: {shown}.", facts)


@check("Earlier new customers bought and brought about what was expected of them.", measures=_figures, blocking=False)
def holdout_near(values: Values, run: MonthRun) -> Verdict:
    """Warn where the repeat orders or the value of an earlier cohort were missed by far.

    The first order is certain, so orders are judged without it. Cohorts below `ENOUGH` customers are left to chance.
    """
    limit = run.settings.checks.holdout_bias
    facts: dict[str, float] = {}
    missed, shown = [], []
    judged = [row for row in _rows(values) if (row["holdout_customers"] or 0) >= ENOUGH]
    for row in judged:
        n, h = row["holdout_customers"], int(row["horizon_months"])
        name = "" if _group(row) == (ALL, ALL) else f" of {row['attribute']} '{row['attribute_value']}'"
        said, made = n * (row["holdout_predicted_orders"] - 1.0), n * (row["holdout_actual_orders"] - 1.0)
        far = abs(said - made) > _BEYOND_CHANCE * math.sqrt(max(said, made, 1.0))
        bias = said / made - 1.0 if made > 0 else math.inf
        text = f"{said:,.0f} repeat orders{name} in {h} months for {made:,.0f}"
        if not name:
            shown.append(text)
            facts |= {f"orders_bias_{h}m": bias} if made > 0 else {}
        if far and abs(bias) > limit:
            missed.append(text)
        said, made = row["holdout_predicted_value"], row["holdout_actual_value"]
        if said is not None and made is not None and made > 0:
            bias, text = said / made - 1.0, f"a value{name} of {said:,.2f} in {h} months for {made:,.2f}"
            if not name:
                shown.append(text)
                facts[f"value_bias_{h}m"] = bias
            if abs(bias) > limit:
                missed.append(text)
    if not judged:
        return Verdict(True, f"No earlier cohort of {ENOUGH} customers whose time is over.")
    if missed:
        remedy = "New customers are not what the base was: see first orders and channels, or a model with a season."
        return Verdict(
            False, f"Expected {'; '.join(missed)}: beyond checks.holdout_bias ({limit:.0%}). {remedy}", facts
        )
    return Verdict(True, f"Expected {'; '.join(shown) or 'of single values only, and near'}.", facts)
