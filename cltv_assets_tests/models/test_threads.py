"""SciPy's linear algebra has one thread, whichever module brings SciPy in."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

#: Notes what SciPy will find when it is first imported, by whom that may be.
LOOK = """
import os, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "scipy":
            print(os.environ.get("OPENBLAS_NUM_THREADS"))

sys.meta_path.insert(0, Watch())
import {module}
"""


@pytest.mark.parametrize(
    ("module", "given"), [("cltv_assets.definitions", None), ("cltv_assets.models.estimation.optimise", "2")]
)
def test_scipy_finds_one_thread_unless_it_is_told_another_number(module, given):
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    if given is not None:
        environment["OPENBLAS_NUM_THREADS"] = given
    done = subprocess.run(
        [sys.executable, "-c", LOOK.format(module=module)], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [given or "1"]
