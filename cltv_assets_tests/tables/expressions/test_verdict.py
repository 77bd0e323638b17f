"""Every rule of cleaning, and that each line gets exactly one verdict."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cltv_assets.engines import Engine
from cltv_assets.settings import Settings
from cltv_assets.tables.cleaned_and_rejected import split, verdict
from cltv_assets_tests.tables.expressions.lines import FEW, MONTH, TEXT, raw_table


def clean(
    engine: Engine, config: Settings, rows: list[dict[str, Any]], bound: split.OutlierBound | None = None
) -> tuple[dict[int, dict[str, Any]], dict[int, dict[str, Any]]]:
    """Return cleaned and rejected lines by line number."""
    classified = split.classified_lines(engine, engine.from_arrow(raw_table(rows)), MONTH, config)
    treated = split.treat_outliers(classified, bound or split.OutlierBound(None, "cap"))
    halves = (split.kept_lines(treated), split.lost_lines(treated))
    cleaned, rejected = ({r["source_line"]: r for r in engine.collect(half).to_pylist()} for half in halves)
    return cleaned, rejected


@pytest.fixture
def config(shop_settings):
    return shop_settings(source={"cancellation_prefix": "C"})


#: What is wrong with a line, and the reason that it is rejected for.
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"source_text": "a,b,c,d,e,f,g"}, "malformed_line"),
    ({"transacted_at": None}, "missing_date"),
    ({"transacted_at": "  "}, "missing_date"),
    ({"transacted_at": "2011-02-30"}, "invalid_date"),
    ({"transacted_at": "yesterday"}, "invalid_date"),
    ({"transacted_at": "2911-03-05"}, "date_in_future"),
    ({"customer_id": None}, "missing_customer"),
    ({"customer_id": " "}, "missing_customer"),
    ({"customer_id": "NaN"}, "missing_customer"),
    ({"customer_id": "\u00e9" * 201}, "invalid_customer"),
    ({"quantity": None}, "invalid_quantity"),
    ({"quantity": "six"}, "invalid_quantity"),
    ({"quantity": "1e3"}, "invalid_quantity"),
    ({"unit_price": ""}, "invalid_unit_price"),
    ({"unit_price": "2.5.5"}, "invalid_unit_price"),
    ({"unit_price": "-11062.06"}, "negative_unit_price"),
    ({"quantity": "9999999999999", "unit_price": "99999999999"}, "invalid_amount"),
    ({"quantity": "0"}, "zero_amount"),
    ({"unit_price": "0.00"}, "zero_amount"),
]


def test_each_rule_names_its_reason_and_keeps_the_delivered_text(engine, config):
    """All in one query: each costs more than its lines do."""
    # The longest id that is one.
    cleaned, rejected = clean(engine, config, [{"customer_id": "\u00e9" * 200}, *(change for change, _ in WRONG)])
    assert list(cleaned) == [2]
    assert [(n, row["reason"]) for n, row in sorted(rejected.items())] == [
        (n, why) for n, (_, why) in enumerate(WRONG, 3)
    ]
    for n, (change, _) in enumerate(WRONG, 3):
        assert {name: rejected[n][name] for name in change} == change


def test_every_reason_is_documented():
    used = {"malformed_line", "missing_date", "invalid_date", "date_in_future", "missing_customer", "invalid_quantity"}
    used |= {"invalid_customer"}
    used |= {"invalid_unit_price", "invalid_amount", "wrong_currency", "negative_unit_price", "duplicate"}
    used |= {"zero_amount", "refund", "outlier", "not_counted", "repeated_total", "differing_total"}
    assert set(verdict.REASONS) == used


def test_a_good_line_is_parsed_and_typed(engine, config):
    cleaned, rejected = clean(engine, config, [{"customer_id": " 17850.0 ", "unit_price": "1,234.505"}])
    assert not rejected
    line = cleaned[2]
    assert line["customer_id"] == "17850"
    assert line["quantity"] == Decimal(6)
    assert line["amount"] == line["amount_delivered"] == Decimal("7407.0300")
    assert line["kind"] == "purchase"
    assert str(line["purchase_day"]) == "2011-03-05"


def test_a_decimal_comma_is_read_when_configured(engine, shop_settings):
    german = shop_settings(source={"decimal_separator": ","})
    cleaned, _ = clean(
        engine, german, [{"quantity": "1", "unit_price": "1.234,50"}, {"quantity": "2", "unit_price": ",5"}]
    )
    assert [cleaned[n]["amount"] for n in (2, 3)] == [Decimal("1234.5"), Decimal(1)]


def test_large_and_small_products_are_exact(engine, config):
    lines = [
        ("1,000", "173866", "173866000"),
        ("123456789.1234", "1000.000001", "123456789246.85"),
        ("0.0001", "0.5", "0.0001"),
        ("9999999", "99999", "999989900001"),
        # At the bound of what is multiplied in 64 bits, and beyond it with either number.
        ("9999.9999", "9999.999999", "99999999"),
        ("9999.9999", "10000", "99999999"),
        ("10000.5", "0.00005", "0.5"),
    ]
    cleaned, _ = clean(engine, config, [{"quantity": quantity, "unit_price": price} for quantity, price, _ in lines])
    for n, (quantity, price, amount) in enumerate(lines, 2):
        exact = Decimal(quantity.replace(",", "")) * Decimal(price)
        assert cleaned[n]["amount"] == exact.quantize(Decimal("0.0001"), ROUND_HALF_UP)
        assert abs(cleaned[n]["amount"] - Decimal(amount)) < 1


def test_numbers_at_the_edge_of_the_type_never_stop_the_query(engine, config):
    numbers = ("99999999999999.99999", "999999999999.9999999", "99999999999.9999999", "9999999999999.99999")
    rows = [line for n in numbers for line in ({"quantity": n, "unit_price": "1"}, {"quantity": "1", "unit_price": n})]
    cleaned, rejected = clean(engine, config, rows)
    assert len(cleaned) + len(rejected) == len(rows)


def test_money_is_exact_where_floats_are_not(engine, config):
    cleaned, _ = clean(
        engine, config, [{"quantity": "3", "unit_price": "0.1"}, {"quantity": "1", "unit_price": "0.30"}]
    )
    assert cleaned[2]["amount"] == cleaned[3]["amount"] == Decimal("0.3000")


def test_a_cancelled_or_negative_line_gives_money_back(engine, config):
    cancelled = {"transaction_id": "C536365"}
    rows = [cancelled | {"quantity": "-6"}, cancelled | {"quantity": "6"}, {"quantity": "-6"}]
    cleaned, rejected = clean(engine, config, rows)
    assert not rejected
    assert {row["kind"] for row in cleaned.values()} == {"refund"}
    assert [row["amount"] for row in cleaned.values()] == [Decimal("-15.30")] * 3


def test_refunds_are_set_aside_when_configured(engine, shop_settings):
    config = shop_settings(refunds="drop", source={"cancellation_prefix": "C"})
    cleaned, rejected = clean(engine, config, [{}, {"transaction_id": "C1", "quantity": "-6"}])
    assert list(cleaned) == [2]
    assert rejected[3]["reason"] == "refund"


def test_exact_copies_are_dropped_only_when_configured(engine, shop_settings):
    rows = [{}, {}, {"quantity": "7"}, {}]
    assert len(clean(engine, shop_settings(), rows)[0]) == 4
    cleaned, rejected = clean(engine, shop_settings(source={"duplicates": "drop_exact"}), rows)
    assert sorted(cleaned) == [2, 4]
    assert {n: row["reason"] for n, row in rejected.items()} == {3: "duplicate", 5: "duplicate"}


def test_overlapping_exports_count_once_and_equal_lines_of_an_order_stay(engine, shop_settings):
    twice = [{"source_file": "f.csv"}, {"source_file": "f.csv"}]
    rows = [*twice, *({**row, "source_file": "g.csv"} for row in twice), {"source_file": "g.csv"}]
    cleaned, rejected = clean(engine, shop_settings(source={"duplicates": "drop_across_files"}), rows)
    assert sorted(cleaned) == [2, 3, 6]
    assert {n: row["reason"] for n, row in rejected.items()} == {4: "duplicate", 5: "duplicate"}


BY_AMOUNT = {"transaction_id": "n", "customer_id": "c", "transacted_at": "t", "amount": "a"}
BY_PRICE = {
    **{name: there for name, there in BY_AMOUNT.items() if name != "amount"},
    "quantity": "q",
    "unit_price": "p",
}


@pytest.mark.parametrize("totals", [("50", None, ""), ("50", "50", "50"), (None, "50", "50")])
def test_the_total_of_an_order_counts_once(engine, shop_settings, totals):
    config = shop_settings(source={"columns": BY_AMOUNT, "amount_level": "order"})
    rows = [{"transaction_id": "1", "amount": total} for total in totals]
    rows += [{"transaction_id": "2", "amount": "50"}, *({"transaction_id": None, "amount": "7"} for _ in range(2))]
    cleaned, rejected = clean(engine, config, rows)
    assert sum(row["amount"] for row in cleaned.values()) == 50 + 50 + 7 + 7
    assert {row["reason"] for row in rejected.values()} == {"repeated_total"}
    assert len(rejected) == 2


def test_an_order_with_two_totals_is_said_and_a_line_that_does_not_count_gives_none(engine, shop_settings):
    config = shop_settings(source={"columns": BY_AMOUNT, "amount_level": "order"})
    rows = [
        {"amount": "9", "not_counted": "Status: void"}, {"amount": "50"}, {"amount": "60"}, {"amount": "50"},
    ]  # fmt: skip
    cleaned, rejected = clean(engine, config, rows)
    assert list(cleaned) == [3]
    assert {n: row["reason"] for n, row in rejected.items()} == {
        2: "not_counted", 4: "differing_total", 5: "repeated_total",
    }  # fmt: skip
    assert rejected[4]["value"] == 60
    assert rejected[2]["not_counted"] == "Status: void"


def test_a_refund_beside_the_sale_is_a_line_of_its_own(engine, shop_settings):
    config = shop_settings(source={"duplicates": "drop_exact"})
    refund = {"quantity": None, "unit_price": None, "amount": "15.30", "booked_as": "refund"}
    raw = raw_table([{}, refund | {}])
    raw = raw.set_column(raw.schema.get_field_index("source_line"), "source_line", pa.array([2, 2]))
    classified = split.classified_lines(engine, engine.from_arrow(raw), MONTH, config)
    lines = engine.collect(split.kept_lines(split.treat_outliers(classified, split.OutlierBound(None, "cap"))))
    assert sorted((row["kind"], row["amount"]) for row in lines.to_pylist()) == [
        ("purchase", Decimal("15.3000")), ("refund", Decimal("-15.3000")),
    ]  # fmt: skip


def test_amounts_in_cents_are_worth_a_hundredth(engine, shop_settings):
    config = shop_settings(source={"columns": BY_AMOUNT, "scale": "0.01"})
    cleaned, _ = clean(engine, config, [{"amount": "1999"}, {"amount": "-5"}])
    assert [cleaned[n]["amount"] for n in (2, 3)] == [Decimal("19.99"), Decimal("-0.05")]
    # Before they are scaled, amounts may have as many digits as can be read.
    cleaned, _ = clean(engine, config, [{"amount": "9,999,999,999,999.99"}, {"amount": "-9999999999999.99"}])
    assert [cleaned[n]["amount"] for n in (2, 3)] == [Decimal("99999999999.9999"), Decimal("-99999999999.9999")]


#: What the source gives, in fields of a line worth 15.30, and that line's margin.
MARGINS = [
    ("cost", "10.30", "5"),
    ("cost", "$1,000.30", "-985"),
    ("unit_cost", "2.05", "3"),
    ("margin", "4.50", "4.5"),
    ("margin", "-4.50", "-4.5"),
    ("cost", "unknown", None),
    ("cost", None, None),
]


def test_a_purchase_has_the_margin_that_its_cost_leaves(engine, shop_settings):
    for name in ("cost", "unit_cost", "margin"):
        config = shop_settings(source={"columns": {**BY_PRICE, name: name}}, currency="USD")
        given = [(text, margin) for column, text, margin in MARGINS if column == name]
        cleaned, _ = clean(engine, config, [{"quantity": "-1", name: "1"}, *({name: text} for text, _ in given)])
        assert [cleaned[n]["margin"] for n in range(2, 3 + len(given))] == [
            None, *(None if margin is None else Decimal(margin) for _, margin in given),
        ]  # fmt: skip


def test_costs_in_cents_and_of_capped_lines_keep_their_share(engine, shop_settings):
    config = shop_settings(source={"columns": {**BY_AMOUNT, "cost": "cost"}, "scale": "0.01"})
    cleaned, _ = clean(engine, config, [{"amount": "2000", "cost": "500"}], split.OutlierBound(Decimal(8), "cap"))
    assert (cleaned[2]["amount"], cleaned[2]["margin"]) == (Decimal(8), Decimal(6))


#: How the same amount is written, and what it is; None where it is no number of the shop's currency.
SPELLINGS = [
    ("EUR", ",", [("€ 1.234,50", "1234.5"), ("1.234,50 €", "1234.5"), ("EUR 12,50", "12.5"), ("15,00-", "-15")]),
    ("EUR", ",", [("1 234,50", "1234.5"), ("1\u202f234,50", "1234.5"), ("12,50 $", None), ("12,50 USD", None)]),
    ("USD", ".", [("$1,234.50", "1234.5"), ("($1,234.50)", "-1234.5"), ("-$5.00", "-5"), ("$-5.00", "-5")]),
    (
        "USD",
        ".",
        [("US$5", "5"), ("€5", None), ("($5.00", None), ("(-5)", None), ("5,000.5-", "-5000.5")],
    ),
    ("CHF", ".", [("1'249.00", "1249"), ("1\u2019249.00", "1249"), ("CHF 1'249.00", "1249"), ("1'24", None)]),
    ("INR", ".", [("₹12,34,567.00", "1234567"), ("Rs. 500", "500"), ("\u221212.5", "-12.5"), ("1 2", None)]),
    ("JPY", ".", [("\uffe5\uff11\uff12\uff11\uff0c\uff18\uff14\uff19", "121849"), ("\uff0d\uff15", "-5")]),
    ("JPY", ".", [("1,500円", "1500")]),
]


@pytest.mark.parametrize(("currency", "separator", "spellings"), SPELLINGS)
def test_amounts_are_read_as_people_write_them(engine, shop_settings, currency, separator, spellings):
    source = {"columns": BY_AMOUNT, "decimal_separator": separator, "delimiter": ";"}
    config = shop_settings(source=source, currency=currency)
    cleaned, rejected = clean(engine, config, [{"amount": text} for text, _ in spellings])
    for n, (text, value) in enumerate(spellings, 2):
        if value is None:
            assert rejected[n]["reason"] == "invalid_amount", text
        else:
            assert cleaned[n]["amount"] == Decimal(value), text


def test_the_words_for_a_missing_customer_are_no_customer(engine, shop_settings):
    config = shop_settings(source={"missing_values": ["Guest", 0]})
    words = ["NA", "#N/A", r"\N", "<NA>", "(null)", "n/a", "NaT", " NULL ", "guest", "0", "0.0"]
    cleaned, rejected = clean(engine, config, [*({"customer_id": word} for word in words), {"customer_id": "Nadia"}])
    assert [row["customer_id"] for row in cleaned.values()] == ["Nadia"]
    assert {row["reason"] for row in rejected.values()} == {"missing_customer"}


def test_lines_in_another_currency_are_rejected(engine, shop_settings):
    columns = {"customer_id": "c", "transacted_at": "t", "amount": "a", "currency": "m"}
    config = shop_settings(source={"columns": columns})
    rows = [{"amount": "5", "currency": code} for code in ("GBP", " gbp ", "EUR", None)]
    cleaned, rejected = clean(engine, config, rows)
    assert sorted(cleaned) == [2, 3]
    assert {row["reason"] for row in rejected.values()} == {"wrong_currency"}


def test_a_line_without_an_order_number_is_an_order_of_its_own(engine, config):
    cleaned, _ = clean(engine, config, [{"transaction_id": None}, {"transaction_id": " "}])
    assert [cleaned[n]["transaction_id"] for n in (2, 3)] == ["f.csv:2", "f.csv:3"]


def test_the_local_day_counts_not_the_utc_one(engine, shop_settings):
    config = shop_settings(time_zone="America/New_York")
    cleaned, rejected = clean(
        engine, config, [{"transacted_at": "2011-03-02T03:30:00Z"}, {"transacted_at": "2011-03-01T03:30:00Z"}]
    )
    assert str(cleaned[2]["purchase_day"]) == "2011-03-01"
    assert rejected[3]["reason"] == "date_in_future"  # the reader would have put it into February


def test_outliers_are_capped_or_dropped_and_refunds_left_alone(engine, config):
    rows = [{"quantity": "1", "unit_price": price} for price in ("1", "10", "1000")]
    rows.append({"quantity": "-1", "unit_price": "1000"})
    capped, _ = clean(engine, config, rows, split.OutlierBound(Decimal(10), "cap"))
    assert [capped[n]["amount"] for n in (2, 3, 4, 5)] == [1, 10, 10, -1000]
    assert capped[4]["amount_delivered"] == 1000
    kept, dropped = clean(engine, config, rows, split.OutlierBound(Decimal(10), "drop"))
    assert sorted(kept) == [2, 3, 5]
    assert dropped[4]["reason"] == "outlier"


LINE = st.fixed_dictionaries(
    {
        "transaction_id": st.one_of(st.none(), st.sampled_from(["1", "C1", " C2", ""])),
        "customer_id": st.one_of(st.none(), st.sampled_from(["a", "", "17850.0", "nan"]), st.text(max_size=3)),
        "transacted_at": st.one_of(st.none(), st.sampled_from(["2011-03-01", "2011-04-01", "2011-03-31 23:59"]), TEXT),
        "quantity": TEXT,
        "unit_price": TEXT,
        "source_text": st.one_of(st.none(), st.none(), st.just("a,b")),
    }
)


@FEW
@example(rows=[], refunds="net")
@given(rows=st.lists(LINE, min_size=50, max_size=150), refunds=st.sampled_from(["net", "drop"]))
def test_whatever_comes_every_line_lands_on_exactly_one_side(shared_engine, shop_settings, rows, refunds):
    config = shop_settings(refunds=refunds, source={"cancellation_prefix": "C", "duplicates": "drop_exact"})
    cleaned, rejected = clean(shared_engine, config, rows)
    shared_engine.release()
    assert sorted([*cleaned, *rejected]) == list(range(2, len(rows) + 2))
    for line in cleaned.values():
        assert line["customer_id"]
        assert line["transacted_at"] is not None
        assert (line["kind"] == "refund") == (line["amount"] < 0)
        assert line["amount"] != 0
    for line in rejected.values():
        assert line["reason"] in verdict.REASONS


def test_lines_without_amounts_are_counted_by_what_else_they_must_have(engine, shop_settings):
    columns = {"transaction_id": "n", "customer_id": "who", "transacted_at": "day"}
    config = shop_settings(source={"columns": columns, "amounts": "none"}, refunds="drop")
    none = {"quantity": None, "unit_price": None}
    rows = [none, none | {"customer_id": " 7 "}, none | {"customer_id": None}, none | {"transacted_at": "yesterday"}]
    cleaned, rejected = clean(engine, config, rows)
    assert {line: (row["kind"], row["amount"], row["amount_delivered"]) for line, row in cleaned.items()} == {
        2: ("purchase", None, None), 3: ("purchase", None, None)
    }  # fmt: skip
    assert {line: row["reason"] for line, row in rejected.items()} == {4: "missing_customer", 5: "invalid_date"}
