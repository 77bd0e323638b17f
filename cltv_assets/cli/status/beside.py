"""What lies beside the transactions now, against what was read of it: the customers' file and the acquisition costs.

Contents are compared, not times. The costs of a month are those rows that a run would write. The customers' file counts
as it stood when a month was made, so only the newest month is compared with it: it has the customers of all others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from cltv_assets.cli.reading import LakeReader, configured_source, open_reader
from cltv_assets.errors import CltvError
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import TransactionSource
from cltv_assets.tables.acquisition_costs import ACQUISITION_COSTS, lines_now, rows_of
from cltv_assets.tables.customer_attributes import CUSTOMER_ATTRIBUTES, told_otherwise
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.segmentation import ALL

_Changed = dict[tuple[str, Month], str]


@dataclass(frozen=True)
class BesideNow:
    """What was found.

    Parameters
    ----------
    changed : mapping of (str, Month) to str
        Tables and months whose file now says something else, in words.
    unknown : list of str
        Which file cannot be looked at, and why.
    """

    changed: Mapping[tuple[str, Month], str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


def look_beside(settings: Settings, months: Sequence[Month]) -> BesideNow:
    """Compare the files with what the lake has of them. Whatever keeps that from being known is in the answer.

    Parameters
    ----------
    settings : Settings
        They name the files.
    months : sequence of Month
        The closed months.
    """
    looks: dict[str, Callable[[LakeReader, TransactionSource, Sequence[Month]], _Changed]] = {}
    if settings.customers.path is not None:
        looks["customers"] = _customers
    if settings.acquisition_costs.path is not None:
        looks["acquisition_costs"] = _costs
    changed: _Changed = {}
    unknown = []
    for name, look in looks.items():
        try:
            with open_reader(settings) as reader, closing(configured_source(settings)) as source:
                changed |= look(reader, source, months)
        except CltvError as error:
            unknown.append(f"{name}: unknown, because {error}")
        # Also what nobody foresaw: a look that broke off must not read as if nothing had changed.
        except Exception as error:
            unknown.append(f"{name}: unknown, because {type(error).__name__}: {error}")
    return BesideNow(changed, unknown)


def _customers(reader: LakeReader, source: TransactionSource, months: Sequence[Month]) -> _Changed:
    settings = reader.settings
    month = max(reader.lake.table(CUSTOMER_ATTRIBUTES).published(months), default=None)
    # Without any month the file is read all the same: a run would fail of it.
    published = (
        reader.engine.from_arrow(CUSTOMER_ATTRIBUTES.arrow.empty_table())
        if month is None
        else reader.month(CUSTOMER_ATTRIBUTES, month)
    )
    run = MonthRun(month or settings.first_month, settings, reader.engine, reader.lake, source)
    values = told_otherwise(run, published)
    if month is None or not values:
        return {}
    noun = "value" if values == 1 else "values"
    return {
        (CUSTOMER_ATTRIBUTES.name, month): f"{settings.customers.path} has {values:,} other {noun} of this month's "
        "customers than were read"
    }


def _costs(reader: LakeReader, source: TransactionSource, months: Sequence[Month]) -> _Changed:
    settings = reader.settings
    lines = lines_now(settings, source.objects)
    changed: _Changed = {}
    for month in sorted(reader.lake.table(ACQUISITION_COSTS).published(months)):
        now = rows_of(lines, month, settings.acquisition_costs.attribute)
        before = reader.engine.collect(reader.month(ACQUISITION_COSTS, month)).to_pylist()
        if _by_value(before) != _by_value(now):
            changed[ACQUISITION_COSTS.name, month] = (
                f"{settings.acquisition_costs.path} has {_spent(now)} for this month, {_spent(before)} was read"
            )
    return changed


def _by_value(rows: Sequence[Mapping[str, object]]) -> dict[object, object]:
    return {(row["attribute"], row["attribute_value"]): (row["spend"], row["new_customers_reported"]) for row in rows}


def _spent(rows: Sequence[Mapping[str, object]]) -> str:
    own = [row for row in rows if row["attribute"] == ALL]
    return f"{own[0]['spend']:,.2f} in {len(rows)} row{'s' if len(rows) > 1 else ''}" if own else "nothing"
