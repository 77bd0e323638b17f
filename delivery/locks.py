"""Reads the lock files: exact versions, markers, hashes, and who asked for each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

#: What a user may install, by name: the locks that users install from.
VARIANTS: Mapping[str, str] = {
    "embedded": "requirements.lock",
    "production": "requirements-production.lock",
    "production-spark": "requirements-production-spark.lock",
}
#: Every extra and the tools of development together; the others stay within its versions.
EVERYTHING = "requirements-all.lock"

_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==(\S+?)(?: ; (.+?))?(?: \\)?$")
_HASH = re.compile(r"^ +--hash=(sha256:[0-9a-f]{64})(?: \\)?$")
_VIA = re.compile(r"^ +# +(?:via +)?(\S.*)$")


@dataclass(frozen=True)
class Pin:
    """One exact version in a lock.

    Parameters
    ----------
    name, version : str
        The package.
    marker : str
        Where it applies; empty for everywhere. A universal lock may pin a name twice.
    hashes : tuple of str
        ``sha256:…`` of each file that may be installed.
    via : tuple of str
        Who asked for it: packages, or the project's own files.
    """

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]
    via: tuple[str, ...]


def read_lock(path: Path) -> list[Pin]:
    """Return a lock's pins in its order.

    Raises
    ------
    ValueError
        If a line is not understood, or a pin has no hash: a lock that is half read would let
        something through unseen.
    """
    pins: list[Pin] = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        if found := _PIN.match(line):
            pins.append(Pin(found[1].lower(), found[2], found[3] or "", (), ()))
        elif pins and (found := _HASH.match(line)):
            pins[-1] = _extended(pins[-1], hashes=(found[1],))
        elif pins and line.strip() == "# via":
            continue
        elif pins and (found := _VIA.match(line)):
            pins[-1] = _extended(pins[-1], via=(found[1],))
        else:
            raise ValueError(f"{path.name}, line {number} is not understood: {line}")
    bare = [pin.name for pin in pins if not pin.hashes]
    if bare or not pins:
        raise ValueError(f"{path.name}: no hash for {', '.join(bare) or 'anything'}")
    return pins


def _extended(pin: Pin, hashes: tuple[str, ...] = (), via: tuple[str, ...] = ()) -> Pin:
    return Pin(pin.name, pin.version, pin.marker, pin.hashes + hashes, pin.via + via)


def for_users(pins: Sequence[Pin]) -> list[Pin]:
    """Return the pins that the package, an extra or its build asks for; without tools of development.

    A tool's own dependencies fall out with it. What a tool and an extra both want stays.
    """
    asked: dict[str, set[str]] = {}
    for pin in pins:
        asked.setdefault(pin.name, set()).update(pin.via)
    wanted = {name for name, via in asked.items() if any(_of_project(source) for source in via)}
    while True:
        more = {name for name, via in asked.items() if via & wanted} - wanted
        if not more:
            return [pin for pin in pins if pin.name in wanted]
        wanted |= more


def _of_project(source: str) -> bool:
    return source in ("cltv-assets (pyproject.toml)", "-r setup-requires.in")
