"""A shop whose customers come by three channels, from its file to cohorts, payback and the questions of the docs."""

from __future__ import annotations

import csv
import datetime as dt
import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from cltv_assets.cli import main
from cltv_assets.months import Month
from cltv_assets_tests.cli.test_analysis_document import QUERIES
from cltv_assets_tests.e2e.reading import rows_of
from cltv_assets_tests.e2e.running import run, settings_in

#: Days between orders, orders in all and what one brings, on average; what all customers of a month cost.
CHANNELS = {"mail": (20, 6.0, 60, 300), "search": (25, 3.0, 40, 1_500), "social": (30, 1.3, 25, 6_000)}
TIERS = ("gold", "", "blue", "")
MONTHS = list(Month.parse("2024-01").until(Month.parse("2024-06")))
COLUMNS = {"customer_id": "who", "transacted_at": "day", "amount": "total", "attributes": ["channel", "country"]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of six months of which the last two have models, and ``sales.csv``."""
    home = tmp_path_factory.mktemp("channels")
    rng = np.random.default_rng(7)
    begin, end = dt.date(2024, 1, 1), dt.date(2024, 6, 30)
    rows = []
    for number in range(900):
        channel = list(CHANNELS)[number % 3]
        gap, orders, brings, _ = CHANNELS[channel]
        day = begin + dt.timedelta(int(rng.integers(0, 180)))
        country = str(rng.choice(["DE", "AT"], p=[0.7, 0.3]))
        for place in range(int(rng.geometric(1 / orders))):
            if day > end:
                break
            # Later orders name another channel, and customers move: neither is where they came from.
            named = channel if place == 0 else "direct"
            total = round(float(brings * rng.gamma(6, 1 / 6)), 2)
            lives = country if place < 3 else "CH"
            # No setting names it.
            coupon = ("SPRING24", "WELCOME", "")[int(rng.integers(0, 3))]
            rows.append((f"C{number:04d}", day.isoformat(), f"{total:.2f}", named, lives, coupon))
            day += dt.timedelta(1 + int(rng.exponential(gap)))
    rows.sort(key=lambda row: (row[1], row[0]))
    with (home / "sales.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("who", "day", "total", "channel", "country", "coupon"), *rows])
    with (home / "members.csv").open("w", newline="") as file:
        # Blanks around ids, and members who never bought.
        members = [(f" C{number:04d} ", TIERS[number % 4]) for number in range(0, 1_000, 2)]
        csv.writer(file).writerows([("member", "tier"), *members])
    with (home / "costs.csv").open("w", newline="") as file:
        lines = [(month.key, name, cost) for month in MONTHS for name, (*_, cost) in CHANNELS.items()]
        csv.writer(file).writerows([("month", "channel", "spend"), *lines])
    values = {
        "source": {
            "kind": "csv", "path": "sales.csv", "columns": COLUMNS, "latest_attributes": ["country"],
        },
        "acquisition_costs": {
            "path": "costs.csv", "attribute": "channel",
            "columns": {"month": "month", "spend": "spend", "value": "channel"},
        },
        "customers": {"path": "members.csv", "id": "member", "attributes": ["tier"]},
        "gross_margin": 0.5, "start_month": "2024-01", "end_month": "2024-06", "horizons_months": [3, 12],
        "currency": "EUR", "time_zone": "Europe/Berlin",
    }  # fmt: skip
    (home / "cltv.yaml").write_text(yaml.safe_dump(values))
    settings = settings_in(home, **values)
    first = ["raw_transactions", "cleaned_transactions", "rejected_transactions", "purchase_days", "acquisition_costs"]
    assert [result.errors for result in run(settings, MONTHS[:-1], first)] == [[]] * 5
    assert [result.errors for result in run(settings, MONTHS[-1:])] == [[]]
    return home


@pytest.fixture(scope="module")
def sales(home: Path) -> pd.DataFrame:
    """The sales, with each customer's first month, first channel and last country."""
    sales = pd.read_csv(home / "sales.csv", parse_dates=["day"])
    sales["month"] = sales.day.dt.to_period("M")
    first, last = (sales.groupby("who").agg(how) for how in ("first", "last"))
    return sales.assign(
        cohort=sales.who.map(first.month), came_by=sales.who.map(first.channel), lives=sales.who.map(last.country)
    )


def ask(home: Path, heading: str, capsys: pytest.CaptureFixture[str]) -> list[dict]:
    with pytest.raises(SystemExit) as end:
        main(["sql", QUERIES[heading], "--format", "json", "--config", str(home / "cltv.yaml")])
    said = capsys.readouterr()
    assert not end.value.code, said.err
    return json.loads(said.out)


def test_each_customer_has_the_first_channel_and_the_last_country(home, sales):
    found = {
        (row["customer_id"], row["attribute"]): row["value"]
        for row in rows_of(home / "lake", "customer_attributes", "2024-06")
    }
    each = sales.groupby("who").first()
    wanted = {(who, "channel"): row.came_by for who, row in each.iterrows()}
    wanted |= {(who, "country"): row.lives for who, row in each.iterrows()}
    # The file tells of every second customer.
    assert found == wanted | {(who, "tier"): TIERS[int(who[1:]) % 4] or "unknown" for who in each.index}
    assert set(found.values()) == {*CHANNELS, "DE", "AT", "CH", "gold", "blue", "unknown"}


def test_cohorts_of_a_channel_are_its_customers_to_the_cent(home, sales):
    rows = [row for row in rows_of(home / "lake", "cohort_value", "2024-06") if row["kind"] == "realised"]
    found = {(row["attribute_value"], f"{row['cohort']:%Y-%m}", row["age_months"]): row["revenue"] for row in rows}
    cents = sales.assign(cents=(sales.total * 100).round().astype(int))
    cents["age"] = (cents.month - cents.cohort).map(lambda age: age.n)
    cents["tier"] = cents.who.map(lambda who: TIERS[int(who[1:]) % 4] or "unknown")
    for column in ("came_by", "lives", "tier"):
        for key, total in cents.groupby([column, "cohort", "age"]).cents.sum().items():
            assert found[key[0], str(key[1]), key[2]] == Decimal(int(total)) / 100
    assert (
        sum(revenue for (value, *_), revenue in found.items() if value == "all")
        == Decimal(int(cents.cents.sum())) / 100
    )


def test_channels_are_told_apart_and_paid_back(home, sales, capsys):
    worth = ask(home, "What is a customer of each channel worth?", capsys)
    assert [row["channel"] for row in worth] == ["mail", "search", "social"]
    assert {row["channel"]: row["customers"] for row in worth} == sales.groupby("came_by").who.nunique().to_dict()
    new = ask(home, "What may a new customer cost?", capsys)
    year = {row["attribute_value"]: row["expected_value"] for row in new if row["horizon_months"] == 12}
    assert year["mail"] > 1.5 * year["search"] > 2 * year["social"] > 0
    paid = ask(home, "Which channels have paid back what their customers cost?", capsys)
    january = {row["channel"]: row for row in paid if row["cohort"] == "2024-01-01"}
    own = sales[sales.cohort == "2024-01"]
    for name, (*_, cost) in CHANNELS.items():
        customers = own[own.came_by == name].who.nunique()
        assert january[name]["cac"] == pytest.approx(cost / customers)
        assert january[name]["value_so_far"] == pytest.approx(own[own.came_by == name].total.sum() / 2 / customers)
    assert {name: row["payback"] for name, row in january.items() if name != "all"} == {
        "mail": "paid back",
        "search": "paid back",
        "social": "not within the horizon",
    }
    lives = ask(home, "Where do the most valuable customers live?", capsys)
    assert {row["country"]: row["customers"] for row in lives} == sales.groupby("lives").who.nunique().to_dict()
    assert sum(row["top_customers"] for row in lives) == round(0.05 * sales.who.nunique())


def test_a_question_about_a_column_that_no_setting_names(home, sales, capsys):
    rows = ask(home, "Which coupons were used, and what did these orders bring?", capsys)
    groups = sales.groupby("coupon")
    assert [row["coupon"] for row in rows] == sorted(groups.groups, key=lambda name: -groups.total.sum()[name])
    for row in rows:
        own = groups.get_group(row["coupon"])
        assert (row["customers"], row["lines"]) == (own.who.nunique(), len(own))
        assert row["revenue"] == pytest.approx(own.total.sum())
