"""Several processes on one table at the same moment."""

from __future__ import annotations

from typing import Any

import pytest

from cltv_assets.lake import LakeTable
from cltv_assets.months import Month
from cltv_assets_tests.lake.conftest import parquet_files
from cltv_assets_tests.lake.place import Place
from cltv_assets_tests.lake.processes import (
    CONTEXT,
    create_and_publish,
    finish,
    publish_rounds,
    read_delta_until,
    read_files_until,
    start,
)
from cltv_assets_tests.lake.table_under_test import FEB, JAN, ROWS, generation_of, orders_in, publish, read

WRITERS = 6


def race(place: Place, months_of_writers: list[list[Month]]) -> list[tuple[int, int, int, str | None, int]]:
    """Let one process a list publish its months in step with the others; return what each said of each round."""
    barrier, results = CONTEXT.Barrier(len(months_of_writers)), CONTEXT.Queue()
    processes = [
        start(publish_rounds, place, months, writer, barrier, results)
        for writer, months in enumerate(months_of_writers)
    ]
    said = [results.get(timeout=60) for months in months_of_writers for _ in months]
    finish(processes)
    return said


def test_processes_on_a_month_each(place: Place, table: LakeTable) -> None:
    publish_side_by_side(place, table, WRITERS, rounds=4 if place.local else 2)


@pytest.mark.soak
@pytest.mark.parametrize(("writers", "rounds"), [(8, 6), (2, 50)])
def test_processes_on_a_month_each_for_long(place: Place, table: LakeTable, writers: int, rounds: int) -> None:
    publish_side_by_side(place, table, writers, rounds)


def publish_side_by_side(place: Place, table: LakeTable, writers: int, rounds: int) -> None:
    table.ensure()
    months = list(JAN.until(JAN.shift(writers - 1)))
    # The first round finds every month new, the others replace it.
    said = race(place, [[month] * rounds for month in months])
    assert [error for *_, error, _ in said if error] == []
    for writer, month in enumerate(months):
        assert generation_of(read(table, month)) == 1000 * (rounds - 1) + writer
    assert table.row_counts(months) == dict.fromkeys(months, ROWS)
    assert table.version() == writers * rounds, "each publication is one commit"
    assert max(attempts for *_, attempts in said) > 1, "the processes never met: this tests nothing"


def test_two_processes_on_one_month(place: Place, table: LakeTable) -> None:
    duels = 24 if place.local else 8
    new = list(FEB.until(JAN.shift(duels)))
    emptied = [month.shift(duels) for month in new]
    months = [*([JAN] * duels), *new, *emptied]
    publish(table, JAN, -1)
    for month in emptied:
        publish(table, month, -1, count=0)
    published = table.version() or 0
    said = race(place, [months, months])
    standing = {}
    for turn, month in enumerate(months):
        of_turn = [(generation, error) for t, _, generation, error, _ in said if t == turn]
        winners = [generation for generation, error in of_turn if error is None]
        losers = [error for _, error in of_turn if error]
        assert len(winners) == 1, f"round {turn}: {of_turn}"
        assert f"published month {month} of table orders" in losers[0]
        standing[month] = winners[0]
    assert {month: generation_of(read(table, month)) for month in standing} == standing
    assert table.version() == published + len(months)
    assert {writer for _, writer, _, error, _ in said if error} == {0, 1}, "one always won: no race took place"
    table.vacuum(0)
    assert parquet_files(place, table) == set(table.files([*standing]))


def test_processes_create_the_table(place: Place) -> None:
    months = list(JAN.until(JAN.shift(WRITERS - 1)))
    for turn in range(3):
        lake = place.below(f"lake{turn}")
        barrier = CONTEXT.Barrier(WRITERS)
        finish([start(create_and_publish, lake, month, i, barrier) for i, month in enumerate(months)])
        table = orders_in(lake)
        assert [generation_of(read(table, month)) for month in months] == list(range(WRITERS))


def test_readers_during_overwrites(place: Place, table: LakeTable) -> None:
    overwrite_under_readers(place, table, 40 if place.local else 20)


@pytest.mark.local
@pytest.mark.soak
def test_readers_during_a_thousand_overwrites(place: Place, table: LakeTable) -> None:
    overwrite_under_readers(place, table, 1000)


def overwrite_under_readers(place: Place, table: LakeTable, overwrites: int) -> None:
    publish(table, JAN, 0)
    stop = CONTEXT.Event()
    queues: list[Any] = [CONTEXT.Queue(), CONTEXT.Queue()]
    readers = [
        start(reader, place, stop, queue)
        for reader, queue in zip((read_files_until, read_delta_until), queues, strict=True)
    ]
    for generation in range(1, overwrites + 1):
        publish(table, JAN, generation)
        if not all(reader.is_alive() for reader in readers):
            break
    stop.set()
    finished = [reader for reader in readers if reader.is_alive()]
    for queue in queues[: len(finished)] if len(finished) == len(readers) else []:
        seen = queue.get(timeout=60)
        assert seen == sorted(seen), "a reader went back in time"
        assert len(set(seen)) > overwrites / 20, "the reader hardly read during the overwrites"
    finish(readers)
    assert generation_of(read(table, JAN)) == overwrites
