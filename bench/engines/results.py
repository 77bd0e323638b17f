"""From samples and stages to what is kept of a run."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.engines.population import MONTHS
from bench.engines.processes import Sample
from bench.engines.stages import Stage

_MIB = 2**20
#: The month that is modelled for the holdout only, and which of its stages belong to that.
_EARLIER, _PREPARING = MONTHS[-4], ("raw_transactions", "cleaned_transactions", "purchase_days")
HOLDOUT_S_OWN = "(earlier month, for the holdout)"


@dataclass(frozen=True)
class StageResult:
    """What a stage took, over all months that it ran for.

    Parameters
    ----------
    name : str
    seconds : float
        Wall clock.
    cpu : float
        Processor seconds of all processes of the run.
    peak_mib : dict of str to float
        The largest sum of resident memory, its parts by kind of process at that moment.
    """

    name: str
    seconds: float
    cpu: float
    peak_mib: dict[str, float]

    @property
    def peak(self) -> float:
        """Sum of ``peak_mib``."""
        return sum(self.peak_mib.values())


@dataclass(frozen=True)
class Result:
    """A run.

    Parameters
    ----------
    transactions : int
    engine, ended : str
    whole : StageResult
        From the process's start to its end.
    stages : list of StageResult
        In order of their first begin.
    others_cores : float
        Cores that other processes of the machine used meanwhile, on average.
    cores : int
        Of the machine.
    settings : dict of str to str
    answer : dict of str to float, or None
    """

    transactions: int
    engine: str
    ended: str
    whole: StageResult
    stages: list[StageResult]
    others_cores: float
    cores: int
    settings: Mapping[str, str]
    answer: dict[str, float] | None

    def write(self, file: Path) -> None:
        """Keep the result."""
        file.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, file: Path) -> Result:
        """Read a kept result."""
        values = json.loads(file.read_text())
        values["whole"] = StageResult(**values["whole"])
        values["stages"] = [StageResult(**stage) for stage in values["stages"]]
        return cls(**values)


def measured(
    transactions: int,
    engine: str,
    ended: str,
    begin: float,
    stages: Sequence[Stage],
    answer: dict[str, float] | None,
    samples: Sequence[Sample],
    settings: Mapping[str, str],
) -> Result:
    """Lay the samples of memory and processor time over the stages.

    Parameters
    ----------
    transactions : int
    engine, ended : str
    begin : float
        When the process started, seconds since the epoch.
    stages : sequence of Stage
    answer : dict, optional
    samples : sequence of Sample
    settings : mapping
    """
    names: dict[str, list[Stage]] = {}
    in_order = sorted(stages, key=lambda stage: stage.begin)
    if in_order:
        # The process's start and its imports belong to what it says to do first.
        in_order[0] = replace(in_order[0], begin=begin)
    for stage in in_order:
        names.setdefault(_shown(stage), []).append(stage)
    end = samples[-1].at
    whole = _over("whole run", [Stage("", begin, end)], samples)
    machine = samples[-1].machine_cpu - samples[0].machine_cpu
    own = samples[-1].cpu - samples[0].cpu
    return Result(
        transactions=transactions,
        engine=engine,
        ended=ended,
        whole=whole,
        stages=[_over(name, parts, samples) for name, parts in names.items()],
        others_cores=max(machine - own, 0.0) / (end - samples[0].at),
        cores=os.cpu_count() or 1,
        settings=settings,
        answer=answer,
    )


def _shown(stage: Stage) -> str:
    if stage.month == _EARLIER and not stage.name.startswith(_PREPARING):
        return HOLDOUT_S_OWN
    return stage.name


def _over(name: str, parts: Iterable[Stage], samples: Sequence[Sample]) -> StageResult:
    seconds = cpu = 0.0
    largest: Sample | None = None
    for part in parts:
        seconds += part.end - part.begin
        # The last sample before the stage counts as its beginning.
        inside = [sample for sample in samples if part.begin <= sample.at <= part.end]
        before = [sample for sample in samples if sample.at < part.begin][-1:]
        after = [sample for sample in samples if sample.at > part.end][:1]
        span = before + inside + after
        cpu += _cpu_at(span, part.end) - _cpu_at(span, part.begin)
        for sample in inside or span:
            if largest is None or sample.total > largest.total:
                largest = sample
    memory = {} if largest is None else {kind: round(size / _MIB, 1) for kind, size in largest.memory.items()}
    return StageResult(name, round(seconds, 3), round(cpu, 3), memory)


def _cpu_at(span: Sequence[Sample], at: float) -> float:
    """Return processor seconds used until ``at``, between two samples in proportion."""
    for one, other in itertools.pairwise(span):
        if one.at <= at <= other.at:
            return one.cpu + (other.cpu - one.cpu) * (at - one.at) / max(other.at - one.at, 1e-9)
    return span[0].cpu if at < span[0].at else span[-1].cpu
