"""The rule by which months are made, as a function of plain values."""

import datetime as dt
import random
from collections import Counter

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cltv_assets.dagster_defs.automation.planning import Attempt, Calendar, History, Step, Verdict, overdue, plan
from cltv_assets.months import Month
from cltv_assets.tables.table import Input

DAY = dt.timedelta(days=1)
FIRST = Month.parse("2024-01")
#: The shape of the real graph: a root, a trailing window, all history, a look back with holes.
STEPS = [
    Step(("raw",), (), DAY),
    Step(("cleaned", "rejected"), (Input("raw"),), DAY),
    Step(("days",), (Input("cleaned"),), DAY),
    Step(("repeat",), (Input("days", 2),), DAY),
    Step(("rfm",), (Input("days", 100),), DAY),
    Step(("model",), (Input("rfm"),), DAY),
    Step(("predictions",), (Input("rfm"), Input("model")), DAY),
    Step(("holdout",), (Input("predictions", 4, 1, holes=True), Input("days", 5)), DAY),
    Step(("report",), (Input("raw"), Input("predictions"), Input("holdout"), Input("days", 100)), DAY),
]
TABLES = [table for step in STEPS for table in step.tables]


def closes(month: Month) -> dt.datetime:
    return dt.datetime.combine(month.shift(1).first_day, dt.time(), dt.UTC)


def calendar(last: str, now: dt.datetime | None = None, late: int = 3) -> Calendar:
    newest = Month.parse(last)
    return Calendar(FIRST, newest, now or closes(newest) + 5 * DAY, closes, late)


class World:
    """A store of events, and runs that make what the plan requests, as Dagster would."""

    def __init__(self, late: int = 3) -> None:
        self.number = 0
        self.late = late
        self.made: dict[str, dict[Month, int]] = {table: {} for table in TABLES}
        self.attempts: dict[str, dict[Month, Attempt]] = {table: {} for table in TABLES}
        self.runs: dict[int, str] = {}
        self.requests: Counter[tuple[str, Month]] = Counter()
        self.broken: set[tuple[str, Month]] = set()

    def next(self) -> int:
        self.number += 1
        return self.number

    def plan(self, last: str) -> dict[tuple[str, Month], Verdict]:
        history = History(self.made, self.attempts, run_of=lambda _table, number: self.runs[number])
        return dict(plan(STEPS, history, calendar(last, late=self.late)))

    def requested(self, last: str) -> set[tuple[str, Month]]:
        return {at for at, verdict in self.plan(last).items() if verdict is Verdict.REQUESTED}

    def make(self, wanted: set[tuple[str, Month]]) -> None:
        """Run what is wanted, a run a month; what is broken fails, and stops what comes after it in its run."""
        for month in sorted({month for _, month in wanted}):
            run, failed = f"run {self.next()}", set()
            steps = [step for step in STEPS if (step.tables[0], month) in wanted]
            for step in steps:
                for table in step.tables:
                    self.attempts[table][month] = Attempt(self.next(), run, running=False)
            for step in steps:
                upstream = {need.table for need in step.needs}
                if upstream & failed or any((table, month) in self.broken for table in step.tables):
                    failed |= set(step.tables)
                    continue
                self.check_order(step, month)
                for table in step.tables:
                    self.made[table][month] = number = self.next()
                    self.runs[number] = run
                    del self.attempts[table][month]

    def check_order(self, step: Step, month: Month) -> None:
        for need in step.needs:
            for needed in need.months(month, FIRST):
                assert need.holes or needed in self.made[need.table], (
                    f"{step.tables} {month} before {need.table} {needed}"
                )

    def settle(self, last: str) -> int:
        """Evaluate until nothing is requested; return how many evaluations requested something."""
        for ticks in range(60):
            wanted = self.requested(last)
            if not wanted:
                return ticks
            self.requests.update(wanted)
            self.make(wanted)
        raise AssertionError(f"it never ends: {sorted(wanted, key=str)[:5]}")


def month(key: str) -> Month:
    return Month.parse(key)


def test_an_empty_lake_is_filled_and_each_month_requested_once() -> None:
    world = World()

    world.settle("2024-08")

    assert set(world.requests) == {(t, m) for t in TABLES for m in FIRST.until(month("2024-08"))}
    assert set(world.requests.values()) == {1}


def test_a_closed_month_is_made_in_one_evaluation_and_once() -> None:
    world = World()
    world.settle("2024-08")
    world.requests.clear()

    ticks = world.settle("2024-09")

    assert ticks == 1
    assert dict(world.requests) == {(table, month("2024-09")): 1 for table in TABLES}


def test_a_month_is_not_made_before_it_is_due() -> None:
    newest = month("2024-03")
    early = calendar("2024-03", closes(newest) + DAY - dt.timedelta(seconds=1))
    at_due = calendar("2024-03", closes(newest) + DAY)
    made = {table: {m: i for i, m in enumerate(FIRST.until(month("2024-02")))} for table in TABLES}

    assert plan(STEPS, History(made), early)["raw", newest] is Verdict.NOT_DUE
    assert plan(STEPS, History(made), at_due)["raw", newest] is Verdict.REQUESTED


def test_a_failure_stops_what_is_made_from_it_and_only_that() -> None:
    world = World()
    world.broken = {("cleaned", month("2024-04"))}

    world.settle("2024-06")

    missing = {
        at for at in ((t, m) for t in TABLES for m in FIRST.until(month("2024-06"))) if at[1] not in world.made[at[0]]
    }
    stopped = {(t, m) for t in TABLES if t != "raw" for m in [month("2024-04")]}
    # Later months of what looks back over April wait for it; what does not, goes on.
    stopped |= {
        (t, m)
        for t in ("repeat", "rfm", "model", "predictions", "holdout", "report")
        for m in month("2024-05").until(month("2024-06"))
    }
    assert missing == stopped
    assert world.requests["cleaned", month("2024-04")] == 1, "it is not tried again and again"


def test_after_mending_the_next_evaluation_finishes_the_rest() -> None:
    world = World()
    world.broken = {("cleaned", month("2024-04"))}
    world.settle("2024-06")
    world.requests.clear()
    world.broken.clear()

    world.make({("raw", month("2024-04"))})
    world.settle("2024-06")

    assert all(m in world.made[t] for t in TABLES for m in FIRST.until(month("2024-06")))
    assert set(world.requests.values()) == {1}
    assert ("raw", month("2024-05")) not in world.requests


@pytest.mark.parametrize("late", [0, 2, 12])
def test_a_repeated_month_brings_the_newest_months_up_to_date(late: int) -> None:
    world = World(late)
    world.settle("2024-08")
    world.requests.clear()

    world.make({("raw", month("2024-05")), ("cleaned", month("2024-05")), ("days", month("2024-05"))})
    world.settle("2024-08")

    reach = max(month("2024-08").shift(-late), month("2024-05"))
    # Everything from May on that is within reach and is made from days; holdout and report come after.
    expected = {
        (t, m)
        for t in ("rfm", "model", "predictions", "holdout", "report", "repeat")
        for m in reach.until(month("2024-08"))
        if t != "repeat" or m <= month("2024-07")
    }
    assert set(world.requests) == expected
    assert set(world.requests.values()) == {1}


def test_a_month_with_the_rows_it_had_makes_nothing_older() -> None:
    world = World()
    world.settle("2024-08")
    before = world.number
    world.make({("raw", month("2024-07"))})

    def changed(table: str, at: Month, number: int) -> bool:
        assert (table, at, number <= before) == ("raw", month("2024-07"), True)
        return False

    verdicts = plan(STEPS, History(world.made, world.attempts, changed=changed), calendar("2024-08"))

    assert set(verdicts.values()) == {Verdict.SETTLED}


def test_a_month_being_made_is_left_alone_and_what_is_made_from_it_waits() -> None:
    world = World()
    world.settle("2024-03")
    april = month("2024-04")
    world.attempts["raw"][april] = Attempt(world.next(), "by hand", running=True)

    verdicts = world.plan("2024-04")

    assert verdicts["raw", april] is Verdict.IN_PROGRESS
    assert {verdicts[t, april] for t in TABLES if t != "raw"} == {Verdict.WAITING}


def test_a_month_claimed_by_a_backfill_is_left_alone() -> None:
    claimed = frozenset({("raw", FIRST)})
    history = History({}, {}, claimed)

    assert plan(STEPS, history, calendar("2024-01"))["raw", FIRST] is Verdict.IN_PROGRESS


def test_tables_of_one_step_are_made_together() -> None:
    world = World()
    world.settle("2024-02")
    del world.made["rejected"][FIRST]

    assert {("cleaned", FIRST), ("rejected", FIRST)} <= world.requested("2024-02")


def test_a_hole_is_done_without_once_it_was_tried() -> None:
    world = World()
    world.broken = {("predictions", month("2024-02"))}

    world.settle("2024-04")

    assert month("2024-03") in world.made["holdout"]
    assert month("2024-02") not in world.made["predictions"]


def test_overdue_months() -> None:
    newest = month("2024-03")
    made = {"raw": {FIRST: 1}}
    patience = 2 * DAY

    def at(now: dt.datetime) -> list[Month]:
        return overdue(STEPS[0], "raw", History(made), calendar("2024-03", now), patience)

    assert at(closes(newest) + 3 * DAY - dt.timedelta(seconds=1)) == [month("2024-02")]
    assert at(closes(newest) + 3 * DAY) == [month("2024-02"), newest]


@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.integers(0, 10_000), st.integers(0, 5))
def test_whatever_happens_it_settles_in_order_and_leaves_nothing_stale(seed: int, late: int) -> None:
    """Months close, fail, are mended and repeated by hand in any order."""
    rng = random.Random(seed)
    world = World(late)
    last = month("2024-03")
    for _ in range(8):
        event = rng.choice(["close", "break", "mend", "repeat", "cancel"])
        at = rng.choice(list(FIRST.until(last)))
        if event == "close":
            last = last.shift(1)
        elif event == "break":
            world.broken.add((rng.choice(["raw", "cleaned", "model", "holdout"]), at))
        elif event == "mend" and world.broken:
            table, broken = rng.choice(sorted(world.broken, key=str))
            world.broken = set()
            world.make({("raw", broken)} if table == "raw" else {(t, broken) for t in ("raw", "cleaned", "rejected")})
            if table in ("model", "holdout") and all(m in world.made["rfm"] for m in [broken]):
                world.make({(table, broken)})
        elif event == "repeat":
            table = rng.choice(["raw", "days", "rfm"])
            if at in world.made[table] and (table, at) not in world.broken:
                world.make({(table, at)})
        elif event == "cancel":
            world.attempts["raw"].setdefault(at, Attempt(world.next(), "cancelled", running=False))
            if at in world.made["raw"]:
                world.attempts["raw"].pop(at)
        world.requests.clear()
        world.settle(last.key)
        assert not [n for n in world.requests.values() if n > 1], world.requests.most_common(3)
    verdicts = world.plan(last.key)
    for step in STEPS:
        for m in FIRST.until(last):
            if m < last.shift(-late) or verdicts[step.tables[0], m] is not Verdict.SETTLED:
                continue
            inputs = [world.made[n.table].get(x, 0) for n in step.needs for x in n.months(m, FIRST)]
            assert max(inputs, default=0) <= min(world.made[t][m] for t in step.tables)
