"""What is installed: this package, Python, and whether the other packages are those that were tested."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from importlib import metadata

from packaging.markers import Marker
from packaging.utils import canonicalize_name

from cltv_assets import __version__
from cltv_assets.constraints import constraints
from cltv_assets.doctor.finding import Finding, ok, warning

#: Versions of Python that are tested.
_TESTED = ((3, 11), (3, 13))
_PIN = re.compile(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;]+)(?:\s*;\s*([^\\\n]+))?", re.MULTILINE)
#: How many differences are named.
_SHOWN = 5


def look_at_versions(pins: str | None = None) -> Iterator[Finding]:
    """Yield what is to be said of the installed versions.

    Parameters
    ----------
    pins : str, optional
        The versions to compare with, as in a lock; by default those that the package brings along.
    """
    installed = metadata.version("cltv-assets")
    if installed != __version__:
        yield warning(
            "version",
            f"cltv_assets {__version__}, installed as {installed}",
            "Install it again: another version's files lie in its place.",
        )
    else:
        yield ok("version", f"cltv_assets {__version__}")
    here = sys.version_info[:2]
    if _TESTED[0] <= here <= _TESTED[1]:
        yield ok("python", platform.python_version())
    else:
        tested = " to ".join(f"{major}.{minor}" for major, minor in _TESTED)
        yield warning("python", f"{platform.python_version()} is not tested", f"Use Python {tested}.")
    yield _packages(pins or constraints())


def _packages(pins: str) -> Finding:
    different, compared = [], 0
    for name, wanted in _pins(pins).items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            # Of an extra that is not installed.
            continue
        compared += 1
        if found != wanted:
            different.append(f"{name} {found} instead of {wanted}")
    if different:
        more = f" and {len(different) - _SHOWN} more" if len(different) > _SHOWN else ""
        return warning(
            "packages",
            f"other versions than were tested: {', '.join(different[:_SHOWN])}{more}",
            "Install with `cltv constraints`: these versions were not tested together.",
        )
    return ok("packages", f"{compared} packages are the tested ones")


def _pins(text: str) -> dict[str, str]:
    """Return the version of each package that is pinned for this Python and system."""
    return {
        canonicalize_name(name): version
        for name, version, marker in _PIN.findall(text)
        if not marker or Marker(marker.strip()).evaluate()
    }
