"""The table of refused lines, on a folder or S3: replaced by month and table, erased and vacuumed like the others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from cltv_assets.errors import ConcurrentPublishError
from cltv_assets.lake import Lake, LakeTable
from cltv_assets.lake.erasing import erase, holdings
from cltv_assets.lake.spellings import Spellings
from cltv_assets.tables import lake_schemas
from cltv_assets.tables.refused_lines import REFUSED_LINES, Reason, keep, reasons_kept
from cltv_assets_tests.lake.conftest import parquet_files
from cltv_assets_tests.lake.place import Place
from cltv_assets_tests.lake.table_under_test import FEB, JAN

LINE = dict.fromkeys(column.name for column in REFUSED_LINES.columns[7:]) | {"source_file": "f.csv", "source_line": 2}
REASON = Reason("spend_model", "fits", "It does not.", "odd", 3, Decimal("1.5000"), [{**LINE, "customer_id": "c1"}])


def test_what_is_kept_comes_back_and_goes(place: Place, lake: Lake) -> None:
    # Nothing to remove makes no table.
    keep(lake, JAN, ["spend_model"], [])
    assert lake.table(REFUSED_LINES).version() is None
    for month in (JAN, FEB):
        keep(lake, month, ["spend_model"], [REASON])
    assert reasons_kept(lake, JAN) == [REASON]
    version = lake.table(REFUSED_LINES).version()
    keep(lake, JAN, ["purchase_model"], [])
    assert lake.table(REFUSED_LINES).version() == version

    (january, _) = holdings(lake, lake_schemas([1]), Spellings("c1"))
    erase(lake, january, Spellings("c1"))
    (kept,) = reasons_kept(lake, JAN)
    assert (kept.reason, kept.lines, kept.samples) == ("odd", 3, [])
    keep(lake, JAN, ["spend_model"], [])
    assert reasons_kept(lake, JAN) == []
    assert reasons_kept(lake, FEB) == [REASON]
    # As a command without the run's memory of the table.
    place.lake().table(REFUSED_LINES).vacuum(0)
    assert len(parquet_files(place, lake.table(REFUSED_LINES))) == 1


@pytest.mark.parametrize("content", [b"", None, b"PAR1 no more"])
def test_damaged_reasons_are_lost_until_a_step_of_the_month_writes_again(
    place: Place, lake: Lake, content: bytes | None
) -> None:
    keep(lake, JAN, ["spend_model"], [REASON])
    (file,) = lake.table(REFUSED_LINES).files([JAN])
    place.storage.delete(file)
    if content is not None:
        place.write(file, content)
    assert reasons_kept(lake, JAN) == []
    keep(lake, JAN, ["purchase_model"], [])
    assert lake.table(REFUSED_LINES).verify().damage == []
    keep(lake, JAN, ["spend_model"], [REASON])
    assert reasons_kept(lake, JAN) == [REASON]


def test_steps_of_one_month_that_end_together_all_stand(place: Place) -> None:
    keep(place.lake(), JAN, ["first"], [Reason("first", "check", "No.")])
    names = [f"table_{number}" for number in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda name: keep(place.lake(), JAN, [name], [Reason(name, "check", "No.")]), names))
    assert sorted(one.table for one in reasons_kept(place.lake(), JAN)) == ["first", *names]


def test_a_month_that_others_keep_writing_is_given_up(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def conflict(*_: object) -> None:
        tries.append(1)
        raise ConcurrentPublishError("Somebody was faster.", "Try again.")

    monkeypatch.setattr(LakeTable, "publish", conflict)
    with pytest.raises(ConcurrentPublishError):
        keep(lake, JAN, ["spend_model"], [REASON])
    assert len(tries) == 5
