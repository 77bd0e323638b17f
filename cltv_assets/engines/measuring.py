"""Measures of a check, reduced to what has to be computed. The same on every engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa


def measure(table: ir.Table, measures: dict[str, ir.Scalar], collect: Callable[[ir.Table], pa.Table]) -> dict[str, Any]:
    """Compute ``measures`` of ``table`` in one pass, equal ones once.

    Parameters
    ----------
    table : ibis table
    measures : dict of str to ibis scalar
        Aggregates of ``table`` by name.
    collect : callable
        Computes an expression and brings it here.

    Returns
    -------
    dict of str to Any
        The values by the names given.
    """
    if not measures:
        return {}
    # Ibis gives equal scalar subqueries one name; each distinct measure is computed once.
    names: dict[Any, str] = {}
    for scalar in measures.values():
        names.setdefault(scalar.op(), f"m{len(names)}")
    distinct = {name: op.to_expr() for op, name in names.items()}
    row: dict[str, Any] = collect(table.aggregate(**distinct)).to_pylist()[0]
    return {name: row[names[scalar.op()]] for name, scalar in measures.items()}
