"""Runs commands in this process, for tests."""

from __future__ import annotations

import pytest

from cltv_assets.cli import main


def code_of(*arguments: str) -> int:
    """Run a command in this process and return its exit code."""
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    code = stopped.value.code
    return code if isinstance(code, int) else int(code is not None)
