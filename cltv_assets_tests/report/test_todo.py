"""What to do, new customers, channels and payback: the page's numbers against the tables' rows."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import ibis
import pyarrow as pa
import pytest

from cltv_assets.columns import MONTH
from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.report import ReportData, collect, problems, render
from cltv_assets.report.essentials import essentials
from cltv_assets.report.page import SECTIONS
from cltv_assets_tests.report.made_rows import NEW_CUSTOMERS, NOW, payback_rows
from cltv_assets_tests.report.reading import Page
from cltv_assets_tests.report.small_shop import SCHEMAS, Customer, Shop

#: Three cohorts that can be judged, and one that is too young. In all 400 are spent on 40 customers, and 1,400 come.
COSTS = (
    *payback_rows("all", NOW.shift(-3), 100, 10, 20.0, "paid back"),
    *payback_rows("all", NOW.shift(-2), 100, 20, 45.0, "expected", payback_age_low=1.0, payback_age_high=None),
    *payback_rows("all", NOW.shift(-1), 200, 10, 30.0, "paid back"),
    *payback_rows("all", NOW, 1000, 5, 1.0, "not within the horizon", too_young=True),
    *payback_rows("mail", NOW.shift(-3), 50, 10, 20.0, "paid back"),
    *payback_rows("<i>None</i>", NOW.shift(-3), 200, 10, 5.0, "not within the horizon"),
    *payback_rows("radio", NOW.shift(-3), 30, 0, 0.0, "no customers", ltv=None, ltv_low=None, ltv_high=None),
)


def made(shop: Shop, engine: DuckDBEngine, lake: Path) -> tuple[ReportData, Page]:
    facts = collect(shop.run(engine, lake))
    page = render(facts)
    assert problems(page, facts) == []
    return facts, Page(page)


def text(page: Page, section: str) -> str:
    return page.text(section).replace("\N{NO-BREAK SPACE}", " ")


def test_what_to_do_comes_first_and_lines_last(page: str) -> None:
    order = list(SECTIONS)
    assert order[:7] == ["todo", "value", "cohorts", "channels", "payback", "segments", "customers"]
    assert order[-2:] == ["quality", "guide"]
    assert "lines" not in Page(page).text("todo")


def test_which_cohorts_pay(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    facts, page = made(shop.changed(payback=COSTS), engine, lake)
    told = text(page, "todo")
    assert "Which cohorts pay" in told
    assert "Of 3 cohorts old and large enough to judge: 2 paid back what customers cost and 1 expected to." in told
    # 10 customers bring 20 each of 50 spent; those of the other value 5 each of 200.
    assert "mail pays: 4.0 times of its cost by 3 months from now; 1 of 1 cohort paid back." in told
    assert "<i>None</i> does not pay: 25% of its cost by 3 months from now; 0 of 1 cohort paid back." in told
    assert "radio" not in told
    everyone = facts.paid[0]
    assert (everyone.spend, everyone.customers) == (400.0, 40)
    assert everyone.ltv == pytest.approx((10 * 20 + 20 * 45 + 10 * 30) / 40)
    assert f"A customer costs EUR 10.00 and is expected to have brought EUR {everyone.ltv:.2f}" in text(page, "payback")
    assert [row[0] for row in page.table("By what was paid for")] == ["<i>None</i>", "mail", "radio"]
    assert page.table("By what was paid for")[1][1:] == ["50.00", "10", "5.00", "20.00", "4.00", "1 of 1", "0", "0"]
    rows = page.table("Cohorts, all customers")
    assert [row[0] for row in rows] == ["Apr 1997", "Mar 1997", "Feb 1997", "Jan 1997"]
    assert rows[0][-1] == "not within the horizon; too young to judge"
    assert rows[2][3:] == [
        "5.00", "22.50", "45.00 40.50 to 49.50", "9.00 8.10 to 9.90",
        "expected in month 2.0 1.0 to beyond the horizon",
    ]  # fmt: skip
    assert rows[3][-1] == "paid back in month 2"
    assert "acquisition_costs.path" not in text(page, "guide")


def test_cohorts_that_are_all_too_young_are_not_judged(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    young = payback_rows("all", NOW, 1000, 5, 1.0, "not within the horizon", too_young=True)
    _, page = made(shop.changed(payback=young), engine, lake)
    assert "every cohort that has them is still too young" in text(page, "todo")
    assert "what comes of it not yet" in text(page, "payback")


def test_costs_without_money_are_shown_without_judgement(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    unknown = payback_rows("all", NOW.shift(-3), 100, 50, 1.0, "paid back", **dict.fromkeys(
        ("payback", "payback_age", "payback_age_low", "payback_age_high", "value_so_far", "ltv", "ltv_low", "ltv_high",
         "ltv_to_cac", "ltv_to_cac_low", "ltv_to_cac_high")))  # fmt: skip
    _, page = made(shop.without_money().changed(payback=unknown), engine, lake)
    assert page.table("Cohorts, all customers")[0][-1] == "not known"


def test_channels_stand_with_intervals_and_how_wrong_they_were(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    _, page = made(shop.changed(new_customers=NEW_CUSTOMERS), engine, lake)
    told = text(page, "channels")
    assert "A new customer is expected to bring EUR 50.00 in 3 months; by channel the most is 4.0 times" in told
    rows = page.table("By channel")
    assert [row[0] for row in rows] == ["mail", "<b>Ads</b>"]
    # small_shop: orders cost 12.5, intervals and what was said before are a tenth off.
    assert rows[0][1:] == [
        "40", "6.40", "5.00", "80.00 72.00 to 88.00", "78.40", "88.00", "80.00", "10.0% too high"
    ]  # fmt: skip
    assert [row[0] for row in page.table("A new customer, from")] == ["1 month", "3 months"]
    todo = text(page, "todo")
    assert "A new customer is worth EUR 49.00 in 3 months (80% interval 44.10 to 53.90): winning one may cost" in todo
    assert (
        "By channel, mail brings most of a new customer, 80.00 EUR (80% interval 72.00 to 88.00); <b>Ads</b> least, "
        "20.00 EUR (80% interval 18.00 to 22.00)."
    ) in todo
    assert "source.columns.attributes" not in text(page, "guide")


def test_channels_whose_intervals_meet_are_not_told_apart(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    alike = {"all": 50.0, "mail": 51.0, "search": 49.0}
    _, page = made(shop.changed(new_customers=alike), engine, lake)
    assert "By channel, no value is clearly above another." in text(page, "todo")
    assert "times the least" not in text(page, "channels")


def test_channels_without_money_are_told_in_orders(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    _, page = made(shop.without_money().changed(new_customers=NEW_CUSTOMERS), engine, lake)
    assert "A new customer is expected to order on 4.00 days in 3 months" in text(page, "channels")
    assert page.table("By channel")[0][2:] == ["6.40 5.76 to 7.04", "7.04", "6.40", "10.0% too high"]
    assert "mail brings most of a new customer, 6.40 orders (80% interval 5.76 to 7.04)" in text(page, "todo")


def test_without_channels_cohorts_are_compared_at_the_same_age(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    # Cohorts of January and before are three months old; the older one has bought most of all since, but not by then.
    days = (dt.date(1996, 12, 5), *(dt.date(1997, 4, day) for day in range(1, 31)))
    older = tuple(Customer(f"O{i}", days, 0.9, 5.0, spend=20) for i in range(3))
    _, page = made(shop.changed(customers=shop.customers + older), engine, lake)
    january = [one for one in shop.customers if one.cohort.month == 1]
    by_april = sum(one.spend * len(one.days) for one in january) / len(january)
    assert 20 < by_april < 20 * len(days)
    assert (
        f"By 3 months of age the cohort of Jan 1997 (EUR {by_april:,.2f} a customer) brought most margin, Dec 1996 "
        "(EUR 20.00 a customer) least."
    ) in text(page, "todo")
    worth = by_april + sum(one.value for one in january) / len(january)
    assert f"Of Jan 1997 EUR {worth:,.2f} a customer are expected by 3 months from now (80% interval" in text(
        page, "todo"
    )
    assert {"source.columns.attributes", "acquisition_costs.path"} <= set(text(page, "guide").replace(":", "").split())


def test_who_changed_state_is_counted(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    states = {"a": ("active", "lapsed"), "b": ("at risk", "lapsed"), "c": ("active", "at risk"),
              "d": ("lapsed", "at risk"), "e": ("at risk", "active"), "f": ("active", "active"),
              "g": (None, "at risk")}  # fmt: skip
    one = shop.customers[0]
    customers = tuple(replace(one, id=name, churn=now) for name, (_, now) in states.items())
    run = shop.changed(customers=customers).run(engine, lake)
    shop.publish(engine, lake, NOW.shift(-1), ["purchase_model"])
    before = [
        {"customer_id": name, "churn_state": then, "value_segment": "low", "rfm_segment": "loyal", MONTH: then_month}
        for then_month in [NOW.shift(-1).first_day]
        for name, (then, _) in [*states.items(), ("gone", ("active", ""))]
        if then
    ]
    schema = SCHEMAS["customer_scores"].arrow.append(pa.field(MONTH, pa.date32()))
    earlier = engine.from_arrow(pa.Table.from_pylist(before, schema=schema))
    now = run.inputs["customer_scores"]
    run.inputs["customer_scores"] = now.union(earlier)  # type: ignore[index]
    facts = collect(run)
    told = text(Page(render(facts)), "todo")
    assert (
        "2 customers lapsed, 1 fell to at risk and 2 came back to a better state; 2 are active now, 3 at risk."
    ) in told
    changes = [row["since last month"] for row in essentials(facts).tables["what_changed"][0]]
    assert any("2\N{NO-BREAK SPACE}customers lapsed" in change for change in changes)


def test_months_of_before_lack_the_newer_tables(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    run = shop.changed(payback=COSTS, new_customers=NEW_CUSTOMERS).run(engine, lake)
    for name in ("customer_scores", "new_customer_value", "acquisition_payback"):
        run.inputs[name] = run.inputs[name].limit(0)  # type: ignore[index]
    facts = collect(run)
    page = render(facts)
    assert problems(page, facts) == []
    assert (facts.churn, facts.new_customers, facts.paid) == (None, None, ())
    assert "channels" not in Page(page).sections
    assert "payback" not in Page(page).sections


def test_expected_spend_of_months_of_before_is_purchases_times_their_price(
    engine: DuckDBEngine, lake: Path, shop: Shop
) -> None:
    run = shop.run(engine, lake)
    predictions = run.inputs["cltv_predictions"]
    unknown = {name: ibis.null("float64") for name in predictions.columns if name.startswith("expected_spend_")}
    run.inputs["cltv_predictions"] = predictions.mutate(**unknown)  # type: ignore[index]
    value = collect(run).value
    assert value is not None
    assert value.revenue is not None
    assert value.revenue[3] == pytest.approx(sum(one.value for one in shop.customers))


def test_a_hostile_customer_is_text_in_every_list(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    hostile = "<script>None</script>"
    customers = (Customer(hostile, shop.customers[0].days, 0.5, 100.0, "top"),)
    _, page = made(shop.changed(customers=customers), engine, lake)
    for caption in ("Whom to ask first", "Worth keeping", "Most valuable"):
        assert [row[0] for row in page.table(caption)] == [hostile]


def test_segments_have_their_action_and_size(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    actions = {"champions": "Write None of them <off>"}
    facts = collect(shop.run(engine, lake, scores={"actions": actions}))
    page = render(facts)
    assert problems(page, facts) == []
    rows = {row[0].split()[0]: row for row in Page(page).table("RFM segments")}
    assert rows["champions"][1] == "Write None of them <off>"
    assert rows["lost"][1] == "Leave them out of paid campaigns"
    for name, row in rows.items():
        assert row[2] == str(sum(one.rfm == name for one in shop.customers))
