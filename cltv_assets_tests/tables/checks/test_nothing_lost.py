"""What of a month's published lines may be missing when it is made again, by what the lines say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cltv_assets.lake import Lake
from cltv_assets.tables import raw_transactions
from cltv_assets.tables.check import Finding, audit
from cltv_assets.tables.month_run import MonthRun
from cltv_assets_tests.conftest import SHOP_COLUMNS
from cltv_assets_tests.tables.checks.good_month import MONTH, RAW, TABLES, NoSource, arrow, publish

Rows = list[dict[str, Any]]
Judge = Callable[..., Finding]


class Delivered(NoSource):
    """Files with their lines of whatever month, or a table."""

    def __init__(self, left: dict[str, int] | None) -> None:
        self.has_files = left is not None
        self._left = left or {}

    def file_lines(self, names):
        return {name: lines for name, lines in self._left.items() if name in names}


def lines(file: str, first: int, last: int, **changes: Any) -> Rows:
    """Return the lines of some orders in a file."""
    numbers = range(first, last + 1)
    return [RAW | {"transaction_id": f"T{n}", "source_file": file, "source_line": n} | changes for n in numbers]


@pytest.fixture
def judge(engine, shop_settings, tmp_path) -> Judge:
    """Judge a month that was published with some rows and is written with others."""

    def judged(
        before: Rows | None,
        now: Rows,
        left: dict[str, int] | None = None,
        table: bool = False,
        accept: bool = False,
        **changes: Any,
    ) -> Finding:
        lake, schema = Lake(str(tmp_path / "lake")), TABLES["raw_transactions"]
        if before is not None:
            publish(engine, lake, schema, before)
        written = engine.from_arrow(arrow(schema, now))
        source = Delivered(None if table else left or {})
        run = MonthRun(
            MONTH, shop_settings(**changes), engine, lake, source, {schema.name: written}, accept_loss=accept
        )
        return audit(written, [raw_transactions.nothing_lost], run)[0]

    return judged


def test_a_first_publication_and_one_after_an_empty_one_pass(judge: Judge) -> None:
    assert judge(None, []).verdict.passed
    assert judge([], lines("a.csv", 1, 9)).verdict.passed


def test_a_file_that_is_gone_is_named_with_what_to_do(judge: Judge) -> None:
    found = judge(lines("a.csv", 1, 20) + lines("b.csv", 21, 40), lines("a.csv", 1, 20))
    assert found.blocks
    assert found.verdict.facts == {"lines_before": 40, "lines_lost": 20, "files": {"b.csv": 20}}
    assert found.verdict.message.startswith(
        "20 of 40 published lines of 2011-03 are not delivered any more: b.csv is gone (had 20 lines). Bring them back"
    )
    assert "cltv run --from 2011-03 --accept-loss 2011-03" in found.verdict.message


def test_a_loss_that_is_accepted_warns_with_the_same_numbers(judge: Judge) -> None:
    found = judge(lines("a.csv", 1, 20), [], accept=True)
    assert (found.verdict.passed, found.blocks, found.is_error) == (False, False, False)
    assert found.verdict.message.endswith("a.csv is gone (had 20 lines). The loss is accepted.")
    assert found.verdict.facts == {"lines_before": 20, "lines_lost": 20, "files": {"a.csv": 20}, "accepted": True}
    # Where nothing is lost there is nothing to accept.
    assert judge(lines("a.csv", 1, 20), lines("a.csv", 1, 20), accept=True).verdict.passed


def test_a_file_that_holds_other_months_is_neither_gone_nor_empty(judge: Judge) -> None:
    before = lines("a.csv", 1, 20) + lines("b.csv", 21, 21)
    assert judge(before, lines("a.csv", 1, 20), {"b.csv": 1}).verdict.passed
    assert "b.csv has no line left" in judge(before, lines("a.csv", 1, 20), {"b.csv": 0}).verdict.message


@pytest.mark.parametrize(
    ("now", "passes"),
    [
        pytest.param(lines("new.csv", 1, 40), True, id="a renamed file"),
        pytest.param(lines("new.csv", 1, 20) + lines("more.csv", 21, 40), True, id="one that was divided"),
        pytest.param(lines("new.csv", 3, 60), True, id="a larger one with nearly all of its lines"),
        pytest.param(lines("new.csv", 1, 20) + lines("more.csv", 61, 80), False, id="half of it, and others' lines"),
        pytest.param(lines("new.csv", 41, 80), False, id="as many lines of something else"),
        pytest.param(lines("new.csv", 1, 40, amount="9"), False, id="every line with another amount"),
    ],
)
def test_lines_are_found_under_whatever_name(judge: Judge, now: Rows, passes: bool) -> None:
    # Some lines have no order, and could not be split.
    odd = {"transaction_id": None, "customer_id": None, "source_text": "x;y"}
    before, also = lines("old.csv", 1, 40) + lines("old.csv", 90, 92, **odd), lines("new.csv", 90, 92, **odd)
    assert judge(before, now + also).verdict.passed is passes


def test_a_file_that_was_delivered_twice_may_go_once(judge: Judge) -> None:
    both = lines("a.csv", 1, 20) + lines("copy.csv", 1, 20)
    assert judge(both, lines("a.csv", 1, 20)).verdict.passed
    # Equal lines of one file are no copies of another's.
    assert not judge(lines("a.csv", 1, 20, transaction_id="T", source_line=1), lines("a.csv", 1, 1)).verdict.passed


def test_of_a_table_only_the_month_counts(judge: Judge) -> None:
    before = lines("orders/2011-03", 1, 40) + lines("orders/undated", 41, 42)
    # Rows without a date were given one.
    assert judge(before, lines("orders/2011-03", 1, 42, amount="9"), table=True).verdict.passed
    assert judge(before, lines("orders/2011-03", 1, 38), table=True).verdict.passed
    found = judge(before, lines("orders/2011-03", 1, 37), table=True)
    assert found.verdict.message.startswith("5 of 42 published lines of 2011-03 are not delivered any more: the source")
    assert "the source has no line left (had 42 lines)" in judge(before, [], table=True).verdict.message


def worth(*values: str, file: str = "a.csv") -> Rows:
    """Return a line of a file for each price, of orders numbered from 1."""
    return [
        one | {"quantity": "1", "unit_price": price, "transacted_at": "2011-03-05 10:00:00"}
        for n, price in enumerate(values, 1)
        for one in lines(file, n, n)
    ]


HUNDRED = ["10.00"] * 100


@pytest.mark.parametrize(
    ("now", "value"),
    [
        pytest.param(["0.00"] * 100, 0, id="all are zero"),
        pytest.param([""] * 100, 0, id="all are gone"),
        pytest.param(["n/a"] * 100, 0, id="none can be read"),
        pytest.param(["0.10"] * 100, 10, id="a hundredth, as in another currency's units"),
        pytest.param([*HUNDRED[:70], *["0.00"] * 30], 0, id="a third of them is zero"),
        pytest.param([*["0.00"] * 100, *HUNDRED], None, id="other lines bring as much"),
        pytest.param([*HUNDRED[:92], *["0.00"] * 8], None, id="a few of them are zero"),
        pytest.param(["8.40"] * 100, None, id="without the tax"),
        pytest.param([*HUNDRED, *["-10.00"] * 60], None, id="refunds booked later"),
    ],
)
def test_as_many_lines_that_are_worth_far_less_are_a_loss(judge: Judge, now: list[str], value: int | None) -> None:
    verdict = judge(worth(*HUNDRED), worth(*now)).verdict
    assert verdict.passed is (value is None)
    if value is not None:
        changed = sum(one != "10.00" for one in now)
        assert verdict.message.startswith(
            "Published lines of 2011-03 were delivered again with far less value: a.csv (of 100 lines "
            f"{changed} changed, worth {10 * changed:,}.00 before and {value}.00 now). Bring them back"
        )
        assert verdict.facts == {
            "lines_before": 100,
            "lines_changed": changed,
            "value_before": 10.0 * changed,
            "value_now": float(value),
            "files": {"a.csv": changed},
        }


def test_a_single_amount_may_change_however_large_it_was(judge: Judge) -> None:
    # A typing error was nearly all of the month.
    assert judge(worth("1000000.00", *HUNDRED), worth("10.00", *HUNDRED)).verdict.passed
    assert judge(worth("1000000.00", *HUNDRED), worth("10.00", *["9.90"] * 100)).verdict.passed
    # Nor does one hide what the others lost.
    found = judge(worth("10.00", *HUNDRED), worth("1000000.00", *["0.01"] * 100)).verdict
    assert "worth 1,010.00 before and 101.00 now without the excess of single large lines)" in found.message


def test_a_file_is_judged_by_itself_unless_it_is_small(judge: Judge) -> None:
    large = worth(*HUNDRED * 5, file="large.csv")
    gone, few = (worth(*["0.00"] * count, file="day.csv") for count in (20, 19))
    found = judge(large + worth(*["5.00"] * 20, file="day.csv"), large + gone).verdict
    assert "value: day.csv (of 20 lines 20 changed, worth 100.00 before and 0.00 now)." in found.message
    assert judge(large + worth(*["5.00"] * 19, file="day.csv"), large + few).verdict.passed


def test_value_that_is_gone_may_be_accepted_and_of_a_table_the_month_counts(judge: Judge) -> None:
    found = judge(worth(*HUNDRED), worth(*["0.00"] * 100), accept=True)
    assert (found.verdict.passed, found.blocks, found.is_error) == (False, False, False)
    assert found.verdict.message.endswith("The loss is accepted.")
    units = worth(*HUNDRED[:50], file="orders/2011-03") + worth(*HUNDRED[:50], file="orders/undated")
    none = [one | {"unit_price": "0"} for one in units]
    assert "value: the source (of 100 lines 100 changed" in judge(units, none, table=True).verdict.message
    assert judge(units, units, table=True).verdict.passed


def test_a_change_of_settings_takes_no_value_away(judge: Judge) -> None:
    """Both versions are valued by the settings of now, by which the whole month may be worth nothing."""
    other = [one | {"currency": "USD"} for one in worth(*HUNDRED)]
    again = [one | {"transaction_id": f"N{at}"} for at, one in enumerate(other)]
    columns = {**SHOP_COLUMNS, "currency": "currency"}
    assert judge(other, again, source={"columns": columns}).verdict.passed
    # What the settings leave out is there all the same.
    left_out = [one | {"not_counted": "voided"} for one in worth(*["9.99"] * 100)]
    assert judge(worth(*HUNDRED), left_out).verdict.passed
