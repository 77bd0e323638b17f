"""Monthly files beside the tables."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from cltv_assets.errors import LakeError, MissingMonthsError
from cltv_assets.lake import Lake
from cltv_assets_tests.lake.place import Place
from cltv_assets_tests.lake.processes import CONTEXT, FILE_BYTES, kill, replace_file_for_ever, start
from cltv_assets_tests.lake.table_under_test import FEB, JAN, MAR


def test_publish_read_replace_and_list(place: Place, lake: Lake) -> None:
    reports = lake.files("cltv_report")
    assert reports.months("report.html") == set()
    path = reports.publish(JAN, "report.html", b"one")
    assert path == f"{lake.root}/cltv_report/month=2024-01-01/report.html" == reports.path(JAN, "report.html")
    reports.publish(JAN, "report.html", b"two")
    reports.publish(MAR, "report.html", b"three")
    reports.publish(FEB, "other.html", b"")
    assert reports.read(JAN, "report.html") == b"two"
    assert reports.read(FEB, "other.html") == b""
    assert reports.months("report.html") == {JAN, MAR}
    assert place.names(path.rpartition("/")[0]) == ["report.html"]


def test_a_missing_file_names_the_month_and_the_command(lake: Lake) -> None:
    with pytest.raises(MissingMonthsError, match=r"no report\.html for 2024-02 .*`cltv run --from 2024-02"):
        lake.files("cltv_report").read(FEB, "report.html")


@pytest.mark.parametrize("name", ["../report.html", "a/b", "", ".hidden"])
def test_names_that_lead_elsewhere(lake: Lake, name: str) -> None:
    with pytest.raises(ValueError, match="plain file name"):
        lake.files("cltv_report").publish(JAN, name, b"")


@pytest.mark.local
def test_a_file_that_cannot_be_replaced_keeps_its_place(lake: Lake) -> None:
    reports = lake.files("cltv_report")
    folder = Path(reports.path(JAN, "report.html"))
    folder.mkdir(parents=True)
    with pytest.raises(LakeError, match="Cannot write"):
        reports.publish(JAN, "report.html", b"one")
    assert [entry.name for entry in folder.parent.iterdir()] == ["report.html"]
    with pytest.raises(LakeError, match="Cannot write /proc"):
        Lake("/proc/lake").files("cltv_report").publish(JAN, "report.html", b"one")


def test_a_kill_leaves_the_old_file_or_the_new_one(place: Place, lake: Lake) -> None:
    reports = lake.files("cltv_report")
    reports.publish(JAN, "report.html", b"0" * FILE_BYTES)
    chance = random.Random(20240103)
    for _ in range(10):
        receive, send = CONTEXT.Pipe(duplex=False)
        process = start(replace_file_for_ever, place, JAN, send)
        receive.recv()
        time.sleep(chance.uniform(0, 0.02))
        kill(process)
        content = reports.read(JAN, "report.html")
        assert len(content) == FILE_BYTES
        assert len(set(content)) == 1
    folder = reports.path(JAN, "report.html").rpartition("/")[0]
    left = [f"{folder}/{name}" for name in place.names(folder) if name != "report.html"]
    # On S3 an upload that is not finished is no file.
    assert place.local or not left
    assert reports.vacuum(1) == 0
    for entry in left:
        os.utime(entry, (time.time() - 7200,) * 2)
    assert reports.vacuum(1) == len(left)
    assert reports.months("report.html") == {JAN}
