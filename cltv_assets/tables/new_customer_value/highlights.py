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
    wanted = {
        "80% interval of a cohort's mean": ("expected_value_low", "expected_value_high"),
        "said before": ("holdout_predicted_value",),
        "came": ("holdout_actual_value",),
    }
    shown_of = {name: columns for name, columns in wanted.items() if any(row[columns[0]] is not None for row in rows)}
    shown = []
    for row in rows:
        h = row["horizon_months"]
        numbers[f"orders_of_a_new_customer_{h}m"] = round(row["expected_orders"], 4)
        line = {"next": wording.months(h), "orders": wording.decimal(row["expected_orders"], 2)}
        if row["expected_value"] is not None:
            numbers[f"value_of_a_new_customer_{h}m_{currency}"] = round(row["expected_value"], 2)
            line[f"value, {currency}"] = wording.amount(row["expected_value"])
            line["discounted"] = wording.amount(row["discounted_value"])
        # All lines have the same columns, as a table of the UI must.
        for name, columns in shown_of.items():
            ends = [row[column] for column in columns]
            line[name] = " to ".join(wording.NOTHING if end is None else wording.amount(end) for end in ends)
        shown.append(line)
    says = (
        "What one customer who comes now is expected to order in the months to come, the first order included, and "
        f"what that is worth: margin in {currency}, then discounted. "
        "Said before and came: the same of earlier new customers, and what they then brought."
        if rows[0]["expected_value"] is not None
        else "What one customer who comes now is expected to order in the months to come, the first order included."
    )
    return Highlights(numbers, {"new_customer": (shown, says)})
