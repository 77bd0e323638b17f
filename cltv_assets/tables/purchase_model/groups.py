"""Whether customers of different attributes are predicted by parameters of their own; see `models.groups`.

An attribute counts as it stood on the day of the first purchase. A value that was first known of a later purchase, or
that changes (``source.latest_attributes``), tells also that somebody came back: at the origin of a holdout it would
know what was bought after it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from cltv_assets.models.choosing.choice import Choice
from cltv_assets.models.choosing.histories import Fold, Histories
from cltv_assets.models.choosing.holdout_scores import MIN_FOLDS
from cltv_assets.models.groups.covariates import LEAST, CovariateFit
from cltv_assets.models.groups.grouped import GroupedFit, Values
from cltv_assets.models.groups.trial import GroupChoice, Split, try_groups
from cltv_assets.months import DAYS_PER_UNIT, Month
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.patterns import in_order
from cltv_assets.tables.purchase_model.fold_histories import histories
from cltv_assets.tables.purchase_model.folds import (
    FIRST_ATTRIBUTES,
    FOLD_KEY,
    Window,
    customers_by_fold,
    fold_groups,
    in_a_row,
    windows,
)
from cltv_assets.tables.purchase_model.grouping import Grouping, label_of, value_of

#: Most values of an attribute that have parameters of their own; all others are one group.
_MOST = 20
#: Most values of an attribute that is a covariate beside others.
_FEW = 6


def group_columns(run: MonthRun, days: ir.Table, known: Histories, choice: Choice) -> tuple[dict[str, str], str]:
    """Return the column ``customer_groups`` of each model that predicts, by its name, and why.

    Parameters
    ----------
    run : MonthRun
    days : ibis table
        ``purchase_days``.
    known : Histories
        Those of all customers.
    choice : Choice
        The month's models.

    Returns
    -------
    columns : dict of str to str
        Empty where no groups are used.
    why : str
        One sentence; empty where nothing was tried.
    """
    names = static_attributes(run)
    if not names or not choice.chosen.usable or choice.chosen.fit.truncated:
        return {}, ""
    first = Month.of(known.first_day.astype(object))
    held = in_a_row(windows(first, run.month, min(run.settings.horizons_months)))
    if len(held) < MIN_FOLDS:
        return {}, "No groups: the history is too short to tell whether attributes help."
    periods = [Window(run.month, run.month), *held]
    customers = run.engine.cache(customers_by_fold(days, run.month, periods, attributes=True))
    kept = {name: values for name in names if len(values := _values(run, customers, name)) > 1}
    splits = list(_splits(run, customers, kept, periods))
    found = try_groups(choice, splits, DAYS_PER_UNIT[run.settings.time_unit])
    if found.split is None:
        return {}, found.why or "No groups: no attribute has two values of enough customers."
    return {name: _json(found, fit, kept) for name, fit in found.fits.items()}, found.why


def static_attributes(run: MonthRun) -> list[str]:
    """Return the attributes that a customer has from the first purchase on."""
    source = run.settings.source
    return [name for name in source.attributes if name not in source.latest_attributes]


def _values(run: MonthRun, customers: ir.Table, name: str) -> list[str]:
    """Return the most common values of an attribute, and the empty text if others are left."""
    value = value_of(customers[FIRST_ATTRIBUTES], name)
    counts = customers.group_by(value=value).aggregate(n=customers.count())
    common = counts.order_by(ibis.desc("n"), "value").limit(_MOST + 1)
    found = run.engine.collect(common).to_pylist()
    return [row["value"] for row in found[:_MOST] if row["n"] >= LEAST]


def _splits(
    run: MonthRun, customers: ir.Table, kept: dict[str, list[str]], periods: Sequence[Window]
) -> Iterator[Split]:
    """Return each attribute by itself, and those of few values together as covariates."""
    few = tuple(name for name, values in kept.items() if len(values) <= _FEW)
    for names in dict.fromkeys([*((name,) for name in kept), *([few] if few else [])]):
        grouping = Grouping({name: kept[name] for name in names})
        columns = grouping.columns(customers[FIRST_ATTRIBUTES])
        table = run.engine.collect(fold_groups(customers.mutate(**columns), len(periods), tuple(columns)))
        parts = _parts(table, tuple(columns), periods)
        known = {values: fold.histories for values, fold in parts[0].items()}
        held = [each for each in parts[1:] if each]
        if len(names) == 1:
            yield Split(names, "pooled", known, held)
        if names == few:
            yield Split(names, "covariates", known, held)


def _parts(table: pa.Table, columns: Sequence[str], periods: Sequence[Window]) -> list[dict[Values, Fold]]:
    """Split rows of `fold_groups` by fold and values."""
    ordered = in_order(table, ("fold", *columns, *(name for name in FOLD_KEY if name != "fold")))
    keys = list(zip(*(ordered[name].to_pylist() for name in ("fold", *columns)), strict=True))
    edges = [at for at, key in enumerate(keys) if at == 0 or key != keys[at - 1]]
    found: list[dict[Values, Fold]] = [{} for _ in periods]
    for begin, end in zip(edges, [*edges[1:], len(keys)], strict=True):
        number, *values = keys[begin]
        part, period = ordered.slice(begin, end - begin), periods[number]
        until = np.datetime64(period.last.last_day)
        found[number][tuple(values)] = Fold(histories(part, period.origin), part["bought"].to_numpy(), until)
    return found


def _json(found: GroupChoice, fit: GroupedFit, kept: dict[str, list[str]]) -> str:
    """Return what `grouping` reads."""
    split = found.split
    assert split is not None
    told: dict[str, Any] = {
        "way": split.way,
        "values": {name: kept[name] for name in split.attributes},
        "gain": found.gain,
        "gain_se": found.error,
        "shared_covariance": None if fit.shared is None else fit.shared.tolist(),
        "groups": {
            label_of(values): {
                "customers": int(split.histories[values].weights.sum()),
                "parameters": each.parameters,
                "loading": each.loading.tolist(),
                "own_covariance": each.own.tolist(),
            }
            for values, each in fit.groups.items()
        },
    }
    if isinstance(fit, CovariateFit):
        told["coefficients"] = [vars(each) for each in fit.coefficients]
    return json.dumps(told, ensure_ascii=False)
