"""What a check is, and how a table is tested against its checks.

A check names measures (aggregates of the written table, or scalars of upstream
ones) and judges their values. All measures of a table's checks are computed in
one pass, because on a large table the pass is the cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

import ibis.expr.operations as ops
import ibis.expr.types as ir

from cltv_assets.tables.month_run import MonthRun

Values = Mapping[str, Any]

#: Example rows shown with a failed check.
EXAMPLES = 5


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Parameters
    ----------
    passed : bool
        Whether the table keeps the promise.
    message : str
        One sentence with the numbers, and the remedy if it failed.
    facts : dict
        Numbers shown beside the message.
    accepted : bool
        Whether somebody has said that the failure is meant: then it warns only.
    """

    passed: bool
    message: str
    facts: dict[str, Any] = field(default_factory=dict)
    accepted: bool = False


def _no_measures(_table: ir.Table, _run: MonthRun) -> dict[str, ir.Scalar]:
    return {}


@dataclass(frozen=True)
class Check:
    """One promise about a table.

    Parameters
    ----------
    name : str
        Identifies the check within its table.
    description : str
        The promise, in plain words.
    judge : callable
        From the measured values and the run to a verdict.
    measures : callable
        From the written table and the run to named scalars.
    blocking : bool
        Whether a failure keeps the month from being published. Data that is wrong
        blocks; data that is only unusual warns.
    examples : callable, optional
        From the written table to the offending rows; called only on failure.
    of_sample : bool
        Whether it also tells something of a sample of a delivery; ``cltv doctor`` runs such checks.
    """

    name: str
    description: str
    judge: Callable[[Values, MonthRun], Verdict]
    measures: Callable[[ir.Table, MonthRun], dict[str, ir.Scalar]] = _no_measures
    blocking: bool = True
    examples: Callable[[ir.Table, MonthRun], ir.Table] | None = None
    of_sample: bool = False


def check(
    description: str,
    *,
    measures: Callable[[ir.Table, MonthRun], dict[str, ir.Scalar]] = _no_measures,
    blocking: bool = True,
    examples: Callable[[ir.Table, MonthRun], ir.Table] | None = None,
    of_sample: bool = False,
) -> Callable[[Callable[[Values, MonthRun], Verdict]], Check]:
    """Turn a judging function into a `Check` of the same name; the parameters are those of `Check`."""

    def made(judge: Callable[[Values, MonthRun], Verdict]) -> Check:
        return Check(judge.__name__, description, judge, measures, blocking, examples, of_sample)

    return made


@dataclass(frozen=True)
class Finding:
    """A check, its verdict and, where it failed, some offending rows."""

    check: Check
    verdict: Verdict
    examples: list[dict[str, Any]]

    @property
    def is_error(self) -> bool:
        """Whether a failure is more than a warning."""
        return self.check.blocking and not self.verdict.accepted

    @property
    def blocks(self) -> bool:
        """Whether this finding keeps the month from being published."""
        return self.is_error and not self.verdict.passed


class _RunNeededError(Exception):
    """Raised when something of a month's run is asked for."""


class _NoRun:
    def __getattr__(self, name: str) -> Any:
        raise _RunNeededError(name)


@lru_cache(maxsize=512)
def _measures_of_table(check: Check, table: ops.Relation) -> dict[str, ir.Scalar] | None:
    """Return a check's measures, or None if they depend on more than the table.

    The files of a month are read under the same name and columns as those of the month before, so most
    measures are the same expressions. Building them again is a third of a small audit's time.
    """
    try:
        return check.measures(table.to_expr(), cast("MonthRun", _NoRun()))
    except _RunNeededError:
        return None


def audit(table: ir.Table, checks: Sequence[Check], run: MonthRun) -> list[Finding]:
    """Run a written table's checks.

    Parameters
    ----------
    table : ibis table
        What was written, read back.
    checks : sequence of Check
        The table's own, in the order in which findings are returned.
    run : MonthRun
        The month that the table was made for.

    Returns
    -------
    list of Finding
        One for each check, in order.
    """
    wanted = {
        f"{index}|{name}": scalar
        for index, check in enumerate(checks)
        for name, scalar in (_measures_of_table(check, table.op()) or check.measures(table, run)).items()
    }
    measured = run.engine.measure(table, wanted)
    findings = []
    for index, check in enumerate(checks):
        prefix = f"{index}|"
        values = {name.removeprefix(prefix): value for name, value in measured.items() if name.startswith(prefix)}
        verdict = check.judge(values, run)
        examples: list[dict[str, Any]] = []
        if not verdict.passed and check.examples is not None:
            examples = run.engine.collect(check.examples(table, run).limit(EXAMPLES)).to_pylist()
        findings.append(Finding(check, verdict, examples))
    return findings
