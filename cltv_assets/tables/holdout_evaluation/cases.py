"""Earlier predictions and what then happened, for this month and the months before it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cltv_assets.months import Month
from cltv_assets.tables.holdout_evaluation.columns import HOLDOUT_EVALUATION
from cltv_assets.tables.holdout_evaluation.outcomes import BASELINES, LAST_YEAR, NAIVE_RATE, NBD
from cltv_assets.tables.month_run import MonthRun

#: Baselines in reading order, with their names in pictures. The model's own name is a pair,
#: so an NBD that predicts is not mistaken for the baseline.
PLACES = {NBD: "NBD", NAIVE_RATE: "rate so far", LAST_YEAR: "last year"}
#: Number of months that the trend shows.
TREND_MONTHS = 24
DECILES = 10


@dataclass(frozen=True)
class Contender:
    """How one forecaster did; ``None`` where the table has no such metric.

    Parameters
    ----------
    name : str
        The model's name, or a baseline's.
    metrics : mapping of str to float
        Values by the metric's name.
    """

    name: str
    metrics: Mapping[str, float]

    @property
    def is_model(self) -> bool:
        """Whether it is ours rather than a baseline."""
        return self.name not in BASELINES

    @property
    def predicted(self) -> float:
        """The predicted total."""
        return self.metrics["total_predicted"]

    @property
    def bias(self) -> float | None:
        """Predicted over actual total, minus 1; ``None`` where nothing was bought."""
        return self.metrics.get("relative_bias")

    @property
    def mae(self) -> float:
        """Mean absolute error per customer."""
        return self.metrics["mae"]

    @property
    def rmse(self) -> float | None:
        """Root of the mean squared error per customer."""
        return self.metrics.get("rmse")


@dataclass(frozen=True)
class Decile:
    """A tenth of the customers by prediction, with means per customer."""

    predicted: float
    actual: float


@dataclass(frozen=True)
class HoldoutCase:
    """One horizon and target.

    Parameters
    ----------
    origin : Month
        The month at whose end the prediction was made.
    horizon : int
        Months ahead.
    target : str
        ``purchases`` or ``revenue``.
    customers : int
        Customers with a prediction.
    actual : float
        The total that came true.
    contenders : tuple of Contender
        The model first.
    """

    origin: Month
    horizon: int
    target: str
    customers: int
    actual: float
    contenders: tuple[Contender, ...]

    @property
    def model(self) -> Contender:
        """The model's row."""
        return self.contenders[0]

    @property
    def ended(self) -> Month:
        """The month at whose end the outcome was known."""
        return self.origin.shift(self.horizon)

    @property
    def coverage(self) -> float | None:
        """Share of customers whose outcome lay within their 80 % interval, by randomised ends where they are known."""
        plain = self.model.metrics.get("interval_coverage")
        return self.model.metrics.get("interval_coverage_randomised", plain)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 80 % interval of the total, as predicted at the time."""
        low, high = (self.model.metrics.get(name) for name in ("total_low", "total_high"))
        return None if low is None or high is None else (low, high)

    @property
    def held(self) -> bool | None:
        """Whether the total lay within its interval; ``None`` without one."""
        return None if self.interval is None else self.interval[0] <= self.actual <= self.interval[1]

    @property
    def deciles(self) -> tuple[Decile, ...]:
        """Tenths of the customers, the lowest predictions first; empty where the table has none."""
        names = [f"decile_{n:02d}" for n in range(1, DECILES + 1)]
        pairs = [(f"{name}_predicted", f"{name}_actual") for name in names]
        metrics = self.model.metrics
        return tuple(
            Decile(metrics[predicted], metrics[actual])
            for predicted, actual in pairs
            if predicted in metrics and actual in metrics
        )

    @property
    def labelled(self) -> dict[str, Contender]:
        """Contenders by their names in pictures; ours is ``model``."""
        named = [(label, self.contender(name)) for name, label in PLACES.items()]
        return {"model": self.model} | {label: one for label, one in named if one is not None}

    def contender(self, name: str) -> Contender | None:
        """Return a contender by name; ``None`` if it did not take part."""
        return next((one for one in self.contenders if one.name == name), None)


def holdout_cases(run: MonthRun) -> tuple[HoldoutCase, ...]:
    """Gather the month's metrics into one case for each horizon and target."""
    return cases_of(run.engine.collect(run.inputs[HOLDOUT_EVALUATION.name]).to_pylist())


def earlier_cases(run: MonthRun) -> tuple[HoldoutCase, ...]:
    """Gather the cases of earlier months that are in the lake, oldest first."""
    table = run.lake.table(HOLDOUT_EVALUATION)
    first = max(run.month.shift(1 - TREND_MONTHS), run.settings.first_month)
    months = sorted(table.published(list(first.until(run.month.shift(-1)))))
    if not months:
        return ()
    earlier = run.engine.read_lake(HOLDOUT_EVALUATION, table.files(months))
    # For baselines and deciles the trend shows only errors.
    needed = earlier.filter(~earlier.metric.startswith("decile_")).drop("month")
    return cases_of(run.engine.collect(needed).to_pylist())


def cases_of(rows: Sequence[Mapping[str, Any]]) -> tuple[HoldoutCase, ...]:
    """Group rows of ``holdout_evaluation`` by month of outcome, horizon and target."""
    grouped: dict[tuple[Month, int, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        ended = Month.of(row["origin_month"]).shift(row["horizon_months"])
        grouped[ended, row["horizon_months"], row["target"]].append(row)
    return tuple(case for key in sorted(grouped) if (case := _case(grouped[key])) is not None)


def _case(rows: Sequence[Mapping[str, Any]]) -> HoldoutCase | None:
    metrics: dict[str, dict[str, float]] = defaultdict(dict)
    for row in rows:
        metrics[row["model_name"]][row["metric"]] = row["value"]
    whole = [name for name, found in metrics.items() if {"total_predicted", "mae"} <= found.keys()]
    names = sorted(whole, key=lambda name: (name in BASELINES, _place(name), name))
    if not names or names[0] in BASELINES:
        return None
    first = rows[0]
    return HoldoutCase(
        Month.of(first["origin_month"]),
        first["horizon_months"],
        first["target"],
        first["customers"],
        metrics[names[0]]["total_actual"],
        tuple(Contender(name, metrics[name]) for name in names),
    )


def _place(name: str) -> int:
    return list(PLACES).index(name) if name in PLACES else 0
