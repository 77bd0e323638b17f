"""A process that publishes, reads and ends must end with exit code 0.

PyArrow aborts at exit (``terminate called without an active exception``) when
one of its threads still holds a file system written in Python, as
``DeltaTable.to_pyarrow_dataset()`` makes one. The lake reads files by path
through native file systems only; ``multiprocessing`` children end without the
exit handlers, so these are plain interpreters.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from cltv_assets_tests.lake.place import Place

SCRIPT = """
import sys
from cltv_assets_tests.lake.place import Place
from cltv_assets_tests.lake.table_under_test import JAN, FEB, orders_in, generation_of, publish, read
table = orders_in(Place(*sys.argv[2:]))
for generation in range(5):
    publish(table, JAN, generation)
    publish(table, FEB, generation, count=0)
rows = read(table, JAN)
print(generation_of(rows), table.row_counts([JAN, FEB]), table.vacuum(0))
if not sys.argv[3]:
    import duckdb
    print(duckdb.execute("select count(*) from read_parquet($f)", {"f": table.files([JAN])}).fetchall())
if sys.argv[1] == "raise":
    raise SystemExit(3)
if sys.argv[1] == "lose":
    slow = table.begin(JAN)
    publish(table, JAN, 9)
    try:
        table.publish(slow.seal())
    except Exception as error:
        print(error)
"""


@pytest.mark.parametrize(("ending", "code"), [("return", 0), ("raise", 3), ("lose", 0)])
def test_exit_code(place: Place, ending: str, code: int) -> None:
    command = [sys.executable, "-c", SCRIPT, ending, *dataclasses.astuple(place.below(ending))]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (code, "")
