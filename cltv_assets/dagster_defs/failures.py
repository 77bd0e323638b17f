"""Faults that a retry cannot mend, as Dagster shows them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import dagster as dg

from cltv_assets.engines import Engine
from cltv_assets.errors import CltvError
from cltv_assets.months import Month

#: Causes that one sentence tells at most.
_SHOWN = 10


@contextlib.contextmanager
def faults_as_failures(engine: Engine | None = None) -> Iterator[None]:
    """Turn a fault of data or configuration into a Dagster failure without retries.

    The run then shows one paragraph with the remedy; a retry would only fail again.

    Parameters
    ----------
    engine : Engine, optional
        Whatever happens, what a step held in it is released.
    """
    try:
        yield
    except CltvError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    finally:
        if engine is not None:
            engine.release()


@dataclass
class FailedMonths:
    """Months of a run that were not made, and why; one for a run.

    Parameters
    ----------
    reasons : dict
        Table and month to the reason; empty where something it is made from failed.
    """

    reasons: dict[tuple[str, Month], str] = field(default_factory=dict)

    def add(self, tables: Sequence[str], month: Month, reason: str) -> None:
        """Take down a month; the tables of one step fail together."""
        self.reasons.update({(table, month): "" for table in tables[1:]} | {(tables[0], month): reason})

    def holds(self, tables: Sequence[str], month: Month) -> bool:
        """Return whether a month of any of the tables failed in this run."""
        return any((table, month) in self.reasons for table in tables)

    def sentence(self, months: int) -> str:
        """Return what to tell of them."""
        causes = [f"{table} {month}: {why}" for (table, month), why in self.reasons.items() if why]
        more = f" And {len(causes) - _SHOWN} more." if len(causes) > _SHOWN else ""
        failed = len({month for _, month in self.reasons})
        return (
            f"{failed} of {months} months could not be made; the others are there. {' '.join(causes[:_SHOWN])}{more} "
            "Mend the cause, then materialise those months again."
        )
