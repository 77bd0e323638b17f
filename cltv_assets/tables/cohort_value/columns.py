"""Columns of ``cohort_value``."""

from __future__ import annotations

from cltv_assets.columns import TOTAL_MONEY, Column, TableSchema

#: What a row is: what happened, what is expected, and refunds of those who have bought nothing.
REALISED, PREDICTED, NO_PURCHASE = "realised", "predicted", "no_purchase"

_CURRENCY, _DAYS, _EACH = "currency", "purchase days", "currency a customer"


def _ends(name: str, unit: str, signed: bool = True) -> tuple[Column, ...]:
    """Return the columns of an interval, which only predicted rows have."""
    return (
        Column(
            f"{name}_low",
            "float64",
            "Lower end of its 80 % interval: customers' chance, parameters' uncertainty and the model's own error. "
            "Null in other rows than predicted ones.",
            unit,
            nullable=True,
            signed=signed,
        ),
        Column(f"{name}_high", "float64", "Upper end of that interval.", unit, nullable=True, signed=signed),
    )


COHORT_VALUE = TableSchema(
    "cohort_value",
    "What customers bring by age, cohort by cohort. Customers by the month of their first purchase: what they "
    "have brought, and what is expected of them, of all customers and of each value of their attributes.",
    ("attribute", "attribute_value", "cohort", "age_months"),
    (
        Column("attribute", "string", "'all' for all customers, else the name of an attribute."),
        Column("attribute_value", "string", "Its value; 'all' for all customers."),
        Column(
            "cohort",
            "date",
            "First day of the month of the customers' first purchase; null in the row of kind 'no_purchase'.",
            nullable=True,
        ),
        Column(
            "age_months",
            "int64",
            "Calendar months since the cohort's own, which is 0. In predicted rows that of the horizon's end.",
            "months",
        ),
        Column(
            "kind",
            "string",
            "'realised' for what happened in that month, 'predicted' for what is expected from now to that age, "
            "'no_purchase' for refunds to customers who have bought nothing so far.",
        ),
        Column("horizon_months", "int64", "In predicted rows, how far ahead.", "months", nullable=True),
        Column("customers", "int64", "Customers of the cohort; 0 in the row of kind 'no_purchase'.", "customers"),
        Column(
            "active_customers",
            "int64",
            "Those who ordered in that month; null in predicted rows.",
            "customers",
            nullable=True,
        ),
        Column(
            "retention",
            "float64",
            "active_customers / customers; 1 at age 0. Null in other rows than realised ones.",
            "share",
            nullable=True,
        ),
        Column("orders", "int64", "Orders of that month; null in predicted rows.", "orders", nullable=True),
        Column(
            "purchases",
            "int64",
            "Days with an order, of all customers: the unit of the predictions, in which a customer's orders of a day "
            "count once. Null in predicted rows.",
            _DAYS,
            nullable=True,
        ),
        Column(
            "revenue",
            TOTAL_MONEY,
            "Spend less refunds of that month, not discounted; what went back before a customer's first purchase is "
            "in age 0. Null in predicted rows, and where the source has no amounts.",
            _CURRENCY,
            nullable=True,
        ),
        Column(
            "margin",
            TOTAL_MONEY,
            "Revenue times each customer's gross margin, the one that the predictions have, not discounted. Null "
            "likewise.",
            _CURRENCY,
            nullable=True,
        ),
        Column(
            "expected_purchases",
            "float64",
            "Purchases expected from now to that age. Null in other rows than predicted ones.",
            _DAYS,
            nullable=True,
        ),
        *_ends("expected_purchases", _DAYS, signed=False),
        Column(
            "expected_revenue",
            TOTAL_MONEY,
            "What these are expected to bring: the sum of expected_spend_{h}m, not discounted. Null in other rows "
            "than predicted ones, and where no spend model is fitted.",
            _CURRENCY,
            nullable=True,
        ),
        *_ends("expected_revenue", _CURRENCY),
        Column(
            "expected_margin",
            TOTAL_MONEY,
            "What of it is expected to be margin, not discounted. Null likewise.",
            _CURRENCY,
            nullable=True,
        ),
        *_ends("expected_margin", _CURRENCY),
        Column(
            "expected_value",
            TOTAL_MONEY,
            "The same margin discounted to now: the sum of cltv_{h}m. Null likewise.",
            _CURRENCY,
            nullable=True,
        ),
        Column(
            "cumulative_purchases",
            "float64",
            "Purchases up to that age; in predicted rows those so far and those expected.",
            _DAYS,
        ),
        *_ends("cumulative_purchases", _DAYS, signed=False),
        Column(
            "cumulative_revenue",
            TOTAL_MONEY,
            "Revenue up to that age; in predicted rows that so far and the expected one, not discounted. Null where "
            "either is not known.",
            _CURRENCY,
            nullable=True,
        ),
        *_ends("cumulative_revenue", _CURRENCY),
        Column("cumulative_margin", TOTAL_MONEY, "The same of margin, not discounted.", _CURRENCY, nullable=True),
        *_ends("cumulative_margin", _CURRENCY),
        Column(
            "cumulative_value_per_customer",
            "float64",
            "cumulative_margin / customers, not discounted.",
            _EACH,
            nullable=True,
            signed=True,
        ),
        *_ends("cumulative_value_per_customer", _EACH),
    ),
)
