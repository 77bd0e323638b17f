"""Columns of ``new_customer_value``."""

from __future__ import annotations

from cltv_assets.columns import Column, TableSchema

#: Attribute and value of the rows for all customers.
ALL = "all"

_ENDS = (("low", "Lower end"), ("high", "Upper end"))


def _interval(name: str, unit: str, *, money: bool) -> tuple[Column, ...]:
    return tuple(
        Column(
            f"{name}_{end}",
            "float64",
            f"{words} of the 80 % interval of its mean over `cohort_customers` new customers: their chance, "
            "parameters' uncertainty and the model's own error. Null where that number is 0.",
            unit,
            nullable=True,
            signed=money,
        )
        for end, words in _ENDS
    )


def _money(name: str, meaning: str, *, signed: bool = False) -> Column:
    return Column(name, "float64", meaning, "currency a customer", nullable=True, signed=signed)


_ORDERS, _NO_HOLDOUT = "purchase days a customer", "Null without a model or customers of that time."

NEW_CUSTOMER_VALUE = TableSchema(
    "new_customer_value",
    "What a customer who comes now is worth. From the first order on, of all and by attribute; beside it what "
    "was said of earlier ones, and what they brought. Empty without a purchase model, or where the data hold "
    "repeat customers only.",
    ("attribute", "attribute_value", "horizon_months"),
    (
        Column("attribute", "string", "'all' for all customers, else an attribute, such as a channel."),
        Column("attribute_value", "string", "'all' for all customers, else the attribute's value."),
        Column("horizon_months", "int64", "How far ahead of the first order.", "months"),
        Column(
            "customers",
            "int64",
            "Customers that the first order's value rests on: those acquired in the last 12 months, or in the newest "
            "12 with any.",
            "customers",
        ),
        Column("last_acquired", "date", "First purchase day of the newest of them; null without any.", nullable=True),
        Column(
            "cohort_customers",
            "int64",
            "Customers acquired in the month, or a month of those 12 on average where there were none: the size of the "
            "cohort whose mean the intervals are for.",
            "customers",
        ),
        Column(
            "own_ratio",
            "float64",
            "Repeat purchases of the value's customers over those that the models expect of new customers, relative to "
            "all customers; null for 'all'.",
            nullable=True,
        ),
        Column(
            "own_weight",
            "float64",
            "How much of that ratio counts, the rest being that of all customers: partial pooling. Null for 'all'.",
            "share",
            nullable=True,
        ),
        Column("expected_orders", "float64", "Expected purchase days, the first one included.", _ORDERS),
        *_interval("expected_orders", _ORDERS, money=False),
        _money("first_order_value", "Expected spend of the first purchase day. Null without amounts or customers."),
        _money("first_order_value_se", "Standard error of that."),
        _money(
            "repeat_order_value",
            "Expected spend of a later purchase day, at today's level. Null where no spend model is fitted.",
        ),
        Column(
            "gross_margin",
            "float64",
            "Share of spend that is expected to be margin.",
            "share",
            nullable=True,
            signed=True,
        ),
        _money(
            "expected_value",
            "Expected margin up to the horizon, the first order included, not discounted. Null where one of the order "
            "values is.",
            signed=True,
        ),
        *_interval("expected_value", "currency a customer", money=True),
        _money(
            "discounted_value",
            "The same, discounted to the day of the first order as CLTV is to the month's end: it can be held against "
            "what acquiring a customer costs.",
            signed=True,
        ),
        *_interval("discounted_value", "currency a customer", money=True),
        Column(
            "holdout_customers",
            "int64",
            "Customers acquired in the month that ended as many months ago. Null without a model of that time.",
            "customers",
            nullable=True,
        ),
        Column(
            "holdout_predicted_orders",
            "float64",
            f"`expected_orders` as the models of that month say. {_NO_HOLDOUT}",
            _ORDERS,
            nullable=True,
        ),
        Column(
            "holdout_actual_orders",
            "float64",
            f"What those customers bought, each from the first purchase on for as long. {_NO_HOLDOUT}",
            _ORDERS,
            nullable=True,
        ),
        _money(
            "holdout_predicted_value",
            f"`expected_value`, not discounted, as the models of that month say. {_NO_HOLDOUT}",
            signed=True,
        ),
        _money(
            "holdout_actual_value",
            f"Spend of those customers in that time, times the same margin. {_NO_HOLDOUT}",
            signed=True,
        ),
        _money(
            "holdout_naive_value",
            "What the customers acquired twice as long ago had brought in their first such time, times the same "
            "margin: the rule of thumb to beat.",
            signed=True,
        ),
    ),
)
