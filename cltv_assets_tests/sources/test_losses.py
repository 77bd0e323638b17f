"""When a delivery has lost lines, and what is said of it."""

from __future__ import annotations

import pytest

from cltv_assets.sources.losses import Loss

A, B = "a.csv", "b.csv"
#: A month of daily files.
DAILY = {f"{day:02}.csv": 100 for day in range(1, 31)}


def without(name: str) -> dict[str, int]:
    return {other: lines for other, lines in DAILY.items() if other != name}


GONE, EMPTY = " is gone (had 100 lines)", " has no line left (had 100 lines)"


@pytest.mark.parametrize(
    ("had", "has", "left", "said"),
    [
        # The month keeps 90 % and no file is cut.
        pytest.param({A: 100}, {A: 90}, {}, None, id="a correction with slightly fewer lines"),
        pytest.param({A: 100}, {A: 89}, {}, "a.csv has 89 of 100 lines", id="one line more"),
        pytest.param({A: 100}, {A: 150}, {}, None, id="a bigger file"),
        pytest.param({}, {A: 100}, {}, None, id="a month that was empty"),
        pytest.param(DAILY, without("07.csv"), {}, "07.csv" + GONE, id="one of many"),
        pytest.param(DAILY, without("07.csv"), {"07.csv": 0}, "07.csv" + EMPTY, id="one of many is empty"),
        pytest.param(DAILY, DAILY | {"07.csv": 49}, {}, "07.csv has 49 of 100 lines", id="one of many is cut short"),
        pytest.param(DAILY, DAILY | {"07.csv": 50}, {}, None, id="half of one of many"),
        pytest.param({A: 1, **DAILY}, DAILY, {}, "a.csv is gone (had 1 line)", id="a file with one line"),
        # A date was corrected: the line is in the file, in another month.
        pytest.param(DAILY | {B: 1}, DAILY, {B: 1}, None, id="the only late line of a file moved"),
        # Whether b.csv has those lines nobody knows who only counts.
        pytest.param({A: 100}, {B: 100}, {}, "a.csv" + GONE, id="another file instead"),
    ],
)
def test_what_is_lost(had: dict[str, int], has: dict[str, int], left: dict[str, int], said: str | None) -> None:
    loss = Loss.of(had, has, has | left, 0.1)
    assert (loss and loss.sentence()) == said


def test_lines_that_are_known_to_be_elsewhere_are_not_lost() -> None:
    assert Loss.of({A: 100}, {A: 95, B: 100}, {B: 100}, 0.1) is None
    loss = Loss.of({A: 100}, {A: 60, B: 100}, {B: 100}, 0.1)
    assert loss is not None
    assert (loss.lost, loss.sentence()) == (40, "a.csv is gone (had 100 lines, 60 of them in other files now)")


def test_the_most_lost_is_named_first_and_the_rest_counted() -> None:
    loss = Loss.of({**DAILY, A: 1000}, {}, {}, 0.1)
    assert loss is not None
    assert (loss.had, loss.lost) == (4000, 4000)
    assert loss.sentence() == (
        "a.csv is gone (had 1,000 lines), 01.csv is gone (had 100 lines), 02.csv is gone (had 100 lines), "
        "03.csv is gone (had 100 lines), 04.csv is gone (had 100 lines) and 26 more files"
    )


def test_a_share_of_one_publishes_whatever_is_there() -> None:
    assert Loss.of({A: 100, B: 1}, {}, {}, 1.0) is None


def test_a_share_of_nothing_takes_no_loss_at_all() -> None:
    assert Loss.of({A: 100}, {A: 99}, {A: 99}, 0.0) is not None
    assert Loss.of({A: 100}, {A: 100}, {A: 100}, 0.0) is None


@pytest.mark.parametrize(("elsewhere", "may_be"), [(0, False), (89, False), (90, True), (300, True)])
def test_lines_that_other_files_brought_may_be_the_lost_ones(elsewhere: int, may_be: bool) -> None:
    # Half of what b.csv has now it had before.
    loss = Loss.of({A: 100, B: 50}, {B: 50 + elsewhere}, {B: 50 + elsewhere}, 0.1)
    assert loss is not None
    assert loss.may_be_elsewhere(0.1) is may_be
