"""Which months a command runs, and how the two halves end as commands of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from cltv_assets import cli
from cltv_assets.cli.runner import months_between
from cltv_assets.errors import ConfigError
from cltv_assets.settings import Settings


@pytest.mark.parametrize(
    ("first", "last", "months"),
    [
        ("latest", "latest", ["1998-06"]),
        ("latest", None, ["1998-06"]),
        ("1998-05", "latest", ["1998-05", "1998-06"]),
        ("1998-05", None, ["1998-05", "1998-06"]),
    ],
)
def test_latest_is_the_last_closed_month(first: str, last: str | None, months: list[str]) -> None:
    assert [month.key for month in months_between(Settings(), first, last)] == months


def test_another_word_is_no_month() -> None:
    with pytest.raises(ConfigError, match="'newest' is not a month"):
        months_between(Settings(), "newest", None)


@pytest.mark.parametrize("half", [cli.preprocess_main, cli.model_main])
def test_a_half_that_went_well_raises_nothing(half: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    # Databricks calls the function: there even an exit with 0 fails the task.
    monkeypatch.setattr(sys, "argv", ["cltv-half", "--help"])
    half()
    monkeypatch.setattr(sys, "argv", ["cltv-half", "--from", "newest"])
    with pytest.raises(SystemExit) as stopped:
        half()
    assert stopped.value.code == 2
