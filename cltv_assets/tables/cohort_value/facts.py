"""The cohorts as people look at them: the newest by month, older ones by year, and a few of them as curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cltv_assets.figures import wording
from cltv_assets.months import Month
from cltv_assets.tables.cohort_value.columns import NO_PURCHASE, PREDICTED, REALISED
from cltv_assets.tables.segmentation import ALL

#: Newest cohorts that are shown by month; older ones are added up by calendar year.
SHOWN = 24
#: Cohorts that are drawn as curves; more cannot be told apart.
CURVES = 4

_Row = Mapping[str, Any]


@dataclass(frozen=True)
class CohortGroup:
    """One cohort, or those of a calendar year together.

    Parameters
    ----------
    name : str
        The month, or the year.
    customers : int
        In all of them.
    retention : tuple of float
        Share of the customers who ordered at each age, from 0 to the age that all cohorts of the group have reached.
    so_far : float or None
        What a customer brought so far: margin, or purchases where the source has no amounts.
    expected, low, high : float or None
        The same up to the end of the longest horizon, with its 80 % interval; None without such predictions.
        Several cohorts have no interval, because those of single ones do not add up.
    course : tuple of float
        What a customer had brought at each age that all cohorts of the group have reached; empty where not known.
    """

    name: str
    customers: int
    retention: tuple[float, ...]
    so_far: float | None
    expected: float | None = None
    low: float | None = None
    high: float | None = None
    course: tuple[float, ...] = ()

    def by_age(self, months: int) -> float | None:
        """Return what a customer had brought at an age; None where a cohort is younger."""
        return self.course[months] if months < len(self.course) else None


@dataclass(frozen=True)
class CohortCurve:
    """What a customer of one cohort brought by age, and is expected to bring.

    Parameters
    ----------
    name : str
        The month.
    realised : tuple of float
        Cumulative margin, or purchases where the source has no amounts, at each age from 0.
    ahead : tuple of (int, float, float, float)
        Age, expectation and the ends of its 80 % interval at each horizon; empty without predictions.
    """

    name: str
    realised: tuple[float, ...]
    ahead: tuple[tuple[int, float, float, float], ...] = ()


@dataclass(frozen=True)
class Cohorts:
    """The cohorts of all customers.

    Parameters
    ----------
    groups : tuple of CohortGroup
        Oldest first.
    curves : tuple of CohortCurve
        Some of the newest, oldest first.
    money : bool
        Whether the source has amounts; without them purchases are shown.
    refunded : float
        What went back to customers who have bought nothing, as a positive number.
    """

    groups: tuple[CohortGroup, ...]
    curves: tuple[CohortCurve, ...]
    money: bool
    refunded: float = 0.0

    @property
    def oldest(self) -> int:
        """The greatest age that is shown."""
        return max((len(group.retention) - 1 for group in self.groups), default=0)


def cohorts_of(rows: Sequence[_Row]) -> Cohorts:
    """Arrange rows of ``cohort_value``; rows of attributes are left out."""
    everyone = [row for row in rows if row["attribute"] == ALL]
    by_cohort: dict[Month, dict[str, list[_Row]]] = {}
    for row in sorted(everyone, key=lambda row: int(row["age_months"])):
        if row["kind"] != NO_PURCHASE:
            by_cohort.setdefault(Month(row["cohort"]), {REALISED: [], PREDICTED: []})[row["kind"]].append(row)
    months = sorted(by_cohort)
    money = any(row["revenue"] is not None for row in everyone)
    newest = months[-SHOWN:]
    by_year: dict[int, list[Month]] = {}
    for month in months[:-SHOWN]:
        by_year.setdefault(month.first_day.year, []).append(month)
    groups = [_group(str(year), [by_cohort[month] for month in of], money) for year, of in sorted(by_year.items())]
    groups += [_group(wording.short_month(month), [by_cohort[month]], money) for month in newest]
    drawn = [month for month in newest if len(by_cohort[month][REALISED]) > 1]
    refunded = sum(float(row["revenue"] or 0) for row in everyone if row["kind"] == NO_PURCHASE)
    curves = tuple(_curve(month, by_cohort[month], money) for month in spread(drawn, CURVES))
    return Cohorts(tuple(groups), curves, money, -refunded)


def spread(months: Sequence[Month], most: int) -> list[Month]:
    """Return at most ``most`` of the months, evenly spaced, first and last among them."""
    if len(months) <= most:
        return list(months)
    return [months[round(i * (len(months) - 1) / (most - 1))] for i in range(most)]


def _group(name: str, cohorts: Sequence[Mapping[str, Sequence[_Row]]], money: bool) -> CohortGroup:
    reached = min(len(each[REALISED]) for each in cohorts)
    customers = sum(each[REALISED][0]["customers"] for each in cohorts)
    retention = tuple(
        sum(each[REALISED][age]["active_customers"] for each in cohorts) / customers for age in range(reached)
    )
    last = [each[PREDICTED][-1] for each in cohorts if each[PREDICTED]]
    so_far = _mean([each[REALISED][-1] for each in cohorts], customers, money)
    by_age = [_mean([each[REALISED][age] for each in cohorts], customers, money) for age in range(reached)]
    course = tuple(one for one in by_age if one is not None)
    expected = _mean(last, customers, money) if len(last) == len(cohorts) else None
    low, high = _ends(last[0], money) if len(cohorts) == 1 and expected is not None else (None, None)
    return CohortGroup(name, customers, retention, so_far, expected, low, high, course)


def _curve(month: Month, cohort: Mapping[str, Sequence[_Row]], money: bool) -> CohortCurve:
    found = [_mean([row], row["customers"], money) for row in cohort[REALISED]]
    ahead = []
    for row in cohort[PREDICTED]:
        mean, (low, high) = _mean([row], row["customers"], money), _ends(row, money)
        if mean is not None and low is not None and high is not None:
            ahead.append((int(row["age_months"]), mean, low, high))
    return CohortCurve(wording.short_month(month), tuple(each or 0.0 for each in found), tuple(ahead))


def _mean(rows: Sequence[_Row], customers: int, money: bool) -> float | None:
    """Return the cumulative margin of all rows' cohorts per customer, or their purchases; None where not known."""
    name = "cumulative_margin" if money else "cumulative_purchases"
    amounts = [row[name] for row in rows]
    if not customers or any(amount is None for amount in amounts):
        return None
    return float(sum(amounts)) / customers


def _ends(row: _Row, money: bool) -> tuple[float | None, float | None]:
    """Return the interval of one cohort's mean."""
    name = "cumulative_value_per_customer" if money else "cumulative_purchases"
    whole = 1 if money else row["customers"]
    low, high = (None if row[f"{name}_{end}"] is None else row[f"{name}_{end}"] / whole for end in ("low", "high"))
    return low, high
