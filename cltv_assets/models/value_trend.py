"""Whether the same customers pay more, or less, than they did: a trend in order values, by month.

The model of the logarithm of customer i's order value in month t is a_i + b t + noise, so b is estimated within
customers: that new customers buy dearer or cheaper things is no trend. With t and y as deviations from the customer's
means, b = sum(t y) / sum(t^2). Its variance counts what is common to a customer's orders and what is common to a
month's orders (a sale, Christmas), by clusters in both directions: Cameron, Gelbach and Miller (2011), Robust Inference
With Multiway Clustering, JBES 29(2), 238-249, eq. 2.11. There are few months, so b is held against a t distribution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, stdtrit

from cltv_assets.models.arrays import FloatArray, IntArray

#: Standard errors of a normal distribution that a trend must exceed; Student's t takes their place for few months.
NOISE = 3.0

#: Customers with orders in different months, and months, that it takes to look for a trend.
MIN_CUSTOMERS, MIN_MONTHS = 30, 4


@dataclass(frozen=True, eq=False)
class TrendSums:
    """Sums over repeat orders, t being months and y the logarithm of the order value, both less the customer's mean.

    Parameters
    ----------
    customers : int
        Customers with repeat orders in two months or more.
    by_customer : array of float64, shape (5,)
        Sums over customers of T and Y, and of T^2, T Y and Y^2, where T = sum(t^2) and Y = sum(t y) of a customer.
    by_month : array of float64, shape (K, 5)
        For each month the sums over its orders of t^2 and t y, and of their squares and product, in the order of
        ``by_customer``.
    age : float
        Mean age of the spend of all repeat orders, in months before the observation's last one.
    span : int
        Months from the first of these orders to the observation's last month.
    """

    customers: int
    by_customer: FloatArray
    by_month: FloatArray
    age: float
    span: int


@dataclass(frozen=True)
class ValueTrend:
    """A trend in order values.

    Parameters
    ----------
    monthly, error : float
        Change of the logarithm in a month, and its standard error.
    months : int
        Months with repeat orders.
    age : float
        Mean age, in months, of the spend that mean order values rest on.
    span : int
        Months that the trend was seen for.
    """

    monthly: float
    error: float
    months: int
    age: float
    span: int

    @property
    def yearly(self) -> float:
        """The change in a year, as a share: 0.1 is a tenth more."""
        return math.expm1(12.0 * self.monthly)

    @property
    def yearly_error(self) -> float:
        """Its standard error."""
        return 12.0 * self.error * (1.0 + self.yearly)

    @property
    def lag(self) -> float:
        """By what share the level at the observation's end lies above that of the orders so far."""
        return math.expm1(self.monthly * self.age)

    @property
    def beyond_chance(self) -> bool:
        """Whether it is a trend, and no accident of some customers or months."""
        return abs(self.monthly) > self.error * float(stdtrit(self.months - 2, ndtr(NOISE)))

    def factor(self, months: IntArray | FloatArray) -> FloatArray:
        """Return by what an order value changes in so many months, of which no more count than it was seen for."""
        return np.asarray(np.exp(self.monthly * np.minimum(months, self.span)), dtype=np.float64)


def measure_trend(sums: TrendSums) -> ValueTrend | None:
    """Return the trend; None where too few customers or months tell of one."""
    months = len(sums.by_month)
    total, product, squares, cross, products = (float(each) for each in sums.by_customer)
    if sums.customers < MIN_CUSTOMERS or months < MIN_MONTHS or total <= 0:
        return None
    b = product / total
    by_customer = products - 2.0 * b * cross + b * b * squares
    t, y, tt, ty, yy = sums.by_month.T
    by_month = float(((y - b * t) ** 2).sum()) * months / (months - 1.0)
    by_order = float((yy - 2.0 * b * ty + b * b * tt).sum())
    variance = max(by_customer + by_month - by_order, by_customer, by_month)
    return ValueTrend(b, math.sqrt(max(variance, 0.0)) / total, months, sums.age, sums.span)
