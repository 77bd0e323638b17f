"""What is installed: this package, Python, and whether the other packages are those that were tested."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib import metadata

from packaging.markers import Marker

from cltv_assets import __version__
from cltv_assets.cli.doctor import Finding, ok, warning
from cltv_assets.constraints import pins

#: Versions of Python that are tested.
_TESTED = ((3, 11), (3, 13))
#: How many differences are named.
_SHOWN = 5
#: What only builds packages: each Python brings versions of its own.
_BUILDERS = ("setuptools", "flit-core", "pip", "wheel")


def look_at_versions() -> Iterator[Finding]:
    """Yield findings about the installed versions."""
    installed = metadata.version("cltv-assets")
    if installed != __version__:
        yield warning(
            "version",
            f"cltv_assets {__version__}, installed as {installed}",
            "Install it again: another version's files are in its place.",
        )
    else:
        yield ok("version", f"cltv_assets {__version__}")
    here = sys.version_info[:2]
    if _TESTED[0] <= here <= _TESTED[1]:
        yield ok("python", platform.python_version())
    else:
        tested = " to ".join(f"{major}.{minor}" for major, minor in _TESTED)
        yield warning("python", f"{platform.python_version()} is not tested", f"Use Python {tested}.")
    yield _packages()


def _packages() -> Finding:
    """Compare the installed packages with the tested versions."""
    different, compared = [], 0
    for pin in pins():
        if pin["name"] in _BUILDERS or (pin["marker"] and not Marker(pin["marker"]).evaluate()):
            continue
        try:
            found = metadata.version(pin["name"])
        except metadata.PackageNotFoundError:
            # It belongs to an extra that is not installed.
            continue
        compared += 1
        if found != pin["version"]:
            different.append(f"{pin['name']} {found} instead of {pin['version']}")
    if different:
        more = f" and {len(different) - _SHOWN} more" if len(different) > _SHOWN else ""
        return warning(
            "packages",
            f"other versions than were tested: {', '.join(different[:_SHOWN])}{more}",
            "Install with `cltv constraints`: these versions were not tested together.",
        )
    return ok("packages", f"{compared} packages are the tested ones")
