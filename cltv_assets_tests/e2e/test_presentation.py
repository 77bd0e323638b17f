"""What a run tells Dagster of each month, held against the lake."""

from __future__ import annotations

import base64
import csv
import datetime as dt
import io
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import matplotlib.image
import pytest
from deltalake import DeltaTable

from cltv_assets.cli.runner import run_months
from cltv_assets.dagster_defs.graph import all_assets
from cltv_assets.dagster_defs.io_managers import PUBLICATION, lake_io_manager
from cltv_assets.dagster_defs.presentation import REPORT_URL_VARIABLE, markdown_table, which_month
from cltv_assets.figures import wording
from cltv_assets.foreign import from_markdown
from cltv_assets.settings import Settings
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets_tests.e2e.ran import Ran
from cltv_assets_tests.e2e.reading import REPORT, TABLES
from cltv_assets_tests.e2e.running import cltv, settings_in, write_config
from cltv_assets_tests.e2e.shop import DIRT, deliver, lines_of_shop, months_of

MONTH = "2011-04"
_IMAGE = re.compile(r"data:image/png;base64,([^)]+)\)")
#: Dagster's database keeps every one of them.
_MOST_BYTES = 60_000


def told(
    instance: dg.DagsterInstance,
    asset: str,
    month: str = MONTH,
    kind: type[dg.MetadataValue[Any]] | tuple[type[dg.MetadataValue[Any]], ...] = dg.MetadataValue,
) -> Mapping[str, Any]:
    """Return the metadata of a month's newest materialisation, or those of a kind."""
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[month]), limit=1
    ).records
    made = found[0].asset_materialization
    assert made is not None
    return {name: value.value for name, value in made.metadata.items() if isinstance(value, kind)}


def rows(ran: Ran, table: str) -> list[dict[str, Any]]:
    return (
        DeltaTable(str(ran.lake / table))
        .to_pyarrow_table(filters=[("month", "=", dt.date.fromisoformat(f"{MONTH}-01"))])
        .to_pylist()
    )


def test_predictions_tell_their_totals(ran: Ran) -> None:
    shown, table = told(ran.instance, "cltv_predictions"), rows(ran, "cltv_predictions")
    assert shown["customers"] == len(table)
    for horizon in (1, 2):
        assert shown[f"expected_value_{horizon}m_GBP"] == pytest.approx(
            sum(row[f"cltv_{horizon}m"] for row in table), abs=0.01
        )
    assert shown["mean_p_alive"] == pytest.approx(sum(row["p_alive"] for row in table) / len(table), abs=1e-6)
    top = sum(row["cltv_2m"] for row in table if row["value_segment"] == "top")
    assert f"| top | {sum(row['value_segment'] == 'top' for row in table)} |" in shown["segments"]
    assert f"{top:,.2f}" in shown["segments"]


def test_the_most_valuable_are_shown_by_rank_and_commands_name_them(
    ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = from_markdown(told(ran.instance, "cltv_predictions")["most_valuable"])
    best = sorted(((row["cltv_2m"], row["customer_id"]) for row in rows(ran, "cltv_predictions")), reverse=True)
    values = [value for value, _ in best]
    ranks = [place for place in (1, 2, 3, 4, 5, 10, 100, 1000) if place <= len(best)]
    assert re.findall(r"\| ([\d,]+) \|", shown) == [str(place) for place in ranks]
    for place in ranks:
        one, together = wording.money(values[place - 1], "GBP"), wording.money(sum(values[:place]), "GBP")
        assert f"| {place} | {one} | {together} | {sum(values[:place]) / sum(values):.1%} |" in shown
    assert not any(customer in shown for _, customer in best)

    query, export = re.findall(r"cltv (sql \".+?\"|export .+?\.csv)", shown)
    monkeypatch.setenv("CLTV_CONFIG", str(write_config(tmp_path, lake_uri=str(ran.lake))))
    found = cltv(*shlex.split(query), "--format", "csv", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    named = csv.DictReader(found.stdout.splitlines())
    assert [row["customer_id"] for row in named] == [customer for _, customer in best[:10]]
    assert cltv(*shlex.split(export), cwd=tmp_path).returncode == 0
    with (tmp_path / "customers.csv").open(newline="") as file:
        assert {row["customer_id"] for row in csv.DictReader(file)} == {customer for _, customer in best}


@pytest.mark.parametrize(
    ("table", "names"), [("purchase_model", ("r", "alpha", "a", "b")), ("spend_model", ("p", "q", "v"))]
)
def test_models_tell_their_parameters(ran: Ran, table: str, names: tuple[str, ...]) -> None:
    shown = told(ran.instance, table)
    [chosen] = [row for row in rows(ran, table) if row["role"] == "chosen"]
    for name in names:
        assert shown[name] == pytest.approx(chosen[name], rel=1e-7)
    assert shown["status"] == chosen["status"]


def test_rejected_lines_are_counted_by_reason(ran: Ran) -> None:
    shown = told(ran.instance, "rejected_transactions")
    assert shown["dagster/partition_row_count"] == len(DIRT)
    counts = dict(re.findall(r"\| (\w+) \| (\d+) \|", shown["lines_by_reason"]))
    assert sum(map(int, counts.values())) == len(DIRT)
    assert counts["missing_customer"] == "2"
    lines = len(ran.lines[ran.months[-1]])
    assert shown["share_of_delivered_lines"] == pytest.approx(len(DIRT) / lines, abs=1e-6)


def test_holdout_tells_the_bias_of_each_horizon(ran: Ran) -> None:
    shown = told(ran.instance, "holdout_evaluation")
    metrics = {
        (row["target"], row["horizon_months"]): row["value"]
        for row in rows(ran, "holdout_evaluation")
        if row["metric"] == "relative_bias" and row["model_name"].startswith("bg_nbd")
    }
    assert metrics
    for (target, horizon), bias in metrics.items():
        assert shown[f"bias_{target}_{horizon}m"] == pytest.approx(bias, abs=1e-6)


def test_sums_of_lines_and_days_agree(ran: Ran) -> None:
    lines, days = told(ran.instance, "cleaned_transactions"), told(ran.instance, "purchase_days")
    assert lines["net_amount_GBP"] == pytest.approx(float(sum(r["amount"] for r in rows(ran, "cleaned_transactions"))))
    assert days["spend_GBP"] == pytest.approx(float(sum(r["spend"] for r in rows(ran, "purchase_days"))))
    assert days["orders"] == sum(r["order_count"] for r in rows(ran, "purchase_days"))
    rfm = told(ran.instance, "rfm_summary")
    assert rfm["repeat_customers"] == sum(r["frequency"] > 0 for r in rows(ran, "rfm_summary"))


@pytest.mark.parametrize(
    ("asset", "name"),
    [
        ("purchase_model", "repeat_purchases"),
        ("cltv_predictions", "value_by_segment"),
        ("cohort_value", "value_by_age"),
        ("holdout_evaluation", "predicted_and_actual"),
        ("cltv_report", "picture"),
        ("cltv_report", "tracking"),
    ],
)
def test_pictures_are_pictures_and_small(ran: Ran, asset: str, name: str) -> None:
    found = _IMAGE.search(told(ran.instance, asset)[name])
    assert found is not None
    png = base64.b64decode(found[1], validate=True)
    assert len(png) < _MOST_BYTES
    pixels = matplotlib.image.imread(io.BytesIO(png), format="png")
    assert min(pixels.shape[:2]) > 200
    # Something is drawn in colour: black text alone leaves no difference between the channels.
    assert (abs(pixels[..., 0] - pixels[..., 2]) > 0.3).mean() > 0.005


def test_of_several_months_the_newest_has_pictures_and_the_others_say_where_theirs_are(ran: Ran) -> None:
    earlier = ran.months[-2].key
    for asset in ("cltv_predictions", "cltv_report"):
        shown = told(ran.instance, asset, earlier)
        assert not any(_IMAGE.search(str(value)) for value in shown.values())
        assert f"cltv report --month {earlier}" in shown["pictures"]
        assert "pictures" not in told(ran.instance, asset)
    newest, older = (Path(told(ran.instance, "cltv_report", month)["report"]) for month in (MONTH, earlier))
    assert newest.read_text(encoding="utf-8").count("<svg") > 3
    # Words say what is seen, and how to see it.
    page = older.read_text(encoding="utf-8")
    assert "<svg" not in page
    assert f"cltv report --month {earlier}" in page
    assert "Customers by repeat purchases." in page


@pytest.mark.parametrize(
    ("tags", "drawn"),
    [
        ({}, ["2011-01", "2011-02"]),
        ({"cltv/newest_month": "2011-02"}, ["2011-02"]),
        ({"dagster/asset_partition_range_end": "2011-01"}, ["2011-01"]),
    ],
)
def test_a_month_that_is_made_by_itself_is_drawn(tmp_path: Path, tags: dict[str, str], drawn: list[str]) -> None:
    resource = lake_io_manager(settings_in(tmp_path, end_month="2011-02"))
    context: Any = SimpleNamespace(run=SimpleNamespace(tags=tags))
    resource.setup_for_execution(context)
    months = months_of("2011-01", 2)
    assert [month.key for month in months if resource.platform.month_run(month, {}).pictures] == drawn
    resource.teardown_after_execution(context)


def test_tables_and_pictures_say_what_they_show_and_of_which_month_and_no_sentence_is_cut(ran: Ran) -> None:
    captions = {}
    for name in (*TABLES, REPORT):
        for label, value in told(ran.instance, name, kind=dg.MarkdownMetadataValue).items():
            assert "…" not in value, (name, label)
            text = _IMAGE.sub(")", value)
            # A picture has its caption below itself, a table above.
            captions[name, label] = text.split("\n\n")[-1 if _IMAGE.search(value) else 0]
    assert len(captions) > 20
    for where, caption in captions.items():
        assert re.fullmatch(r"April\s2011\. [A-Z].{20,}(\.|csv)", caption), where
    assert "April" not in told(ran.instance, "cltv_report", "2011-03")["summary"]


def test_the_ui_plots_the_same_numbers_every_month_and_none_without_a_meaning(ran: Ran) -> None:
    numeric = (dg.IntMetadataValue, dg.FloatMetadataValue)
    for name in (*TABLES, REPORT):
        last, before = (set(told(ran.instance, name, month, kind=numeric)) for month in (MONTH, "2011-03"))
        assert before <= last, name
        # Whether customers buy regularly is known of enough of them only.
        assert last - before <= {"regularity"}, name
        assert {"table_version", PUBLICATION}.isdisjoint(last)
        assert (name == REPORT) or {"dagster/partition_row_count", "bytes"} < last
    weights = {label: value for label, value in told(ran.instance, "purchase_model").items() if "weight_" in label}
    assert sum(weights.values()) == pytest.approx(1, abs=0.005)


def test_a_month_says_which_it_is_and_whether_it_is_the_newest(ran: Ran) -> None:
    context: Any = SimpleNamespace(run=SimpleNamespace(tags={}))
    resource = lake_io_manager(ran.settings)
    resource.setup_for_execution(context)
    said = {
        month.key: which_month(resource.platform.month_run(month, {}), RFM_SUMMARY)["month"]
        for month in (ran.months[0], ran.months[-1], ran.months[-1].shift(1))
    }
    resource.teardown_after_execution(context)
    assert said == {
        "2011-01": "2011-01 (not the newest month, which is 2011-04: see Partitions)",
        "2011-04": "2011-04",
        "2011-05": "2011-05",
    }
    for name in (*TABLES, REPORT):
        assert next(iter(told(ran.instance, name).items())) == ("month", MONTH), "the first that is seen"


def test_the_report_leads_to_itself(ran: Ran) -> None:
    shown = told(ran.instance, "cltv_report")
    assert Path(shown["report"]).is_file()
    assert shown["bytes"] == Path(shown["report"]).stat().st_size
    assert shown["open_with"] == f"cltv report --month {MONTH}"
    assert "Of them repeat customers" in shown["summary"]
    assert "purchases" in shown["how_wrong_earlier_predictions_were"]


def test_a_served_report_is_linked_and_what_cannot_be_drawn_keeps_no_month_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(_run: object) -> Any:
        raise RuntimeError("no ink")

    monkeypatch.setattr("cltv_assets.tables.purchase_model.highlights.png", torn)
    monkeypatch.setenv(REPORT_URL_VARIABLE, "https://reader:s3cr3t@reports.example/cltv/")
    months = months_of("2011-01", 1)
    deliver(tmp_path / "shop", lines_of_shop(months, customers=30))
    with dg.DagsterInstance.ephemeral() as instance:
        assert run_months(settings_in(tmp_path, end_month="2011-01"), months, instance)[0].errors == []
        shown = told(instance, "cltv_report", "2011-01")
        assert told(instance, "purchase_model", "2011-01")["highlights"].startswith(
            "could not be made: RuntimeError in "
        )
    assert shown["report"] == "https://reports.example/cltv/month=2011-01-01/report.html"
    assert "open_with" not in shown


@pytest.mark.parametrize(
    ("changes", "table", "raw"),
    [
        ({}, {"duckdb", "deltalake"}, {"csv", "deltalake"}),
        ({"lake_uri": "s3://bucket/cltv"}, {"duckdb", "deltalake", "s3"}, {"csv", "deltalake", "s3"}),
        ({"engine": "spark", "source": {"kind": "parquet"}}, {"spark", "deltalake"}, {"parquet", "deltalake"}),
    ],
)
def test_kinds_name_what_is_in_use(
    shop_settings: Callable[..., Settings], changes: dict[str, Any], table: set[str], raw: set[str]
) -> None:
    specs = {spec.key.to_user_string(): spec for made in all_assets(shop_settings(**changes)) for spec in made.specs}
    assert specs["rfm_summary"].kinds == table
    assert specs["raw_transactions"].kinds == raw
    assert "matplotlib" in specs["cltv_report"].kinds


def test_a_long_text_does_not_blow_up_a_table() -> None:
    table = markdown_table([{"reason": "x" * 5000, "a|b": "c|d\ne"}])
    assert max(map(len, table.splitlines())) < 1100
    assert "c\\|d\\\\ne" in table


@pytest.mark.parametrize(
    ("asset", "name"), [("cleaned_transactions", "lines_reconcile"), ("rejected_transactions", "reject_share")]
)
def test_checks_of_lines_lead_to_those_rejected(ran: Ran, asset: str, name: str) -> None:
    key = dg.AssetCheckKey(dg.AssetKey(asset), name)
    newest = ran.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert newest.event is not None
    assert newest.event.dagster_event is not None
    place = newest.event.dagster_event.asset_check_evaluation_data.metadata["rejected_lines"].value
    assert list(Path(str(place)).glob("*.parquet"))
    assert place == told(ran.instance, "rejected_transactions")["dagster/uri"]
