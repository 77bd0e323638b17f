"""One contender, one model, one population: fit and score, in a process of its own.

``python contender.py ours bg_nbd data.npz result.json``. Imports nothing of this package,
so that it runs in the peers' environment too. Imports and reading are not timed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Columns = dict[str, npt.NDArray[Any]]
#: The months ahead that are scored, in days.
YEAR = 365.0


@dataclass(frozen=True)
class Contender:
    """What a contender does.

    Parameters
    ----------
    prepare : callable
        Columns of the customers to what the library takes, untimed.
    fit : callable
        That, to a fitted model.
    parameters : callable
        A fitted model to parameters by our names.
    score : callable
        Fitted model and prepared customers to one number a customer, or two.
    """

    prepare: Callable[[Columns], Any]
    fit: Callable[[Any], Any]
    parameters: Callable[[Any], dict[str, float]]
    score: Callable[[Any, Any], tuple[npt.NDArray[Any], ...]]


def ours(model: str) -> Contender:
    """Return this package: patterns are counted by numpy, as the engine counts them in the graph."""
    from cltv_assets.models.estimation.fitting import fit_purchase_model, fit_spend_model
    from cltv_assets.models.gamma_gamma import expected_value
    from cltv_assets.models.pattern_predictions import predict_patterns
    from cltv_assets.models.sufficient_statistics import PurchaseStatistics, SpendStatistics

    if model == "gamma_gamma":

        def fit_spend(columns: Columns) -> Any:
            x, m = columns["frequency"].astype(np.int64), columns["monetary_value"]
            # Values that agree in four digits are one entry with their mean, as the graph's engine has them.
            minor = np.round(m * 10_000)
            unit = 10.0 ** np.maximum(np.floor(np.log10(minor)) - 3, 0)
            levels, level = np.unique(minor // unit * unit, return_inverse=True)
            keys, index, counts = np.unique(x * len(levels) + level, return_inverse=True, return_counts=True)
            means = np.bincount(index, weights=m) / counts
            return fit_spend_model(SpendStatistics(keys // len(levels), means, counts))

        def price(fit: Any, columns: Columns) -> tuple[npt.NDArray[Any], ...]:
            return (expected_value(fit.usable_parameters(), columns["frequency"], columns["monetary_value"]),)

        return Contender(lambda columns: columns, fit_spend, lambda fit: dict(fit.usable_parameters()), price)

    def patterns(columns: Columns) -> tuple[npt.NDArray[Any], ...]:
        x, t_x, age = (columns[name].astype(np.int64) for name in ("frequency", "recency", "T"))
        width = int(age.max()) + 1
        keys, index, counts = np.unique((x * width + t_x) * width + age, return_inverse=True, return_counts=True)
        return keys // (width * width), keys // width % width, keys % width, counts, index

    def fit_purchases(columns: Columns) -> Any:
        x, t_x, age, counts, index = patterns(columns)
        statistics = PurchaseStatistics(x, t_x.astype(float), age.astype(float), counts.astype(float))
        return fit_purchase_model(statistics, model), (x, t_x, age, index)

    def score(fitted: Any, columns: Columns) -> tuple[npt.NDArray[Any], ...]:  # noqa: ARG001
        fit, (x, t_x, age, index) = fitted
        made = predict_patterns(fit, x, t_x, age, [YEAR], [])
        return made.p_alive[index], made.expected_purchases[index, 0]

    return Contender(lambda columns: columns, fit_purchases, lambda fitted: dict(fitted[0].usable_parameters()), score)


def lifetimes(model: str) -> Contender:
    """Return ``lifetimes`` as its documentation uses it: a row a customer."""
    from lifetimes import BetaGeoFitter, GammaGammaFitter, ParetoNBDFitter

    if model == "gamma_gamma":
        return Contender(
            lambda columns: columns,
            lambda columns: GammaGammaFitter().fit(columns["frequency"], columns["monetary_value"]),
            lambda fitter: dict(fitter.params_),
            lambda fitter, columns: (
                np.asarray(fitter.conditional_expected_average_profit(columns["frequency"], columns["monetary_value"])),
            ),
        )

    def history(columns: Columns) -> list[npt.NDArray[Any]]:
        return [columns[name].astype(np.float64) for name in ("frequency", "recency", "T")]

    fitter_class = BetaGeoFitter if model == "bg_nbd" else ParetoNBDFitter
    return Contender(
        history,
        lambda rows: fitter_class().fit(*rows),
        lambda fitter: dict(fitter.params_),
        lambda fitter, rows: (
            np.asarray(fitter.conditional_probability_alive(*rows)),
            np.asarray(fitter.conditional_expected_number_of_purchases_up_to_time(YEAR, *rows)),
        ),
    )


def pymc(model: str) -> Contender:
    """Return ``pymc-marketing``: the maximum a posteriori with flat priors, which is the likelihood's maximum."""
    import pandas as pd
    from pymc_extras.prior import Prior  # type: ignore[import-not-found]
    from pymc_marketing import clv  # type: ignore[import-not-found]

    classes = {"bg_nbd": clv.BetaGeoModel, "pareto_nbd": clv.ParetoNBDModel, "gamma_gamma": clv.GammaGammaModel}
    names = {"bg_nbd": "r alpha a b", "pareto_nbd": "r alpha s beta", "gamma_gamma": "p q v"}[model].split()

    def frame(columns: Columns) -> Any:
        return pd.DataFrame({"customer_id": np.arange(len(columns["frequency"])), **columns})

    def fit(data: Any) -> Any:
        fitted = classes[model](data=data, model_config={name: Prior("HalfFlat") for name in names})
        fitted.fit(method="map", progressbar=False)
        return fitted

    def score(fitted: Any, data: Any) -> tuple[npt.NDArray[Any], ...]:
        if model == "gamma_gamma":
            return (np.asarray(fitted.expected_customer_spend(data)).ravel(),)
        alive = fitted.expected_probability_alive(data)
        return np.asarray(alive).ravel(), np.asarray(fitted.expected_purchases(data, future_t=YEAR)).ravel()

    return Contender(frame, fit, lambda fitted: {name: float(fitted.fit_result[name].mean()) for name in names}, score)


CONTENDERS = {"ours": ours, "lifetimes": lifetimes, "pymc-marketing": pymc}


def main(name: str, model: str, data: str, result: str) -> None:
    """Run one contender and write what it took."""
    contender = CONTENDERS[name](model)
    with np.load(data) as file:
        customers = contender.prepare({key: file[key] for key in file.files})
    before = _peak_mib()
    begin, cpu = time.perf_counter(), _cpu()
    fitted = contender.fit(customers)
    fit_seconds, fit_cpu = time.perf_counter() - begin, _cpu() - cpu
    begin, cpu = time.perf_counter(), _cpu()
    scores = contender.score(fitted, customers)
    score_seconds, score_cpu = time.perf_counter() - begin, _cpu() - cpu
    Path(result).write_text(
        json.dumps(
            {
                "parameters": {key: float(value) for key, value in contender.parameters(fitted).items()},
                "fit_seconds": fit_seconds,
                "fit_cpu": fit_cpu,
                "score_seconds": score_seconds,
                "score_cpu": score_cpu,
                "peak_mib": _peak_mib(),
                "before_mib": before,
                "score_means": [float(np.nanmean(score)) for score in scores],
                "not_finite": int(sum((~np.isfinite(score)).sum() for score in scores)),
            }
        )
    )


def _peak_mib() -> float:
    """Return this program's largest resident memory so far.

    ``getrusage`` would count that of the process which started it.
    """
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024


def _cpu() -> float:
    """Return processor seconds of this process and of those it started and waited for, such as a compiler."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main(*sys.argv[1:])
