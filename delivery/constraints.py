"""Puts the locks' versions into the package, as ``cltv_assets/constraints.json``.

``python -m delivery.constraints`` writes the file, ``--check`` says whether it is
what the locks have. ``cltv_assets/constraints.py`` reads it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from delivery.locks import EVERYTHING, ROOT, VARIANTS, for_users, read_lock

CONSTRAINTS = ROOT / "cltv_assets" / "constraints.json"


def collect(root: Path = ROOT) -> list[dict[str, Any]]:
    """Return every pin that a user may meet: version, hashes, and in which variants it is, with the marker there.

    Raises
    ------
    ValueError
        If two locks disagree about a version or its files.
    """
    collected: dict[tuple[str, str], dict[str, Any]] = {}
    for pin in for_users(read_lock(root / EVERYTHING)):
        entry = {"name": pin.name, "version": pin.version, "marker": pin.marker, "variants": {}, "hashes": pin.hashes}
        collected[pin.name, pin.version] = entry
    for variant, lock in VARIANTS.items():
        for pin in read_lock(root / lock):
            known = collected.get((pin.name, pin.version))
            if known is None or known["hashes"] != pin.hashes:
                raise ValueError(f"{lock} has {pin.name} {pin.version} otherwise than {EVERYTHING}: run make lock")
            known["variants"][variant] = pin.marker
    return list(collected.values())


def written(pins: list[dict[str, Any]]) -> str:
    """Return the file's text: a pin a line, so that a diff shows what changed."""
    return "[\n" + ",\n".join(json.dumps(pin, separators=(",", ":")) for pin in pins) + "\n]\n"


def main(arguments: list[str]) -> int:
    """Write or check the file; return the exit code."""
    text = written(collect())
    if arguments == ["--check"]:
        if not CONSTRAINTS.is_file() or CONSTRAINTS.read_text() != text:
            sys.stderr.write(f"{CONSTRAINTS.relative_to(ROOT)} is not what the locks have: run make format\n")
            return 1
        return 0
    CONSTRAINTS.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
