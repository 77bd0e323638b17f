"""What a new customer is worth as of one month's end, by the models of that month."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from cltv_assets.models.arrays import FloatArray
from cltv_assets.models.gamma_gamma import population_mean
from cltv_assets.models.partial_pooling import Pooled, pooled_means, pooled_ratios
from cltv_assets.models.value.discounting import discount_factors
from cltv_assets.models.value.new_customers import Repeats, repeats_of
from cltv_assets.models.value.totals import UNIT_PRICE, gamma_interval
from cltv_assets.tables.group_totals import own_errors
from cltv_assets.tables.new_customer_value.columns import ALL
from cltv_assets.tables.new_customer_value.known import ENOUGH, YEAR, Group, Known, total
from cltv_assets.tables.purchase_model.reading import operational_time
from cltv_assets.tables.spend_model.reading import own_price, spend_parameters
from cltv_assets.tables.value_trend import growth_ahead

#: Repeat orders from which their mean is taken where order values depend on frequency.
_ENOUGH_ORDERS = 100

_Row = dict[str, Any]


@dataclass(frozen=True)
class Price:
    """What a repeat order is worth.

    Parameters
    ----------
    mean : float
        In currency.
    variance : float
        Relative variance of that, beyond what the parameters' covariance says.
    same : bool
        Whether customers pay the same each time: then it is the first order's.
    """

    mean: float
    variance: float = 0.0
    same: bool = False


@dataclass(frozen=True)
class FirstOrder:
    """What a first order is worth: its ``mean``, the variance ``of_mean`` and the ``spread``, that of one order."""

    mean: float
    of_mean: float
    spread: float


@dataclass(frozen=True, eq=False)
class _Base:
    """The figures of all customers, which those of groups are made from."""

    purchases: Repeats
    plain: Repeats
    discounted: Repeats
    error: float
    value_error: float


def estimates(known: Known) -> list[_Row]:
    """Return the rows of one month without what became of earlier ones, those of all customers first."""
    every: Group = (ALL, ALL)
    groups = sorted(group for group, first in known.firsts.items() if group[0] != ALL and first["customers"] >= ENOUGH)
    base = _base(known, _cohort_size(known, every))
    horizons = known.settings.horizons_months
    repeat_value = _repeat_value(known)
    rows = _rows(known, base, every, _first_order(known, every), repeat_value, None)
    for attribute in dict.fromkeys(group[0] for group in groups):
        members = [group for group in groups if group[0] == attribute]
        ratios = [_ratios(known, members, max(2 * h, YEAR)) for h in horizons]
        firsts = _pooled_firsts(known, members)
        levels = _pooled_levels(known, members)
        for i, group in enumerate(members):
            worth = None
            if repeat_value is not None:
                unsure = repeat_value.variance + float(levels.variance[i])
                worth = Price(repeat_value.mean * float(levels.value[i]), unsure, repeat_value.same)
            own = [(found.value[i], found.variance[i], ratio[i], found.own_weight[i]) for found, ratio in ratios]
            rows += _rows(known, base, group, firsts[i], worth, own)
    return rows


def _base(known: Known, cohort: int) -> _Base:
    """Return what a new customer of all does after the first purchase."""
    settings, spend = known.settings, known.spend
    horizons = settings.horizons_months
    curve = discount_factors(settings.annual_discount_rate, known.month, horizons[-1])
    growth = growth_ahead(spend, horizons[-1])
    end = np.datetime64(known.month.last_day, "D")
    clock = operational_time(known.purchase[0], settings)
    month_ends = clock.elapsed(end, end + curve.days.astype("timedelta64[D]"))
    model, covariance = UNIT_PRICE, None
    if spend["status"] != "not_fitted" and not own_price(spend):
        model = spend_parameters(spend)
        covariance = json.loads(spend["log_covariance"]) if spend["log_covariance"] else None
    purchases, plain = repeats_of(known.mixture, model, month_ends, growth, horizons, cohort, covariance)
    _, discounted = repeats_of(known.mixture, model, month_ends, curve.factors * growth, horizons, cohort, covariance)
    error, of_value = own_errors(known.purchase, spend)
    return _Base(purchases, plain, discounted, error, error if of_value is None else of_value)


def _cohort_size(known: Known, group: Group) -> int:
    """Return how many were acquired in the month, or in a month of the newest year with any."""
    last = total(known.window(group, 1), "customers") if known.until == known.month else 0.0
    return round(last) or math.ceil(total(known.window(group, YEAR), "customers") / YEAR)


def _mean(sums: Mapping[str, Any] | None) -> FirstOrder | None:
    """Return what `first_order_sums` say; None without amounts."""
    if sums is None or sums["total"] is None:
        return None
    n = sums["customers"]
    mean = sums["total"] / n
    spread = max(sums["squares"] - n * mean * mean, 0.0) / max(n - 1, 1)
    return FirstOrder(mean, spread / n, spread)


def _first_order(known: Known, group: Group) -> FirstOrder | None:
    return _mean(known.firsts.get(group))


def _pooled_firsts(known: Known, members: Sequence[Group]) -> Sequence[FirstOrder | None]:
    """Return first orders of an attribute's values, drawn towards that of all."""
    every = _first_order(known, (ALL, ALL))
    own = [one for group in members if (one := _first_order(known, group)) is not None]
    if every is None or len(own) < len(members):
        return [None] * len(members)
    pooled = pooled_means(np.array([one.mean for one in own]), np.array([one.of_mean for one in own]), every.mean)
    # What is common to all of them is not better known than the mean of all.
    unsure = pooled.variance + (1.0 - pooled.own_weight) ** 2 * every.of_mean
    return [
        FirstOrder(float(mean), float(of_mean), one.spread)
        for mean, of_mean, one in zip(pooled.value, unsure, own, strict=True)
    ]


def _ratios(known: Known, members: Sequence[Group], months: int) -> tuple[Pooled, FloatArray]:
    """Return repeat purchases over what new customers are expected to buy, drawn towards that of all; and own ratios.

    Counted on those acquired in so many months: for a horizon h in 2 h, whose customers are h old on average.
    """
    actual, expected, dispersion = (np.zeros(len(members)) for _ in range(3))
    overall = _counts(known.window((ALL, ALL), months), known)
    level = overall[0] / overall[1] if overall[1] > 0 and overall[0] > 0 else 1.0
    for i, group in enumerate(members):
        found = known.window(group, months)
        actual[i], mean = _counts(found, known)
        expected[i] = level * mean
        ratio = actual[i] / expected[i] if actual[i] > 0 else 1.0
        each = ratio * level * known.expected_so_far(found["first_purchase"])
        n, x, squares = (
            np.asarray(found[name].to_numpy(), dtype=np.float64)
            for name in ("customers", "purchases", "purchase_squares")
        )
        deviation = float((squares - 2.0 * each * x + n * each**2).sum())
        # Purchases less scattered than by chance do not make a group better known than the model takes it to be.
        dispersion[i] = max(deviation / float((n * each).sum()), 1.0) if (n * each).sum() > 0 else 1.0
    own = np.divide(actual, expected, out=np.ones(len(members)), where=expected > 0)
    return pooled_ratios(actual, expected, dispersion), own


def _counts(cohorts: pa.Table, known: Known) -> tuple[float, float]:
    """Return the repeat purchases of cohorts, and what the models expect of them as of new customers."""
    expected = known.expected_so_far(cohorts["first_purchase"])
    return total(cohorts, "purchases"), float((cohorts["customers"].to_numpy() * expected).sum())


def _pooled_levels(known: Known, members: Sequence[Group]) -> Pooled:
    """Return by what factor repeat orders of an attribute's values are worth more than those of all, drawn to 1."""
    every = _repeat_mean(known, (ALL, ALL))
    own = [_repeat_mean(known, group) for group in members]
    if every is None or every[0] <= 0:
        return Pooled(np.ones(len(members)), np.zeros(len(members)), np.zeros(len(members)))
    means = np.array([one[0] if one else every[0] for one in own]) / every[0]
    variances = np.array([one[1] if one else np.inf for one in own]) / every[0] ** 2
    return pooled_means(means, variances, 1.0)


def _repeat_mean(known: Known, group: Group) -> tuple[float, float] | None:
    """Return the mean spend of a repeat order of the newest year's customers and its variance; None with too few.

    A ratio of sums over customers, sum r / sum x, whose variance is sum (r - m x)^2 / (sum x)^2 (Cochran 1977, Sampling
    Techniques, section 6.4): a customer's orders are alike.
    """
    found = known.window(group, YEAR)
    orders, spend = total(found, "purchases"), total(found, "repeat")
    if orders < _ENOUGH_ORDERS or spend <= 0:
        return None
    mean = spend / orders
    rest = total(found, "repeat_squares") - 2.0 * mean * total(found, "repeat_cross")
    rest += mean**2 * total(found, "purchase_squares")
    return mean, max(rest, 0.0) / orders**2


def _repeat_value(known: Known) -> Price | None:
    """Return what a repeat order of a new customer is worth; None if it is not known.

    It is the population mean p v / (q - 1), at today's level where the spend model counts so. Where order values
    depend on frequency, that is the mean of those who come back once; then it is the observed mean of the repeat orders
    of the last year's new customers, which counts customers by how often they buy.
    """
    spend = known.spend
    if spend["status"] == "not_fitted":
        return None
    if own_price(spend):
        first = _first_order(known, (ALL, ALL))
        return None if first is None else Price(first.mean, same=True)
    observed = _repeat_mean(known, (ALL, ALL)) if spend.get("by_frequency") else None
    if observed is None:
        return Price(population_mean(spend_parameters(spend)))
    return Price(observed[0], observed[1] / observed[0] ** 2)


def _rows(
    known: Known,
    base: _Base,
    group: Group,
    first: FirstOrder | None,
    repeat: Price | None,
    own: Sequence[tuple[float, float, float, float]] | None,
) -> list[_Row]:
    """Return the rows of one group.

    Parameters
    ----------
    first, repeat : FirstOrder, Price or None
        What orders are worth; None if that is not known.
    own : sequence of tuple, or None
        By horizon: the factor on repeat purchases, its variance, the group's own ratio, and how much that counts.
    """
    horizons = known.settings.horizons_months
    sums = known.firsts.get(group)
    size = _cohort_size(known, group) if sums else 0
    factor = np.array([one[0] for one in own]) if own else np.ones(len(horizons))
    unsure = np.array([one[1] for one in own]) if own else np.zeros(len(horizons))
    # A longer horizon holds the shorter one, although each has a ratio of its own.
    expected = np.maximum.accumulate(factor * base.purchases.expected)
    scale = np.divide(expected, base.purchases.expected, out=factor, where=base.purchases.expected > 0)
    margin = _margin(known, group)
    orders = None
    if size:
        variance = _variance(base.purchases, scale, unsure, base.error, size)
        orders = 1.0 + gamma_interval(scale * base.purchases.centre, variance)
    money = first is not None and repeat is not None
    rows = []
    for i, h in enumerate(horizons):
        row: _Row = {
            "attribute": group[0],
            "attribute_value": group[1],
            "horizon_months": h,
            "customers": sums["customers"] if sums else 0,
            "last_acquired": sums["last_acquired"] if sums else None,
            "cohort_customers": size,
            "own_ratio": own[i][2] if own else None,
            "own_weight": own[i][3] if own else None,
            "expected_orders": 1.0 + float(expected[i]),
            "first_order_value": first.mean if first else None,
            "first_order_value_se": math.sqrt(first.of_mean) if first else None,
            "repeat_order_value": _price(first, repeat),
            "gross_margin": margin if money else None,
        }
        if orders is not None:
            row |= {"expected_orders_low": float(orders[i, 0]), "expected_orders_high": float(orders[i, 1])}
        rows.append(row)
    if first is not None and repeat is not None:
        for name, repeats in (("expected_value", base.plain), ("discounted_value", base.discounted)):
            value, ends = _value(known, base, repeats, scale, unsure, first, repeat, size)
            for i, row in enumerate(rows):
                row[name] = margin * float(value[i])
                if size:
                    low, high = sorted(margin * end for end in ends[i].tolist())
                    row |= {f"{name}_low": low, f"{name}_high": high}
    return rows


def _price(first: FirstOrder | None, repeat: Price | None) -> float | None:
    """Return what a repeat order is worth: where customers pay the same each time, what the group's first one was."""
    if repeat is None:
        return None
    return first.mean if repeat.same and first else repeat.mean


def _variance(repeats: Repeats, scale: FloatArray, unsure: FloatArray, error: float, size: int) -> FloatArray:
    """Return the variance of a cohort's mean: chance, parameters, the group's ratio, and the model's own error."""
    return np.asarray(
        scale**2 * (repeats.chance / size + repeats.shared)
        + unsure * repeats.centre**2
        + (error * scale * repeats.centre) ** 2,
        dtype=np.float64,
    )


def _value(
    known: Known,
    base: _Base,
    repeats: Repeats,
    scale: FloatArray,
    unsure: FloatArray,
    first: FirstOrder,
    repeat: Price,
    size: int,
) -> tuple[FloatArray, FloatArray]:
    """Return expected spend, the first order included, and its interval, shapes (H,) and (H, 2)."""
    mean, orders = first.mean, np.ones(len(scale))
    if repeat.same:
        # The price P is drawn once for all orders: Var(P M) = E[P^2] Var(M) + E[M]^2 Var(P) for M = 1 + N purchases.
        unit, orders = mean, 1.0 + scale * repeats.centre
        by_chance = (mean**2 + first.spread) / mean**2 if mean > 0 else 1.0
        repeats = Repeats(repeats.expected, repeats.centre, repeats.chance * by_chance, repeats.shared)
    else:
        unit = repeat.mean / population_mean(spend_parameters(known.spend))
    value = np.maximum.accumulate(mean + unit * scale * repeats.expected)
    again, n = unit * scale * repeats.centre, max(size, 1)
    variance = unit**2 * _variance(repeats, scale, unsure, base.value_error, n)
    variance = variance + orders**2 * (first.spread / n + first.of_mean) + repeat.variance * again**2
    if not repeat.same:
        # Who spends much at first goes on so: E[N] Cov(F, M) for a first order in proportion to a customer's mean M,
        # whose relative variance is 1 / (q - 2) in the Gamma-Gamma model. No correlation exceeds 1.
        most = np.sqrt(first.spread * unit**2 * scale**2 * repeats.chance)
        together = mean * again / max(known.spend["q"] - 2.0, 1e-9)
        variance = variance + 2.0 * np.minimum(together, most) / n
    return value, gamma_interval(mean + again, variance)


def _margin(known: Known, group: Group) -> float:
    """Return the margin of a group's newest customers, by spend; the settings' where none is known."""
    found = known.window(group, YEAR)
    spend = total(found, "spend")
    return total(found, "margin") / spend if spend > 0 else known.settings.gross_margin
