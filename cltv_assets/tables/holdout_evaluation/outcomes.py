"""Joins predictions of an earlier month with what then happened, by customer, and counts them by bin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from cltv_assets.months import DAYS_PER_UNIT, Month
from cltv_assets.settings import Settings
from cltv_assets.tables.quantiles import exact_sum, fixed_point, money_bin

#: Baselines: each customer continues at the past rate, repeats the last twelve months,
#: or buys according to the model in which nobody ever leaves.
NAIVE_RATE, LAST_YEAR, NBD = "naive_rate", "last_year", "nbd"

#: Rules without a model, which a model must beat; then everything that it is compared with.
NAIVE = (NAIVE_RATE, LAST_YEAR)
BASELINES = (*NAIVE, NBD)

#: The model's name here; its own name may change from month to month.
MODEL = "model"

TARGETS = ("purchases", "revenue")

#: Predictions are binned by four significant digits of these units: of purchase days, of currency.
_STEPS = (1e6, 1e4)

#: Months of spend that the baseline ``last_year`` uses.
YEAR = 12


@dataclass(frozen=True)
class Holdout:
    """One evaluation: predicted at the end of ``origin``, ``horizon`` months ahead.

    Parameters
    ----------
    origin : Month
        The month at whose end the prediction was made.
    horizon : int
        Length, in months.
    nbd : tuple of two floats, optional
        r and alpha of the NBD fitted at the origin, if it could be fitted.
    money : bool
        Whether the predictions have money.
    """

    origin: Month
    horizon: int
    nbd: tuple[float, float] | None = None
    money: bool = True

    @property
    def last(self) -> Month:
        """The month at whose end the outcome is known."""
        return self.origin.shift(self.horizon)

    @property
    def targets(self) -> tuple[str, ...]:
        """What is evaluated: purchases, and revenue where it was predicted."""
        return TARGETS if self.money else TARGETS[:1]

    @property
    def contenders(self) -> tuple[str, ...]:
        """The model and the available baselines."""
        return (MODEL, *NAIVE, *((NBD,) if self.nbd else ()))


@dataclass(frozen=True)
class Series:
    """One contender's predictions of one target in one evaluation.

    Without a contender it is the outcome itself, in the order that a perfect
    prediction would give.
    """

    holdout: Holdout
    target: str
    contender: str | None


def series_of(holdouts: Sequence[Holdout]) -> list[Series]:
    """Return all series of the evaluations; `binned` numbers them by their place in this list."""
    return [
        Series(holdout, target, contender)
        for holdout in holdouts
        for target in holdout.targets
        for contender in (None, *holdout.contenders)
    ]


def outcomes(predictions: ir.Table, days: ir.Table, holdout: Holdout, settings: Settings) -> ir.Table:
    """Put predictions and outcome of every customer side by side.

    Parameters
    ----------
    predictions : ibis table
        ``cltv_predictions`` of the origin month.
    days : ibis table
        ``purchase_days`` covering the horizon and the twelve months before it.
    holdout : Holdout
        The evaluation.
    settings : Settings
        Hold the gross margin, the discount and how refunds count.

    Returns
    -------
    ibis table
        ``actual_<target>``, ``<contender>_<target>`` for each contender, and
        ``low_<target>``, ``high_<target>``, the model's 80 % interval, with ``low_share_<target>`` and
        ``high_share_<target>``, what outcomes at its ends count for. Revenue is
        the spend itself, not discounted and not multiplied by the gross margin.
    """
    h, origin = holdout.horizon, holdout.origin
    year = origin.shift(1 - YEAR)
    after = _totals(days, origin.shift(1), holdout.last, settings, "actual")
    before = _totals(days, year, origin, settings, LAST_YEAR)
    joined = (
        predictions.left_join(after, "customer_id")
        .drop("customer_id_right")
        .left_join(before, "customer_id")
        .drop("customer_id_right")
    )
    horizon_days = origin.days_to_end_of(h)
    ahead = horizon_days / DAYS_PER_UNIT[settings.time_unit]
    pro_rata = horizon_days / ((origin.last_day - year.first_day).days + 1)
    frequency = joined.frequency.cast("float64")
    rate = ibis.ifelse(joined["T"] > 0, frequency / ibis.ifelse(joined["T"] > 0, joined["T"], 1.0) * ahead, 0.0)
    expected, value = joined[f"expected_purchases_{h}m"], joined[f"cltv_{h}m"]
    spend = joined[f"expected_spend_{h}m"].fill_null(expected * joined.expected_order_value)
    # A customer's value is this spend, discounted, times the margin. Its interval is
    # scaled by the same factor, so divide by it.
    undone = ibis.ifelse(value != 0, spend / ibis.ifelse(value != 0, value, 1.0), 0.0)
    # At a negative margin the value's lower end is that of the larger spend.
    ends = [joined[f"cltv_{h}m_{end}"] * undone for end in ("low", "high")]
    zero = ibis.literal(0.0)
    columns: dict[str, ir.Value] = {
        "actual_purchases": joined.actual_purchases.fill_null(zero),
        "actual_revenue": joined.actual_revenue.fill_null(zero),
        "low_purchases": joined[f"expected_purchases_{h}m_low"],
        "high_purchases": joined[f"expected_purchases_{h}m_high"],
        "low_revenue": ibis.least(*ends),
        "high_revenue": ibis.greatest(*ends),
        # Spend has a probability of its own at zero only: that of no purchase.
        "low_share_purchases": joined[f"expected_purchases_{h}m_low_share"],
        "high_share_purchases": joined[f"expected_purchases_{h}m_high_share"],
        "low_share_revenue": ibis.ifelse(
            (ibis.least(*ends) == 0) & (joined[f"expected_purchases_{h}m_low"] == 0),
            joined[f"expected_purchases_{h}m_low_share"],
            joined[f"expected_purchases_{h}m_low_share"] * 0.0 + 1.0,
        ),
        "high_share_revenue": joined[f"expected_purchases_{h}m_low_share"] * 0.0 + 1.0,
        f"{MODEL}_purchases": expected,
        f"{MODEL}_revenue": spend,
        f"{NAIVE_RATE}_purchases": rate,
        f"{NAIVE_RATE}_revenue": rate * joined.monetary_value,
        f"{LAST_YEAR}_purchases": joined[f"{LAST_YEAR}_purchases"].fill_null(zero) * pro_rata,
        f"{LAST_YEAR}_revenue": joined[f"{LAST_YEAR}_revenue"].fill_null(zero) * pro_rata,
    }
    if holdout.nbd is not None:
        r, alpha = holdout.nbd
        never_leaving = (frequency + r) / (joined["T"] + alpha) * ahead
        columns[f"{NBD}_purchases"] = never_leaving
        a_purchase = ibis.ifelse(expected > 0, spend / ibis.ifelse(expected > 0, expected, 1.0), 0.0)
        columns[f"{NBD}_revenue"] = never_leaving * ibis.ifelse(expected > 0, a_purchase, joined.expected_order_value)
    return joined.select(**columns)


def _totals(days: ir.Table, first: Month, last: Month, settings: Settings, prefix: str) -> ir.Table:
    period = days.filter(days.purchase_day.between(first.first_day, last.last_day))
    spend = period.spend - period.refunds if settings.refunds == "net" else period.spend
    return period.group_by("customer_id").aggregate(
        **{
            f"{prefix}_purchases": period.count(where=period.order_count > 0).cast("float64"),
            f"{prefix}_revenue": spend.sum().cast("float64"),
        }
    )


def binned(tables: Sequence[tuple[Holdout, ir.Table]]) -> ir.Table:
    """Count customers by series and finely binned prediction: all that the metrics need, in one pass.

    Customers of a bin agree in the prediction's first four significant digits and
    count as tied. Decimals are summed, because sums of floats would depend on the
    order of rows, which differs from run to run.

    Parameters
    ----------
    tables : sequence of (Holdout, ibis table)
        Evaluations and their `outcomes`, one or more.

    Returns
    -------
    ibis table
        ``series`` (the place in `series_of`), ``bin`` (rises with the prediction),
        ``customers``, the sums ``predicted, actual, absolute_error, squared_error``,
        ``inside``, customers whose outcome lay within the model's interval, and ``held``, the same with the shares that
        outcomes at its ends count for; null where the predictions have none.
    """
    numbered = series_of([holdout for holdout, _ in tables])
    parts = []
    for holdout, table in tables:
        rows = [_row(table, i, series) for i, series in enumerate(numbered) if series.holdout == holdout]
        parts.append(table.select(row=ibis.array(rows).unnest()).unpack("row"))
    long = ibis.union(*parts) if len(parts) > 1 else parts[0]
    # Refunds can make spend negative, so bins are mirrored at zero.
    fineness = ibis.ifelse(long.target == 0, *_STEPS)
    steps = fixed_point(long.predicted.abs(), fineness)
    long = long.mutate(error=long.predicted - long.actual, size=money_bin(steps))
    long = long.mutate(bin=ibis.ifelse(long.predicted < 0, -long["size"], long["size"]))
    # Squares of money have more digits before the point, and need fewer behind it.
    squared, of_money = long.error * long.error, long.target == TARGETS.index("revenue")
    return long.group_by("series", "bin").aggregate(
        customers=long.count(),
        predicted=exact_sum(long.predicted, 9),
        actual=exact_sum(long.actual, 9),
        absolute_error=exact_sum(long.error.abs(), 9),
        squared_error=exact_sum(ibis.ifelse(of_money, 0.0, squared), 9)
        + exact_sum(ibis.ifelse(of_money, squared, 0.0), 6),
        inside=long.inside.sum().cast("int64"),
        held=exact_sum(long.held, 9),
    )


def _row(table: ir.Table, number: int, series: Series) -> ir.StructValue:
    target = series.target
    actual = table[f"actual_{target}"]
    # All rows of an array must have the same types on every engine, so use small integers.
    inside: ir.IntegerValue = ibis.literal(0)
    held: ir.FloatingValue = ibis.literal(0.0)
    if series.contender == MODEL:
        low, high = table[f"low_{target}"], table[f"high_{target}"]
        inside = ibis.ifelse(actual.between(low, high), 1, 0)
        shares = table[f"low_share_{target}"], table[f"high_share_{target}"]
        # Times the shares' own unit, so that it is null where these are.
        held = ibis.cases(
            (actual == low, shares[0]), (actual == high, shares[1]), else_=inside.cast("float64") + 0.0 * shares[0]
        )
    return ibis.struct(
        {
            "series": ibis.literal(number, "int32"),
            "target": ibis.literal(TARGETS.index(target)),
            "predicted": table[f"{series.contender or 'actual'}_{target}"],
            "actual": actual,
            "inside": inside,
            "held": held,
        }
    )


def trend(evaluations: ir.Table) -> ir.Table:
    """Turn evaluations of several months into one series for each contender, whichever model was chosen.

    Parameters
    ----------
    evaluations : ibis table
        ``holdout_evaluation`` of any months.

    Returns
    -------
    ibis table
        Its columns and ``contender``: a baseline's name, or ``model``; in order of
        horizon, target, contender, metric and origin month.
    """
    named = evaluations.mutate(
        contender=ibis.ifelse(evaluations.model_name.isin(BASELINES), evaluations.model_name, MODEL)
    )
    return named.order_by("horizon_months", "target", "contender", "metric", "origin_month")
