"""The page as a reader gets it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.figures.svg import svg
from cltv_assets.report import ReportData, collect, key_plot, problems, render
from cltv_assets.report.essentials import essentials
from cltv_assets.report.page import SECTIONS
from cltv_assets.report.sections import changes
from cltv_assets.report.sections.cautions import cautions
from cltv_assets.tables.cleaned_and_rejected.verdict import REASONS
from cltv_assets_tests.report.made_rows import NOW, holdout_rows
from cltv_assets_tests.report.reading import Page
from cltv_assets_tests.report.small_shop import BG_NBD, LINES_IN, NOT_FITTED, REJECTED, STATUS, Customer, Shop

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=http://evil.example/x onerror='alert(1)'>",
    "{{ 7 * 7 }}{% raw %}",
    "</table></section>",
    "nan",
    "None",
    "&amp;",
    "\N{RIGHT-TO-LEFT OVERRIDE}abc",
)


def test_an_ordinary_month_is_fit_to_publish(page: str, data: ReportData) -> None:
    assert problems(page, data) == []
    assert len(page.encode()) < 600_000


def test_every_section_is_there_once_and_links_lead_to_it(page: str) -> None:
    reader = Page(page)
    # Nothing is known here of channels and costs.
    assert list(reader.sections) == [anchor for anchor in SECTIONS if anchor not in ("channels", "payback")]
    ids = [value for _, name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    targets = {value[1:] for _, name, value in reader.attributes if name.endswith("href") and value.startswith("#")}
    assert targets <= set(ids)


def test_every_template_is_packaged() -> None:
    folder = files("cltv_assets.report")
    for name in ("page.html", "style.css", *(f"{anchor}.html" for anchor in SECTIONS)):
        assert (folder / name).is_file()


def test_the_same_facts_give_the_same_page(data: ReportData, page: str) -> None:
    assert render(data) == page


def test_matplotlibs_settings_are_left_alone(data: ReportData) -> None:
    before = dict(mpl.rcParams)
    render(data)
    assert dict(mpl.rcParams) == before


def test_pictures_follow_the_page(page: str) -> None:
    drawings = page.split("<svg")[1:]
    assert len(drawings) == 15
    for drawing in drawings:
        assert 'role="img" aria-label="' in drawing
        # A colour written out would not follow light and dark.
        assert "#1c2126" not in drawing.split("</svg>")[0]
        assert "var(--text)" in drawing
        # A style sheet inside a drawing would rule the whole page.
        assert "<style" not in drawing
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_a_pictures_words_are_text() -> None:
    drawing = svg(Figure(), "empty", "\"><script>'")
    assert 'aria-label="&quot;&gt;&lt;script&gt;&#x27;"' in drawing


def test_hostile_customers_are_text(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    day = shop.customers[0].days
    customers = tuple(Customer(name, day, 0.5, 100.0 - i) for i, name in enumerate(HOSTILE))
    facts = collect(shop.changed(customers=customers).run(engine, lake))
    page = render(facts)
    assert problems(page, facts) == []
    reader = Page(page)
    assert [row[0] for row in reader.table("Most valuable")] == list(HOSTILE)
    assert "evil" not in "".join(value for _, _, value in reader.attributes)
    assert "<script" not in page


def test_a_hostile_reason_is_text(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    bad = {**NOT_FITTED, "status_reason": "<b onclick=x>broken</b>", "aic": None, "log_likelihood": None}
    page = render(collect(shop.changed(predicted=False, purchase=bad).run(engine, lake)))
    assert "<b onclick" not in page
    assert "&lt;b onclick=x&gt;broken" in page


def test_a_month_without_predictions_says_why(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    facts = collect(shop.without_models().run(engine, lake))
    page = render(facts)
    assert problems(page, facts) == []
    reader = Page(page)
    assert "no predictions this month" in reader.text("todo")
    for section in ("todo", "value", "segments", "customers", "matrices", "tracking", "models"):
        assert "4 repeat customers; a fit needs 10" in reader.text(section), section
    # What happened is still shown.
    assert f"{sum(one.frequency for one in shop.customers)} times so far" in reader.text("tracking")
    assert f"{LINES_IN:,} lines delivered" in reader.text("quality")


def test_a_month_without_money_shows_purchases_and_says_why(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    poor = shop.without_money()
    run = poor.run(engine, lake)
    shop.publish(engine, lake, run.month.shift(-1), ["purchase_model", "cltv_predictions"])
    facts = collect(run)
    page = render(facts)
    assert problems(page, facts) == []
    reader = Page(page)
    for section in ("todo", "value"):
        assert "the spend model could not be fitted (every customer has the same" in reader.text(section), section
    total = sum(one.value for one in shop.customers) / 12.5
    assert f"Expected purchases, next 3 months {total:,.0f} 80% interval" in reader.text("todo")
    assert f"are expected to bring {total:,.0f} purchases" in reader.text("value")
    # Last month had money, so only purchases can be compared.
    assert "Expected purchases of the next 3 months are unchanged" in reader.text("todo")
    assert "no predictions" not in reader.text("todo")
    top = [one for one in shop.customers if one.segment == "top"]
    share = sum(one.value for one in top) / 12.5 / total
    row = reader.table("Value tiers, by expected purchases")[0]
    assert [cell.split()[0] for cell in (row[1], row[4], row[5])] == [
        str(len(top)), f"{sum(one.value for one in top) / 12.5:,.0f}", f"{share:.1%}"
    ]  # fmt: skip
    means = {
        name: np.mean([c.value for c in shop.customers if c.rfm == name]) for name in {c.rfm for c in shop.customers}
    }
    rfm = [row[0] for row in reader.table("RFM segments")]
    assert [next(name for name in means if row.startswith(name)) for row in rfm] == sorted(means, key=means.get)[::-1]
    best = max((one for one in shop.customers if one.segment != "low"), key=lambda one: one.value)
    assert reader.table("Most expected purchases")[0][0] == best.id
    kept = [one for one in shop.customers if one.segment in ("top", "high") and 0.2 <= one.p_alive <= 0.8]
    stake = sum(one.value / 12.5 * (1 - one.p_alive) / one.p_alive for one in kept)
    assert f"Ask {len(kept)} customers: {stake:,.0f} purchases are at stake" in reader.text("todo")
    assert len(reader.table("Worth keeping")) == min(len(kept), 10)
    assert facts.matrices is not None
    found = essentials(facts)
    assert "expected_value_3m_EUR" not in found.numbers
    assert key_plot(facts)[0]().startswith(b"\x89PNG")


def test_a_month_without_anything(engine: DuckDBEngine, lake: Path) -> None:
    empty = Shop(customers=(), lines_in=0, rejected={}).without_models()
    facts = collect(empty.run(engine, lake))
    page = render(facts)
    assert problems(page, facts) == []
    assert "Nothing was delivered" in Page(page).text("quality")
    assert key_plot(facts)[0]().startswith(b"\x89PNG")


def test_a_boundary_is_said_first(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    reason = "dropout cannot be identified: the data show hardly a customer who stopped"
    runaway = {"status": "boundary", "status_reason": reason, **BG_NBD, "b": 1e7, "r_se": None}
    reader = Page(render(collect(shop.changed(purchase=runaway).run(engine, lake))))
    assert "fits best at the edge of what its parameters can be. Models" in reader.text("todo")
    assert f"{reason[:1].upper()}{reason[1:]}" in reader.text("models")
    assert "not identified" in reader.text("models")
    assert "The model takes nearly everyone to be still a customer" in reader.text("matrices")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"null": {**STATUS, "r": 0.3, "alpha": 40.0, "aic": 2000.0}}, "no better than a model in which nobody"),
        (
            {"spend": {**STATUS, "p": 6.0, "q": 4.0, "v": 15.0, "frequency_value_correlation": 0.42}},
            "(correlation 0.42)",
        ),
        (
            {
                "spend": {
                    **STATUS,
                    "p": 6.0,
                    "q": 4.0,
                    "v": 15.0,
                    "value_trend": 0.21,
                    "value_trend_se": 0.02,
                    "value_trend_use": "none",
                    "value_trend_lag": 0.09,
                    "choice_reason": "no holdout knew of it",
                }
            },
            "change by +21.0% a year (± 2.0%); the level of the observation's end lies 9.0% above",
        ),
        (
            {
                "spend": {
                    **STATUS,
                    "p": 6.0,
                    "q": 1.2,
                    "v": 15.0,
                    "expected_order_value": 450.0,
                    "mean_order_value": 60.0,
                    "log_covariance": '{"q": {"q": 0.01}}',
                }
            },
            "It is 450.00 EUR, with a relative standard error of 60%",
        ),
        (
            {"holdout": holdout_rows(total=1600.0)},
            "Purchases predicted at the end of March 1997 for 1 month ahead came",
        ),
        (
            {"holdout": holdout_rows(model_mae=0.7)},
            "continuing each customer's rate so far and simply repeating each customer's last 12 months would have",
        ),
        ({"purchase": {**STATUS, "r": 0.3, "alpha": 40.0, "model_name": "nbd"}}, "one in which nobody ever leaves"),
        ({"purchase": {**STATUS, **BG_NBD, "truncated": True}}, "Every customer in the data has come back"),
        (
            {
                "purchase": {
                    **STATUS,
                    **BG_NBD,
                    "customers": 400,
                    "older_customers": 230,
                    "older_total_change": -0.098,
                    "older_p_alive_change": -0.064,
                }
            },
            "About 230 of 400 customers are older than the data",
        ),
    ],
)
def test_cautions(engine: DuckDBEngine, lake: Path, shop: Shop, changes: dict[str, object], said: str) -> None:
    facts = collect(shop.changed(**changes).run(engine, lake))
    found = cautions(facts)
    told = " ".join(f"{one.short} {one.more}" for one in found).replace("\N{NO-BREAK SPACE}", " ")
    assert said in told
    reader = Page(render(facts))
    for one in found:
        # A line at the head, the rest where it belongs.
        assert one.short.replace("\N{NO-BREAK SPACE}", " ") in reader.text("todo")
        assert len(one.short) < 200
        assert " ".join(one.more.replace("\N{NO-BREAK SPACE}", " ").split()) in reader.text(one.anchor)


def test_an_ordinary_month_needs_no_caution(page: str, data: ReportData) -> None:
    assert cautions(data) == []
    assert "Read with care" not in page
    assert "then fell silent has probably left" in Page(page).text("matrices")


def test_lines_are_accounted_for(page: str) -> None:
    reader = Page(page)
    rejected = sum(REJECTED.values())
    text = f"{LINES_IN:,} lines delivered = {LINES_IN - rejected:,} kept + {rejected} rejected"
    assert text in reader.text("quality")
    rows = reader.table("Rejected lines")
    assert rows == [
        [f"{reason} {REASONS[reason]}", str(lines), f"{lines / LINES_IN:.2%}"] for reason, lines in REJECTED.items()
    ]


def test_the_change_since_last_month(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    before = shop.changed(customers=shop.customers[:40], lines_in=1_000, rejected={"duplicate": 34})
    names = ("raw_transactions", "rejected_transactions", "purchase_model", "cltv_predictions")
    before.publish(engine, lake, NOW.shift(-1), names)
    facts = collect(shop.run(engine, lake))
    assert facts.before is not None
    assert facts.before.expected_value == pytest.approx(sum(one.value for one in shop.customers[:40]))
    text = Page(render(facts)).text("todo")
    assert "What changed since March 1997" in text
    assert "60 +50.0% on last month" in text
    # Lines are told of at the end.
    assert "1,234" not in text
    assert "Last month 1,000 were delivered and 34 of them rejected." in Page(render(facts)).text("quality")
    assert "were rejected, against" not in text
    grown = sum(one.value for one in shop.customers) / sum(one.value for one in shop.customers[:40]) - 1
    assert f"{grown:+.1%} on last month" in text


def test_a_jump_in_rejections_is_said(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    before = shop.changed(lines_in=100, rejected={"duplicate": 50})
    before.publish(engine, lake, NOW.shift(-1), ("raw_transactions", "rejected_transactions"))
    text = Page(render(collect(shop.run(engine, lake)))).text("todo")
    assert "2.8% of the month's lines were rejected, against 50.0% last month" in text


def test_the_first_month_has_none_before_it(page: str) -> None:
    assert "no figure for last month" in Page(page).text("todo")


def test_the_key_plot_is_small(data: ReportData, engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    from dataclasses import replace

    pictures = {
        key_plot(data)[0](),
        key_plot(replace(data, value=None))[0](),
        key_plot(replace(data, value=None, matrices=None))[0](),
    }
    assert len(pictures) == 3
    for picture in pictures:
        assert picture.startswith(b"\x89PNG")
        assert len(picture) < 40_000


def test_a_loss_that_grows_is_a_fall() -> None:
    data: Any = SimpleNamespace(
        now=SimpleNamespace(expected_value=-20.0),
        before=SimpleNamespace(expected_value=-10.0),
        settings=SimpleNamespace(currency="EUR"),
        horizon=3,
    )
    assert "fell by 100" in changes._value(data)
    assert changes.on_last_month(-10.0, -20.0).startswith("+50")
