"""The file of what was spent to win customers: what is read, and what is refused with its line."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from cltv_assets.errors import SourceError
from cltv_assets.files.storage import Storage
from cltv_assets.settings.costs import AcquisitionCosts
from cltv_assets.sources.cost_file import read_costs

COLUMNS = {"month": "Month", "spend": "Cost", "value": "Channel", "new_customers": "Conversions"}


def read(tmp_path: Path, text: str | bytes, columns: dict[str, str] | None = None, **settings: str) -> list[tuple]:
    file = tmp_path / "costs.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    columns = COLUMNS if columns is None else columns
    attribute = {"attribute": "channel"} if "value" in columns else {}
    costs = AcquisitionCosts.model_validate({"path": str(file), "columns": columns, **attribute, **settings})
    lines = read_costs(Storage("/"), str(file), costs)
    return [(line.line, str(line.month), line.value, line.spend, line.new_customers) for line in lines]


def test_lines_of_days_and_months_are_read(tmp_path):
    text = '\ufeffMonth,Channel,Note,Cost,Conversions\n2024-03, ads ,"a,\nb",12.5,3\n\n2024-04-30,mail,,-1,\n'
    assert read(tmp_path, text) == [
        (3, "2024-03", "ads", Decimal("12.5"), 3),
        (5, "2024-04", "mail", Decimal(-1), None),
    ]


def test_european_files_are_read(tmp_path):
    text = "Month;Cost\n2024-03;12,5\n"
    found = read(tmp_path, text, {"month": "Month", "spend": "Cost"}, delimiter=";", decimal_separator=",")
    assert found == [(2, "2024-03", None, Decimal("12.5"), None)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Month,Channel,Cost,Conversions\n2024-13,ads,1,1\n", "line 2: '2024-13' is no month"),
        ("Month,Channel,Cost,Conversions\n2024-03,ads,1,1\n03/2024,ads,1,1\n", "line 3: '03/2024' is no month"),
        ('Month,Channel,Cost,Conversions\n2024-03,ads,"1,200.00",1\n', "line 2: '1,200.00' is no amount"),
        ("Month,Channel,Cost,Conversions\n2024-03,ads,$5,1\n", "line 2: '$5' is no amount"),
        ("Month,Channel,Cost,Conversions\n2024-03,ads,99999999999999,1\n", "is no amount"),
        ("Month,Channel,Cost,Conversions\n2024-03,ads,1,2.5\n", "'2.5' is no number of customers"),
        ("Month,Channel,Cost,Conversions\n2024-03,,1,2\n", "no value of the attribute"),
        ("Month,Channel,Cost,Conversions\n2024-03,ads\n", "line 2: it has 2 fields"),
        ("Month,channel,Cost,Conversions\n", "'Channel' (acquisition_costs.columns.value)"),
        ("", "is empty"),
        (b"Month,Channel,Cost,Conversions\n2024-03,\xe9,1,1\n", "is not text in UTF-8"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path, text, told):
    with pytest.raises(SourceError) as raised:
        read(tmp_path, text)
    assert told in str(raised.value)
    assert "costs.csv" in str(raised.value)


def test_a_file_that_is_gone_is_named(tmp_path):
    costs = AcquisitionCosts(path="x")
    with pytest.raises(SourceError, match=r"nowhere\.csv"):
        read_costs(Storage("/"), str(tmp_path / "nowhere.csv"), costs)
