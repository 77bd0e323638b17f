"""Numbers, times and ids as texts: the short way of plain lines reads what the rules for odd ones read."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from cltv_assets.settings import Settings
from cltv_assets.tables.cleaned_and_rejected import parsing
from cltv_assets_tests.tables.expressions.lines import FEW, MONTH, TEXT, raw_table


@FEW
@given(texts=st.lists(TEXT, min_size=30, max_size=100))
def test_numbers_are_read_as_python_reads_them_or_not_at_all(shared_engine, texts):
    table = shared_engine.from_arrow(pa.table({"text": pa.array(texts, pa.string())}))
    config = Settings(currency="USD")
    read = table.select(table.text, n=parsing.decimal_number(table.text, config, "decimal(18, 4)"))
    found = shared_engine.collect(read).to_pylist()
    shared_engine.release()
    assert len(found) == len(texts)
    for row in found:
        if row["n"] is not None:
            exact = Decimal(row["text"].strip().replace(",", ""))
            assert abs(row["n"] - exact) <= Decimal("0.00005")
            assert abs(exact) < 10**13


#: Mostly plain, and what is nearly so: the test must not call plain what the rules read otherwise.
NEAR_DIGITS = st.text(alphabet="0123456789.,-+ \n", min_size=1, max_size=14)
NEAR_NUMBER = st.one_of(
    st.decimals(-(10**9), 10**9, places=7).map(str), st.integers(-(10**15), 10**15).map(str), NEAR_DIGITS
)
NEAR_TIME = st.one_of(
    st.datetimes().map(lambda time: f"{time:%Y-%m-%d %H:%M:%S}"),
    st.dates().map(str),
    st.from_regex(r"[0-2]\d{3}-[01]\d-[0-3]\d[T ][0-2]\d:[0-6]\d(:[0-6]\d)?[Z\n]?", fullmatch=True),
    st.just("2011-02-29T23:59:60"),
)
NEAR_ID = st.one_of(
    st.integers(0, 10**6).map(str),
    st.from_regex(r"[A-Za-z0-9 ._@+-]{1,8}\n?", fullmatch=True),
    st.sampled_from(["17850.0", "NaN", "none", " 1", "\u0661"]),
)
NEAR_LINE = st.fixed_dictionaries(
    {
        "customer_id": st.none() | NEAR_ID,
        "transacted_at": st.none() | NEAR_TIME,
        "quantity": st.none() | NEAR_NUMBER,
        "unit_price": st.none() | NEAR_NUMBER,
        "amount": st.none() | NEAR_NUMBER,
    }
)


@FEW
@given(rows=st.lists(NEAR_LINE, min_size=50, max_size=150), separator=st.sampled_from([".", ","]))
def test_casts_read_a_plain_line_as_the_rules_for_odd_ones_do(shared_engine, shop_settings, rows, separator):
    config = shop_settings(source={"decimal_separator": separator, "delimiter": ";"}, time_zone="America/New_York")
    raw = shared_engine.from_arrow(raw_table(rows))
    plain = raw.filter(parsing.is_plain(raw, config))
    ways = [shared_engine.collect(way(plain, MONTH, config)) for way in (parsing.plain_lines, parsing.odd_lines)]
    by_cast, by_rules = (way.sort_by("source_line").to_pylist() for way in ways)
    shared_engine.release()
    assert by_cast == by_rules


def test_what_most_shops_deliver_is_plain(engine, shop_settings):
    config = shop_settings()
    most = [
        {},
        {"transacted_at": "2011-03-05T08:26:00", "customer_id": None},
        {"transacted_at": "2011-03-05", "quantity": "-1", "unit_price": "15.299999999999999"},
        {"customer_id": "ann.b@shop.example", "quantity": None, "unit_price": None, "amount": "0.5"},
    ]
    raw = engine.from_arrow(raw_table([*most, {"customer_id": "17850.0"}, {"unit_price": "1,234.50"}]))
    plain = engine.collect(raw.filter(parsing.is_plain(raw, config)).select("source_line"))
    assert sorted(plain["source_line"].to_pylist()) == [2, 3, 4, 5]


def test_words_and_blanks_are_found_as_by_the_long_way(engine):
    """`is_one_of` and `stripped` look closer only where they must, and mean what a list and a plain trim mean."""
    words = ("", "n/a", "#n/a", "(not set)", "\\n", "a|b", "ÄÖ".lower())
    blanks = (" ", "\t", "\n", "\r", "\x0b", "\x0c")
    texts = [*words, "N/A", "(NOT SET)", "ÄÖ", "n/a ", "n/ab", "xn/a", "a", "!a!", "é", *blanks, None]
    texts += [f"{blank}a b" for blank in blanks] + [f"a b{blank}" for blank in blanks]
    table = engine.from_arrow(pa.table({"text": pa.array(texts, pa.string())}))
    text = table.text
    found = table.select(
        "text",
        listed=text.lower().isin(words).fill_null(False),
        one_of=parsing.is_one_of(text, words),
        trimmed=text.strip(),
        stripped=parsing.stripped(text),
    )
    rows = engine.collect(found).to_pylist()
    assert [row["text"] for row in rows if row["one_of"] != row["listed"]] == []
    assert [row["text"] for row in rows if row["stripped"] != row["trimmed"]] == []
    assert sum(row["one_of"] for row in rows) == len(words) + 3
