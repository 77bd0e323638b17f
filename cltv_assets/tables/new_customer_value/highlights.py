"""What the UI shows of what new customers are worth."""

from __future__ import annotations

from cltv_assets.figures import wording
from cltv_assets.tables.highlights import Highlights
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.new_customer_value.cohorts import of_month
from cltv_assets.tables.new_customer_value.columns import ALL, NEW_CUSTOMER_VALUE


def month_highlights(run: MonthRun) -> Highlights:
    """Return what a new customer is worth over each horizon, and what earlier ones brought."""
    currency = run.settings.currency
    table = of_month(run.inputs[NEW_CUSTOMER_VALUE.name], run.month)
    rows = run.engine.collect(table.filter(table.attribute == ALL)).to_pylist()
    if not rows:
        return Highlights({"new_customers": "not valued: no purchase model that tells of new customers"})
    rows.sort(key=lambda row: int(row["horizon_months"]))
    numbers: dict[str, object] = {"first_orders_of": rows[0]["customers"]}
    if rows[0]["last_acquired"] is not None:
        numbers["last_acquired"] = rows[0]["last_acquired"].isoformat()
    shown = []
    for row in rows:
        h = row["horizon_months"]
        numbers[f"orders_of_a_new_customer_{h}m"] = round(row["expected_orders"], 4)
        line = {"next": wording.months(h), "orders": wording.decimal(row["expected_orders"], 2)}
        if row["expected_value"] is not None:
            numbers[f"value_of_a_new_customer_{h}m_{currency}"] = round(row["expected_value"], 2)
            line[f"value, {currency}"] = wording.amount(row["expected_value"])
            line["discounted"] = wording.amount(row["discounted_value"])
        if row["expected_value_low"] is not None:
            ends = (row["expected_value_low"], row["expected_value_high"])
            line["80% interval of a cohort's mean"] = " to ".join(map(wording.amount, ends))
        if row["holdout_actual_value"] is not None:
            line["said before"] = wording.amount(row["holdout_predicted_value"])
            line["came"] = wording.amount(row["holdout_actual_value"])
        shown.append(line)
    return Highlights(numbers, {"new_customer": shown})
