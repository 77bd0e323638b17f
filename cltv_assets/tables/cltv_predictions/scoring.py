"""Joins the predictions of patterns back to customers, inside the engine.

The Gamma-Gamma expectation and the discounted value are plain arithmetic, so no
Python function runs over customers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from cltv_assets.tables.cltv_predictions.columns import money_columns
from cltv_assets.tables.patterns import MODEL_GROUP, pattern_key
from cltv_assets.tables.quantiles import MONEY_POINT, PURCHASES_POINT, fixed_point, money_bin
from cltv_assets.tables.rfm_summary import net_spend
from cltv_assets.tables.segmentation import VALUE_SEGMENTS, rfm_segment
from cltv_assets.tables.spend_model.reading import own_price
from cltv_assets.tables.value_trend import monthly_trend


@dataclass(frozen=True)
class SpendParameters:
    """Parameters of the Gamma-Gamma model: shape ``p``, ``q`` and rate ``v``.

    ``own`` says that a customer pays the same each time, so that the first order counts too. ``doubling`` is 1 where
    order values do not depend on frequency.
    """

    p: float
    q: float
    v: float
    own: bool = False
    doubling: float = 1.0

    @classmethod
    def of(cls, spend: Mapping[str, Any], *, own: bool = False) -> SpendParameters:
        """Return those of a row of ``spend_model``; rows of earlier versions know no dependence on frequency."""
        return cls(spend["p"], spend["q"], spend["v"], own, spend.get("doubling") or 1.0)

    def scale(self, frequency: ir.FloatingValue) -> ir.FloatingValue | float:
        """Return the scale of an order to come, see `gamma_gamma.rate_scale`."""
        if self.doubling == 1.0:
            return self.v
        return ((frequency + 1.0).ln() * math.log2(self.doubling)).exp() * self.v


#: Ends of the value's interval.
VALUE_ENDS = ("low", "high")


def discounted_column(horizon: int) -> str:
    """Return the name of the column with discounted expected purchases up to ``horizon`` months."""
    return f"discounted_{horizon}m"


def grown_column(horizon: int) -> str:
    """Return the name of the column with expected purchases in units of one of today's, by a trend that goes on."""
    return f"grown_{horizon}m"


def value_column(horizon: int, end: str) -> str:
    """Return the name of the column with one end of the value's interval, in units of v + x m."""
    return f"value_{horizon}m_{end}"


def score_customers(
    rfm: ir.Table,
    patterns: ir.Table,
    spend: SpendParameters | None,
    horizons: Sequence[int],
    gross_margin: float,
    labels: dict[str, str],
) -> ir.Table:
    """Predict every customer of ``rfm``.

    Parameters
    ----------
    rfm : ibis table
        ``rfm_summary`` rows to predict.
    patterns : ibis table
        One row for each distinct pattern: its key, ``p_alive``, and for each horizon the
        expected purchases with ``_low`` and ``_high``, the discounted ones, and the ends
        of the value's interval in units of v + x m (see ``models.value_intervals``).
    spend : SpendParameters or None
        The model that turns purchases into money; without one the columns of money are null.
    horizons : sequence of int
        Horizons, in months.
    gross_margin : float
        Share of spend that is margin, for customers without one of their own.
    labels : dict
        Constant columns, such as ``model_name``.

    Returns
    -------
    ibis table
        The columns of ``cltv_predictions`` without ``value_segment``, and ``gave_back``: whether a customer
        returned all that they bought, or more.
    """
    scored = rfm.inner_join(patterns, pattern_key(patterns))
    columns: dict[str, ir.Value] = {
        name: scored[name] for name in ("customer_id", "frequency", "recency", "T", "monetary_value", "p_alive")
    }
    for h in horizons:
        ends = ("", "_low", "_high", "_low_share", "_high_share")
        columns |= {name: scored[name] for end in ends for name in [f"expected_purchases_{h}m{end}"]}
    if spend is None:
        columns |= dict.fromkeys((*money_columns(horizons), "gross_margin"), ibis.null("float64"))
    else:
        columns |= _money(scored, spend, horizons, gross_margin)
    gave_back = columns["gave_back"] = gave_all_back(scored)
    columns["rfm_segment"] = rfm_segment(scored.r_score, scored.f_score, scored.m_score, gave_back)
    columns[MODEL_GROUP] = scored[MODEL_GROUP].nullif("") if MODEL_GROUP in scored.columns else ibis.null("string")
    columns |= {name: ibis.literal(text) for name, text in labels.items()}
    return scored.select(**columns)


def gave_all_back(rfm: ir.Table) -> ir.BooleanValue:
    """Return whether a customer of ``rfm_summary`` returned all that they bought, or more."""
    return ((rfm.total_refunds > 0) & (rfm.total_refunds >= rfm.total_spend)).fill_null(False)


def _money(
    scored: ir.Table, spend: SpendParameters, horizons: Sequence[int], gross_margin: float
) -> dict[str, ir.Value]:
    """Return the columns of `money_columns` and the margin."""
    # Fader & Hardie (2013), eq. 5: the fewer repeat purchases, the closer the mean is
    # to the population's; with none it equals the population's.
    x = scored.frequency.cast("float64")
    # Where order values have a trend, what they would be today counts.
    so_far = scored.value_today if "value_today" in scored.columns else scored.monetary_value
    scale = spend.scale(x) + x * so_far
    order_value = spend.p * scale / (spend.p * x + (spend.q - 1.0))
    # What customers without a second order have spent is what their first one was worth.
    first_order = net_spend(scored).cast("float64")
    once = (scored.frequency == 0) & (first_order > 0) & ibis.literal(spend.own)
    order_value = ibis.ifelse(once, first_order, order_value)
    columns: dict[str, ir.Value] = {"expected_order_value": order_value}
    margin = columns["gross_margin"] = scored.gross_margin.fill_null(gross_margin)
    for h in horizons:
        columns[f"expected_spend_{h}m"] = scored[grown_column(h)] * order_value
        columns[f"cltv_{h}m"] = scored[discounted_column(h)] * order_value * margin
        # Where the price is known, only the number of purchases varies.
        expected = scored[f"expected_purchases_{h}m"]
        a_purchase = order_value * ibis.ifelse(expected > 0, scored[discounted_column(h)] / expected, 0.0)
        ends = [
            ibis.ifelse(
                once, scored[f"expected_purchases_{h}m_{end}"] * a_purchase, scored[value_column(h, end)] * scale
            )
            * margin
            for end in VALUE_ENDS
        ]
        # A customer who costs more than they bring is worth less than nothing, and least at the upper end.
        for end, pick in zip(VALUE_ENDS, (ibis.least, ibis.greatest), strict=True):
            columns[f"cltv_{h}m_{end}"] = pick(*ends)
    return columns


def as_counted(predictions: ir.Table, spend: Mapping[str, Any]) -> ir.Table:
    """Return predictions with the monetary values that the spend model counted: those that expect what is expected.

    They differ from the customers' own means where these count at today's level.

    Parameters
    ----------
    predictions : ibis table
        ``cltv_predictions``.
    spend : mapping
        The month's row of ``spend_model``.
    """
    if monthly_trend(spend) is None:
        return predictions
    x = predictions.frequency.cast("float64")
    scale = predictions.expected_order_value * (spend["p"] * x + (spend["q"] - 1.0)) / spend["p"]
    value = ibis.ifelse(x > 0, (scale - SpendParameters.of(spend).scale(x)) / ibis.ifelse(x > 0, x, 1.0), 0.0)
    return predictions.mutate(monetary_value=value)


def priced(predictions: ir.Table, spend: Mapping[str, Any]) -> ir.Table:
    """Return predictions with what the weights of money are made of.

    Parameters
    ----------
    predictions : ibis table
        ``cltv_predictions``.
    spend : mapping
        The month's row of ``spend_model``.

    Returns
    -------
    ibis table
        Its columns and ``price``, in units of what a purchase is expected to bring by history. Monetary values are
        those that the spend model counted.
    """
    if spend["status"] == "not_fitted":
        # Intervals of purchases need weights of money, but not which.
        return predictions.mutate(gross_margin=ibis.literal(1.0), monetary_value=ibis.literal(0.0), price=1.0)
    counted = as_counted(predictions, spend)
    if own_price(spend):
        # A purchase is worth the price, whatever the history.
        return counted.mutate(price=counted.expected_order_value, monetary_value=ibis.literal(0.0))
    return counted.mutate(price=ibis.literal(1.0))


def value_counts_for_segments(scored: ir.Table, horizon: int) -> ir.Table:
    """Count customers by predicted value, or purchases where no value is known, in binned minor units."""
    rows = with_value_bin(scored, horizon)
    return rows.group_by(value=rows.value_bin).aggregate(n=rows.count())


def with_value_bin(scored: ir.Table, horizon: int) -> ir.Table:
    """Add ``value_bin``: predicted value, or purchases where no value is known, in binned minor units. Tiers go by it.

    Parameters
    ----------
    scored : ibis table
        Predictions with ``gave_back``, see `gave_all_back`.
    horizon : int
        Horizon, in months.
    """
    # Everybody who is worth nothing or less is in one bin, and who gave everything back so far is too.
    value = ibis.greatest(fixed_point(scored[f"cltv_{horizon}m"], MONEY_POINT), 0)
    # Without money, whoever is expected to buy most is on top. Nulls are in all rows or in none.
    purchases = fixed_point(scored[f"expected_purchases_{horizon}m"], PURCHASES_POINT)
    value = ibis.ifelse(scored[f"cltv_{horizon}m"].isnull(), purchases, value)
    # Columns: as an expression, a value would stand in the query again for each number of digits and each bound.
    counted = scored.mutate(minor=ibis.ifelse(scored.gave_back, ibis.literal(0, "int64"), value))
    return counted.mutate(value_bin=money_bin(counted.minor)).drop("minor")


def with_segments(scored: ir.Table, horizon: int, bounds: Sequence[Any]) -> ir.Table:
    """Add ``value_segment`` and take ``gave_back`` away.

    Parameters
    ----------
    scored : ibis table
        What `score_customers` returned.
    horizon : int
        Horizon, in months, whose value, or whose purchases where no value is known, decide the tier.
    bounds : sequence of int
        Rising lower bounds of the tiers middle, high and top, in binned minor units;
        empty without customers.
    """
    if not bounds:
        return scored.mutate(value_segment=ibis.literal(VALUE_SEGMENTS[-1])).drop("gave_back")
    binned = with_value_bin(scored, horizon)
    middle, high, top = bounds
    segment = ibis.cases(
        *(
            (binned.value_bin > bound, ibis.literal(name))
            for bound, name in zip((top, high, middle), VALUE_SEGMENTS, strict=False)
        ),
        else_=ibis.literal(VALUE_SEGMENTS[-1]),
    )
    return binned.mutate(value_segment=segment).drop("gave_back", "value_bin")
