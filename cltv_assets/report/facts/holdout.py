"""Earlier predictions against what then happened."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from cltv_assets.months import Month
from cltv_assets.schemas import HOLDOUT_EVALUATION
from cltv_assets.steps.month_run import MonthRun
from cltv_assets.transforms.holdout import BASELINES


@dataclass(frozen=True)
class Contender:
    """How one forecaster did.

    Parameters
    ----------
    name : str
        The model's name, or a baseline's.
    predicted : float
        Total.
    bias : float or None
        Predicted over actual total, minus 1; ``None`` where nothing was bought.
    mae : float
        Mean absolute error a customer.
    """

    name: str
    predicted: float
    bias: float | None
    mae: float

    @property
    def is_model(self) -> bool:
        """Whether it is ours rather than a baseline."""
        return self.name not in BASELINES


@dataclass(frozen=True)
class HoldoutCase:
    """One horizon and target.

    Parameters
    ----------
    origin : Month
        At whose end the prediction was made.
    horizon : int
        Months ahead.
    target : str
        ``purchases`` or ``revenue``.
    customers : int
    actual : float
        Total.
    contenders : tuple of Contender
        The model first.
    coverage : float or None
        Share of customers whose purchases lay within their 80 % interval.
    """

    origin: Month
    horizon: int
    target: str
    customers: int
    actual: float
    contenders: tuple[Contender, ...]
    coverage: float | None

    @property
    def model(self) -> Contender:
        """The model's row."""
        return self.contenders[0]


def holdout_cases(run: MonthRun) -> tuple[HoldoutCase, ...]:
    """Gather the month's metrics into one case a horizon and target."""
    rows = run.engine.collect(run.inputs[HOLDOUT_EVALUATION.name]).to_pylist()
    grouped: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        grouped[row["horizon_months"], row["target"]].append(row)
    return tuple(_case(grouped[key]) for key in sorted(grouped))


def _case(rows: list[dict[str, Any]]) -> HoldoutCase:
    value = {(row["model_name"], row["metric"]): row["value"] for row in rows}
    names = sorted({row["model_name"] for row in rows}, key=lambda name: (name in BASELINES, _place(name), name))
    first = rows[0]
    return HoldoutCase(
        Month.of(first["origin_month"]),
        first["horizon_months"],
        first["target"],
        first["customers"],
        value[names[0], "total_actual"],
        tuple(
            Contender(name, value[name, "total_predicted"], value.get((name, "relative_bias")), value[name, "mae"])
            for name in names
        ),
        value.get((names[0], "interval_coverage")),
    )


def _place(name: str) -> int:
    return BASELINES.index(name) if name in BASELINES else 0
