"""Each kind of problem, planted in a good page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cltv_assets.report import ReportData, problems
from cltv_assets.report.facts.segments import Range
from cltv_assets.report.page import SECTIONS


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('<section id="value"', '<section id="worth"', "section 'value' is missing"),
        ("<footer>", '<footer><img alt="x" src="https://example.org/x.png">', "refers to something outside"),
        ("<footer>", '<footer><img alt="x" src="//example.org/x.png">', "refers to something outside"),
        ("<footer>", '<footer><a href="http://example.org">more</a>', "refers to something outside"),
        ("<footer>", '<footer><svg aria-label="x"><use xlink:href="http://x"/></svg>', "refers to something outside"),
        ("<footer>", '<footer><p style="background: url(http://x/y.png)"></p>', "refers to something outside"),
        ("</style>", '@import "https://fonts.example.org/f.css";</style>', "refers to something outside"),
        ("</style>", "p { background: url('x.png') }</style>", "refers to something outside"),
        ("</head>", '<link rel="stylesheet" href="#x"></head>', "<link> has no place"),
        ("</body>", "<script>1</script></body>", "<script> has no place"),
        ("<footer>", '<footer onclick="x()">', "has a script in onclick"),
        ("<footer>", "<footer><p>USD nan</p>", "is no number"),
        ("<footer>", "<footer><p>\N{MINUS SIGN}inf</p>", "is no number"),
        ("<footer>", "<footer><p>+nan%</p>", "is no number"),
        ("<footer>", "<footer><p>None customers</p>", "is no number"),
        ("<footer>", '<footer><svg aria-label="x"><path d="M 1 nan L 2 3"></path></svg>', "is no number"),
        ("<footer>", "<footer><p>{{ value }}</p>", "a template's tag"),
        ("<footer>", "<footer><p>{% endif %}</p>", "a template's tag"),
        ("<footer>", "<footer><p>{# why #}</p>", "a template's tag"),
        ("</style>", "p { color: {{ colour }} }</style>", "template's tag is left in a style"),
        ("<footer>", '<footer><svg viewBox="0 0 1 1"></svg>', "no words for readers"),
        ("<footer>", '<footer><img src="data:image/png;base64,AA==">', "no words for readers"),
        ("<footer>", "<footer><div>", "</footer> closes nothing"),
        ("</html>", "", "<html> is never closed"),
        ("<footer>", '<footer id="value">', "id 'value' stands twice"),
        ('<a href="#value">', '<a href="#worth">', "'worth' leads nowhere"),
        ("Customer lifetime value, 1997-04", "Customer lifetime value", "does not name the month"),
        ('<section id="segments"', '<section id="parts"', "section 'segments' is missing"),
        ('<section id="tracking"', '<section id="track"', "section 'tracking' is missing"),
        ("<td>", "<td></td><td>", "cells stands in a table of"),
        ('<text x="', '<text x="9', "is cut off at the edge of a picture"),
        (">champions<", ">heroes<", "the segment champions is not on the page"),
    ],
)
def test_a_planted_problem_is_found(page: str, data: ReportData, old: str, new: str, told: str) -> None:
    assert old in page
    found = problems(page.replace(old, new), data)
    assert any(told in problem for problem in found), found


def test_a_page_of_other_figures_is_found(page: str, data: ReportData) -> None:
    assert data.value is not None
    other = replace(data, now=replace(data.now, customers=987_654, expected_value=123_456.0))
    found = problems(page, other)
    assert "the number of customers, 987,654, is not on the page" in found
    assert any("expected value" in problem for problem in found)


def test_other_totals_are_found(page: str, data: ReportData) -> None:
    assert data.value is not None
    predicted = data.value.predicted
    other = replace(predicted, totals=tuple(replace(one, value=one.value + 1) for one in predicted.totals))
    found = problems(page, replace(data, value=replace(data.value, predicted=other)))
    assert [one for one in found if "expected value of" in one] == [
        "the expected value of 1\N{NO-BREAK SPACE}month is not on the page",
        "the expected value of 3\N{NO-BREAK SPACE}months is not on the page",
    ]


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        (Range(50.0, 60.0, 40.0), "is upside down: 60.0 to 40.0"),
        (Range(50.0, 40.0, float("nan")), "is upside down"),
        (Range(50.0, None, 60.0), "has one end only"),
        (Range(50.0, 123_456.0, 654_321.0), "123,456, an end of the interval of value, is not on the page"),
    ],
)
def test_an_interval_that_cannot_be_is_found(page: str, data: ReportData, ends: Range, told: str) -> None:
    base = {horizon: replace(total, value=ends) for horizon, total in data.segments.base.items()}
    found = problems(page, replace(data, segments=replace(data.segments, base=base)))
    assert any(told in problem for problem in found), found


def test_a_reason_that_is_not_told_is_found(page: str, data: ReportData) -> None:
    purchase = data.models.purchase
    chosen = replace(purchase, row={**purchase.row, "choice_reason": "bg_nbd was best by far"})
    found = problems(page, replace(data, models=replace(data.models, candidates=(chosen, *data.models.candidates[1:]))))
    assert "why this purchase model predicts is not on the page" in found


def test_a_truncated_page_is_found(page: str, data: ReportData) -> None:
    assert problems(page[: len(page) // 2], data)


def test_an_empty_page_misses_everything(data: ReportData) -> None:
    found = problems("", data)
    assert {f"section '{anchor}' is missing" for anchor in SECTIONS} <= set(found)


def test_foreign_text_may_read_like_a_problem(page: str, data: ReportData) -> None:
    foreign = "<footer><bdi data-foreign>None nan {{ x }}</bdi>"
    assert problems(page.replace("<footer>", foreign), data) == []


def test_words_that_only_look_like_no_number(page: str, data: ReportData) -> None:
    plain = "<footer><p>none, information, banana, finance, non-None-such</p>"
    assert problems(page.replace("<footer>", plain), data) == []
