"""The tables of ``RESULTS.md``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cltv_assets.models.gamma_gamma import GammaGammaLikelihood
from cltv_assets.models.purchase.registry import model_named
from cltv_assets.models.sufficient_statistics import PurchaseStatistics, SpendStatistics

Results = Mapping[tuple[str, str, int], dict[str, Any]]


def cost_table(results: Results) -> str:
    """Return time and memory, and how many times ours each is."""
    lines = [
        "| model | customers | contender | fit, cpu s | score, cpu s | fit + score, s | peak MiB | "
        "cpu, times ours | MiB added, times ours |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (contender, model, customers), result in sorted(results.items(), key=lambda item: (item[0][1], item[0][2])):
        head = f"| {model} | {customers:,} | {contender} |"
        if "ended" in result:
            lines.append(f"{head} {result['ended']} | | | | | |")
            continue
        own = results["ours", model, customers]
        ratio = max(_cpu(result), 0.01) / max(_cpu(own), 0.01)
        added = _added(result) / max(_added(own), 1.0)
        seconds = result["fit_seconds"] + result["score_seconds"]
        lines.append(
            f"{head} {result['fit_cpu']:.2f} | {result['score_cpu']:.2f} | {seconds:.1f} | "
            f"{result['peak_mib']:,.0f} | {ratio:.1f} | {added:.1f} |"
        )
    return "\n".join(lines)


def agreement_table(results: Results, folder: Path) -> str:
    """Return how far each contender's estimate lies from ours: in parameters, and in likelihood by our formula."""
    lines = [
        "| model | customers | contender | largest relative difference of a parameter | log-likelihood below ours, "
        "relative | customers without a finite score |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for (contender, model, customers), result in sorted(results.items(), key=lambda item: (item[0][1], item[0][2])):
        if contender == "ours" or "ended" in result:
            continue
        own, theirs = results["ours", model, customers]["parameters"], result["parameters"]
        with np.load(folder / f"{model}-{customers}.npz") as file:
            columns = {name: file[name] for name in file.files}
        best, other = (_log_likelihood(model, columns, parameters) for parameters in (own, theirs))
        apart = max(abs(theirs[name] / own[name] - 1.0) for name in own)
        lines.append(
            f"| {model} | {customers:,} | {contender} | {apart:.1e} | {(best - other) / abs(best):.1e} | "
            f"{result['not_finite']:,} |"
        )
    return "\n".join(lines)


def _cpu(result: Mapping[str, Any]) -> float:
    return float(result["fit_cpu"] + result["score_cpu"])


def _added(result: Mapping[str, Any]) -> float:
    return float(result["peak_mib"] - result["before_mib"])


def _log_likelihood(model: str, columns: Mapping[str, Any], parameters: Mapping[str, float]) -> float:
    ones = np.ones(len(columns["frequency"]))
    if model == "gamma_gamma":
        spend = GammaGammaLikelihood(SpendStatistics(columns["frequency"], columns["monetary_value"], ones))
        return spend(np.log([parameters[name] for name in ("p", "q", "v")]))[0]
    purchases = PurchaseStatistics(columns["frequency"], columns["recency"], columns["T"], ones)
    family = model_named(model)
    return family.likelihood(purchases)(np.log([parameters[name] for name in family.parameter_names]))[0]
