"""What is told of damaged files and logs, and what stands of a log that is repaired."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from deltalake import DeltaTable

from cltv_assets.errors import LakeError
from cltv_assets.lake import LakeTable
from cltv_assets.lake.erasing import erase, holdings
from cltv_assets.lake.log import DAMAGED_LOG, gaps, look_at_log, set_aside
from cltv_assets.lake.spellings import Spellings
from cltv_assets_tests.lake.place import Place
from cltv_assets_tests.lake.table_under_test import (
    FEB,
    JAN,
    MAR,
    ORDERS,
    generation_of,
    orders_in,
    publish,
    read,
    stage,
)

CHECKPOINT_EVERY = 20


def entry(table: LakeTable, version: int) -> str:
    return f"{table.uri}/_delta_log/{version:020}.json"


def checkpoint(table: LakeTable, version: int) -> str:
    return f"{table.uri}/_delta_log/{version:020}.checkpoint.parquet"


def test_files_are_compared_by_existence_size_and_bytes(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)
    publish(table, FEB, 2)
    assert (table.verify().files, table.verify().damage, table.verify().undigested) == (4, [], 0)
    first, second = table.files([JAN])
    content = place.read(first)
    place.write(first, content[:-1] + b"x")
    assert table.verify(contents=False).damage == []
    (damage,) = table.verify().damage
    assert (damage.table, damage.month, damage.file, damage.rows) == ("orders", JAN, first, 30)
    assert damage.what == "has other bytes than were published"
    assert table.verify([FEB]).damage == []
    place.write(first, content[:100])
    place.storage.delete(second)
    found = {one.file: one.what for one in table.verify(contents=False).damage}
    assert found == {first: f"has 100 bytes instead of {len(content):,}", second: "is missing"}
    publish(table, JAN, 3)
    assert table.verify().damage == []


def test_a_file_of_an_earlier_release_has_no_digest_and_its_size_is_compared(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)
    log = entry(table, 1)
    place.write(log, place.read(log).replace(b"cltv_assets.digests", b"something.else"))
    old = orders_in(place)
    assert (old.verify().undigested, old.verify().damage) == (2, [])
    publish(old, FEB, 2)
    assert (old.verify().files, old.verify().undigested) == (4, 2)


@pytest.mark.local
def test_digests_and_numbers_outlive_checkpoints_and_old_entries(place: Place, table: LakeTable) -> None:
    table.publish(stage(table, JAN, 1), recorded=True)
    long_ago = time.time() - 90 * 86_400
    for i in range(CHECKPOINT_EVERY + 5):
        publish(table, FEB, i)
        for name in Path(table.uri, "_delta_log").glob("*.json"):
            os.utime(name, (long_ago, long_ago))
    assert place.exists(checkpoint(table, CHECKPOINT_EVERY - 1))
    assert table.verify().undigested == 0
    assert table.recorded([JAN, FEB]) == {JAN: 1}
    table.publish(stage(table, FEB, 99), recorded=True)
    assert table.recorded([JAN, FEB]) == {JAN: 1, FEB: CHECKPOINT_EVERY + 6}


def test_an_erasure_has_digests_and_leaves_the_recorded_number(place: Place, table: LakeTable) -> None:
    made = table.publish(stage(table, JAN, 1), recorded=True)
    assert (made.publication, table.recorded([JAN, FEB])) == (1, {JAN: 1})
    lake = place.lake()
    (holding,) = holdings(lake, [ORDERS], Spellings("c5"))
    erase(lake, holding, Spellings("c5"))
    assert (table.verify().undigested, table.verify().damage, table.recorded([JAN, FEB])) == (0, [], {JAN: 1})
    assert table.publish(stage(table, JAN, 2), recorded=True).publication == 3


@pytest.mark.parametrize("torn", [b"", b"\x00\x00", b'{"add":{"path":"month=2024-03-01/x.par'])
def test_of_a_torn_last_entry_the_version_before_stands(place: Place, table: LakeTable, torn: bytes) -> None:
    publish(table, JAN, 1)
    publish(table, MAR, 2)
    place.write(entry(table, 2), torn)
    damage = look_at_log(place.storage, table.uri)
    assert damage is not None
    assert (damage.standing, damage.problem) == (1, f"entry {2:020}.json is no whole JSON")
    assert damage.months == ((MAR,) if b"2024-03" in torn else ())
    folder = set_aside(place.storage, table.uri, damage)
    assert place.read(f"{folder}/{2:020}.json.0") == torn
    mended = orders_in(place)
    assert mended.version() == 1
    assert mended.published([JAN, MAR]) == {JAN}
    publish(mended, MAR, 3)
    assert generation_of(read(mended, MAR)) == 3
    # A second torn entry of the same name is kept beside the first.
    place.write(entry(table, 2), b"torn again")
    again = look_at_log(place.storage, table.uri)
    assert again is not None
    set_aside(place.storage, table.uri, again)
    assert place.names(f"{table.uri}/{DAMAGED_LOG}") == [f"{2:020}.json.0", f"{2:020}.json.1"]


def test_an_entry_that_is_missing_takes_the_later_ones_with_it(place: Place, table: LakeTable) -> None:
    for generation, month in enumerate((JAN, FEB, MAR), 1):
        publish(table, month, generation)
    place.storage.delete(entry(table, 2))
    with pytest.raises(LakeError, match=r"entry 0{19}2.json is missing, and 1 later one stands on it. Run cltv repair"):
        orders_in(place).months()
    damage = look_at_log(place.storage, table.uri)
    assert damage is not None
    assert (damage.standing, damage.months) == (1, (MAR,))
    set_aside(place.storage, table.uri, damage)
    assert orders_in(place).months() == [JAN]


def test_a_torn_or_missing_checkpoint(place: Place, table: LakeTable) -> None:
    for i in range(CHECKPOINT_EVERY + 2):
        publish(table, JAN.shift(i % 3), i)
    log = f"{table.uri}/_delta_log"
    hint, newest = json.loads(place.read(f"{log}/_last_checkpoint"))["version"], table.version()
    rows = {month: generation_of(read(table, month)) for month in (JAN, FEB, MAR)}
    content = place.read(checkpoint(table, hint))
    place.write(checkpoint(table, hint), content[:-20])
    for problem, names in (
        (rf"checkpoint .*{hint}\.checkpoint\.parquet is no whole Parquet file", 2),
        (rf"_last_checkpoint names the checkpoint of version {hint}, which is not there", 1),
    ):
        with pytest.raises(LakeError, match=f"{problem}. Run cltv repair"):
            orders_in(place).months()
        damage = look_at_log(place.storage, table.uri)
        assert damage is not None
        assert (damage.standing, len(damage.files), damage.months) == (newest, names, ())
        set_aside(place.storage, table.uri, damage)
        mended = orders_in(place)
        assert {month: generation_of(read(mended, month)) for month in rows} == rows
        assert look_at_log(place.storage, table.uri) is None
        place.write(f"{log}/_last_checkpoint", json.dumps({"version": hint, "size": 1}).encode())


def test_an_entry_that_a_newer_checkpoint_replaces_is_only_a_gap(place: Place, table: LakeTable) -> None:
    for i in range(CHECKPOINT_EVERY + 2):
        publish(table, JAN, i)
    place.storage.delete(entry(table, 7))
    assert look_at_log(place.storage, table.uri) is None
    assert gaps(place.storage, table.uri) == [7]
    assert orders_in(place).verify().damage == []
    # A torn one hides the digests only.
    place.write(entry(table, 9), b"torn")
    assert look_at_log(place.storage, table.uri) is None
    looked = orders_in(place).verify()
    assert (looked.damage, looked.undigested) == ([], 2)


def test_nothing_stands_of_a_log_without_its_first_entry(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)
    place.write(entry(table, 0), b"torn")
    damage = look_at_log(place.storage, table.uri)
    assert damage is not None
    assert damage.standing is None


def test_a_whole_log_is_not_damaged(place: Place, table: LakeTable) -> None:
    assert look_at_log(place.storage, table.uri) is None
    publish(table, JAN, 1)
    assert look_at_log(place.storage, table.uri) is None
    assert gaps(place.storage, table.uri) == []
    assert DeltaTable(table.uri, storage_options=place.options).version() == 1


@pytest.mark.local
def test_recorded_numbers_of_a_log_that_another_program_cleaned_up(place: Place, table: LakeTable) -> None:
    table.publish(stage(table, JAN, 1), recorded=True)
    for i in range(CHECKPOINT_EVERY):
        publish(table, FEB, i)
    # A checkpoint in one part of one, as other programs name theirs.
    whole = Path(checkpoint(table, CHECKPOINT_EVERY - 1))
    parts = whole.with_name(f"{CHECKPOINT_EVERY - 1:020}.checkpoint.0000000001.0000000001.parquet")
    whole.rename(parts)
    hint = whole.with_name("_last_checkpoint")
    hint.write_text(json.dumps(json.loads(hint.read_text()) | {"parts": 1}))
    for version in range(CHECKPOINT_EVERY - 1):
        place.storage.delete(entry(table, version))
    assert orders_in(place).recorded([JAN, FEB]) == {JAN: 1}
