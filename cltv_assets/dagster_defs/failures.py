"""Turns faults that a retry cannot mend into Dagster failures."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import dagster as dg

from cltv_assets.engines import Engine
from cltv_assets.errors import CltvError, EngineError
from cltv_assets.files.scratch import process_folder
from cltv_assets.months import Month

#: The system's error, as every library spells it; and what DuckDB says where it has no room to spill.
_FULL = (os.strerror(errno.ENOSPC), "max_temp_directory_size")
#: The most causes that the message lists.
_SHOWN = 10


@contextlib.contextmanager
def faults_as_failures(engine: Engine | None = None) -> Iterator[None]:
    """Turn a fault of data, configuration or a full disk into a Dagster failure without retries.

    The run then shows one paragraph with the remedy; a retry would only fail again.

    Parameters
    ----------
    engine : Engine, optional
        What the step held in it is released, even after a failure.
    """
    try:
        yield
    except CltvError as error:
        # The cause is recorded with its message, too.
        cause = None if error.quoted else error
        raise dg.Failure(description=error.recorded, allow_retries=False) from cause
    except Exception as error:
        # Python, Arrow and DuckDB each have an error of their own for it.
        if not any(sign in str(error) for sign in _FULL):
            raise
        scratch = process_folder().parent
        free = shutil.disk_usage(scratch).free / 1e6
        told = EngineError(
            f"A disk is full: {str(error).splitlines()[0]} Temporary files lie in {scratch}, which has {free:,.0f} MB "
            "of room.",
            "Make room there and in the lake, or set TMPDIR to a folder with room. Then run the month again.",
        )
        raise dg.Failure(description=str(told), allow_retries=False) from error
    finally:
        if engine is not None:
            engine.release()


@dataclass
class FailedMonths:
    """The months that a run could not make, and why.

    Parameters
    ----------
    reasons : dict
        The reason for each table and month; empty if the month failed because an input did.
    """

    reasons: dict[tuple[str, Month], str] = field(default_factory=dict)

    def add(self, tables: Sequence[str], month: Month, reason: str) -> None:
        """Record a month; the tables of one step fail together."""
        self.reasons.update({(table, month): "" for table in tables[1:]} | {(tables[0], month): reason})

    def holds(self, tables: Sequence[str], month: Month) -> bool:
        """Return whether a month of any of the tables failed in this run."""
        return any((table, month) in self.reasons for table in tables)

    def sentence(self, months: int) -> str:
        """Return the failure's message for a run of so many months."""
        causes = [f"{table} {month}: {why}" for (table, month), why in self.reasons.items() if why]
        more = f" And {len(causes) - _SHOWN} more." if len(causes) > _SHOWN else ""
        failed = len({month for _, month in self.reasons})
        return (
            f"{failed} of {months} months could not be made; the others are there. {' '.join(causes[:_SHOWN])}{more} "
            "Mend the cause, then materialise those months again."
        )
