"""Which group of a month's purchase models a customer is in, and what the models say of a group.

Only where ``purchase_model.customer_groups`` is filled: otherwise nothing here adds a column, a join or a copy.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cltv_assets.models.arrays import FloatArray, IntArray
from cltv_assets.models.groups.grouped import REST, Values
from cltv_assets.tables.customer_attributes import UNKNOWN, field_of
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.patterns import MODEL_GROUP
from cltv_assets.tables.purchase_days import PURCHASE_DAYS

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Grouping:
    """What tells customers apart.

    Parameters
    ----------
    values : mapping of str to sequence of str
        The values that are told apart, by attribute, spelled as in ``purchase_days.attributes``; all others are `REST`.
    """

    values: Mapping[str, Sequence[str]]

    def columns(self, text: ir.StringValue) -> dict[str, ir.StringValue]:
        """Return a column for each attribute, from the text of the first purchase day."""
        return {f"group_{at}": self._kept(text, name) for at, name in enumerate(self.values)}

    def label(self, text: ir.StringValue) -> ir.StringValue:
        """Return what `label_of` makes of these columns."""
        columns = list(self.columns(text).values())
        found = ibis.literal('["') + columns[0]
        for column in columns[1:]:
            found = found + ibis.literal('", "') + column
        return found + ibis.literal('"]')

    def _kept(self, text: ir.StringValue, name: str) -> ir.StringValue:
        value = value_of(text, name)
        return ibis.ifelse(value.isin(list(self.values[name])), value, ibis.literal(REST))


def value_of(text: ir.StringValue, name: str) -> ir.StringValue:
    """Return an attribute's value in a text of ``purchase_days.attributes``, spelled as there."""
    return ibis.coalesce(field_of(text, name), ibis.literal(UNKNOWN))


def label_of(values: Values) -> str:
    """Return the name of a group: a JSON list, as values are spelled in JSON already."""
    return '["' + '", "'.join(values) + '"]'


def grouping_of(rows: Rows) -> Grouping | None:
    """Return what tells the customers of `predicting` rows apart; None where all are alike."""
    told = _told(rows[0])
    return None if told is None else Grouping(told["values"])


def with_groups(run: MonthRun, rfm: ir.Table, rows: Rows) -> ir.Table:
    """Return ``rfm_summary`` with each customer's group, empty without one; unchanged where all are alike.

    Parameters
    ----------
    run : MonthRun
        With ``purchase_days`` among its inputs.
    rfm : ibis table
        ``rfm_summary``.
    rows : sequence of mapping
        `predicting` rows.
    """
    told, grouping = _told(rows[0]), grouping_of(rows)
    if told is None or grouping is None:
        return rfm
    days = run.inputs[PURCHASE_DAYS.name]
    first = rfm.select("customer_id", purchase_day="first_purchase")
    texts = days.inner_join(first, ["customer_id", "purchase_day"]).select(
        "customer_id", text=days.attributes.fill_null("")
    )
    labels = texts.select("customer_id", label=grouping.label(texts.text))
    return _joined(rfm, labels.filter(labels.label.isin(list(told["groups"]))))


def with_known_groups(rfm: ir.Table, predictions: ir.Table | None, rows: Rows) -> ir.Table:
    """Return ``rfm_summary`` with the groups that ``cltv_predictions`` of the same month says."""
    if predictions is None or grouping_of(rows) is None:
        return rfm
    return _joined(rfm, predictions.select("customer_id", label=MODEL_GROUP))


def _joined(rfm: ir.Table, labels: ir.Table) -> ir.Table:
    joined = rfm.left_join(labels, "customer_id").drop("customer_id_right")
    return joined.mutate(**{MODEL_GROUP: joined.label.fill_null("")}).drop("label")


def rows_of_group(rows: Rows, label: str | None) -> Rows:
    """Return `predicting` rows with the parameters of a group; they are unchanged for those of no group."""
    found = []
    for row in rows:
        group = _group(row, label)
        found.append(row if group is None else {**row, **group["parameters"]})
    return found


@dataclass(frozen=True, eq=False)
class GroupRows:
    """The rows of a table that belong to one group.

    Parameters
    ----------
    label : str or None
        None for customers of no group.
    purchase : sequence of mapping
        `predicting` rows with the group's parameters.
    table : pyarrow.Table
    places : array of int64
        Where its rows are in the whole table.
    """

    label: str | None
    purchase: Rows
    table: pa.Table
    places: IntArray


def by_group(rows: Rows, table: pa.Table) -> Iterator[GroupRows]:
    """Split a table by its column `MODEL_GROUP`; all of it where customers are alike."""
    if grouping_of(rows) is None or MODEL_GROUP not in table.column_names:
        yield GroupRows(None, rows, table, np.arange(len(table)))
        return
    labels = pc.fill_null(table[MODEL_GROUP], "").combine_chunks()
    for label in sorted(pc.unique(labels).to_pylist()):
        places = np.flatnonzero(pc.equal(labels, label).to_numpy(zero_copy_only=False))
        yield GroupRows(label or None, rows_of_group(rows, label or None), table.take(pa.array(places)), places)


def errors_of_group(row: Mapping[str, Any], label: str | None) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return how a group's log parameters err: ``loading``, ``own`` and the covariance of what all groups share.

    They are those of `models.groups.grouped.Group`, for the parameters of ``log_covariance``.
    """
    told, known = _told(row), json.loads(row["log_covariance"] or "{}")
    size = len(known)
    base = np.array([[known[a][b] for b in known] for a in known], dtype=np.float64).reshape(size, size)
    shared = base
    if told is not None and told["shared_covariance"] is not None:
        shared = np.array(told["shared_covariance"], dtype=np.float64)
    group = _group(row, label)
    if group is None:
        # Nobody, where covariates are: each customer has some.
        return (np.eye(size) if shared is base else np.zeros((size, len(shared)))), np.zeros((size, size)), shared
    return np.array(group["loading"]), np.array(group["own_covariance"]), shared


def _told(row: Mapping[str, Any]) -> dict[str, Any] | None:
    text = row.get("customer_groups")
    return json.loads(text) if text else None


def _group(row: Mapping[str, Any], label: str | None) -> dict[str, Any] | None:
    told = _told(row)
    return None if told is None or label is None else told["groups"].get(label)
