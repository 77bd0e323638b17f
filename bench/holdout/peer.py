"""What other packages predict, in an environment of theirs.

``python peer.py customers.npz forecasts.npz``: one row a customer in, expected purchases and P(alive) of each
forecaster out. Imports nothing of this package.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Columns = dict[str, npt.NDArray[np.float64]]
Found = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def lifetimes(name: str) -> Callable[[Columns, float], Found]:
    """Return a fitter of ``lifetimes``, as its documentation uses it."""

    def forecast(columns: Columns, horizon: float) -> Found:
        import lifetimes as package

        rows = [columns[each] for each in ("frequency", "recency", "T")]
        fitter = getattr(package, name)().fit(*rows)
        expected = fitter.conditional_expected_number_of_purchases_up_to_time(horizon, *rows)
        return np.asarray(expected), np.asarray(fitter.conditional_probability_alive(*rows))

    return forecast


def pymc(name: str) -> Callable[[Columns, float], Found]:
    """Return a model of ``pymc-marketing`` at its maximum a posteriori with its own priors."""

    def forecast(columns: Columns, horizon: float) -> Found:
        import pandas as pd
        from pymc_marketing import clv  # type: ignore[import-not-found]

        data = pd.DataFrame({"customer_id": np.arange(len(columns["T"])), **columns})
        model = getattr(clv, name)(data=data)
        model.fit(method="map", progressbar=False)
        expected = np.asarray(model.expected_purchases(data, future_t=horizon)).ravel()
        return expected, np.asarray(model.expected_probability_alive(data)).ravel()

    return forecast


FORECASTERS = {
    "lifetimes, BG/NBD": lifetimes("BetaGeoFitter"),
    "lifetimes, MBG/NBD": lifetimes("ModifiedBetaGeoFitter"),
    "lifetimes, Pareto/NBD": lifetimes("ParetoNBDFitter"),
    "pymc-marketing, BG/NBD": pymc("BetaGeoModel"),
    "pymc-marketing, MBG/NBD": pymc("ModifiedBetaGeoModel"),
}


def main(source: str, target: str) -> None:
    """Run all forecasters; what fails has no forecast, and its error is printed."""
    warnings.simplefilter("ignore")
    with np.load(source) as file:
        columns = {name: file[name].astype(np.float64) for name in ("frequency", "recency", "T")}
        horizon = float(file["horizon"])
    found: dict[str, Any] = {}
    for name, forecast in FORECASTERS.items():
        try:
            expected, alive = forecast(columns, horizon)
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {str(error)[:200]}", file=sys.stderr)
            continue
        found[f"{name}|expected"], found[f"{name}|alive"] = expected, alive
    np.savez(target, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
