"""Publishing, replacing and emptying months, and what is said about them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from deltalake import DeltaTable

from cltv_assets.errors import ConcurrentPublishError, LakeError, MissingMonthsError
from cltv_assets.lake import Lake, LakeTable
from cltv_assets.months import Month
from cltv_assets_tests.lake.conftest import parquet_files
from cltv_assets_tests.lake.place import Place
from cltv_assets_tests.lake.table_under_test import (
    APR,
    FEB,
    JAN,
    MAR,
    ORDERS,
    ROWS,
    generation_of,
    orders_in,
    publish,
    read,
    rows_of,
    stage,
)


def test_a_lake_that_does_not_exist_is_empty_and_stays_untouched(place: Place, lake: Lake, table: LakeTable) -> None:
    assert table.version() is None
    assert table.files([JAN]) == []
    assert table.row_counts([JAN]) == {}
    assert table.published([JAN]) == set()
    assert not table.is_published(JAN)
    assert table.vacuum(0) == 0
    assert place.names(place.storage.root.rpartition("/")[0]) == []


def test_first_month(place: Place, table: LakeTable) -> None:
    published = publish(table, JAN, 1)
    assert (published.table, published.month, published.rows, published.attempts) == ("orders", JAN, ROWS, 1)
    assert published.uri == f"{table.uri}/month=2024-01-01"
    assert published.bytes == sum(len(place.read(file)) for file in table.files([JAN]))
    assert published.version == table.version() == 1
    assert read(table, JAN).sort_by("customer_id") == rows_of(JAN, 1).sort_by("customer_id")


def test_replacing_a_month_leaves_the_others(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)
    publish(table, FEB, 2)
    before = table.files([JAN])
    publish(table, FEB, 3)
    assert table.files([JAN]) == before
    assert generation_of(read(table, JAN)) == 1
    assert generation_of(read(table, FEB)) == 3
    assert sorted(table.files([JAN, FEB])) == table.files([FEB, JAN]) == before + table.files([FEB])


def test_a_step_reads_one_version(place: Place, lake: Lake, table: LakeTable) -> None:
    publish(table, JAN, 1)
    with lake.opener.steady():
        before = table.files([JAN])
        publish(place.lake().table(ORDERS), JAN, 2)
        assert table.files([JAN]) == before
        assert table.row_counts([JAN, FEB]) == {JAN: ROWS}
    assert generation_of(read(table, JAN)) == 2


def test_staged_files_are_invisible_until_published(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)
    staged = stage(table, JAN, 2)
    assert parquet_files(place, table) > set(staged.paths)
    assert generation_of(read(table, JAN)) == 1
    assert table.version() == 1
    table.publish(staged)
    assert generation_of(read(table, JAN)) == 2


def test_an_empty_month_is_a_real_write(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)
    published = publish(table, FEB, 2, count=0)
    assert (published.rows, published.bytes, published.version) == (0, 0, 2)
    assert table.files([FEB]) == []
    assert table.published([JAN, FEB, MAR]) == {JAN, FEB}
    assert table.row_counts([FEB, MAR, JAN]) == {JAN: ROWS, FEB: 0}


def test_an_empty_month_replaces_a_full_one_and_back(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)
    publish(table, JAN, 2, count=0)
    assert table.files([JAN]) == []
    assert table.is_published(JAN)
    publish(table, JAN, 3)
    assert generation_of(read(table, JAN)) == 3


def test_an_empty_month_from_a_step_that_needs_no_file(place: Place, table: LakeTable) -> None:
    table.publish(table.begin(JAN).seal())
    assert table.is_published(JAN)


def test_files_outlive_their_replacement(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)
    old = table.files([JAN])
    publish(table, JAN, 2)
    assert all(place.exists(file) for file in old)


def test_what_is_published_survives_checkpoints_and_the_log_s_clean_up(place: Place, table: LakeTable) -> None:
    months = list(JAN.until(JAN.shift(24)))
    for i, month in enumerate(months):
        publish(table, month, i, count=0 if i % 5 == 0 else ROWS)
    log = f"{table.uri}/_delta_log"
    checkpoint = max(name for name in place.names(log) if name.endswith(".checkpoint.parquet"))
    for name in place.names(log):
        if name.endswith(".json") and name[:20] < checkpoint[:20]:
            assert place.storage.delete(f"{log}/{name}")
    assert table.published(months) == set(months)
    assert table.row_counts(months) == {month: 0 if i % 5 == 0 else ROWS for i, month in enumerate(months)}
    publish(table, JAN, 99)
    assert generation_of(read(table, JAN)) == 99


def test_the_commit_keeps_its_metadata(place: Place, table: LakeTable) -> None:
    table.publish(stage(table, JAN, 1), {"dagster_run_id": "abc", "note": 'says "ü"'})
    newest = DeltaTable(table.uri, storage_options=place.options).history(1)[0]
    assert (newest["dagster_run_id"], newest["note"]) == ("abc", 'says "ü"')


def test_the_second_of_two_runs_on_a_month_fails_loudly(place: Place, table: LakeTable) -> None:
    slow = stage(table, JAN, 1)
    publish(table, JAN, 2)
    with pytest.raises(ConcurrentPublishError, match=r"month 2024-01 of table orders.*run month 2024-01 again"):
        table.publish(slow)
    assert generation_of(read(table, JAN)) == 2
    assert parquet_files(place, table) == set(table.files([JAN])), "the loser's files are still there"


def test_publishing_other_months_meanwhile_does_no_harm(place: Place, table: LakeTable) -> None:
    slow = stage(table, JAN, 1)
    publish(table, FEB, 2)
    table.publish(slow)
    assert generation_of(read(table, JAN)) == 1


def test_a_staged_month_is_published_once_and_never_deleted_after(place: Place, table: LakeTable) -> None:
    staged = stage(table, JAN, 1)
    table.publish(staged)
    with pytest.raises(ValueError, match="was published"):
        table.publish(staged)
    staged.discard()
    assert generation_of(read(table, JAN)) == 1


def test_a_failure_after_publishing_does_not_delete_the_month(place: Place, table: LakeTable) -> None:
    def publish_then_fail() -> None:
        with table.begin(JAN) as staging:
            place.write_rows(staging.new_file(), rows_of(JAN, 1))
            table.publish(staging.seal())
            raise RuntimeError("the run's bookkeeping failed")

    with pytest.raises(RuntimeError, match="bookkeeping"):
        publish_then_fail()
    assert generation_of(read(table, JAN)) == 1


@pytest.mark.local  # no folder stands in an object's way
def test_a_commit_that_lands_and_yet_reports_an_error_counts(place: Place, table: LakeTable) -> None:
    # The checkpoint of version 19 cannot be written: deltalake raises although the commit is there.
    table.ensure()
    (Path(table.uri) / "_delta_log" / f"{19:020}.checkpoint.parquet").mkdir()
    for generation in range(1, 19):
        publish(table, JAN, generation)
    assert publish(table, JAN, 19).version == 19
    assert generation_of(read(table, JAN)) == 19


@pytest.mark.parametrize("change", ["remove", "truncate"])
def test_files_that_changed_after_the_audit_are_not_published(place: Place, table: LakeTable, change: str) -> None:
    publish(table, JAN, 1)
    staged = stage(table, JAN, 2)
    file = staged.paths[1]
    place.storage.delete(file) if change == "remove" else place.write(file, place.read(file)[:-1])
    with pytest.raises(LakeError, match="removed or changed"):
        table.publish(staged)
    assert generation_of(read(table, JAN)) == 1
    assert parquet_files(place, table) == set(table.files([JAN]))


def test_null_in_a_column_that_forbids_it_is_not_published(place: Place, table: LakeTable) -> None:
    staging = table.begin(JAN)
    rows = rows_of(JAN, 1)
    nulls = rows.set_column(1, "generation", [[None, *rows["generation"].to_pylist()[1:]]])
    place.write_rows(staging.new_file(), nulls.cast(ORDERS.arrow))
    with pytest.raises(LakeError, match=r"rows without generation \(1\)"):
        table.publish(staging.seal())
    assert not table.is_published(JAN)


def test_require_names_the_missing_months_and_the_command(place: Place, table: LakeTable) -> None:
    publish(table, FEB, 1)
    publish(table, APR, 1, count=0)
    table.require([FEB, APR])
    with pytest.raises(MissingMonthsError) as caught:
        table.require([JAN.shift(-1), JAN, FEB, MAR, APR])
    assert "Table orders" in caught.value.problem
    assert "no data for 2023-12 to 2024-01, 2024-03." in caught.value.problem
    assert "`cltv run --from 2023-12 --to 2024-01`" in caught.value.remedy
    assert "`cltv run --from 2024-03 --to 2024-03`" in caught.value.remedy
    with pytest.raises(MissingMonthsError, match="Materialise it"):
        table.require([JAN], remedy="Materialise it.")


def test_a_log_holds_plain_names_and_counts(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 7)
    lines = place.read(f"{table.uri}/_delta_log/{1:020}.json").decode().splitlines()
    added = [json.loads(line)["add"] for line in lines if '"add"' in line]
    assert all(a["path"].startswith("month=2024-01-01/") for a in added)
    statistics = json.loads(added[0]["stats"])
    assert statistics["numRecords"] == ROWS // 2
    assert statistics["nullCount"] == {name: 5 if name == "score" else 0 for name in ORDERS.column_names}


@pytest.mark.parametrize("name", ["with space", "ümläut", "50% off", "[x]", "a+b&c", "~"])
def test_odd_folder_names(place: Place, name: str) -> None:
    table = orders_in(place.below(name))
    publish(table, JAN, 1)
    publish(table, JAN, 2)
    assert generation_of(read(table, JAN)) == 2
    assert table.vacuum(0) == 2
    assert place.names(place.root) == [name]


def test_a_relative_root_and_a_file_uri_are_the_same_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    publish(Lake("a lake").table(ORDERS), JAN, 1)
    same = Lake((tmp_path / "a lake").as_uri())
    assert same.root == Lake("a lake").root
    assert same.table(ORDERS).published([JAN, Month.parse("2024-02")]) == {JAN}
