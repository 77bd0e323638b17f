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
