"""cltv.yaml and CLTV_* variables: what is taken, and what is said of the rest."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest

from cltv_assets.errors import ConfigError
from cltv_assets.settings import Settings, load_settings

FULL = """\
source:
  kind: csv
  path: data/*.csv
  columns: {transaction_id: Order, customer_id: Client, transacted_at: Date, quantity: Quantity, unit_price: UnitPrice}
  cancellation_prefix: C
  duplicates: keep
refunds: net
time_zone: Europe/London
currency: GBP
start_month: 2010-12
end_month: null
horizons_months: [3, 6, 12]
annual_discount_rate: 0.10
gross_margin: 1.0
population: all
repeat_window_months: 12
outliers: {method: quantile, upper: 0.999, action: cap}
time_unit: day
lake_uri: ./lake
engine: duckdb
"""


def write(text: str) -> Path:
    path = Path("cltv.yaml")
    path.write_text(text)
    return path


def refusal(text: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(write(text), environ or {})
    return str(caught.value)


def test_the_full_example_is_valid_and_paths_start_from_its_folder():
    settings = load_settings(write(FULL), {})
    assert settings.first_month.key == "2010-12"
    assert settings.lake_root == str(Path.cwd() / "lake")
    assert settings.source_path == str(Path.cwd() / "data/*.csv")
    assert settings.fixed_last_month is None


def test_without_a_file_it_is_the_demo():
    settings = load_settings(environ={})
    assert (settings.source.kind, settings.first_month.key, settings.last_month().key) == (
        "cdnow",
        "1997-01",
        "1998-06",
    )
    assert settings.source.zero_amounts == "keep"


def test_variables_override_the_file_and_reach_nested_keys():
    write(FULL)
    settings = load_settings(
        environ={
            "CLTV_LAKE_URI": "/elsewhere",
            "CLTV_SOURCE__DUPLICATES": "drop_exact",
            "CLTV_HORIZONS_MONTHS": "[1, 2]",
        }
    )
    assert (settings.lake_root, settings.source.duplicates, settings.horizons_months) == (
        "/elsewhere", "drop_exact", (1, 2),
    )  # fmt: skip
    assert settings.source.cancellation_prefix == "C"


def test_the_file_can_be_named_by_a_variable():
    Path("other.yaml").write_text(FULL)
    assert load_settings(environ={"CLTV_CONFIG": "other.yaml"}).currency == "GBP"
    with pytest.raises(ConfigError, match="that CLTV_CONFIG names does not exist"):
        load_settings(environ={"CLTV_CONFIG": "nowhere.yaml"})


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("outliers: {method: quantile", "outliers: {methd: quantile", 17, "did you mean 'method'?"),
        ("currency: GBP", "curency: GBP", 9, "did you mean 'currency'?"),
        ("  cancellation_prefix: C", "  cancelation_prefix: C", 5, "did you mean 'cancellation_prefix'?"),
        ("quantity: Quantity", "quantitty: Quantity", 4, "did you mean 'quantity'?"),
        ("Europe/London", "Europe/Lodnon", 8, "did you mean 'Europe/London'?"),
        ("2010-12", "2010-13", 10, "YYYY-MM"),
        ("currency: GBP", "currency: pounds", 9, "currency"),
        ("engine: duckdb", "engine: polars", 20, "duckdb"),
        ("gross_margin: 1.0", "gross_margin: 1.5", 14, "gross_margin"),
        ("[3, 6, 12]", "[6, 3]", 12, "rising"),
        ("kind: csv", "kind: xls", 2, "csv"),
        ("transaction_id: Order", "transaction_id: No", 4, "put it in quotes"),
        ("duplicates: keep", "encoding: utf-9", 6, "encoding 'utf-9' is not known"),
        ("duplicates: keep", "timestamp_format: '%d/%m %H'", 6, "needs a year, a month and a day"),
        ("duplicates: keep", "timestamp_format: '%d %U %Y'", 6, "'%U' is not supported"),
        ("duplicates: keep", "timestamp_format: days_since", 6, "needs the day that is zero"),
        ("duplicates: keep", "delimiter: '\"'", 6, "delimiter"),
        ("duplicates: keep", "filter: {a: b}", 6, "did you mean 'where'?"),
        ("transaction_id: Order", "order_id: Order", 4, "did you mean 'transaction_id'?"),
        ("duplicates: keep", "count_status: paid", None, "count_status needs columns.status"),
        ("duplicates: keep", "where: {Status: {}}", 6, "a condition is a value"),
        ("  path: data/*.csv\n", "", None, "needs path"),
        ("duplicates: keep", "escape: ','", None, "escape cannot be a quote, a line break or the delimiter"),
        ("duplicates: keep", "sheet: Orders", None, "sheet is for kind excel, not for csv"),
        (", unit_price: UnitPrice", "", None, "needs amount, or both quantity and unit_price"),
        (
            ", unit_price: UnitPrice",
            "",
            None,
            "if the source has no amounts, as a log of visits, set source.amounts: none",
        ),
        ("duplicates: keep", "amounts: none", None, "amounts: none and columns.quantity exclude each other"),
        ("unit_price: UnitPrice", "unit_price: Quantity", None, "two names to one source column"),
        ("unit_price: UnitPrice", "unit_price: P, cost: A, margin: B", None, "columns names cost and margin: keep one"),
        ("start_month: 2010-12\n", "", None, "start_month is needed"),
        ("end_month: null", "end_month: 2009-01", None, "before start_month"),
    ],
)
def test_a_wrong_setting_names_line_and_remedy(old, new, line, said):
    assert old in FULL
    message = refusal(FULL.replace(old, new))
    assert said in message
    if line is not None and old != "Europe/London" and "rising" not in said:
        assert f"cltv.yaml, line {line}" in message


def test_several_faults_are_told_at_once():
    message = refusal(FULL.replace("currency: GBP", "curency: GBP").replace("engine: duckdb", "engine: x"))
    assert "curency" in message
    assert "engine" in message


def test_an_unknown_variable_is_an_error_that_names_it():
    said = refusal(FULL, {"CLTV_CURENCY": "GBP"})
    assert "variable CLTV_CURENCY: unknown key 'curency'; did you mean 'currency'?" in said


def test_a_template_needs_a_function_that_renders_it():
    Path("defs.yaml").write_text('type: cltv_assets.CltvComponent\nattributes: {lake_uri: "{{ env.LAKE }}"}\n')
    with pytest.raises(ConfigError, match=r"defs\.yaml, line 2: lake_uri: .* only Dagster renders templates"):
        load_settings("defs.yaml", {})
    rendered = load_settings("defs.yaml", {}, renderer=lambda file, number: lambda text: f"{file.parent}/{number}")
    assert rendered.lake_root == str(Path.cwd() / "0")


def test_variables_of_the_deployment_are_no_settings():
    names = ("CONFIG", "DEBUG", "LOGS_BUCKET", "LOGS_PREFIX", "REPORT_URL", "UI_URL", "WEBHOOK_URL")
    environ = {f"CLTV_{name}": "x" for name in names}
    assert load_settings(environ=environ | {"CLTV_CONFIG": ""}) == load_settings(environ={})


@pytest.mark.parametrize("text", ["- a\n- b\n", "source: [", "currency: GBP\ncurrency: EUR\n", "\t: x"])
def test_broken_yaml_is_said_in_one_paragraph(text):
    message = refusal(text)
    assert "cltv.yaml" in message
    assert "\n" not in message


def test_the_last_month_is_the_last_closed_one_in_the_configured_zone():
    settings = Settings.model_validate({**Settings().model_dump(), "end_month": "2030-01"})
    assert settings.last_month(dt.date(1997, 3, 1)).key == "1997-02"
    assert settings.last_month(dt.date(1997, 3, 31)).key == "1997-02"
    assert settings.last_month(dt.date(2040, 1, 1)).key == "2030-01"


VISITS = {"kind": "csv", "path": "visits", "columns": {"customer_id": "who", "transacted_at": "day"}, "amounts": "none"}


@pytest.mark.parametrize(
    ("source", "others", "said"),
    [
        ({"columns": VISITS["columns"] | {"refund_amount": "back"}}, {}, "columns.refund_amount exclude each other"),
        ({"sign": {"column": "S", "refund": "H"}}, {}, "sign exclude each other"),
        (
            {"cancellation_prefix": "C", "columns": VISITS["columns"] | {"transaction_id": "n"}},
            {},
            "cancellation_prefix",
        ),
        ({"scale": 0.01}, {}, "scale exclude each other"),
        ({}, {"outliers": {"method": "iqr"}}, "outliers.method looks at amounts"),
        ({"kind": "cdnow", "path": None, "columns": {}}, {}, "not for kind 'cdnow'"),
        ({"columns": {"customer_id": "who"}}, {}, "columns lacks transacted_at"),
    ],
)
def test_what_needs_amounts_is_refused_where_there_are_none(source, others, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        Settings.model_validate({"source": VISITS | source, "start_month": "2024-01"} | others)


def test_a_query_without_amounts_names_no_amount():
    query = {"kind": "csv", "query": "SELECT 1", "paths": {"visits": "a.csv"}, "amounts": "none"}
    source = Settings.model_validate({"source": query, "start_month": "2024-01"}).source
    assert set(source.columns) == {"transaction_id", "customer_id", "transacted_at"}
    assert source.counted


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        ("{lapsed_below: 0.4}", "lapsed_below < recovered_above <= at_risk_below < active_above"),
        ("{at_risk_below: 0.25, active_above: 0.9}", "must rise in the order"),
        ("{active_above: 0.5}", "for example 0.2, 0.3, 0.5 and 0.6"),
        ("{actions: {at_risk: Call}}", "'at_risk': the segments are champions, loyal, potential loyalists"),
        ("{actions: {lost: ' '}}", "the action of 'lost' is empty"),
    ],
)
def test_bounds_and_actions_of_scores_are_checked(scores, says):
    message = refusal(FULL + f"scores: {scores}\n")
    assert says in message
    assert "scores" in message


def test_actions_that_are_not_named_keep_their_defaults():
    scores = load_settings(
        write(FULL + "scores: {lapsed_below: 0.3, recovered_above: 0.5, actions: {lost: No mail}}\n"), {}
    )
    assert scores.scores.actions["lost"] == "No mail"
    assert scores.scores.actions["at risk"] == Settings().scores.actions["at risk"]
    assert len(scores.scores.actions) == 11
