"""The lake of an older release, brought forward: on a local folder, or with --cluster on S3."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Field, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction

from cltv_assets.cli.format_steps import STEPS
from cltv_assets.errors import LakeError, LakeFormatError
from cltv_assets.lake import FORMAT_VERSION, Lake
from cltv_assets.lake.migrations import Fate, Step, TablePlan, carry_out, fate_of, plan
from cltv_assets.months import Month
from cltv_assets.tables import all_schemas
from cltv_assets_tests.lake.place import Place
from cltv_assets_tests.lake.table_under_test import ORDERS

OLD = Path(__file__).parents[1] / "upgrades" / "lakes" / "0.1.0" / "lake"
TABLES = {schema.name: schema for schema in all_schemas([1, 2])}
MONTHS = list(Month.parse("2025-01").until(Month.parse("2025-03")))
#: As the shop's settings would say it, with a month that was never published.
POSSIBLE = [*MONTHS, Month.parse("2025-04")]
KEPT = {"raw_transactions", "cleaned_transactions", "rejected_transactions", "purchase_days"}
KEPT |= {"repeat_customers", "rfm_summary"}
RENEWED = {"purchase_model", "spend_model", "cltv_predictions", "holdout_evaluation"}


@pytest.fixture
def lake(place: Place) -> Lake:
    """A lake of release 0.1.0."""
    for file in sorted(OLD.rglob("*")):
        if file.is_file():
            place.write(f"{place.root}/{file.relative_to(OLD)}", file.read_bytes())
    return place.lake()


def planned_in(lake: Lake) -> dict[str, TablePlan]:
    return {planned.table.name: planned for planned in plan(lake, list(TABLES.values()), STEPS, POSSIBLE)}


def delta(place: Place, name: str, version: int | None = None) -> DeltaTable:
    return DeltaTable(f"{place.root}/{name}", version=version, storage_options=place.options)


@pytest.mark.local
def test_the_plan_keeps_what_is_still_good_and_renews_the_rest(lake: Lake) -> None:
    planned = planned_in(lake)
    assert {name for name, table in planned.items() if table.fate is Fate.KEEP} == KEPT
    assert {name for name, table in planned.items() if table.fate is Fate.RENEW} == RENEWED
    # Months without rows count: of March nothing was sold, in January there was nothing to hold predictions against.
    assert all(table.months == tuple(MONTHS) and table.written == 1 for table in planned.values())
    assert all(bool(table.reason) == (table.fate is Fate.RENEW) for table in planned.values())


def test_each_table_moves_in_one_commit_or_gets_the_current_columns_in_one_before(place: Place, lake: Lake) -> None:
    for name, planned in planned_in(lake).items():
        before, rows = delta(place, name).version(), delta(place, name).to_pyarrow_table()
        carry_out(lake, planned, POSSIBLE)
        after = delta(place, name)
        lacking = [field.name for field in TABLES[name].delta if field.name not in rows.column_names]
        nullable = {field.name for field in TABLES[name].delta if field.nullable}
        relaxed = {field.name for field in rows.schema if not field.nullable} & nullable
        widened = bool(lacking or relaxed) and planned.fate is Fate.KEEP
        assert after.version() == before + 1 + widened
        assert after.metadata().configuration["cltv_assets.formatVersion"] == str(FORMAT_VERSION)
        assert after.metadata().configuration["delta.checkpointInterval"] == "20"
        table = lake.table(TABLES[name])
        if planned.fate is Fate.KEEP:
            assert after.to_pyarrow_table().drop_columns(lacking).to_pylist() == rows.to_pylist()
            assert {field.name for field in after.schema().fields if field.nullable} == nullable
            assert table.published(POSSIBLE) == set(MONTHS)
            assert set(table.row_counts(MONTHS)) == set(MONTHS)
        else:
            # Not published empty: not there at all, so that whatever needs a month stops.
            assert table.published(POSSIBLE) == set()
            assert table.files(MONTHS) == []
            assert delta(place, name, before).to_pyarrow_table().equals(rows)
            with table.begin(MONTHS[0]) as staging:
                table.publish(staging.seal())
            assert table.published(POSSIBLE) == {MONTHS[0]}
    assert planned_in(lake) == {}


@pytest.mark.local
def test_a_migration_that_broke_off_is_finished_by_the_same_command(place: Place, lake: Lake) -> None:
    whole = planned_in(lake)
    done = ["raw_transactions", "purchase_model"]
    for name in done:
        carry_out(lake, whole[name], POSSIBLE)
    # Half-way nothing can be run, whatever it begins with.
    with pytest.raises(LakeFormatError, match="`cltv migrate`"):
        lake.table(TABLES["cleaned_transactions"]).version()
    versions = {name: delta(place, name).version() for name in done}
    left = planned_in(lake)
    assert set(left) == set(whole) - set(done)
    for planned in whole.values():
        # Those that are done are not done twice: their new months would be lost.
        carry_out(lake, planned, POSSIBLE)
    assert planned_in(lake) == {}
    assert {name: delta(place, name).version() for name in done} == versions


def test_a_run_of_the_older_release_cannot_spoil_a_migrated_table(place: Place, lake: Lake) -> None:
    before = delta(place, "cltv_predictions")
    add = pa.table(before.get_add_actions(flatten=True)).to_pydict()
    carry_out(lake, planned_in(lake)["cltv_predictions"], POSSIBLE)
    for month in ("2025-02-01", "2025-04-01"):
        action = AddAction(
            path=add["path"][0],
            size=add["size_bytes"][0],
            partition_values={"month": month},
            modification_time=0,
            data_change=True,
            stats="{}",
        )
        old_schema = delta(place, "cltv_predictions", before.version()).schema()
        # What release 0.1.0 commits that opened the table before.
        with pytest.raises(CommitFailedError):
            before.create_write_transaction(
                [action],
                mode="overwrite",
                schema=old_schema,
                partition_by=["month"],
                partition_filters=[("month", "=", month)],
                commit_properties=CommitProperties(
                    app_transactions=[Transaction(app_id=f"month={month}", version=2)], max_commit_retries=5
                ),
            )
    assert lake.table(TABLES["cltv_predictions"]).files(POSSIBLE) == []


@pytest.mark.local
def test_an_older_lake_is_refused_with_the_command_that_helps(lake: Lake) -> None:
    for name in ("raw_transactions", "cltv_predictions"):
        table = lake.table(TABLES[name])
        for use in (table.ensure, table.version, lambda t=table: t.begin(MONTHS[0]), lambda t=table: t.files(MONTHS)):
            with pytest.raises(LakeFormatError) as caught:
                use()
            assert "has format version 1; this version of cltv_assets writes 3" in caught.value.problem
            assert "cltv migrate --dry-run" in caught.value.remedy


@pytest.mark.local
def test_a_newer_lake_is_not_migrated(place: Place, lake: Lake) -> None:
    newer = {"cltv_assets.formatVersion": str(FORMAT_VERSION + 1)}
    delta(place, "spend_model").alter.set_table_properties(newer, raise_if_not_exists=False)
    with pytest.raises(LakeFormatError, match="upgrade cltv_assets"):
        planned_in(lake)


@pytest.mark.local
def test_another_graphs_lake_is_not_migrated(place: Place, lake: Lake) -> None:
    with pytest.raises(LakeError, match="belongs to the graph without a prefix, not to the graph 'acme'"):
        planned_in(Lake(place.root, place.objects, "acme"))


@pytest.mark.local
def test_a_kept_table_with_other_columns_is_refused_before_anything_is_done(place: Place, lake: Lake) -> None:
    delta(place, "rfm_summary").alter.add_columns([Field("mine", "string")])
    with pytest.raises(LakeError, match=r"rfm_summary .* has other columns .*not expected: mine"):
        planned_in(lake)
    assert delta(place, "raw_transactions").metadata().configuration["cltv_assets.formatVersion"] == "1"


@pytest.mark.parametrize("protocol", [(3, 7, ["telepathy"]), (4, 8, None)])
@pytest.mark.local
def test_a_newer_delta_protocol_is_refused(place: Place, protocol: tuple[int, int, list[str] | None]) -> None:
    lake = place.lake()
    lake.table(ORDERS).ensure()
    reader, writer, features = protocol
    named = "" if features is None else ', "readerFeatures": ["telepathy"], "writerFeatures": ["telepathy"]'
    entry = f'{{"protocol": {{"minReaderVersion": {reader}, "minWriterVersion": {writer}{named}}}}}\n'
    place.write(f"{place.root}/orders/_delta_log/{1:020}.json", entry.encode())
    for refusing in (place.lake().table(ORDERS).version, lambda: plan(place.lake(), [ORDERS], STEPS, [])):
        with pytest.raises(LakeFormatError) as caught:
            refusing()
        assert "needs a newer Delta protocol" in caught.value.problem
        assert "upgrade cltv_assets" in caught.value.remedy


def test_the_steps_lead_to_the_newest_version_and_name_every_table() -> None:
    assert [step.version for step in STEPS] == list(range(2, FORMAT_VERSION + 1))
    newest = STEPS[-1]
    assert {*newest.kept, *newest.renewed} == set(TABLES)
    assert not newest.kept & set(newest.renewed)


def test_a_table_that_one_step_renews_is_renewed_whatever_the_others_say() -> None:
    steps = (Step(2, "2", frozenset({"a"}), {"b": "is new"}), Step(3, "3", frozenset({"a", "b"}), {}))
    assert fate_of("a", 1, steps) == (Fate.KEEP, "")
    assert fate_of("b", 1, steps) == (Fate.RENEW, "is new")
    assert fate_of("b", 2, steps) == (Fate.KEEP, "")
