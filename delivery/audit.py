"""Asks whether anything in the locks has a known vulnerability: ``make audit``.

pip-audit asks; this module sees to it that no answer counts as a good one. By itself pip-audit
ends with 0 and "No known vulnerabilities found" where the service knew none of the
packages, and with the same 1 for a vulnerability as for a broken connection. So here every version must
have been looked up, and a version that everybody knows to be vulnerable must be among the findings.

Exit codes: 0 nothing is known, 1 something is, or the list of ignored ones is wrong, 2 nobody could be asked.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict, ValidationError

from delivery.locks import ROOT, read_lock
from delivery.sbom import TOOLS

#: A sandbox escape that every service knows. If it is not found, the service does not really answer.
KNOWN = ("jinja2", "2.11.2")
#: Seconds for one version's question, and for all of them.
_TIMEOUT, _PATIENCE = 15, 1200

IGNORED = Path(__file__).with_name("ignored_vulnerabilities.toml")
#: The longest that nobody needs to look again.
LONGEST = datetime.timedelta(days=183)

Versions = Mapping[tuple[str, str], Sequence[str]]


class NotAskedError(Exception):
    """The service did not answer for every version, so nothing is known."""


class IgnoreError(Exception):
    """The list itself is wrong, or something in it has expired."""


class Ignored(BaseModel):
    """One vulnerability of one package that is passed over until a day."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    id: str
    package: str
    reason: str
    expires: datetime.date


def read_ignored(path: Path, today: datetime.date) -> list[Ignored]:
    """Return the list.

    Raises
    ------
    IgnoreError
        If an entry lacks its reason or its day, if the day is too far off, or if it has passed.
    """
    try:
        entries = [Ignored.model_validate(entry) for entry in tomllib.loads(path.read_text())["ignored"]]
    except ValidationError as error:
        raise IgnoreError(
            f"Needs id, package, reason and expires (a day without quotes), and no more: {error}"
        ) from None
    for entry in entries:
        if len(entry.reason.split()) < 4:
            raise IgnoreError(f"{entry.id} has no reason.")
        if entry.expires < today:
            raise IgnoreError(f"{entry.id} of {entry.package} was ignored until {entry.expires}. Look again.")
        if entry.expires > today + LONGEST:
            raise IgnoreError(f"{entry.id}: {entry.expires} is more than {LONGEST.days} days ahead.")
    return entries


@dataclass(frozen=True)
class Finding:
    """A known vulnerability of a pinned version."""

    name: str
    version: str
    id: str
    aliases: tuple[str, ...]
    fixed_in: tuple[str, ...]
    summary: str


def versions_of(locks: Iterable[Path]) -> dict[tuple[str, str], list[str]]:
    """Return every pinned version and the locks that have it; of every system and Python, not only of this one."""
    versions: dict[tuple[str, str], list[str]] = {}
    for lock in locks:
        for pin in read_lock(lock):
            versions.setdefault((canonicalize_name(pin.name), pin.version), []).append(lock.name)
    return versions


def ask(versions: Versions, service: Sequence[str]) -> list[Finding]:
    """Return what pip-audit finds.

    Parameters
    ----------
    versions : mapping
        What to ask for.
    service : sequence of str
        pip-audit's options that name the service.

    Raises
    ------
    NotAskedError
        If any version was not looked up, or the known one was not found.
    """
    # First and alone: where the service is out of reach, one question shows it.
    if not any(entry["vulns"] for entry in _asked([KNOWN], service)):
        raise NotAskedError(f"it knows of nothing wrong with {' '.join(KNOWN)}, so its answers are worth nothing")
    findings: list[Finding] = []
    looked_up: set[tuple[str, str]] = set()
    for batch in _batches(versions):
        for entry in _asked(batch, service):
            looked_up.add((entry["name"], entry["version"]))
            findings += [_finding(entry, found) for found in entry["vulns"]]
    unasked = [f"{name} {version}" for name, version in versions.keys() - looked_up]
    if unasked:
        raise NotAskedError(f"not looked up: {', '.join(sorted(unasked))}")
    return findings


def _batches(versions: Iterable[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    # A name comes once in a file that pip-audit reads; universal locks have two versions of some.
    batches: list[dict[str, str]] = []
    for name, version in versions:
        batch = next((batch for batch in batches if name not in batch), None)
        if batch is None:
            batches.append(batch := {})
        batch[name] = version
    return [list(batch.items()) for batch in batches]


def _asked(batch: Sequence[tuple[str, str]], service: Sequence[str]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="cltv-audit-") as scratch:
        asked_for = Path(scratch) / "requirements.txt"
        # Without markers: pip-audit would pass over what is for other Pythons.
        asked_for.write_text("".join(f"{name}=={version}\n" for name, version in batch))
        command = [str(TOOLS / "pip-audit"), "--requirement", str(asked_for), "--no-deps", "--disable-pip"]
        command += ["--format", "json", "--progress-spinner", "off", "--timeout", str(_TIMEOUT)]
        # A cache of its own: yesterday's answer is none.
        command += ["--cache-dir", str(Path(scratch) / "cache"), *service]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            raise NotAskedError(f"no answer within {_PATIENCE} seconds") from None
    try:
        entries: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise NotAskedError(lines[-1].strip() if lines else f"pip-audit ended with {done.returncode}") from None
    for entry in entries:
        if "skip_reason" in entry:
            raise NotAskedError(entry["skip_reason"])
    return entries


def _finding(entry: Mapping[str, Any], found: Mapping[str, Any]) -> Finding:
    summary = str(found.get("description", "")).split(". ")[0]
    return Finding(
        entry["name"], entry["version"], found["id"], tuple(found["aliases"]), tuple(found["fix_versions"]), summary
    )


def remaining(findings: Sequence[Finding], ignored: Sequence[Ignored]) -> tuple[list[Finding], list[Ignored]]:
    """Return the findings that are not ignored, and the ignored ones that nothing was found of."""
    left, used = [], []
    for finding in findings:
        by = [one for one in ignored if one.package == finding.name and one.id in (finding.id, *finding.aliases)]
        used += by
        if not by:
            left.append(finding)
    return left, [one for one in ignored if one not in used]


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask and judge; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m delivery.audit", description=str(__doc__).splitlines()[0])
    parser.add_argument("--service", choices=("osv", "pypi"), default="osv", help="who is asked (default: osv)")
    parser.add_argument("--osv-url", help="another server that speaks OSV's protocol")
    parser.add_argument("--ignored", type=Path, default=IGNORED, help="list of vulnerabilities that are passed over")
    parser.add_argument("locks", nargs="*", type=Path, help="by default all of this repository")
    given = parser.parse_args(arguments)
    service = ["--vulnerability-service", given.service, *(["--osv-url", given.osv_url] if given.osv_url else [])]
    versions = versions_of(given.locks or sorted(ROOT.glob("requirements*.lock")))
    try:
        ignored = read_ignored(given.ignored, datetime.datetime.now(datetime.UTC).date())
        findings, needless = remaining(ask(versions, service), ignored)
    except IgnoreError as error:
        sys.stderr.write(f"{given.ignored.name}: {error}\n")
        return 1
    except NotAskedError as error:
        sys.stderr.write(
            f"The vulnerability service {given.service} could not be asked: {error}.\n"
            f"Nothing is known about the {len(versions)} versions in the locks, and that is a failure. With a network "
            "that reaches the service, run make audit again; AUDITFLAGS='--service pypi' asks another.\n"
        )
        return 2
    for finding in findings:
        where = ", ".join(versions[finding.name, finding.version])
        fixed = f"fixed in {', '.join(finding.fixed_in)}" if finding.fixed_in else "no fix is known"
        names = " ".join((finding.id, *finding.aliases))
        sys.stderr.write(f"{finding.name} {finding.version} ({where}): {names}; {fixed}. {finding.summary}\n")
    for one in needless:
        sys.stderr.write(f"{one.id} is not found in {one.package}: take it out of {given.ignored.name}.\n")
    said = f"{len(versions)} versions looked up, {len(findings)} known vulnerabilities"
    sys.stdout.write(f"{said}, {len(ignored) - len(needless)} ignored\n")
    return 1 if findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
