"""Shops whose purchases can be predicted and whose money cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from cltv_assets.cli.summary import show_summary
from cltv_assets_tests.e2e.reading import REPORT, not_finite, rows_of
from cltv_assets_tests.e2e.running import run, settings_in
from cltv_assets_tests.e2e.shop import Line, deliver, lines_of_shop, months_of

JAN, FEB = months_of("2011-01", 2)


def with_wild_prices(line: Line) -> Line:
    """Let each customer pay a price of their own, spread so widely that its mean is infinite: a Pareto of index 0.5."""
    customer, price = line[1].strip(), line[4]
    if not customer.startswith("C") or not price.replace(".", "").isdigit() or float(price) <= 0:
        return line
    place = (int(customer[1:]) + 0.5) / 90
    return (*line[:4], f"{5 * place**-2 * (0.8 + 0.01 * (len(line[0]) + int(price[-1]))):.2f}")


def test_where_only_the_spend_model_fails_purchases_are_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = {month: [with_wild_prices(line) for line in some] for month, some in lines_of_shop([JAN, FEB]).items()}
    deliver(tmp_path / "shop", lines)
    settings = settings_in(tmp_path, end_month="2011-02", source={"ragged": "pad"})
    results = run(settings, [JAN, FEB])
    assert [result.errors for result in results] == [[], []]
    (spend,) = rows_of(settings.lake_root, "spend_model", "2011-02")
    assert spend["status"] == "not_fitted"
    assert "mean is infinite" in spend["status_reason"]
    assert any(
        text.startswith("cltv_predictions.money_predicted: No money this month") and "mean is infinite" in text
        for text in results[1].warnings
    )
    predictions = rows_of(settings.lake_root, "cltv_predictions", "2011-02")
    assert len(predictions) == len(rows_of(settings.lake_root, "rfm_summary", "2011-02")) > 50
    for row in predictions:
        assert 0 < row["p_alive"] <= 1
        assert row["expected_purchases_1m"] < row["expected_purchases_2m"]
        assert row["expected_order_value"] is row["cltv_2m"] is row["cltv_1m_low"] is None
    targets = {row["target"] for row in rows_of(settings.lake_root, "holdout_evaluation", "2011-02")}
    assert targets == {"purchases"}
    assert not_finite(settings.lake_root) == []
    page = Path(settings.lake_root, REPORT, "month=2011-02-01/report.html").read_text(encoding="utf-8")
    assert "Purchases and P(alive) are predicted, money is not" in page
    show_summary(settings, "2011-02")
    said = capsys.readouterr().out
    assert "No money: the spend model is not fitted. Tiers are by expected purchases." in said
    assert "The 10 customers who are expected to buy most, next 2 months" in said
    assert "CLTV" not in said
    assert "None" not in said


def test_visits_are_counted_and_predicted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A log of visits: who came and when, and nothing that says what it was worth."""
    sold = lines_of_shop([JAN, FEB])
    visits = {
        month: [(line[1], line[2]) if len(line) == 5 else ("C001", "10:00:00", "one", "too many") for line in lines]
        for month, lines in sold.items()
    }
    deliver(tmp_path / "shop", visits, header=("member", "seen"))
    source = {"columns": {"customer_id": "member", "transacted_at": "seen"}, "amounts": "none"}
    settings = settings_in(tmp_path, end_month="2011-02", source=source, refunds="drop")
    results = run(settings, [JAN, FEB])
    assert [result.errors for result in results] == [[], []]
    # Whoever says that there are no amounts is not warned of it.
    assert not [text for text in results[1].warnings if "money" in text or "spend_model" in text]
    lake = settings.lake_root
    raw, cleaned, rejected = (rows_of(lake, f"{name}_transactions") for name in ("raw", "cleaned", "rejected"))
    assert len(raw) == len(cleaned) + len(rejected) == sum(map(len, visits.values()))
    # Of the dirt only what a visit can have too is rejected; all other lines count.
    reasons = {row["reason"] for row in rejected}
    assert reasons == {"missing_customer", "missing_date", "invalid_date", "date_in_future", "malformed_line"}
    assert {row["kind"] for row in cleaned} == {"purchase"}
    money = {
        "cleaned_transactions": ("amount", "amount_delivered", "margin"),
        "purchase_days": ("spend", "refunds", "margin", "margin_spend"),
        "repeat_customers": ("spend", "refunds"),
        "rfm_summary": ("monetary_value", "total_spend", "repeat_spend", "total_refunds", "m_score", "gross_margin"),
        "cltv_predictions": ("monetary_value", "expected_order_value", "cltv_1m", "cltv_2m_high", "gross_margin"),
        "segment_summary": ("expected_value", "expected_value_low", "share_of_value"),
        "segment_movement": ("value_before", "value_now"),
        "cohort_value": ("revenue", "margin", "expected_revenue", "cumulative_margin", "cumulative_value_per_customer"),
        "new_customer_value": ("first_order_value", "repeat_order_value", "expected_value", "discounted_value_low"),
        "customer_scores": ("historic_value", "historic_margin", "predicted_value_2m", "total_value", "value_change"),
    }
    for table, columns in money.items():
        rows = rows_of(lake, table, "2011-02")
        assert rows, table
        assert {row[name] for row in rows for name in columns} == {None}, table
    # Days by hand: a customer and a day that both can be read.
    seen = {(row["customer_id"], row["purchase_day"]) for row in cleaned}
    days = rows_of(lake, "purchase_days")
    assert {(row["customer_id"], row["purchase_day"]) for row in days} == seen
    assert sum(row["order_count"] for row in days) == sum(row["line_count"] for row in days) == len(cleaned)
    counted = {customer: sum(who == customer for who, _ in seen) for customer, _ in seen}
    rfm = {row["customer_id"]: row for row in rows_of(lake, "rfm_summary", "2011-02")}
    assert {name: row["frequency"] + 1 for name, row in rfm.items()} == counted
    (spend,) = rows_of(lake, "spend_model", "2011-02")
    assert (spend["status"], spend["status_reason"]) == ("not_fitted", "the source has no amounts")
    predictions = {row["customer_id"]: row for row in rows_of(lake, "cltv_predictions", "2011-02")}
    assert predictions.keys() == rfm.keys()
    assert all(0 < row["p_alive"] <= 1 and row["expected_purchases_2m"] > 0 for row in predictions.values())
    assert {row["value_segment"] for row in predictions.values()} == {"top", "high", "middle", "low"}
    # Whoever came lately and often is a champion without having spent anything that is known.
    best = {name for name, row in rfm.items() if row["r_score"] >= 4 and row["f_score"] >= 4}
    assert {name for name, row in predictions.items() if row["rfm_segment"] == "champions"} == best
    assert {row["target"] for row in rows_of(lake, "holdout_evaluation", "2011-02")} == {"purchases"}
    assert not_finite(lake) == []
    page = Path(lake, REPORT, "month=2011-02-01/report.html").read_text(encoding="utf-8")
    assert "Purchases and P(alive) are predicted, money is not: the source has no amounts." in page
    assert "Most value at risk" not in page
    assert "RFM segments, by recency and frequency so far" in page
    assert "for much" not in page
    assert "Value now" not in page
    assert "No earlier total has come due" not in page
    assert "bought lately and often" in page
    show_summary(settings, "2011-02")
    assert "CLTV" not in capsys.readouterr().out
