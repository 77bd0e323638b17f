"""What new customers are worth, and whether what they cost comes back: small tables, arranged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from cltv_assets.tables.acquisition_payback import ACQUISITION_PAYBACK, BEYOND, EXPECTED, PAID_BACK
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.new_customer_value.columns import NEW_CUSTOMER_VALUE
from cltv_assets.tables.segmentation import ALL

_Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Paid:
    """The cohorts of all customers, or of one value of the costs' attribute, at the longest horizon.

    Parameters
    ----------
    value : str
        The attribute's value; 'all' for all customers.
    cohorts : sequence of row
        Rows of ``acquisition_payback``, oldest first.
    """

    value: str
    cohorts: Sequence[_Row]

    @property
    def judged(self) -> list[_Row]:
        """The cohorts that are old and large enough to judge by, and whose value is known."""
        return [row for row in self.cohorts if not row["too_young"] and row["customers"] and row["payback"] is not None]

    @property
    def spend(self) -> float:
        """What the judged cohorts cost."""
        return float(sum(row["spend"] for row in self.judged))

    @property
    def customers(self) -> int:
        """Customers of the judged cohorts."""
        return sum(row["customers"] for row in self.judged)

    @property
    def cac(self) -> float | None:
        """What a customer of the judged cohorts cost."""
        return self.spend / self.customers if self.customers else None

    @property
    def ltv(self) -> float | None:
        """What a customer of theirs has brought and is expected to bring; None where one's is not known."""
        judged = self.judged
        if not self.customers or any(row["ltv"] is None for row in judged):
            return None
        return float(sum(row["ltv"] * row["customers"] for row in judged)) / self.customers

    @property
    def ratio(self) -> float | None:
        """That over what one cost."""
        return self.ltv / self.cac if self.ltv is not None and self.cac is not None and self.cac > 0 else None

    def count(self, payback: str) -> int:
        """Return how many of the judged cohorts are in a state of payback."""
        return sum(row["payback"] == payback for row in self.judged)

    @property
    def paid_back(self) -> int:
        """Judged cohorts whose cost has come back."""
        return self.count(PAID_BACK)

    @property
    def expected(self) -> int:
        """Those whose cost is expected to come back within the longest horizon."""
        return self.count(EXPECTED)

    @property
    def beyond(self) -> int:
        """Those whose cost is not."""
        return self.count(BEYOND)


def paid_of(rows: Iterable[_Row], horizon: int) -> tuple[Paid, ...]:
    """Arrange rows of ``acquisition_payback``: all customers first, then the values of the attribute by spend."""
    by_value: dict[tuple[bool, str], list[_Row]] = {}
    for row in sorted(rows, key=lambda row: row["cohort"]):
        if row["horizon_months"] == horizon:
            by_value.setdefault((row["attribute"] != ALL, row["attribute_value"]), []).append(row)
    found = [(of_attribute, Paid(value, cohorts)) for (of_attribute, value), cohorts in by_value.items()]
    found.sort(key=lambda each: (each[0], -sum(row["spend"] for row in each[1].cohorts), each[1].value))
    return tuple(paid for _, paid in found)


@dataclass(frozen=True)
class NewCustomers:
    """What a new customer is worth.

    Parameters
    ----------
    everyone : sequence of row
        Rows of ``new_customer_value`` of all customers, by horizon.
    by_value : sequence of row
        Those of attributes at the longest horizon: attributes by name, the most valuable of each first.
    """

    everyone: Sequence[_Row]
    by_value: Sequence[_Row]

    @property
    def longest(self) -> _Row:
        """The row of all customers at the longest horizon."""
        return self.everyone[-1]

    @property
    def money(self) -> bool:
        """Whether a value is known."""
        return self.longest["expected_value"] is not None

    @property
    def what(self) -> str:
        """The column that values are told by."""
        return "expected_value" if self.money else "expected_orders"


def new_customers_of(rows: Iterable[_Row], horizon: int) -> NewCustomers | None:
    """Arrange rows of ``new_customer_value``; None without any."""
    every = sorted(rows, key=lambda row: int(row["horizon_months"]))
    everyone = [row for row in every if row["attribute"] == ALL]
    if not everyone:
        return None

    new = NewCustomers(everyone, [])
    by_value = [row for row in every if row["attribute"] != ALL and row["horizon_months"] == horizon]
    by_value.sort(key=lambda row: (row["attribute"], -(row[new.what] or 0.0), row["attribute_value"]))
    return NewCustomers(everyone, by_value)


def read_paid(run: MonthRun) -> tuple[Paid, ...]:
    """Read the month's ``acquisition_payback``."""
    return paid_of(_rows(run, ACQUISITION_PAYBACK.name), run.settings.horizons_months[-1])


def read_new_customers(run: MonthRun) -> NewCustomers | None:
    """Read the month's ``new_customer_value``."""
    return new_customers_of(_rows(run, NEW_CUSTOMER_VALUE.name), run.settings.horizons_months[-1])


def _rows(run: MonthRun, table: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = run.engine.collect(run.inputs[table]).to_pylist()
    return rows
