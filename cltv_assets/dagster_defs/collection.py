"""Python's garbage collection while months run.

Definitions, Ibis and Dagster hold a million objects that live as long as the process. Each
full collection looks at all of them and finds nothing: a seventh of the time of a backfill.
They are set aside, and the others are collected less often; what the months make and drop is
still collected, so that memory stays flat.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

#: Python 3.11's own are 700, 10 and 10.
_THRESHOLDS = (50_000, 20, 50)


@contextlib.contextmanager
def rare_collection() -> Iterator[None]:
    """Set aside what is there, and collect the rest less often, until the context ends."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
