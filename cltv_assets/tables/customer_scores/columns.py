"""Columns of ``customer_scores``, which depend on the configured horizons."""

from __future__ import annotations

from collections.abc import Sequence

from cltv_assets.columns import MONEY, Column, TableSchema
from cltv_assets.tables.cleaned_and_rejected.columns import CUSTOMER

#: Days within which the probability of an order is given.
ORDER_DAYS = (30, 90)

#: Days after the month's end in which the next order is looked for, three years.
NEXT_ORDER_DAYS = 1_096

#: Churn states, from the best to the worst.
ACTIVE, AT_RISK, LAPSED = CHURN_STATES = ("active", "at risk", "lapsed")


def scores_schema(horizons_months: Sequence[int]) -> TableSchema:
    """Return the schema of ``customer_scores`` for the configured horizons.

    Parameters
    ----------
    horizons_months : sequence of int
        Horizons, in months; each adds two columns.
    """
    longest = horizons_months[-1]
    return TableSchema(
        "customer_scores",
        "What campaigns need to know of each customer. One row for each customer with a prediction: value, next "
        "order, churn state, segments and what to do.",
        ("customer_id",),
        (
            CUSTOMER,
            Column(
                "historic_value",
                MONEY,
                "Spend so far less refunds; null where the source has no amounts.",
                "currency",
                nullable=True,
            ),
            Column(
                "historic_margin",
                "float64",
                "historic_value times the customer's gross margin, the one that predictions have.",
                "currency",
                nullable=True,
                signed=True,
            ),
            Column("historic_orders", "int64", "Orders so far.", "orders"),
            *(
                Column(
                    f"predicted_value_{h}m",
                    "float64",
                    f"Expected margin of the next {h} months, discounted: cltv_{h}m of cltv_predictions. Null where no "
                    "spend model is fitted.",
                    "currency",
                    nullable=True,
                    signed=True,
                )
                for h in horizons_months
            ),
            Column(
                "total_value",
                "float64",
                f"historic_margin plus predicted_value_{longest}m. Null where one of them is.",
                "currency",
                nullable=True,
                signed=True,
            ),
            *(
                Column(
                    f"expected_orders_{h}m",
                    "float64",
                    f"Expected purchase days, next {h} months.",
                    "purchase days",
                )
                for h in horizons_months
            ),
            Column(
                "expected_next_order",
                "date",
                "Day by which half of customers like this, if still customers, have ordered again; null where that is "
                "more than three years after the month's end.",
                nullable=True,
            ),
            *(
                Column(
                    f"p_order_{days}d",
                    "float64",
                    f"Probability of an order within {days} days after the month's end; that the customer may have "
                    "left is in it.",
                    "0 to 1",
                )
                for days in ORDER_DAYS
            ),
            Column(
                "median_days_between_orders",
                "float64",
                "Median of the days from one purchase day to the next; null below two such intervals.",
                "days",
                nullable=True,
            ),
            Column("days_since_last_order", "int64", "Days from the last purchase to the month's end.", "days"),
            Column("p_alive", "float64", "Probability that the customer still buys at all.", "0 to 1"),
            Column(
                "churn_state",
                "string",
                "'active', 'at risk' or 'lapsed' by P(alive) of the last six months and the bounds of `scores`; "
                "a model in which nobody leaves does not count.",
            ),
            Column(
                "value_decile",
                "int32",
                f"1 for the tenth of customers with the highest predicted_value_{longest}m, by expected orders where "
                "no spend model is fitted; equal values share a decile.",
                "1 to 10",
            ),
            Column("value_segment", "string", "Value tier: top, high, middle or low."),
            Column("rfm_segment", "string", "Segment by the RFM scores."),
            Column(
                "previous_rfm_segment",
                "string",
                "That segment a month before; null without a prediction then.",
                nullable=True,
            ),
            Column(
                "value_change",
                "float64",
                f"predicted_value_{longest}m less that of a month before; null where either is not known.",
                "currency",
                nullable=True,
                signed=True,
            ),
            Column("suggested_action", "string", "What `scores.actions` says about the RFM segment."),
        ),
    )
