"""A lake in a folder whose path looks like partitions, and like nothing anybody would choose, holds the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.e2e.ran import Ran
from cltv_assets_tests.e2e.reading import REPORT, contents, differences
from cltv_assets_tests.e2e.running import run, settings_in, write_config
from cltv_assets_tests.e2e.shop import deliver


@pytest.mark.parametrize("folder", ["month=2011-02-01", "customer_id=C001/Größe 100% & [a*b] {c,d}; +'$~"])
def test_the_lake_s_folder_changes_no_row(
    ran: Ran, tmp_path: Path, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    january = ran.months[:1]
    deliver(tmp_path / "shop", {month: ran.lines[month] for month in january})
    changes = {"lake_uri": f"{folder}/lake", "end_month": "2011-01"}
    settings = settings_in(tmp_path, **changes)
    assert [result.errors for result in run(settings, january)] == [[]]
    assert Path(settings.lake_root) == tmp_path / folder / "lake"
    made = {key: rows for key, rows in contents(ran.lake).items() if key[1] == "2011-01"}
    # Made alone it has pictures.
    assert differences(made, contents(settings.lake_root)) == [f"{REPORT} 2011-01"]
    assert (REPORT, "2011-01") in contents(settings.lake_root)
    capsys.readouterr()
    question = "SELECT DISTINCT month, segment IS NULL AS lost FROM segment_summary"
    config = write_config(tmp_path, **changes)
    assert code_of("sql", question, "--format", "csv", "--config", str(config)) == 0
    assert capsys.readouterr().out.replace('"', "").split() == ["month,lost", "2011-01-01,false"]
