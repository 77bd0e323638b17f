"""Customer lifetime value as Dagster assets.

From raw transactions to a validated lifetime-value prediction for every
customer, every month. ``cltv_assets.definitions`` is the code location;
``cltv_assets.dagster_defs.build`` makes the same definitions from settings of your own, and
``CltvComponent`` from a ``defs.yaml``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cltv_assets.dagster_defs.build import build_definitions
    from cltv_assets.dagster_defs.component import CltvComponent
    from cltv_assets.models.lifetimes_adapter import as_lifetimes

# SciPy's L-BFGS-B hands four-by-four matrices to OpenBLAS, whose threads wait for one another: on a busy machine
# an iteration took 2.4 ms instead of 0.06, and a month's fits 5 s instead of 1. SciPy reads it when it is first
# imported, by whatever module of the package that is.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__all__ = ["CltvComponent", "__version__", "as_lifetimes", "build_definitions"]

__version__ = "0.3.0"


def __getattr__(name: str) -> Any:
    # Late: the package must not bring in Dagster by being imported.
    if name == "CltvComponent":
        from cltv_assets.dagster_defs.component import CltvComponent

        return CltvComponent
    if name == "build_definitions":
        from cltv_assets.dagster_defs.build import build_definitions

        return build_definitions
    if name == "as_lifetimes":
        from cltv_assets.models.lifetimes_adapter import as_lifetimes

        return as_lifetimes
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    # Dagster looks here for components.
    return sorted({*globals(), *__all__})
