"""Errors that nobody foresaw, and whose texts quote a customer: nothing of it stays in Dagster's folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import duckdb
import pandas as pd
import pytest

from cltv_assets.dagster_defs import lake_asset, presentation
from cltv_assets.dagster_defs.customising import Custom
from cltv_assets.dagster_defs.failures import UnforeseenError, faults_as_failures, nothing_quoted
from cltv_assets.errors import LakeError, SourceError
from cltv_assets.lake import LakeTable
from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.e2e.running import write_config
from cltv_assets_tests.e2e.shop import deliver, lines_of_shop, months_of
from cltv_assets_tests.settings.canary import assert_hides

CANARY = "C4N4RY-7391"
(JAN,) = months_of("2011-01", 1)


def by_duckdb(*_given: Any, **_named: Any) -> Any:
    with contextlib.closing(duckdb.connect()) as connection:
        connection.execute(f"SELECT CAST('{'C4N4RY' + '-7391'}' AS INTEGER)")


def by_pandas(*_given: Any, **_named: Any) -> Any:
    # With a cause, a context and a note.
    try:
        try:
            _ = pd.Series({"a": 1})["C4N4RY" + "-7391"]
        except KeyError as error:
            error.add_note(f"customer {'C4N4RY' + '-7391'}")
            raise ValueError(f"no customer {'C4N4RY' + '-7391'}") from error
    except ValueError as error:
        raise RuntimeError(f"of {'C4N4RY' + '-7391'}: {error}") from error


def by_ours(*_given: Any, **_named: Any) -> Any:
    """Ours, with a cause that quotes."""
    try:
        by_duckdb()
    except duckdb.Error as error:
        raise LakeError("It is torn.", "Mend it.") from error


def bytes_below(folder: Path) -> Iterator[tuple[Path, bytes]]:
    yield from ((file, file.read_bytes()) for file in folder.rglob("*") if file.is_file())


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    deliver(tmp_path / "shop", lines_of_shop([JAN], customers=20))
    write_config(tmp_path, end_month="2011-01")
    return tmp_path


@pytest.mark.parametrize(
    ("place", "name", "fault", "said"),
    [
        (lake_asset, "made_by", by_duckdb, "ConversionException in cltv_assets/dagster_defs/lake_asset.py, line"),
        (lake_asset, "audit", by_pandas, "RuntimeError in cltv_assets/dagster_defs/lake_asset.py, line"),
        (lake_asset, "record_checks", by_pandas, "RuntimeError in cltv_assets/dagster_defs/lake_asset.py, line"),
        (LakeTable, "publish", by_duckdb, "ConversionException in cltv_assets/dagster_defs/io_managers.py, line"),
        (lake_asset, "made_by", by_ours, "It is torn. Mend it."),
    ],
)
def test_nothing_of_it_is_in_dagster_s_folder(
    shop: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    place: Any,
    name: str,
    fault: Callable[..., Any],
    said: str,
) -> None:
    monkeypatch.setattr(place, name, fault)
    assert code_of("run", "--select", "raw_transactions") == 1
    told = capfd.readouterr()
    assert said in " ".join((told.out + told.err).split())
    assert CANARY not in told.out + told.err
    recorded = list(bytes_below(shop / ".dagster"))
    assert any(said.split(" in ")[0].encode() in content for _, content in recorded)
    for file, content in recorded:
        assert CANARY.encode() not in content, file


def test_debug_prints_the_text(shop: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(lake_asset, "made_by", by_duckdb)
    assert code_of("run", "--debug", "--select", "raw_transactions") == 1
    assert f"Could not convert string '{CANARY}' to INT32" in capfd.readouterr().err
    # Where the run failed is recorded either way, and events hold no text.
    for file, content in bytes_below(shop / ".dagster"):
        assert CANARY.encode() not in content, file


def test_highlights_that_cannot_be_made(caplog: pytest.LogCaptureFixture) -> None:
    table: Any = SimpleNamespace(name="rfm_summary", highlights=by_pandas)
    run: Any = SimpleNamespace(month=JAN)
    found = presentation._highlights(table, run)
    assert found["highlights"].startswith("could not be made: RuntimeError in cltv_assets/dagster_defs/presentation.py")
    assert "No highlights of rfm_summary, 2011-01: RuntimeError in" in caplog.text
    assert CANARY not in str(found) + caplog.text


@pytest.mark.parametrize("fault", [by_duckdb, by_pandas, by_ours])
@pytest.mark.parametrize("guard", [faults_as_failures, nothing_quoted])
def test_the_frames_stay_and_no_error_hangs_on(fault: Callable[..., Any], guard: Callable[..., Any]) -> None:
    with pytest.raises((dg.Failure, UnforeseenError, LakeError)) as failed, guard():
        fault()
    assert fault.__name__ in {entry.name for entry in failed.traceback}
    assert_hides(CANARY, failed.value)


def test_outside_of_steps_our_errors_keep_their_type_and_lose_what_they_quote() -> None:
    with pytest.raises(SourceError, match=r"^a\.csv is odd\. Mend it\.$"), nothing_quoted():
        raise SourceError("a.csv is odd.", "Mend it.", quoted=f"It reads '{CANARY}'.")


def test_a_project_s_own_code_around_a_step() -> None:
    custom = Custom(execute=by_pandas)
    with pytest.raises(
        UnforeseenError, match=r"^RuntimeError in cltv_assets/dagster_defs/customising\.py, line \d+, steps\."
    ):
        list(custom.steps(dg.build_asset_context(), lambda: iter(())))
