"""Clearing away what no reader can need."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from cltv_assets.errors import LakeError
from cltv_assets.lake import LakeTable
from cltv_assets_tests.lake.conftest import parquet_files
from cltv_assets_tests.lake.place import Place
from cltv_assets_tests.lake.table_under_test import FEB, JAN, generation_of, publish, read, stage


def make_older(path: str | Path, hours: float) -> None:
    then = time.time() - hours * 3600
    os.utime(path, (then, then))


def test_replaced_files_and_orphans_go_and_published_ones_stay(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)
    publish(table, JAN, 2)
    publish(table, FEB, 3)
    stage(table, JAN, 4)
    assert table.vacuum(0) == 4
    assert table.vacuum(0) == 0
    assert parquet_files(place, table) == set(table.files([JAN, FEB]))
    assert generation_of(read(table, JAN)) == 2
    assert generation_of(read(table, FEB)) == 3


@pytest.mark.local  # S3 lets nobody change an object's time
def test_young_files_are_spared(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)
    old = table.files([JAN])
    publish(table, JAN, 2)
    running, crashed = stage(table, JAN, 3), stage(table, JAN, 4)
    for path in (*old, *crashed.paths, *table.files([JAN])):
        make_older(path, 30)
    assert table.vacuum(24) == 2, "only the crashed writer's: the others are published, were until now, or are young"
    assert parquet_files(place, table) == {*old, *running.paths, *table.files([JAN])}
    table.publish(running)
    assert generation_of(read(table, JAN)) == 3


@pytest.mark.local  # S3 lets nobody change an object's time
def test_a_writer_whose_files_were_vacuumed_fails(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)
    staged = stage(table, JAN, 2)
    for path in staged.paths:
        make_older(path, 30)
    assert table.vacuum(24) == 2
    with pytest.raises(LakeError, match="removed or changed"):
        table.publish(staged)
    assert generation_of(read(table, JAN)) == 1


@pytest.mark.local  # S3 lets nobody change an object's time
def test_other_people_s_files_stay(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)
    others = [Path(table.uri) / "README.txt", Path(table.uri) / "month=2024-01-01" / "notes.txt"]
    for path in others:
        path.write_text("mine")
        make_older(path, 30)
    assert table.vacuum(0) == 0
    assert all(path.exists() for path in others)


@pytest.mark.local  # on S3 a commit is one upload
def test_what_a_writer_killed_within_a_commit_leaves_in_the_log(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)
    # delta-rs writes a commit under this name and links it to its final one.
    left = Path(table.uri) / "_delta_log" / f"{2:020}.json#1"
    left.write_text("half")
    publish(table, JAN, 2)
    assert table.vacuum(1) == 0
    make_older(left, 2)
    assert table.vacuum(1) == 1
    assert not left.exists()
    assert generation_of(read(table, JAN)) == 2


@pytest.mark.local
def test_parsed_deliveries_of_a_killed_run_are_removed_once_they_are_old(place: Place) -> None:
    old, new = (f"{place.storage.root}/_landing/{name}/0-24288-x.parquet" for name in ("a", "b"))
    for uri in (old, new):
        place.write(uri, b"lines")
    os.utime(old, (time.time() - 7200,) * 2)
    assert place.lake().vacuum_landings(1) == 1
    assert (place.exists(old), place.exists(new)) == (False, True)
    assert place.lake().vacuum_landings(0) == 1
