"""What a step's exceptions become: a sentence for what a user can mend, type and place for the rest."""

from __future__ import annotations

import contextlib
from pathlib import Path

import dagster as dg
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cltv_assets.dagster_defs.failures import UnforeseenError, faults_as_failures
from cltv_assets.errors import LakeError
from cltv_assets.files.scratch import process_folder


def by_python() -> None:
    Path("/dev/full").write_text("lines", encoding="utf-8")


def by_arrow() -> None:
    # Not by its path: Arrow deletes a file that it could not write.
    with Path("/dev/full").open("wb") as file:
        pq.write_table(pa.table({"lines": list(range(1_000_000))}), file)


def by_duckdb() -> None:
    with contextlib.closing(duckdb.connect()) as connection:
        connection.execute(f"SET temp_directory = '{process_folder()}'")
        connection.execute("SET max_temp_directory_size = '1MB'")
        connection.execute("SET memory_limit = '30MB'")
        connection.execute("CREATE TEMPORARY TABLE large AS SELECT hash(range) AS h FROM range(5000000) ORDER BY h")


@pytest.mark.parametrize("write", [by_python, by_arrow, by_duckdb])
def test_a_full_disk_is_named(write) -> None:
    with pytest.raises(dg.Failure) as failed, faults_as_failures():
        write()
    said = failed.value.description or ""
    assert said.startswith("A disk is full: ")
    assert "Temporary files lie in" in said
    assert "set TMPDIR to a folder with room" in said
    assert not failed.value.allow_retries


def test_a_fault_of_data_is_a_failure_and_one_of_the_program_says_where() -> None:
    with pytest.raises(dg.Failure, match=r"It is wrong\. Mend it\."), faults_as_failures():
        raise LakeError("It is wrong.", "Mend it.")
    with (
        pytest.raises(UnforeseenError, match=r"^ZeroDivisionError in test_failures\.py, line \d+"),
        faults_as_failures(),
    ):
        _ = 1 / 0
