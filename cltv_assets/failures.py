"""Faults that a retry cannot mend, as Dagster shows them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import dagster as dg

from cltv_assets.engines import Engine
from cltv_assets.errors import CltvError


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
