"""Customers by their churn state a month before and now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cltv_assets.tables.customer_scores.columns import CHURN_STATES
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.segmentation import month_rows
from cltv_assets.tables.table import Input

#: This month's scores and those of the month before; both may be missing.
SCORES = Input("customer_scores", 1, 0, holes=True)


@dataclass(frozen=True)
class ChurnStates:
    """Customers by churn state.

    Parameters
    ----------
    now : mapping of str to int
        Customers in each state.
    moved : mapping of (str, str) to int, or None
        Those scored in both months by the state before and now; None without last month's scores.
    """

    now: Mapping[str, int]
    moved: Mapping[tuple[str, str], int] | None

    def came_to(self, state: str, *, worse: bool) -> int:
        """Return how many came to a state from a better one, or from a worse one unless ``worse``."""
        place = CHURN_STATES.index
        moved = self.moved or {}
        return sum(
            n
            for (before, now), n in moved.items()
            if now == state and before != now and (place(now) > place(before)) == worse
        )


def churn_states(run: MonthRun) -> ChurnStates | None:
    """Count the month's churn states; None without scores."""
    scores = run.inputs[SCORES.table]
    now, before = (month_rows(scores, month.first_day) for month in (run.month, run.month.shift(-1)))
    old = before.select("customer_id", state_before="churn_state")
    both = now.select("customer_id", "churn_state").left_join(old, "customer_id")
    rows = run.engine.collect(both.group_by("state_before", "churn_state").aggregate(n=both.count())).to_pylist()
    if not rows:
        return None
    found: dict[str, int] = dict.fromkeys(CHURN_STATES, 0)
    for row in rows:
        found[row["churn_state"]] += row["n"]
    moved = {(row["state_before"], row["churn_state"]): row["n"] for row in rows if row["state_before"] is not None}
    return ChurnStates(found, moved or None)
