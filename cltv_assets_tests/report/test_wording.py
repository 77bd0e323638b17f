from __future__ import annotations

import math

import pytest

from cltv_assets.figures import wording
from cltv_assets.months import Month


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (wording.count(1234567), "1,234,567"),
        (wording.count(None), "\N{EN DASH}"),
        (wording.amount(9_999.5), "9,999.50"),
        (wording.amount(10_000.4), "10,000"),
        (wording.amount(-3.2), "\N{MINUS SIGN}3.20"),
        (wording.money(5, "EUR"), "EUR\N{NO-BREAK SPACE}5.00"),
        (wording.percent(0.1234), "12.3%"),
        (wording.change(-0.5), "\N{MINUS SIGN}50.0%"),
        (wording.share(0.05), "5%"),
        (wording.share(0.125), "12.5%"),
        (wording.share(0.07), "7%"),
        (wording.significant(0.2425945), "0.2426"),
        (wording.significant(1), "1"),
        (wording.significant(123456.7), "123,457"),
        (wording.significant(3.4e-5), "3.400e\N{MINUS SIGN}05"),
        (wording.significant(1e9), "1.000e+09"),
        (wording.probability(1.0), "1.000"),
        (wording.probability(0.99999), ">\N{NO-BREAK SPACE}0.999"),
        (wording.probability(1e-9), "<\N{NO-BREAK SPACE}0.001"),
        (wording.probability(0.0), "0.000"),
        (wording.too_many(0.106), "10.6% too high"),
        (wording.too_many(-0.2), "20.0% too low"),
        (wording.too_many(0.0001), "right to the first decimal"),
        (wording.too_many(None), "nothing happened to compare with"),
        (wording.months(1), "1\N{NO-BREAK SPACE}month"),
        (wording.listing(["a"]), "a"),
        (wording.listing(["a", "b", "c"]), "a, b and c"),
        (wording.sentence("no customers"), "No customers."),
        (wording.sentence("Done."), "Done."),
        (wording.sentence(""), ""),
        (wording.day(Month.parse("1996-02")), "29\N{NO-BREAK SPACE}February\N{NO-BREAK SPACE}1996"),
    ],
)
def test_spelling(shown: str, expected: str) -> None:
    assert shown == expected


@pytest.mark.parametrize(
    "spell", [wording.count, wording.amount, wording.percent, wording.significant, wording.probability]
)
def test_what_is_no_number_stays_visible(spell: object) -> None:
    assert "nan" in spell(math.nan)  # type: ignore[operator]
