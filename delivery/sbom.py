"""Writes bills of materials and licence lists of what the images install, and judges the licences: ``make sbom``.

For each lock of ``deploy/`` an environment is made, and CycloneDX's own tool reads it: only installed
packages state their licences. So a bill is of this Python and this system; what a lock has for
others is not in it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.utils import canonicalize_name

from cltv_assets import __version__
from delivery.licences import PolicyError, Used, components, judge, listing, read_policy
from delivery.locks import ROOT, VARIANTS, read_lock

#: Where the tools of requirements-audit.lock are.
TOOLS = ROOT / ".cache" / "audit-tools" / "bin"
ENVIRONMENTS = ROOT / ".cache" / "sbom"
OUT = ROOT / "artifacts" / "sbom"
#: What is deployed. The embedded lock is a part of each.
DEPLOYED = ("production", "production-spark")


def installed(variant: str) -> Path:
    """Install a lock into an environment of its own; return its Python."""
    python = ENVIRONMENTS / variant / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    lock = ROOT / VARIANTS[variant]
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    if not python.exists():
        made = [str(uv), "venv", "--quiet", "--python", sys.executable, str(ENVIRONMENTS / variant)]
        subprocess.run(made, env=environment, check=True)
    # The lock constrains what builds pyspark, too, which is published as source only.
    sync = [str(uv), "pip", "sync", "--quiet", "--require-hashes", "--build-constraints", str(lock)]
    subprocess.run([*sync, "--python", str(python), str(lock)], env=environment, check=True)
    return python


def bill_of(python: Path) -> dict[str, Any]:
    """Return the bill of materials of an environment, with the package itself as its subject."""
    command = [str(TOOLS / "cyclonedx-py"), "environment", "--pyproject", str(ROOT / "pyproject.toml")]
    made = subprocess.run(
        [*command, "--output-reproducible", "--output-format", "JSON", str(python)],
        stdout=subprocess.PIPE,
        check=True,
    )
    bill: dict[str, Any] = json.loads(made.stdout)
    # The tool does not know a version that is read from the package.
    subject = bill["metadata"]["component"]
    subject |= {"version": __version__, "purl": f"pkg:pypi/{subject['name']}@{__version__}"}
    return bill


def missing(used: Sequence[Used], lock: Path) -> list[str]:
    """Return the lock's pins for this system that the bill lacks: an empty bill has no bad licence."""
    there = {(component.name, component.version) for component in used}
    return [
        f"{pin.name} {pin.version} of {lock.name} is not in the bill of materials."
        for pin in read_lock(lock)
        if (not pin.marker or Marker(pin.marker).evaluate()) and (canonicalize_name(pin.name), pin.version) not in there
    ]


def main(variants: Sequence[str] = DEPLOYED) -> int:
    """Write and judge the bills; return the exit code."""
    try:
        policy = read_policy()
    except PolicyError as error:
        sys.stderr.write(f"licences.toml: {error}\n")
        return 1
    OUT.mkdir(parents=True, exist_ok=True)
    wrong: list[str] = []
    everything: list[Used] = []
    for variant in variants:
        bill = bill_of(installed(variant))
        used = components(bill)
        everything += used
        wrong += missing(used, ROOT / VARIANTS[variant])
        (OUT / f"{variant}.cdx.json").write_text(json.dumps(bill, indent=2, sort_keys=True) + "\n")
        (OUT / f"{variant}-licences.md").write_text(listing(used, policy))
        sys.stdout.write(f"{len(used)} packages in {OUT / variant}.cdx.json\n")
    wrong += judge(everything, policy)
    for sentence in wrong:
        sys.stderr.write(f"{sentence}\n")
    if wrong:
        sys.stderr.write("delivery/licences.toml holds what is allowed, and the exceptions with their reasons.\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
