"""The exact versions that this release was tested with: ``cltv constraints``.

They are needed before the dependencies are installed, so this module needs only the
standard library, and runs from inside the wheel without installing it:
``PYTHONPATH=cltv_assets-….whl python -m cltv_assets.constraints``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any

from cltv_assets import __version__

#: The complete sets of packages; each has its own lock.
VARIANTS = ("embedded", "production", "production-spark")


def constraints(lock: str | None = None) -> str:
    """Return the content of a file for pip or uv.

    Parameters
    ----------
    lock : str, optional
        One of `VARIANTS`: the text then lists everything to install, with hashes, for
        ``pip install --no-deps --require-hashes -r``. Without it, the text lists the versions of everything
        that the package and its extras may install, for ``pip install -c``. It then has no hashes, because
        pip would demand one for the package itself too.

    Returns
    -------
    str
        The text. Markers say which Python and system a line is for.
    """
    if lock is not None and lock not in VARIANTS:
        raise ValueError(f"{lock!r} is none of {', '.join(VARIANTS)}")
    use = "-c" if lock is None else "--no-deps --require-hashes -r"
    what = "all extras" if lock is None else lock
    head = f"# cltv-assets {__version__}, {what}. For: pip install {use} THIS_FILE"
    return "\n".join([head, *_lines(lock)]) + "\n"


def pins() -> list[dict[str, Any]]:
    """Return every pin: its ``name``, ``version``, ``marker`` and ``hashes``, and its marker in each variant."""
    found: list[dict[str, Any]] = json.loads(
        files("cltv_assets").joinpath("constraints.json").read_text(encoding="utf-8")
    )
    return found


def _lines(lock: str | None) -> Iterator[str]:
    for pin in pins():
        if lock is not None and lock not in pin["variants"]:
            continue
        marker = pin["marker"] if lock is None else pin["variants"][lock]
        parts = [f"{pin['name']}=={pin['version']}" + (f" ; {marker}" if marker else "")]
        if lock is not None:
            parts += [f"    --hash={digest}" for digest in pin["hashes"]]
        yield " \\\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the file that the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m cltv_assets.constraints", description=main.__doc__)
    parser.add_argument("--lock", choices=VARIANTS, help="everything to install, with hashes, instead of constraints")
    sys.stdout.write(constraints(parser.parse_args(arguments).lock))


if __name__ == "__main__":
    main()
