"""Costs of winning customers, and when they come back, against numbers worked out by hand."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import new_source
from cltv_assets.tables import acquisition_costs, acquisition_payback
from cltv_assets.tables.acquisition_payback import ACQUISITION_PAYBACK, payback_rows
from cltv_assets.tables.check import audit
from cltv_assets.tables.cohort_value.columns import COHORT_VALUE
from cltv_assets.tables.month_run import MonthRun

NOW = dt.date(2024, 6, 1)
JANUARY, MARCH, MAY = (dt.date(2024, month, 1) for month in (1, 3, 5))


def cost(month: dt.date, spend: str, value: str = "all", reported: int | None = None) -> dict[str, Any]:
    attribute = "all" if value == "all" else "channel"
    return {
        "month": month, "attribute": attribute, "attribute_value": value, "spend": Decimal(spend),
        "new_customers_reported": reported,
    }  # fmt: skip


def course(
    cohort: dt.date, customers: int, so_far: list[float], ahead: dict[int, float], value: str = "all"
) -> list[dict[str, Any]]:
    """Return rows of ``cohort_value``: value a customer by age, and at horizons with ends a fifth off."""
    base = {
        "attribute": "all" if value == "all" else "channel", "attribute_value": value, "cohort": cohort,
        "customers": customers,
    }  # fmt: skip
    rows = [
        base | {"kind": "realised", "age_months": age, "horizon_months": None, "cumulative_value_per_customer": each}
        for age, each in enumerate(so_far)
    ]
    rows += [
        base
        | {
            "kind": "predicted",
            "age_months": len(so_far) - 1 + horizon,
            "horizon_months": horizon,
            "cumulative_value_per_customer": each,
            "cumulative_value_per_customer_low": so_far[-1] + 0.8 * (each - so_far[-1]),
            "cumulative_value_per_customer_high": so_far[-1] + 1.2 * (each - so_far[-1]),
        }
        for horizon, each in ahead.items()
    ]
    return rows


def by_cohort(rows: list[dict[str, Any]], horizon: int) -> dict[Any, dict[str, Any]]:
    return {(row["attribute_value"], row["cohort"].month): row for row in rows if row["horizon_months"] == horizon}


def test_a_cost_comes_back_when_value_reaches_it():
    rows = payback_rows(
        [cost(JANUARY, "400"), cost(MARCH, "900"), cost(MAY, "2000")],
        [
            *course(JANUARY, 40, [4.0, 7.0, 11.0, 9.0, 12.0, 12.0], {3: 14.0, 12: 20.0}),
            *course(MARCH, 50, [8.0, 10.0, 12.0, 12.0], {3: 16.0, 12: 25.0}),
            *course(MAY, 20, [8.0, 10.0], {3: 16.0, 12: 40.0}),
        ],
        NOW,
        (3, 12),
    )
    assert len(rows) == 6
    found = by_cohort(rows, 12)
    january, march, may = (found["all", month] for month in (1, 3, 5))
    # 10 a customer, first reached at age 2, though a refund took it below again.
    assert (january["cac"], january["payback"], january["payback_age"]) == (10.0, "paid back", 2.0)
    assert (january["ltv"], january["ltv_to_cac"], january["too_young"]) == (20.0, 2.0, False)
    # 18: from 16 at age 6 to 25 at age 15, after 2/9 of nine months.
    assert (march["cac"], march["payback"]) == (18.0, "expected")
    assert march["payback_age"] == pytest.approx(8.0)
    # The upper end goes from 16.8 to 27.6, the lower one from 15.2 to 22.4.
    assert march["payback_age_low"] == pytest.approx(6 + 9 * 1.2 / 10.8)
    assert march["payback_age_high"] == pytest.approx(6 + 9 * 2.8 / 7.2)
    assert (march["ltv_low"], march["ltv_to_cac_high"]) == (pytest.approx(22.4), pytest.approx(27.6 / 18))
    # 100 is beyond 40; a month old, twenty customers.
    assert (may["payback"], may["payback_age"], may["too_young"]) == ("not within the horizon", None, True)
    assert by_cohort(rows, 3)["all", 3]["ltv"] == 16.0


def test_costs_without_customers_and_without_money_stay_in_sight():
    unknown = [row | {"cumulative_value_per_customer": None} for row in course(MARCH, 40, [1.0, 1.0, 1.0, 1.0], {})]
    rows = payback_rows([cost(JANUARY, "50", "radio"), cost(MARCH, "80")], unknown, NOW, (12,))
    found = by_cohort(rows, 12)
    assert found["radio", 1]["payback"] == "no customers"
    assert (found["radio", 1]["cac"], found["radio", 1]["spend"]) == (None, 50)
    assert (found["all", 3]["cac"], found["all", 3].get("payback"), found["all", 3]["ltv"]) == (2.0, None, None)


def run_of(tmp_path: Path, text: str, month: str = "2024-03") -> MonthRun:
    (tmp_path / "costs.csv").write_text(text)
    settings = Settings.model_validate(
        {
            "source": {
                "kind": "csv", "path": "a.csv",
                "columns": {"customer_id": "c", "transacted_at": "t", "amount": "a", "attributes": ["channel"]},
            },
            "acquisition_costs": {
                "path": "costs.csv", "attribute": "channel",
                "columns": {"month": "month", "spend": "spend", "value": "channel", "new_customers": "new"},
            },
            "start_month": "2024-01", "horizons_months": [3, 12], "home": tmp_path,
        }
    )  # fmt: skip
    return MonthRun(
        Month.parse(month), settings, DuckDBEngine(), Lake(str(tmp_path / "lake")), new_source(settings), {}
    )


def findings(run: MonthRun, table: Any, name: Any) -> dict[str, Any]:
    return {each.check.name: each.verdict for each in audit(table, name.TABLE.checks_for([3, 12]), run)}


def test_a_month_adds_up_its_lines_by_value_and_in_all(tmp_path):
    text = (
        "month,channel,spend,new\n2024-03-01,ads,10.10,2\n2024-03-02,ads,0.05,\n2024-03,mail,5,1\n"
        "2024-02,ads,7,1\n2023-12,ads,9,9\n"
    )
    run = run_of(tmp_path, text)
    rows = run.engine.collect(acquisition_costs.make(run)).to_pylist()
    assert [(row["attribute_value"], row["spend"], row["new_customers_reported"]) for row in rows] == [
        ("all", Decimal("15.15"), None),
        ("ads", Decimal("10.15"), None),
        ("mail", Decimal(5), 1),
    ]
    assert (run.notes["lines"], run.notes["lines_before_first_month"]) == (5, 1)
    april = run_of(tmp_path, text, "2024-04")
    assert april.engine.collect(acquisition_costs.make(april)).num_rows == 0
    credit = run_of(tmp_path, "month,channel,spend,new\n2024-03,ads,-5,\n")
    assert not findings(credit, acquisition_costs.make(credit), acquisition_costs)["spend_positive"].passed


def test_the_ui_shows_no_figures_of_a_few_customers(tmp_path):
    run = run_of(tmp_path, "month,channel,spend,new\n2024-03,ads,1.00,\n")
    rows = payback_rows(
        [cost(MARCH, "900"), *(cost(MARCH, "5", name) for name in ("ads", "fair", "radio"))],
        [
            *course(MARCH, 50, [8.0, 10.0], {}),
            *course(MARCH, 10, [8.0, 10.0], {}, "ads"),
            *course(MARCH, 9, [8.0, 10.0], {}, "fair"),
        ],
        NOW,
        (3, 12),
    )
    table = run.engine.from_arrow(pa.Table.from_pylist(rows, schema=ACQUISITION_PAYBACK.arrow))
    highlights = acquisition_payback.TABLE.highlights
    assert highlights is not None
    found, _ = highlights(replace(run, inputs={"acquisition_payback": table})).tables["newest_cohorts"]
    assert {row["of"]: row["customers"] for row in found} == {"all": 50, "ads": 10, "radio": 0}


def test_the_checks_find_lost_costs_and_costs_without_customers(tmp_path):
    run = run_of(tmp_path, "month,channel,spend,new\n")
    costs = [cost(MARCH, "80", reported=100), cost(MARCH, "30", "Ads"), cost(MARCH, "50", "mail")]
    value = course(MARCH, 40, [1.0] * 4, {3: 2.0, 12: 3.0}) + course(MARCH, 40, [1.0] * 4, {3: 2.0, 12: 3.0}, "mail")
    schema = acquisition_costs.ACQUISITION_COSTS.arrow.append(pa.field("month", pa.date32()))
    run.inputs["acquisition_costs"] = run.engine.from_arrow(pa.Table.from_pylist(costs, schema=schema))  # type: ignore[index]
    filled = [{column.name: None for column in COHORT_VALUE.columns} | row for row in value]
    run.inputs["cohort_value"] = run.engine.from_arrow(pa.Table.from_pylist(filled, schema=COHORT_VALUE.arrow))  # type: ignore[index]
    made = run.engine.cache(
        acquisition_payback.make(
            MonthRun(Month.parse("2024-06"), run.settings, run.engine, run.lake, run.source, run.inputs)
        )
    )
    found = findings(run, made, acquisition_payback)
    assert {name for name, verdict in found.items() if not verdict.passed} == {"costs_have_customers"}
    assert "such as 'Ads'" in found["costs_have_customers"].message
    assert "100 new customers were reported and 40" in found["costs_have_customers"].message
    lost = made.filter(made.attribute_value != "mail")
    assert not findings(run, lost, acquisition_payback)["costs_reconcile"].passed
    # Of a cohort that has nearly left, nothing more comes nine times in ten: the mean lies above the interval.
    gone = made.mutate(ltv_high=made.ltv - 1, ltv_low=made.ltv - 1).select(*ACQUISITION_PAYBACK.column_names)
    assert findings(run, gone, acquisition_payback)["payback_possible"].passed
    wrong = made.mutate(ltv_low=made.ltv_high + 1).select(*ACQUISITION_PAYBACK.column_names)
    assert not findings(run, wrong, acquisition_payback)["payback_possible"].passed


@pytest.mark.parametrize(
    ("costs", "told"),
    [
        ({"attribute": "channel"}, "needs path"),
        ({"path": "a", "columns": {"month": "m"}}, "lacks spend"),
        ({"path": "a", "attribute": "channel"}, "go together"),
        (
            {"path": "a", "attribute": "channel", "columns": {"month": "m", "spend": "s", "value": "v"}},
            "'channel' is none of source.columns.attributes",
        ),
    ],
)
def test_settings_that_say_too_little_are_refused(costs, told):
    with pytest.raises(ValidationError, match=told):
        Settings.model_validate({"acquisition_costs": costs})
