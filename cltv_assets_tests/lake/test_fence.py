"""What was computed before an erasure is not published after it, wherever the two meet."""

from __future__ import annotations

from typing import Any

import pytest
from deltalake import DeltaTable

from cltv_assets.errors import ErasedMeanwhileError
from cltv_assets.files.storage import Storage
from cltv_assets.lake import Lake, LakeTable, commit, fence
from cltv_assets.lake.erasing import erase, holdings
from cltv_assets.lake.spellings import Spellings
from cltv_assets.tables.refused_lines import REFUSED_LINES, Reason, keep
from cltv_assets_tests.lake.conftest import parquet_files
from cltv_assets_tests.lake.place import Place
from cltv_assets_tests.lake.processes import CONTEXT, copy_and_wait_at, finish, start
from cltv_assets_tests.lake.table_under_test import (
    FEB,
    JAN,
    MAR,
    ORDERS,
    ROWS,
    generation_of,
    orders_in,
    publish,
    read,
    stage,
)

CUSTOMER = "c7"
FILE = "report.html"


def forget(lake: Lake) -> None:
    """Erase as the command does."""
    for holding in holdings(lake, [ORDERS], Spellings(CUSTOMER)):
        erase(lake, holding, Spellings(CUSTOMER))
    lake.table(ORDERS).vacuum(0)
    assert holdings(lake, [ORDERS], Spellings(CUSTOMER)) == []


@pytest.mark.parametrize("month_is_new", [True, False], ids=["new month", "existing month"])
@pytest.mark.parametrize("phase", ["read", "sealed", "checked"])
def test_a_run_that_an_erasure_overtakes(
    place: Place, lake: Lake, table: LakeTable, phase: str, month_is_new: bool
) -> None:
    publish(table, JAN, 1)
    if not month_is_new:
        publish(table, FEB, 2, count=5)
    here, there = CONTEXT.Pipe()
    run = start(copy_and_wait_at, phase, place, there)
    assert here.recv() == phase
    forget(lake)
    here.send("go on")
    assert "A customer was erased while this run was making month 2024-02 of table orders" in here.recv()
    finish([run])
    # With nothing of ours: no log may name a file that is gone.
    rows = DeltaTable(table.uri, storage_options=place.options).to_pyarrow_table()
    assert rows.num_rows == ROWS - 1 + (0 if month_is_new else 5)
    assert CUSTOMER not in rows["customer_id"].to_pylist()
    assert parquet_files(place, table) == set(table.files([JAN, FEB]))
    publish(table, FEB, 3)
    assert generation_of(read(table, FEB)) == 3


def test_a_commit_that_the_eraser_had_not_seen_keeps_its_files(
    place: Place, lake: Lake, table: LakeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(table, JAN, 1)
    staged = stage(table, FEB, 2)
    raise_fence = LakeTable._raise_fence

    def commit_first(erased: LakeTable) -> None:
        table.publish(staged)
        raise_fence(erased)

    monkeypatch.setattr(LakeTable, "_raise_fence", commit_first)
    assert orders_in(place).vacuum(0) == 0
    assert generation_of(read(table, FEB)) == 2
    assert [holding.month for holding in holdings(lake, [ORDERS], Spellings(CUSTOMER))] == [JAN, FEB], (
        "the eraser must see it"
    )


def test_a_run_that_begins_during_an_erasure_keeps_its_files(
    place: Place, table: LakeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(table, JAN, 1)
    begun = []
    raise_fence = LakeTable._raise_fence

    def begin_after(erased: LakeTable) -> None:
        raise_fence(erased)
        begun.append(stage(table, FEB, 2))

    monkeypatch.setattr(LakeTable, "_raise_fence", begin_after)
    assert orders_in(place).vacuum(0) == 0
    table.publish(begun[0])
    assert generation_of(read(table, FEB)) == 2


def test_an_erasure_between_two_tries_to_commit(
    place: Place, table: LakeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(table, JAN, 1)
    publish(table, FEB, 1)
    staged = stage(table, FEB, 2)
    tries, other = commit._try, orders_in(place)

    def lose_to_another_month(*arguments: Any) -> Exception | None:
        monkeypatch.setattr(commit, "_try", tries)
        publish(other, JAN, 3)
        error = tries(*arguments)
        assert error is not None, "no conflict: this tests nothing"
        other.vacuum(0)
        return error

    monkeypatch.setattr(commit, "_try", lose_to_another_month)
    with pytest.raises(ErasedMeanwhileError):
        table.publish(staged)
    assert parquet_files(place, table) == set(table.files([JAN, FEB]))
    assert generation_of(read(table, FEB)) == 1


def test_an_erasure_that_another_one_came_before_is_tried_again(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)
    running = stage(table, FEB, 2)
    load, loads = orders_in(place)._load, []

    def load_and_lose() -> DeltaTable:
        found = load()
        loads.append(found)
        if len(loads) == 1:  # another erasure comes first, which this one has not seen
            orders_in(place)._raise_fence()
        return found

    fence.raise_fence(load_and_lose)
    assert len(loads) == 2
    with pytest.raises(ErasedMeanwhileError):
        table.publish(running)


def test_each_erasure_has_a_value_of_its_own(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)
    seen = set()
    for _ in range(2):
        orders_in(place)._raise_fence()
        seen.add(table.begin(FEB).fence.noted)
    assert len(seen) == 2


def test_a_step_that_looks_at_tables_once_looks_at_the_fence_again(place: Place, lake: Lake) -> None:
    table = lake.table(ORDERS)
    publish(table, JAN, 1)
    with lake.opener.steady():
        staged = stage(table, FEB, 2)
        orders_in(place).vacuum(0)
        with pytest.raises(ErasedMeanwhileError):
            staged.staging.fence.check()
    with lake.opener.steady():
        staged = stage(table, FEB, 2)
        orders_in(place).vacuum(0)
        with pytest.raises(ErasedMeanwhileError):
            table.publish(staged)


def test_a_vacuum_of_old_files_refuses_nobody(table: LakeTable) -> None:
    publish(table, JAN, 1)
    version = table.version()
    staged = stage(table, FEB, 2)
    assert table.vacuum(24) == 0
    assert table.version() == version
    table.publish(staged)
    assert generation_of(read(table, FEB)) == 2


def test_a_report_that_an_erasure_overtakes(lake: Lake, table: LakeTable, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(table, JAN, 1)
    reports = lake.files("cltv_report")
    reports.publish(JAN, FILE, b"old")
    reports.publish(FEB, FILE, b"old", table.fence("cltv_report", FEB))

    late = table.fence("cltv_report", JAN)
    table.vacuum(0)
    with pytest.raises(ErasedMeanwhileError, match="month 2024-01 of cltv_report"):
        reports.publish(JAN, FILE, b"names the customer", late)
    assert reports.read(JAN, FILE) == b"old"

    write = Storage.write

    def write_meanwhile(storage: Storage, *arguments: Any) -> None:
        table.vacuum(0)
        write(storage, *arguments)

    monkeypatch.setattr(Storage, "write", write_meanwhile)
    with pytest.raises(ErasedMeanwhileError):
        reports.publish(JAN, FILE, b"names the customer", table.fence("cltv_report", JAN))
    assert reports.months(FILE) == {FEB}


def test_reasons_from_before_an_erasure_are_not_kept(
    place: Place, lake: Lake, table: LakeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(table, JAN, 1)
    noted = table.begin(MAR).fence
    line = {"source_file": "f.csv", "source_line": 2, "customer_id": CUSTOMER}
    reasons = [Reason("orders", "check", "No.", samples=[line])]
    keep(lake, FEB, ["orders"], reasons, [noted])
    table.vacuum(0)
    with pytest.raises(ErasedMeanwhileError):
        keep(lake, MAR, ["orders"], reasons, [noted])
    assert [holding.month for holding in holdings(lake, [REFUSED_LINES], Spellings(CUSTOMER))] == [FEB]
    # Its own fence is raised between its beginning and its commit.
    noted = table.begin(MAR).fence
    check = fence.Fence.check

    def raise_after(one: fence.Fence, *rest: Any) -> None:
        check(one, *rest)
        if one is noted:
            place.lake().table(REFUSED_LINES).vacuum(0)

    monkeypatch.setattr(fence.Fence, "check", raise_after)
    with pytest.raises(ErasedMeanwhileError):
        keep(lake, MAR, ["orders"], reasons, [noted])
    assert [holding.month for holding in holdings(lake, [REFUSED_LINES], Spellings(CUSTOMER))] == [FEB]
