"""The page of all settings, from the fields themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from cltv_assets.settings import Settings
from cltv_assets.settings.reference import main, reference


def names(model: type[BaseModel], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name, field in model.model_fields.items():
        kind = field.annotation
        is_section = isinstance(kind, type) and issubclass(kind, BaseModel)
        found |= names(kind, f"{name}.") if is_section else {f"{prefix}{name}"}
    return found - {"home"}


def test_every_setting_has_its_default_and_a_meaning() -> None:
    rows = [line.strip("|").split(" | ") for line in reference().splitlines() if line.startswith("| `")]
    assert {row[0].strip(" `") for row in rows} == names(Settings)
    assert all(len(row) == 3 and row[2].strip(" |") not in ("", "None") for row in rows)
    defaults = {row[0].strip(" `"): row[1].strip() for row in rows}
    assert defaults["source.delimiter"] == '`","`'
    assert defaults["automation.overdue_after"] == "`1d`"
    assert defaults["horizons_months"] == "`[3, 6, 12]`"
    assert defaults["end_month"] == ""
    assert "`standard` or `none`. For CSV" in reference()


def test_an_old_page_fails_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "settings.md"
    assert main(["--check", str(page)]) == 1
    assert main([str(page)]) == 0
    assert main(["--check", str(page)]) == 0
    page.write_text(page.read_text().replace("`./lake`", "`./pond`"))
    assert main(["--check", str(page)]) == 1
    assert "make format" in capsys.readouterr().err
