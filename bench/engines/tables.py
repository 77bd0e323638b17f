"""Results as Markdown."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from bench.engines.results import HOLDOUT_S_OWN, Result, StageResult

_ORDER = {"duckdb": 0, "spark": 1, "cluster": 2, "pandas": 3, "bare": 4, "polars": 5}
NAMES = {
    "duckdb": "DuckDB",
    "spark": "Spark local[2]",
    "cluster": "Spark cluster, 2 workers",
    "pandas": "pandas + lifetimes",
    "bare": "bare DuckDB, landing and cleaning only",
    "polars": "Polars streaming, to RFM only",
}
_KINDS = ("Python", "driver JVM", "executors", "master and workers")


def name_of(result: Result) -> str:
    """Return the engine as it was set up.

    Parameters
    ----------
    result : Result
    """
    kept = {"kept": ", one session", "month": ", a session a month"}.get(result.settings.get("session", ""), "")
    return NAMES[result.engine] + kept


def table_of(result: Result) -> str:
    """Return one run, a row a stage.

    Parameters
    ----------
    result : Result
    """
    title = f"{name_of(result)}, {result.transactions:,} transactions: {result.ended}"
    lines = [title, "", "| stage | seconds | processor seconds | peak MiB | of it |", "| --- | --- | --- | --- | --- |"]
    for stage in [*result.stages, result.whole]:
        parts = ", ".join(f"{kind} {size:,.0f}" for kind, size in sorted(stage.peak_mib.items()))
        lines.append(f"| {stage.name} | {stage.seconds:.1f} | {stage.cpu:.1f} | {stage.peak:,.0f} | {parts} |")
    used = result.whole.cpu / result.whole.seconds
    lines.append(f"\nCores used: {used:.2f}; by others meanwhile: {result.others_cores:.2f} of {result.cores}.")
    if result.answer:
        lines.append("Answer: " + ", ".join(f"{name} {value:.10g}" for name, value in result.answer.items()))
    return "\n".join(lines)


def all_tables(results: Sequence[Result]) -> str:
    """Return the comparison, the stages of every size, and the answers.

    Parameters
    ----------
    results : sequence of Result
    """
    ordered = sorted(results, key=lambda result: (result.transactions, _ORDER[result.engine]))
    parts = ["## Whole runs", "", *_comparison(ordered)]
    parts += ["", "## Growth", "", *_growth(ordered)]
    for size in sorted({result.transactions for result in ordered}):
        runs = [result for result in ordered if result.transactions == size]
        parts += ["", f"## Stages, {size:,} transactions", "", *_stages(runs)]
    parts += ["", "## The same answers", "", *_answers(ordered)]
    return "\n".join(parts)


def net(result: Result) -> tuple[float, float]:
    """Return seconds and processor seconds without the month that only the holdout needs."""
    extra = [stage for stage in result.stages if stage.name == HOLDOUT_S_OWN]
    return (
        result.whole.seconds - sum(stage.seconds for stage in extra),
        result.whole.cpu - sum(stage.cpu for stage in extra),
    )


def _comparison(ordered: Sequence[Result]) -> list[str]:
    head = ["transactions", "engine", "ended", "seconds", "processor seconds", "to pandas", "lines a core-second"]
    head += ["peak MiB", *_KINDS, "others' cores"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    peers = {result.transactions: net(result)[1] for result in ordered if result.engine == "pandas"}
    for result in ordered:
        seconds, cpu = net(result)
        finished = result.ended == "finished"
        peer = peers.get(result.transactions)
        row = [f"{result.transactions:,}", name_of(result), result.ended, f"{seconds:.0f}", f"{cpu:.0f}"]
        row += [f"{cpu / peer:.2f}" if peer and finished else ""]
        row += [f"{result.transactions / cpu:,.0f}" if finished else "", f"{result.whole.peak:,.0f}"]
        row += [f"{result.whole.peak_mib[kind]:,.0f}" if kind in result.whole.peak_mib else "" for kind in _KINDS]
        lines.append("| " + " | ".join([*row, f"{result.others_cores:.2f}"]) + " |")
    return lines


def _growth(ordered: Sequence[Result]) -> list[str]:
    """What a million more lines cost between two sizes, start-up left out by the difference."""
    head = ["engine", "from", "to", "processor seconds a million more lines", "MiB more at the peak", "MiB a core"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for engine, name in NAMES.items():
        runs = [result for result in ordered if result.engine == engine and result.ended == "finished"]
        for small, large in itertools.pairwise(runs):
            millions = (large.transactions - small.transactions) / 1e6
            row = [name, f"{small.transactions:,}", f"{large.transactions:,}"]
            row += [f"{(net(large)[1] - net(small)[1]) / millions:.1f}"]
            row += [f"{large.whole.peak - small.whole.peak:,.0f}", f"{large.whole.peak / large.cores:,.0f}"]
            lines.append("| " + " | ".join(row) + " |")
    return lines


def _stages(runs: Sequence[Result]) -> list[str]:
    names = list(dict.fromkeys(stage.name for result in runs for stage in result.stages))
    head = ["stage", *(name_of(result) for result in runs)]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for name in names:
        row = [_cell(next((stage for stage in result.stages if stage.name == name), None)) for result in runs]
        lines.append(f"| {name} | " + " | ".join(row) + " |")
    lines.append("| between the stages | " + " | ".join(_between(result) for result in runs) + " |")
    lines.append("| whole run | " + " | ".join(_cell(result.whole) for result in runs) + " |")
    return lines


def _cell(stage: StageResult | None) -> str:
    return "" if stage is None else f"{stage.seconds:.1f} s, {stage.cpu:.1f} cpu-s, {stage.peak:,.0f} MiB"


def _between(result: Result) -> str:
    seconds = result.whole.seconds - sum(stage.seconds for stage in result.stages)
    cpu = result.whole.cpu - sum(stage.cpu for stage in result.stages)
    return f"{seconds:.1f} s, {cpu:.1f} cpu-s"


def _answers(ordered: Sequence[Result]) -> list[str]:
    answered = [result for result in ordered if result.answer]
    names = list(dict.fromkeys(name for result in answered for name in result.answer or {}))
    lines = ["| transactions | engine | " + " | ".join(names) + " |", "| --- | --- |" + " --- |" * len(names)]
    for result in answered:
        values = [f"{(result.answer or {}).get(name, float('nan')):.8g}" for name in names]
        lines.append(f"| {result.transactions:,} | {name_of(result)} | " + " | ".join(values) + " |")
    return lines
