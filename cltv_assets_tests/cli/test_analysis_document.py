"""Every query of docs/analysis.md runs on a lake, and most are held against pandas on the delivered files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deltalake
import pandas as pd
import pytest

from cltv_assets.cli import main
from cltv_assets_tests.cli.analysis_shop import MODELLED, MONTHS, AnalysisShop, analysis_shop
from cltv_assets_tests.e2e.shop import DIRT

__all__ = ["analysis_shop"]

Rows = list[dict[str, Any]]
Ask = Callable[..., Rows]
DOCUMENT = Path(__file__).parents[2] / "docs" / "analysis.md"
NEWEST, BEFORE = MODELLED[-1], MODELLED[-2]


def queries() -> dict[str, str]:
    """Return the document's queries by their headings; a second one below a heading has ``(2)``."""
    found: dict[str, str] = {}
    for section in re.split(r"\n### ", DOCUMENT.read_text(encoding="utf-8"))[1:]:
        heading = section.partition("\n")[0].strip()
        for i, query in enumerate(re.findall(r"```sql\n(.*?)```", section, re.DOTALL)):
            found[heading if i == 0 else f"{heading} ({i + 1})"] = query
    return found


QUERIES = queries()
#: Questions on attributes, other columns and costs, which e2e/test_channels.py asks of a shop that has them.
CHANNELS = {name for name in QUERIES if re.search(r"attribute|other_columns|payback", QUERIES[name])}


@pytest.fixture
def ask(analysis_shop: AnalysisShop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Ask the document's query whose heading begins so."""

    def asked(heading: str, **instead: str) -> Rows:
        (name,) = [name for name in QUERIES if name.startswith(heading) and (")" in heading or ")" not in name)]
        query = QUERIES[name]
        for old, new in instead.items():
            assert query.count(f" {old.removeprefix('_')}") == 1
            query = query.replace(f" {old.removeprefix('_')}", f" {new}")
        (tmp_path / "q.sql").write_text(query, encoding="utf-8")
        with pytest.raises(SystemExit) as end:
            main(["sql", "-f", str(tmp_path / "q.sql"), "--format", "json", "--config", str(analysis_shop.config)])
        said = capsys.readouterr()
        assert not end.value.code, said.err
        rows: Rows = json.loads(said.out)
        return rows

    return asked


@pytest.fixture
def sales(analysis_shop: AnalysisShop) -> pd.DataFrame:
    return analysis_shop.sales


@pytest.fixture
def predictions(analysis_shop: AnalysisShop) -> pd.DataFrame:
    """Predictions as another reader finds them: the newest month's have no suffix, the month before's ``_before``."""
    frame = table(analysis_shop, "cltv_predictions")
    by_month = [frame[frame.month == month.first_day].set_index("customer_id") for month in (NEWEST, BEFORE)]
    return by_month[0].join(by_month[1].add_suffix("_before"))


def table(shop: AnalysisShop, name: str) -> pd.DataFrame:
    frame: pd.DataFrame = deltalake.DeltaTable(f"{shop.settings.lake_root}/{name}").to_pandas()
    return frame


def by_month(rows: Rows, name: str) -> dict[str, Any]:
    return {row["month"]: row[name] for row in rows}


def of_months(series: pd.Series) -> dict[str, Any]:
    return {f"{month}-01": value for month, value in series.items()}


def pounds(pence: pd.Series) -> dict[str, Any]:
    return {month: pytest.approx(value / 100) for month, value in of_months(pence).items()}


def first_months(sales: pd.DataFrame) -> pd.Series:
    return sales[sales.spend > 0].groupby("customer").month.min()


def test_the_document_has_its_questions() -> None:
    headings = [name for name in QUERIES if not name.endswith(")")]
    assert len(headings) >= 20
    assert DOCUMENT.read_text(encoding="utf-8").count("```sql") == len(QUERIES)


def test_every_query_gives_the_same_through_the_file_of_views(
    analysis_shop: AnalysisShop, ask: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In another process, with DuckDB and nothing of ours."""
    file = tmp_path / "lake's.duckdb"
    with pytest.raises(SystemExit) as end:
        main(["views", "--to", str(file), "--config", str(analysis_shop.config)])
    assert not end.value.code
    capsys.readouterr()
    (tmp_path / "queries.json").write_text(json.dumps(QUERIES), encoding="utf-8")
    program = (
        "import duckdb, json, sys; c = duckdb.connect(sys.argv[1], read_only=True); "
        "c.execute(\"SET TimeZone = 'UTC'\"); "
        "print(json.dumps({n: [c.sql(q).columns, [[str(v) for v in r] for r in c.sql(q).fetchall()]] "
        "for n, q in json.load(open(sys.argv[2])).items()}))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(file), str(tmp_path / "queries.json")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for name in QUERIES:
        rows = ask(name)
        columns, others = found[name]
        assert len(rows) == len(others), name
        for row, other in zip(rows, others, strict=True):
            assert list(row) == columns
            for value, text in zip(row.values(), other, strict=True):
                expected = str(value) if isinstance(value, str | None) else pytest.approx(float(text), abs=1e-9)
                assert (text if isinstance(value, str | None) else value) == expected, name
        # A shop in which nothing was refused, nobody is due and no attributes are known: all else must have an answer.
        nothing = "refused_lines" in QUERIES[name] or name.startswith("Which customers are due") or name in CHANNELS
        assert rows or nothing, name


def test_orders_and_revenue_by_month(ask: Ask, sales: pd.DataFrame) -> None:
    rows = ask("How many orders and how much revenue")
    groups, bought = sales.groupby("month"), sales[sales.spend > 0].groupby("month")
    assert len(rows) == len(MONTHS)
    assert by_month(rows, "customers") == of_months(bought.customer.nunique())
    assert by_month(rows, "orders") == of_months(bought.invoice.nunique())
    assert by_month(rows, "spend") == pounds(groups.spend.sum())
    assert by_month(rows, "refunds") == pounds(groups.refund.sum())
    assert by_month(rows, "revenue") == pounds(groups.amount.sum())
    assert groups.refund.sum().min() >= 0 < groups.refund.sum().max()


def test_average_order_and_refunds(ask: Ask, sales: pd.DataFrame) -> None:
    groups = sales.groupby("month")
    orders = sales[sales.spend > 0].groupby("month").invoice.nunique()
    value = by_month(ask("What was an order worth"), "average_order_value")
    assert value == pounds(groups.spend.sum() / orders)
    rate = by_month(ask("What share of the spend went back"), "refund_rate")
    assert rate == {m: pytest.approx(x) for m, x in of_months(groups.refund.sum() / groups.spend.sum()).items()}


def test_new_and_returning(ask: Ask, sales: pd.DataFrame) -> None:
    rows = ask("How much revenue came from new")
    new = sales.month == sales.customer.map(first_months(sales))
    for name, chosen in (("new_revenue", new), ("returning_revenue", ~new)):
        assert by_month(rows, name) == pounds(sales.amount.where(chosen, 0).groupby(sales.month).sum())
    assert rows[0]["returning_revenue"] == 0 < rows[-1]["returning_revenue"]


def test_best_tenth(ask: Ask, sales: pd.DataFrame) -> None:
    rows = ask("What share of the revenue comes from the best tenth")
    revenue = sales.groupby("customer").amount.sum().sort_values(ascending=False)
    # 240 customers: tenths of 24.
    assert len(revenue) == 240
    assert [row["customers"] for row in rows] == [24] * 10
    assert rows[0]["share"] == pytest.approx(revenue.iloc[:24].sum() / revenue.sum())
    assert rows[2]["share_so_far"] == pytest.approx(revenue.iloc[:72].sum() / revenue.sum())


def test_repeat_rate_and_days_to_the_second_order(ask: Ask, sales: pd.DataFrame) -> None:
    days = sales[sales.spend > 0].drop_duplicates(["customer", "day"]).sort_values("day")
    counts = days.groupby("customer").day.count()
    (row,) = ask("How many customers come back")
    assert (row["customers"], row["repeat_customers"]) == (240, int((counts > 1).sum()))
    assert row["repeat_rate"] == pytest.approx((counts > 1).mean())
    gaps = days.groupby("customer").day.apply(lambda some: (some.iloc[1] - some.iloc[0]).days if len(some) > 1 else -1)
    gaps = gaps[gaps >= 0]
    (row,) = ask("How long does it take until the second")
    assert row["customers"] == len(gaps)
    quarters = [row[name] for name in ("a_quarter_within", "half_within", "three_quarters_within")]
    assert quarters == pytest.approx(list(gaps.quantile([0.25, 0.5, 0.75])))


def test_retention(ask: Ask, sales: pd.DataFrame) -> None:
    first = first_months(sales)
    active = sales[sales.spend > 0].drop_duplicates(["customer", "month"])
    cohort = active.customer.map(first)
    later = (active.month - cohort).map(lambda offset: offset.n)
    expected = active.groupby([cohort, later]).size()
    sizes = first.value_counts()
    rows = ask("How many customers of each cohort")
    assert {(row["cohort"][:7], row["months_later"]): row["customers"] for row in rows} == {
        (str(month), n): count for (month, n), count in expected.items()
    }
    for row in rows:
        assert row["cohort_size"] == sizes[pd.Period(row["cohort"], "M")]
        assert row["retention"] == pytest.approx(row["customers"] / row["cohort_size"])


def test_value_of_cohorts(ask: Ask, sales: pd.DataFrame, predictions: pd.DataFrame) -> None:
    first = first_months(sales)
    rows = ask("What is each cohort worth")
    spent = sales.groupby(sales.customer.map(first)).amount.sum()
    value = predictions.cltv_12m.groupby(first.reindex(predictions.index)).agg(["count", "sum"])
    assert {row["cohort"]: row["spent_so_far"] for row in rows} == pounds(spent)
    assert {row["cohort"]: row["customers"] for row in rows} == of_months(value["count"])
    for row in rows:
        assert row["expected_value"] == pytest.approx(value["sum"][pd.Period(row["cohort"], "M")])


def test_one_customer(ask: Ask, sales: pd.DataFrame, predictions: pd.DataFrame) -> None:
    rows = ask("What did one customer buy, and what is expected?")
    own = sales[sales.customer == "C001"].groupby("day")
    assert {row["purchase_day"]: row["spend"] for row in rows} == {
        f"{day:%Y-%m-%d}": pytest.approx(pence / 100) for day, pence in own.spend.sum().items()
    }
    forecasts = ask("What did one customer buy, and what is expected? (2)")
    assert [row["month"] for row in forecasts] == [f"{month}-01" for month in MODELLED]
    assert forecasts[-1]["cltv_12m"] == pytest.approx(predictions.cltv_12m["C001"])


def test_most_valuable(ask: Ask, predictions: pd.DataFrame) -> None:
    rows = ask("Who are the ten most valuable")
    best = predictions.cltv_12m.nlargest(10)
    assert [row["customer_id"] for row in rows] == list(best.index)
    assert rows[-1]["share_so_far"] == pytest.approx(best.sum() / predictions.cltv_12m.sum())
    assert rows[0]["share"] == pytest.approx(best.iloc[0] / predictions.cltv_12m.sum())


def test_lost_and_risen(ask: Ask, predictions: pd.DataFrame) -> None:
    lost = predictions[(predictions.p_alive_before >= 0.5) & (predictions.p_alive < 0.5)]
    rows = ask("Who was lost last month")
    assert {row["customer_id"] for row in rows} == set(lost.index) != set()
    assert [row["value_before"] for row in rows] == sorted((row["value_before"] for row in rows), reverse=True)
    order = ["low", "middle", "high", "top"]
    rose = [
        name
        for name, now, then in zip(
            predictions.index, predictions.value_segment, predictions.value_segment_before, strict=True
        )
        if isinstance(then, str) and order.index(now) > order.index(then)
    ]
    rows = ask("Who moved up a segment")
    assert {row["customer_id"] for row in rows} == set(rose) != set()


def test_value_at_risk(ask: Ask, predictions: pd.DataFrame) -> None:
    stayed = predictions.cltv_12m / predictions.p_alive
    rows = ask("How much value is at risk")
    for row in rows:
        own = predictions.rfm_segment == row["rfm_segment"]
        assert row["customers"] == own.sum()
        assert row["value_at_risk"] == pytest.approx((stayed - predictions.cltv_12m)[own].sum(), abs=1e-6)
    assert sum(row["customers"] for row in rows) == len(predictions)
    assert max(row["value_at_risk"] for row in rows) > 0


def test_due_to_order(ask: Ask, sales: pd.DataFrame, predictions: pd.DataFrame) -> None:
    silent = pd.Timestamp(NEWEST.last_day) - sales[sales.spend > 0].groupby("customer").day.max()
    days = silent.dt.days.reindex(predictions.index)
    # Whoever is silent for sixty days in this shop has left it: with other bounds there are some.
    for purchases, least in ((1, 60), (0.3, 20)):
        rows = ask("Which customers are due", _1=f"{purchases}", _60=f"{least}")
        due = predictions[(days >= least) & (predictions.expected_purchases_3m >= purchases)]
        assert {row["customer_id"]: row["days_since"] for row in rows} == {name: days[name] for name in due.index}
    assert rows


def test_next_quarter(ask: Ask, sales: pd.DataFrame, predictions: pd.DataFrame) -> None:
    (row,) = ask("What will the next quarter bring")
    # The newest month is February 2011: its next quarter is March to May.
    quarter = sales[sales.month.between(pd.Period("2010-03"), pd.Period("2010-05"))]
    known = quarter[quarter.customer.map(first_months(sales)) <= pd.Period("2010-02")]
    assert row["known_customers"] == 240
    assert row["last_year_of_all"] == pytest.approx(quarter.amount.sum() / 100)
    assert row["last_year_of_known"] == pytest.approx(known.amount.sum() / 100)
    assert 0 < row["last_year_of_known"] < row["last_year_of_all"]
    assert row["predicted"] == pytest.approx(predictions.expected_spend_3m.sum())
    assert row["change"] == pytest.approx(row["predicted"] / row["last_year_of_known"] - 1)


def test_forecasts_of_the_last_quarter(ask: Ask, analysis_shop: AnalysisShop, sales: pd.DataFrame) -> None:
    rows = ask("How wrong were the forecasts")
    (model,) = [row for row in rows if row["target"] == "revenue" and "+" in row["model_name"]]
    origin = MODELLED[0]
    then = table(analysis_shop, "cltv_predictions").query("month == @origin.first_day").set_index("customer_id")
    after = sales[(sales.day > pd.Timestamp(origin.last_day)) & sales.customer.isin(then.index)]
    assert model["origin_month"] == f"{origin}-01"
    assert model["actual"] == pytest.approx(after.amount.sum() / 100)
    assert model["predicted"] == pytest.approx(then.expected_spend_3m.sum())
    assert model["error"] == pytest.approx(model["predicted"] / model["actual"] - 1)
    assert {"naive_rate", "nbd"} <= {row["model_name"] for row in rows}


def test_models_by_month(ask: Ask) -> None:
    rows = ask("Which model predicted each month")
    months = [f"{month}-01" for month in MODELLED]
    for month in months:
        assert sum(row["weight"] for row in rows if row["month"] == month) == pytest.approx(1)
    assert sorted({row["month"] for row in rows}) == months


def test_rejected_lines(ask: Ask) -> None:
    rows = ask("What was rejected, and why?")
    reasons = [reason for reason, _ in DIRT]
    expected = {(f"{month}-01", reason): reasons.count(reason) for month in MONTHS for reason in set(reasons)}
    assert {(row["month"], row["reason"]): row["lines"] for row in rows} == expected
    # Two lines of five pounds each have no customer.
    assert {row["value"] for row in rows if row["reason"] == "missing_customer"} == {10.0}


def test_freshness(ask: Ask, sales: pd.DataFrame) -> None:
    rows = {row["table_name"]: row for row in ask("How fresh are the data?")}
    assert (rows["cleaned_transactions"]["months"], rows["cleaned_transactions"]["rows"]) == (14, len(sales))
    assert rows["cltv_predictions"]["newest_month"] == f"{NEWEST}-01"
    (row,) = ask("How fresh are the data? (2)")
    own = sales[sales.month == pd.Period(f"{NEWEST}")]
    assert (row["month"], row["lines"], row["files"]) == (f"{NEWEST}-01", len(own), 1)
    assert row["last_day"] == f"{own.day.max():%Y-%m-%d}"
