"""Columns of ``cltv_predictions``, which depend on the configured horizons."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cltv_assets.columns import Column, TableSchema, horizons_in
from cltv_assets.tables.cleaned_and_rejected.columns import CUSTOMER

#: In place of a spend model's name.
NO_SPEND_MODEL = "none"


def money_columns(horizons_months: Sequence[int]) -> tuple[str, ...]:
    """Return the columns that need a spend model: all or none of a month's rows have them."""
    ends = [
        name
        for h in horizons_months
        for name in (f"expected_spend_{h}m", *(f"cltv_{h}m{end}" for end in ("", "_low", "_high")))
    ]
    return ("expected_order_value", *ends)


def horizons_of(names: Collection[str]) -> tuple[int, ...]:
    """Return the horizons of a month whose files have columns of these names, rising."""
    return tuple(sorted(horizons_in(name for name in names if name.startswith("expected_purchases_"))))


def predictions_schema(horizons_months: Sequence[int]) -> TableSchema:
    """Return the schema of ``cltv_predictions`` for the configured horizons.

    Parameters
    ----------
    horizons_months : sequence of int
        Horizons, in months; each adds nine columns.
    """
    by_horizon: list[Column] = []
    for h in horizons_months:
        by_horizon += [
            *(
                Column(f"expected_purchases_{h}m{end}", "float64", meaning, "purchase days")
                for end, meaning in (
                    ("", f"Expected purchases, next {h} months."),
                    ("_low", "Lower end of its 80 % interval."),
                    ("_high", "Upper end of its 80 % interval."),
                )
            ),
            *(
                Column(
                    f"expected_purchases_{h}m_{end}_share",
                    "float64",
                    f"What an outcome at the {words} end counts for in judging the interval, which then holds 80 % "
                    "exactly; see docs/models.md.",
                    "share",
                    nullable=True,
                    since=3,
                )
                for end, words in (("low", "lower"), ("high", "upper"))
            ),
            Column(
                f"expected_spend_{h}m",
                "float64",
                "What these purchases are expected to bring, neither margin nor discount taken off; the trend in order "
                "values is in it where it goes on. Null in months of before, and where no spend model is fitted.",
                "currency",
                nullable=True,
                since=3,
            ),
            *(
                Column(f"cltv_{h}m{end}", "float64", meaning, "currency", nullable=True, signed=True)
                for end, meaning in (
                    ("", f"Expected margin of the next {h} months, discounted; null where no spend model is fitted."),
                    ("_low", "Lower end of its 80 % interval."),
                    ("_high", "Upper end of its 80 % interval."),
                )
            ),
        ]
    return TableSchema(
        "cltv_predictions",
        "What each customer is expected to buy and bring. One row for each customer: P(alive), segments, and for "
        "each horizon after the month's end expected purchases and value, with intervals.",
        ("customer_id",),
        (
            CUSTOMER,
            Column("frequency", "int64", "Repeat purchase days so far.", "purchase days"),
            Column("recency", "float64", "Time from the first to the last purchase.", "time unit"),
            Column("T", "float64", "Time from the first purchase to the month's end.", "time unit"),
            Column(
                "monetary_value",
                "float64",
                "Mean net spend of a repeat purchase day so far; null where the source has no amounts.",
                "currency",
                True,
            ),
            Column("p_alive", "float64", "Probability that the customer still buys at all.", "0 to 1"),
            Column(
                "expected_order_value",
                "float64",
                "Expected spend of one purchase day now; null where no spend model is fitted.",
                "currency",
                nullable=True,
            ),
            Column(
                "gross_margin",
                "float64",
                "Share of that spend that is expected to be margin: the customer's own where the source gives costs, "
                "else the one of the settings. Null in months of before, and where no spend model is fitted.",
                "share",
                nullable=True,
                signed=True,
                since=3,
            ),
            *by_horizon,
            Column(
                "value_segment",
                "string",
                "Value tier by the longest horizon: top, high, middle or low. By expected purchases where no spend "
                "model is fitted.",
            ),
            Column("rfm_segment", "string", "Segment by the RFM scores, in plain language; see docs/models.md."),
            Column(
                "model_group",
                "string",
                "The group of customers whose parameters predict this one, a JSON list of values of attributes; null "
                "where all are predicted alike. See `purchase_model.customer_groups`.",
                nullable=True,
                since=3,
            ),
            Column(
                "model_name", "string", "Models used, purchase + spend; 'none' for a spend model that is not fitted."
            ),
            Column("model_version", "string", "Version of the code that predicted."),
        ),
    )
