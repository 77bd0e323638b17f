"""``kill -9`` at any moment: readers keep the old month or have the new one, whole."""

from __future__ import annotations

import random
import time

import pytest

from cltv_assets.lake import LakeTable
from cltv_assets_tests.lake.conftest import parquet_files
from cltv_assets_tests.lake.place import Place
from cltv_assets_tests.lake.processes import (
    CONTEXT,
    ensure_and_say,
    kill,
    publish_for_ever,
    start,
    write_and_stop_at,
)
from cltv_assets_tests.lake.table_under_test import FEB, JAN, generation_of, orders_in, publish, read


@pytest.mark.parametrize("month_is_new", [False, True], ids=["existing month", "new month"])
@pytest.mark.parametrize("phase", ["begun", "writing", "sealed", "published"])
def test_killed_in_each_phase(place: Place, table: LakeTable, phase: str, month_is_new: bool) -> None:
    publish(table, FEB, 7)
    if not month_is_new:
        publish(table, JAN, 1)
    receive, send = CONTEXT.Pipe(duplex=False)
    process = start(write_and_stop_at, phase, place, JAN, 2, send)
    assert receive.recv() == phase
    kill(process)

    if phase == "published":
        assert generation_of(read(table, JAN)) == 2
    elif month_is_new:
        assert not table.is_published(JAN)
        assert table.files([JAN]) == []
    else:
        assert generation_of(read(table, JAN)) == 1
    assert generation_of(read(table, FEB)) == 7

    publish(table, JAN, 3)  # the next run repairs
    assert generation_of(read(table, JAN)) == 3
    table.vacuum(0)
    assert parquet_files(place, table) == set(table.files([JAN, FEB]))
    assert generation_of(read(table, JAN)) == 3


def test_killed_at_random_moments_of_publishing(place: Place, table: LakeTable) -> None:
    # A publication to S3 takes longer: nearly every kill hits one.
    kills = 24 if place.local else 12
    chance = random.Random(20240101)
    publish(table, FEB, 7)
    publish(table, JAN, 0)
    acknowledged = 0
    between = 0
    for _ in range(kills):
        receive, send = CONTEXT.Pipe(duplex=False)
        process = start(publish_for_ever, place, JAN, acknowledged + 1, send)
        send.close()
        assert receive.recv() == ("publishing", acknowledged + 1)
        time.sleep(chance.uniform(0, 0.03))  # a publication takes about 0.01 s
        kill(process)
        begun = acknowledged + 1
        while True:
            try:
                said, generation = receive.recv()
            except EOFError:
                break
            if said == "published":
                acknowledged = generation
            else:
                begun = generation
        visible = generation_of(read(table, JAN))
        assert acknowledged <= visible <= begun
        assert table.row_counts([JAN]) == {JAN: read(table, JAN).num_rows}
        assert generation_of(read(table, FEB)) == 7
        between += begun > acknowledged
        acknowledged = visible
    assert between > kills / 4, "the kills hardly ever hit a publication; choose other delays"
    publish(table, JAN, acknowledged + 1)
    assert generation_of(read(table, JAN)) == acknowledged + 1
    table.vacuum(0)
    assert parquet_files(place, table) == set(table.files([JAN, FEB]))
    assert not [name for name in place.names(f"{table.uri}/_delta_log") if ".json#" in name]


def test_killed_while_creating_the_table(place: Place) -> None:
    chance = random.Random(20240102)
    for turn in range(8):
        lake = place.below(f"lake{turn}")
        receive, send = CONTEXT.Pipe(duplex=False)
        process = start(ensure_and_say, lake, send)
        assert receive.recv() == "creating"
        time.sleep(chance.uniform(0, 0.02))
        kill(process)
        table = orders_in(lake)
        publish(table, JAN, turn)
        assert generation_of(read(table, JAN)) == turn
