"""A small lake of every release is read, or migrated and completed, by the current commands."""

from __future__ import annotations

import re
import shutil
from operator import itemgetter
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from cltv_assets import __version__
from cltv_assets.cli.format_steps import STEPS
from cltv_assets.cli.reading import check_lake, open_lake
from cltv_assets.dagster_defs.automation.state import latest
from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets.lake.migrations import Fate, fate_of
from cltv_assets.months import Month
from cltv_assets.settings import load_settings
from cltv_assets.tables import all_schemas
from cltv_assets_tests.cli.commands import code_of

LAKES = Path(__file__).parent / "lakes"
CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"
RELEASES = sorted(folder.name for folder in LAKES.iterdir())
#: Tables that the first release had, and that every migration keeps.
KEPT = {
    schema.name: schema
    for schema in all_schemas([1, 2])
    if fate_of(schema.name, 1, STEPS)[0] is Fate.KEEP and (LAKES / RELEASES[0] / "lake" / schema.name).exists()
}

Said = pytest.CaptureFixture[str]


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The lake of the release that the test names, with its source and settings, in the current folder."""
    shutil.copytree(LAKES / request.param, tmp_path, dirs_exist_ok=True)
    return tmp_path


old_lake = pytest.mark.parametrize("shop", ["0.1.0"], indirect=True)


def content(lake: Path, table: str, version: int | None = None) -> list[dict[str, object]]:
    return DeltaTable(lake / table, version=version).to_pyarrow_table().to_pylist()


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_release_has_left_a_lake() -> None:
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", CHANGELOG.read_text(), re.MULTILINE)
    assert sorted(released) == RELEASES, "run cltv_assets_tests/upgrades/make_lake.py with that release"
    size = sum(path.stat().st_size for path in LAKES.rglob("*") if path.is_file())
    assert size < 300_000 * len(RELEASES)


@pytest.mark.parametrize("shop", ["0.2.0"], indirect=True)
def test_a_lake_that_only_lacks_columns_keeps_every_month(shop: Path, capsys: Said) -> None:
    # Fails where columns were changed otherwise.
    rows = {table: content(shop / "lake", table) for table in KEPT}
    assert code_of("migrate") == 0
    said = capsys.readouterr().out
    assert re.search(r"raw_transactions +2 to 3 .* kept, with new columns: attributes, booked_as, cost,", said)
    assert "to be made again" not in said
    check_lake(load_settings())
    for name, schema in KEPT.items():
        assert content(shop / "lake", name) == [dict.fromkeys(schema.added) | row for row in rows[name]]
    assert code_of("summary", "--month", "2025-02") == 0
    assert "The 10 most valuable customers" in capsys.readouterr().out


@pytest.mark.parametrize("shop", ["0.2.0"], indirect=True)
def test_a_migrated_lake_takes_months_without_money(shop: Path, capsys: Said) -> None:
    rows = content(shop / "lake", "cltv_predictions")
    version = DeltaTable(shop / "lake" / "cltv_predictions").version()
    assert code_of("migrate") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "gross_margin, model_group; may be null from now on: cltv_1m, cltv_1m_high, cltv_1m_low," in said
    # The columns and what may be null in them in one commit, and the new version in another.
    assert DeltaTable(shop / "lake" / "cltv_predictions").version() == version + 2
    schema = next(one for one in all_schemas([1, 2]) if one.name == "cltv_predictions")
    money = dict.fromkeys(column.name for column in schema.columns if column.nullable)
    lake = open_lake(load_settings())
    poor = [{**row, **money, "customer_id": "poor"} for row in rows if str(row["month"]) == "2025-02-01"][:1]
    month = Month.parse("2025-02")
    staging = lake.table(schema).begin(month)
    pq.write_table(pa.Table.from_pylist(poor, schema=schema.arrow), staging.new_file())
    lake.table(schema).publish(staging.seal())
    kept = [dict.fromkeys(schema.added) | row for row in rows if row["month"] != month.first_day]
    key = itemgetter("month", "customer_id")
    assert sorted(content(shop / "lake", "cltv_predictions"), key=key) == sorted([*kept, *poor], key=key)
    assert code_of("summary", "--month", "2025-02") == 0
    assert "The 10 customers who are expected to buy most, next 2 months" in capsys.readouterr().out


@pytest.mark.parametrize("shop", ["0.2.0"], indirect=True)
def test_a_customer_is_erased_from_months_that_lack_columns(shop: Path) -> None:
    rows = content(shop / "lake", "cltv_predictions")
    assert code_of("migrate") == 0
    assert code_of("forget", "C01", "--source-cleaned-later", "--yes") == 0
    schema = next(one for one in all_schemas([1, 2]) if one.name == "cltv_predictions")
    key = itemgetter("month", "customer_id")
    kept = [dict.fromkeys(schema.added) | row for row in rows if row["customer_id"] != "C01"]
    assert len(kept) < len(rows)
    assert sorted(content(shop / "lake", "cltv_predictions"), key=key) == sorted(kept, key=key)


@old_lake
def test_an_older_lake_is_refused_by_every_command_that_uses_it(shop: Path, capsys: Said) -> None:
    before = files_below(shop / "lake")
    for command in (["status"], ["run"], ["summary"], ["vacuum"], ["forget", "C01", "--dry-run"]):
        assert code_of(*command) == 4, command
        assert "cltv migrate --dry-run" in capsys.readouterr().err, command
    assert code_of("doctor") == 4
    assert "cltv migrate --dry-run" in capsys.readouterr().out
    assert files_below(shop / "lake") == before


@old_lake
def test_a_dry_run_says_what_would_be_done_and_changes_nothing(shop: Path, capsys: Said) -> None:
    before = files_below(shop)
    assert code_of("migrate", "--dry-run") == 0
    said = capsys.readouterr().out
    assert files_below(shop) == before
    assert re.search(r"rfm_summary +1 to 3 +3, 2025-01 to 2025-03 +kept", said)
    assert re.search(r"cltv_predictions +1 to 3 +3, 2025-01 to 2025-03 +to be made again: the table has RFM", said)
    assert "Nothing was changed" in said


@old_lake
@pytest.mark.slow
def test_a_migrated_lake_is_completed_from_what_was_kept(shop: Path, capsys: Said) -> None:
    rows = {table: content(shop / "lake", table) for table in KEPT}
    predicted = content(shop / "lake", "cltv_predictions")
    assert code_of("migrate") == 0
    assert "Next: cltv model" in capsys.readouterr().out
    # No instance came with the lake, so nobody knows whether something of it is stale.
    assert code_of("status") == 3
    assert "13 assets from acquisition_costs on" in capsys.readouterr().out
    # The source is not needed for it.
    shutil.rmtree(shop / "shop")
    assert code_of("model") == 0
    for name, schema in KEPT.items():
        assert content(shop / "lake", name) == [dict.fromkeys(schema.added) | row for row in rows[name]]
    now = {(row["month"], row["customer_id"]): row for row in content(shop / "lake", "cltv_predictions")}
    assert set(now) == {(row["month"], row["customer_id"]) for row in predicted}
    assert all(row["model_version"] == __version__ for row in now.values())
    # The same shop, the same history: the two releases tell much the same of it.
    before, after = (sum(row["expected_purchases_1m"] for row in made) for made in (predicted, now.values()))
    assert after == pytest.approx(before, rel=0.2)
    assert content(shop / "lake", "cltv_predictions", version=3) == predicted
    capsys.readouterr()
    assert code_of("status") == 3
    said = capsys.readouterr().out
    assert len(re.findall(r"^ *2025-0\d +complete ", said, re.MULTILINE)) == 3
    assert "source: unknown, because " in said


@old_lake
def test_months_can_be_run_whole_on_a_migrated_lake(shop: Path) -> None:
    assert code_of("migrate") == 0
    assert code_of("run", "--to", "2025-01") == 0
    table = open_lake(load_settings()).table(all_schemas([1, 2])[0])
    assert {month.key for month in table.months()} == {"2025-01", "2025-02"}


@old_lake
def test_a_migration_that_is_killed_between_two_tables_goes_on_where_it_was(
    shop: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cltv_assets.cli import migrating

    real, calls = migrating.carry_out, 0

    def dying(*arguments: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 8:
            raise KeyboardInterrupt
        real(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as dies:
        dies.setattr(migrating, "carry_out", dying)
        assert code_of("migrate") == 130
    capsys.readouterr()
    assert code_of("run") == 4
    assert "cltv migrate" in capsys.readouterr().err
    assert code_of("migrate", "--dry-run") == 0
    said = capsys.readouterr().out
    # Seven are done: the six that are kept, and the first of the others.
    assert "purchase_model" not in said
    assert "spend_model" in said
    assert code_of("migrate") == 0
    check_lake(load_settings())


@old_lake
def test_dagster_forgets_the_months_that_are_to_be_made_again(shop: Path) -> None:
    settings = load_settings()
    with open_instance(settings) as instance:
        for table in ("rfm_summary", "purchase_model", "cltv_predictions"):
            for month in ("2025-01", "2025-02"):
                instance.report_runless_asset_event(dg.AssetMaterialization(table, partition=month))
    assert code_of("migrate") == 0
    with open_instance(settings) as instance:
        # Those that were kept stay made; the automation makes the others.
        assert set(latest(instance, dg.AssetKey("rfm_summary"))) == {"2025-01", "2025-02"}
        assert not latest(instance, dg.AssetKey("purchase_model"))
        assert not latest(instance, dg.AssetKey("cltv_predictions"))
        instance.report_runless_asset_event(dg.AssetMaterialization("purchase_model", partition="2025-01"))
    # Not again: what was made since is there.
    assert code_of("migrate") == 0
    with open_instance(settings) as instance:
        assert set(latest(instance, dg.AssetKey("purchase_model"))) == {"2025-01"}
