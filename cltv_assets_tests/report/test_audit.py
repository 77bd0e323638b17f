"""Each kind of problem, planted in a good page."""

from __future__ import annotations

import pytest

from cltv_assets.report import ReportData, problems
from cltv_assets.report.page import sections_of


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
        ("<footer>", "<footer><div>", "</footer> closes nothing"),
        ("</html>", "", "<html> is never closed"),
        ("Customer lifetime value, 1997-04", "Customer lifetime value", "does not name the month"),
    ],
)
def test_a_planted_problem_is_found(page: str, data: ReportData, old: str, new: str, told: str) -> None:
    assert old in page
    found = problems(page.replace(old, new), data)
    assert any(told in problem for problem in found), found


def test_a_truncated_page_is_found(page: str, data: ReportData) -> None:
    assert problems(page[: len(page) // 2], data)


def test_an_empty_page_misses_everything(data: ReportData) -> None:
    found = problems("", data)
    assert {f"section '{section.anchor}' is missing" for section in sections_of(data)} <= set(found)


def test_foreign_text_may_read_like_a_problem(page: str, data: ReportData) -> None:
    foreign = "<footer><bdi data-foreign>None nan {{ x }}</bdi>"
    assert problems(page.replace("<footer>", foreign), data) == []


def test_words_that_only_look_like_no_number(page: str, data: ReportData) -> None:
    plain = "<footer><p>none, information, banana, finance, non-None-such</p>"
    assert problems(page.replace("<footer>", plain), data) == []
