"""What a month's end knows of new customers: its models, and sums over those who were acquired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from cltv_assets.models.arrays import FloatArray
from cltv_assets.models.mixture import Mixture
from cltv_assets.models.value.new_customers import expected_repeats
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.new_customer_value.cohorts import (
    GROUP,
    acquired,
    by_attribute,
    cohort_sums,
    first_order_sums,
    of_month,
)
from cltv_assets.tables.patterns import in_order
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.purchase_model.reading import new_customers_mixture, operational_time, predicting
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.spend_model.columns import SPEND_MODEL

#: Months whose new customers tell what a first order is worth.
YEAR = 12
#: New customers in those months from which an attribute's value has rows: fewer say next to nothing of its own.
ENOUGH = 100
#: Attribute and value.
Group = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Known:
    """What a month's end knows.

    Parameters
    ----------
    month : Month
    settings : Settings
    purchase : sequence of mapping
        The rows of the purchase models that predict.
    spend : mapping
        The spend model's row.
    until : Month
        The newest month with new customers, if the last 12 have none; else the month itself.
    cohorts : mapping from group to pyarrow.Table
        Of `cohort_sums`, in the order of days.
    firsts : mapping from group to mapping
        Of `first_order_sums`, of the 12 months up to ``until``.
    """

    month: Month
    settings: Settings
    purchase: Sequence[Mapping[str, Any]]
    spend: Mapping[str, Any]
    until: Month
    cohorts: Mapping[Group, pa.Table]
    firsts: Mapping[Group, Mapping[str, Any]]

    @cached_property
    def mixture(self) -> Mixture:
        """The models of a new customer."""
        return new_customers_mixture(self.purchase)

    def expected_so_far(self, days: pa.ChunkedArray) -> FloatArray:
        """Return the repeat purchases that customers of these first days are expected to have made by now."""
        clock = operational_time(self.purchase[0], self.settings)
        first = np.asarray(days.to_numpy(), dtype="datetime64[D]")
        return expected_repeats(self.mixture, clock.elapsed(first, np.datetime64(self.month.last_day, "D")))

    def window(self, group: Group, months: int) -> pa.Table:
        """Return the cohort sums of a group that was acquired in so many months up to ``until``."""
        table = self.cohorts.get(group)
        if table is None:
            table = next(iter(self.cohorts.values())).slice(0, 0)
        begin = np.datetime64(self.until.shift(1 - months).first_day, "D")
        return table.filter(pa.array(np.asarray(table["first_purchase"].to_numpy(), dtype="datetime64[D]") >= begin))


def known_at(run: MonthRun, month: Month, attributes: ir.Table | None) -> Known | None:
    """Collect what the end of a month knows; None without a purchase model that tells of new customers.

    Parameters
    ----------
    run : MonthRun
        With ``rfm_summary``, ``purchase_model`` and ``spend_model`` of that month among its inputs.
    month : Month
        Its own, or one before.
    attributes : ibis table or None
        ``customer_id, attribute, value``, long form, with the month's column or of this month only.
    """
    settings, engine = run.settings, run.engine
    purchase, spend = (
        engine.collect(of_month(run.inputs[name], month)).to_pylist()
        for name in (PURCHASE_MODEL.name, SPEND_MODEL.name)
    )
    rows = predicting(purchase)
    # Of an extract of repeat customers those who never came back are missing: it cannot say what a new one does.
    if not rows or not spend or rows[0]["status"] == "not_fitted" or rows[0]["truncated"]:
        return None
    rfm = of_month(run.inputs[RFM_SUMMARY.name], month)
    newest = engine.measure(rfm, {"newest": rfm.first_purchase.max()})["newest"]
    if newest is None:
        return None
    last = Month.of(newest)
    until = month if last > month.shift(-YEAR) else last
    longest = max(2 * settings.horizons_months[-1], YEAR)
    known = None if attributes is None else of_month(attributes, month)
    customers = engine.cache(by_attribute(acquired(rfm, until.shift(1 - longest), until, settings), known))
    cohorts = in_order(engine.collect(cohort_sums(customers)), (*GROUP, "first_purchase"))
    year = customers.filter(customers.first_purchase >= until.shift(1 - YEAR).first_day)
    firsts = engine.collect(first_order_sums(year)).to_pylist()
    chosen = next(row for row in spend if row["role"] == "chosen")
    return Known(month, settings, rows, chosen, until, _by_group(cohorts), {_group(row): row for row in firsts})


def _group(row: Mapping[str, Any]) -> Group:
    return row["attribute"], row["attribute_value"]


def _by_group(cohorts: pa.Table) -> dict[Group, pa.Table]:
    """Split rows that are in the order of groups."""
    names = list(zip(*(cohorts[name].to_pylist() for name in GROUP), strict=True))
    edges = [i for i, name in enumerate(names) if i == 0 or name != names[i - 1]]
    return {
        names[begin]: cohorts.slice(begin, end - begin)
        for begin, end in zip(edges, [*edges[1:], len(names)], strict=True)
    }


def total(table: pa.Table, name: str) -> float:
    """Return the sum of a column, nulls left out."""
    return float(np.nansum(np.asarray(table[name].to_numpy(), dtype=np.float64)))
