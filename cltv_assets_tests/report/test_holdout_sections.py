"""How wrong earlier predictions were, as the page tells it: against the metrics written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.report import ReportData, collect, problems, render
from cltv_assets.report.sections.holdout import bias_figure, errors_figure
from cltv_assets.tables.holdout_evaluation.cases import cases_of
from cltv_assets_tests.report.made_rows import NOW, holdout_rows
from cltv_assets_tests.report.reading import Page, drawn_lines
from cltv_assets_tests.report.small_shop import Shop


def test_the_story(page: str) -> None:
    story = (
        "1 month ahead, made on 31 March 1997: 1,100 purchases predicted for 500 customers, 1,000 made: 10.0% too "
        "high. The 80% interval of the total, 950 to 1,250, held. Each customer's own 80% interval held for 93.4% of "
        "customers."
    )
    assert story in Page(page).text("holdout")


def test_the_table(page: str) -> None:
    rows = Page(page).table("Predicted against actual")
    dash = "\N{EN DASH}"
    assert rows[0] == ["1 month ahead: purchases; actual 1,000"]
    assert rows[1] == ["Model: BG/NBD", "1,100", "+10.0%", "0.412", "0.824", "0.788", "61%", "93%"]
    assert rows[2] == ["NBD: nobody leaves", "1,300", "+30.0%", "0.466", "0.932", "0.734", "50%", dash]
    assert rows[3][:4] == ["Naive: rate so far", "1,600", "+60.0%", "0.655"]
    assert rows[4][:4] == ["Naive: last 12 months", "1,000", "+0.0%", "0.501"]
    assert rows[5] == ["1 month ahead: revenue in EUR; actual 30,000"]
    assert rows[6][:4] == ["Model: BG/NBD", "33,000", "+10.0%", "12.36"]


def test_the_best_figure_of_each_metric_is_bold(page: str) -> None:
    section = page.split('<section id="holdout"')[1].split("</section>")[0]
    purchases = section.split("<tbody>")[1]
    for best in ("0.412", "0.824", "0.788", "61%"):
        assert f"<strong>{best}</strong>" in purchases
    for other in ("0.466", "0.932", "0.501", "50%"):
        assert f"<strong>{other}</strong>" not in purchases


def test_a_total_outside_its_interval_did_not_hold(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    facts = collect(shop.changed(holdout=holdout_rows(interval=(1001.0, 1200.0))).run(engine, lake))
    assert "1,001 to 1,200, did not hold." in Page(render(facts)).text("holdout")


def test_the_model_stands_before_the_baselines_whatever_its_name(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    facts = collect(shop.changed(holdout=holdout_rows(name="zeta")).run(engine, lake))
    names = [[one.name for one in case.contenders] for case in facts.holdout]
    assert names == [["zeta", "nbd", "naive_rate", "last_year"]] * 2


def test_an_nbd_that_predicts_is_not_its_own_baseline(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    facts = collect(shop.changed(holdout=holdout_rows(name="nbd+gamma_gamma")).run(engine, lake))
    assert facts.holdout[0].model.predicted == 1100.0
    assert facts.holdout[0].contenders[1].predicted == 1300.0


def test_calibration_by_tenth(page: str) -> None:
    """small_shop: tenth n is predicted n² / 35 purchases, and makes n² / 38.5; revenue is thirty times that."""
    rows = Page(page).table("Predicted and actual means")
    assert len(rows) == 10
    assert rows[0] == ["1 (lowest)", "0.029", "0.026", "0.86", "0.78"]
    assert rows[9] == ["10 (highest)", "2.857", "2.597", "85.71", "77.92"]
    assert "expected to make 2.86 purchases each and made 2.60" in Page(page).text("calibration")


def test_metrics_that_are_missing_leave_gaps_only(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    """A month in which nothing was bought has no bias, Gini or capture; then no deciles either."""
    kept = {"mae", "rmse", "total_predicted", "total_actual"}
    rows = tuple(row for row in holdout_rows() if row["metric"] in kept and row["model_name"] != "nbd")
    facts = collect(shop.changed(holdout=rows).run(engine, lake))
    page = render(facts)
    assert problems(page, facts) == []
    assert "Not tested yet" in Page(page).text("calibration")
    assert "nothing happened to compare with" in Page(page).text("holdout")


def test_rows_without_a_model_are_no_case() -> None:
    rows = [row for row in holdout_rows() if row["model_name"] == "naive_rate"]
    assert cases_of(rows) == ()


@pytest.fixture
def months(engine: DuckDBEngine, lake: Path, shop: Shop) -> ReportData:
    """Three months of holdouts: off by 50, 30 and 10 percent. This month was made before, and was off by 90."""
    for back, total in ((2, 1500.0), (1, 1300.0), (0, 1900.0)):
        month = NOW.shift(-back)
        shop.changed(holdout=holdout_rows(ended=month, total=total, model_mae=0.4 + back / 10)).publish(
            engine, lake, month, ("holdout_evaluation",)
        )
    return collect(shop.run(engine, lake, start_month="1997-01"))


def test_the_trend_is_read_from_the_lake(months: ReportData) -> None:
    trend = months.trend(1, "purchases")
    assert [case.ended.key for case in trend] == ["1997-02", "1997-03", "1997-04"]
    assert [case.model.bias for case in trend] == pytest.approx([0.5, 0.3, 0.1])
    assert [case.model.mae for case in trend] == pytest.approx([0.6, 0.5, 0.412])
    # Deciles of earlier months are not read.
    assert [len(case.deciles) for case in trend] == [0, 0, 10]


def test_the_trend_is_drawn(months: ReportData) -> None:
    trend = months.trend(1, "purchases")
    bias = [heights for _, heights in drawn_lines(bias_figure([trend])) if len(heights) == 3]
    assert bias[0] == pytest.approx([50, 30, 10])
    lines = [heights for _, heights in drawn_lines(errors_figure(trend))]
    assert pytest.approx([0.6, 0.5, 0.412]) in lines
    assert pytest.approx([0.466] * 3) in lines
    page = render(months)
    assert problems(page, months) == []
    assert "Bias of the predicted total, by month" in page
    assert "Mean miss a customer, 1\N{NO-BREAK SPACE}month ahead, by month" in page


def test_intervals_that_fail_are_said_first(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    for back in range(1, 8):
        month = NOW.shift(-back)
        rows = holdout_rows(ended=month, interval=(950.0, 1050.0) if back == 7 else (1090.0, 1110.0))
        shop.changed(holdout=rows).publish(engine, lake, month, ("holdout_evaluation",))
    facts = collect(shop.run(engine, lake, start_month="1996-01"))
    assert "Only 2 of 8 earlier 80% intervals of total revenue held" in Page(render(facts)).text("todo")


def test_one_month_is_no_trend(page: str) -> None:
    assert "by month</h3>" not in page
