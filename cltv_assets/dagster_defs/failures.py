"""Turns faults that a retry cannot mend into Dagster failures, and lets no error quote a customer in its records."""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import shutil
import sys
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

import cltv_assets
from cltv_assets.engines import Engine
from cltv_assets.errors import CltvError, EngineError
from cltv_assets.files.scratch import process_folder
from cltv_assets.months import Month
from cltv_assets.settings.file import DEBUG_VARIABLE

#: The system's error, as every library spells it; and what DuckDB says where it has no room to spill.
_FULL = (os.strerror(errno.ENOSPC), "max_temp_directory_size")
_PACKAGE = Path(cltv_assets.__file__).parent
#: What `print_texts` will print; a process that goes on for long keeps the last ones.
_texts: deque[str] = deque(maxlen=10)
#: The most causes that the message lists.
_SHOWN = 10


class UnforeseenError(Exception):
    """An error that is not ours, by its type and place: its text may quote a customer, and Dagster keeps it for years.

    It has the frames of the error that it stands for. `print_texts` prints the text where ``CLTV_DEBUG`` is set.
    """


@contextlib.contextmanager
def faults_as_failures(engine: Engine | None = None) -> Iterator[None]:
    """Turn a fault of data, configuration or a full disk into a Dagster failure without retries.

    The run then shows one paragraph with the remedy; a retry would only fail again. Of other errors Dagster is told
    type and place. It would record causes with their messages, so there are none.

    Parameters
    ----------
    engine : Engine, optional
        What the step held in it is released, even after a failure.
    """
    try:
        yield
        return
    except (dg.Failure, dg.RetryRequested, UnforeseenError):
        raise
    except Exception as error:
        found = error
        told = recordable(error)
    finally:
        if engine is not None:
            engine.release()
    if isinstance(told, CltvError):
        raise dg.Failure(description=told.recorded, allow_retries=False).with_traceback(found.__traceback__) from None
    raise told.with_traceback(found.__traceback__) from None


@contextlib.contextmanager
def nothing_quoted() -> Iterator[None]:
    """Let errors through as Dagster may record them, for what is no step: the ticks of sensors, a remote job."""
    try:
        yield
        return
    except Exception as error:
        found = error
        told = recordable(error)
    raise told.with_traceback(found.__traceback__) from None


def recordable(error: Exception) -> Exception:
    """Return an error as Dagster may record it, without causes and without what may quote a customer."""
    if isinstance(error, CltvError):
        return type(error)(error.problem, error.remedy)
    # Python, Arrow and DuckDB each have an error of their own for it.
    if any(sign in str(error) for sign in _FULL):
        scratch = process_folder().parent
        free = shutil.disk_usage(scratch).free / 1e6
        return EngineError(
            f"A disk is full: {str(error).splitlines()[0]} Temporary files lie in {scratch}, which has {free:,.0f} MB "
            "of room.",
            "Make room there and in the lake, or set TMPDIR to a folder with room. Then run the month again.",
        )
    if os.environ.get(DEBUG_VARIABLE):
        _texts.append("".join(traceback.format_exception(error)))
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(error, OSError) and error.errno:
        # The system's words, without the file.
        name += f" ({os.strerror(error.errno)})"
    return UnforeseenError(
        f"{name}{_place(error)}. Its text is not recorded, because it may quote a customer: `cltv run --debug` prints "
        f"it, and so does the process of a run with {DEBUG_VARIABLE}=1 in its environment when it ends."
    )


@atexit.register
def print_texts() -> None:
    """Print the whole texts of errors since the last call, if they are wanted; at the latest when the process ends.

    Not while a run goes on: what it prints is kept in Dagster's compute logs.
    """
    while _texts:
        sys.stderr.write(_texts.popleft())


def _place(error: Exception) -> str:
    """Return where an error came out of this package, or where it arose if that is elsewhere."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [at for at in frames if Path(at.filename).is_relative_to(_PACKAGE) and at.filename != __file__]
    if not frames:
        return ""
    last = (ours or frames)[-1]
    file = Path(last.filename)
    return f" in {file.relative_to(_PACKAGE.parent) if ours else file.name}, line {last.lineno}, {last.name}"


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
