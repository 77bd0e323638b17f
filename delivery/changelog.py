"""Holds CHANGELOG.md, the package's version and the tags together. Needs nothing but Python and git.

    python -m delivery.changelog                 whether what changed since the last tag is written down
    python -m delivery.changelog --tag v0.2.0    whether this may be released under this tag; --notes: its page

The rules:

- ``[Unreleased]`` stands first, then the releases, newest first, as ``## [1.2.3] - 2026-11-26``.
- The package's version has a section that says something.
- Code that changed since the version's own tag is written down under ``[Unreleased]``.
- A release with anything beside Fixed and Security is no patch release.
- A tag is ``v`` and the version; its section is dated, nothing waits under ``[Unreleased]``, and
  the release has left a lake for the tests of later ones.
"""

from __future__ import annotations

import argparse
import datetime as dt
import itertools
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

UNRELEASED = "Unreleased"
#: What users get. Tests and benchmarks change without an entry.
CODE = ("cltv_assets", "deploy", "pyproject.toml")
LAKES = Path("cltv_assets_tests/upgrades/lakes")
#: Sections of Keep a Changelog that a patch release may have.
OF_A_PATCH = {"Fixed", "Security"}

_HEADING = re.compile(r"^## (.*)$", re.MULTILINE)
_RELEASE = re.compile(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})")
_VERSION = re.compile(r'^__version__ = "(\d+\.\d+\.\d+)"$', re.MULTILINE)
_TAG = re.compile(r"v(\d+\.\d+\.\d+)")


class WrongError(Exception):
    """What is wrong, with what to do about it."""


@dataclass(frozen=True)
class Section:
    """What a changelog says of one version.

    Parameters
    ----------
    version : str
        ``Unreleased`` for what waits.
    date : datetime.date or None
    text : str
    """

    version: str
    date: dt.date | None
    text: str

    @property
    def kinds(self) -> set[str]:
        """The kinds of changes: Added, Fixed, …."""
        return set(re.findall(r"^### (\w+)", self.text, re.MULTILINE))

    @property
    def says_something(self) -> bool:
        """Whether a change is listed."""
        return re.search(r"^- \S", self.text, re.MULTILINE) is not None


def number(version: str) -> tuple[int, ...]:
    """Return a version as numbers, to be compared."""
    return tuple(map(int, version.split(".")))


def sections(text: str) -> list[Section]:
    """Read a changelog and refuse one that is not in the form and order that it should have."""
    found = []
    headings = list(_HEADING.finditer(text))
    for heading, following in zip(headings, [*headings[1:], None], strict=True):
        body = text[heading.end() : following.start() if following else None]
        release = _RELEASE.fullmatch(heading[1])
        if release:
            found.append(Section(release[1], dt.date.fromisoformat(release[2]), body))
        elif heading[1] == f"[{UNRELEASED}]":
            found.append(Section(UNRELEASED, None, body))
        else:
            raise WrongError(f"CHANGELOG.md: '## {heading[1]}' is neither [{UNRELEASED}] nor [1.2.3] - 2026-11-26.")
    if not found or found[0].version != UNRELEASED or [one.version for one in found].count(UNRELEASED) != 1:
        raise WrongError(f"CHANGELOG.md: the first section, and no other, must be [{UNRELEASED}].")
    releases = found[1:]
    for newer, older in itertools.pairwise(releases):
        assert newer.date is not None
        assert older.date is not None
        if number(newer.version) <= number(older.version) or newer.date < older.date:
            raise WrongError(
                f"CHANGELOG.md: {newer.version} stands before {older.version}: newest first, by number and date."
            )
        if number(newer.version)[:2] == number(older.version)[:2] and newer.kinds - OF_A_PATCH:
            raise WrongError(
                f"CHANGELOG.md: {newer.version} has {', '.join(sorted(newer.kinds - OF_A_PATCH))}: "
                "that is no patch release. Raise the second number (semver.org)."
            )
    return found


def check(root: Path) -> str:
    """Hold what changed since the last tag against the changelog; return what was found.

    Raises
    ------
    WrongError
        If something is missing.
    """
    version, found = _version(root), sections((root / "CHANGELOG.md").read_text(encoding="utf-8"))
    written = {section.version: section for section in found}
    if version not in written or not written[version].says_something:
        raise WrongError(f"CHANGELOG.md says nothing of {version}, the version in cltv_assets/__init__.py.")
    tag = _git(root, "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*")
    if not tag:
        return f"{version} is written down; there is no tag yet."
    last = _TAG.fullmatch(tag)
    if last is None:
        raise WrongError(f"The tag {tag} is no v1.2.3.")
    if number(version) < number(last[1]):
        raise WrongError(f"The version is {version}, and {tag} is released: raise __version__.")
    changed = _git(root, "diff", "--name-only", tag, "--", *CODE).splitlines()
    if version == last[1] and changed and not written[UNRELEASED].says_something:
        raise WrongError(
            f"{len(changed)} files changed since {tag} ({', '.join(changed[:3])}, …): say under [{UNRELEASED}] of "
            "CHANGELOG.md what users notice."
        )
    return f"{version} is written down; {len(changed)} files changed since {tag}."


def check_release(root: Path, tag: str) -> str:
    """Hold a tag against version and changelog; return what was found.

    Raises
    ------
    WrongError
        If this must not be released under the tag.
    """
    version, found = _version(root), sections((root / "CHANGELOG.md").read_text(encoding="utf-8"))
    if tag != f"v{version}":
        raise WrongError(
            f"The tag is {tag}, and the version in cltv_assets/__init__.py is {version}: it must be v{version}."
        )
    newest = next((section for section in found if section.version != UNRELEASED), None)
    if newest is None or newest.version != version or not newest.says_something:
        raise WrongError(f"CHANGELOG.md: the newest release must be [{version}], dated, and say what changed.")
    if found[0].says_something:
        raise WrongError(f"CHANGELOG.md: move what waits under [{UNRELEASED}] into [{version}].")
    assert newest.date is not None
    if newest.date > dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1):
        raise WrongError(f"CHANGELOG.md: [{version}] is dated {newest.date}, which is still to come.")
    if not (root / LAKES / version).is_dir():
        raise WrongError(f"{LAKES / version} is missing: make it with cltv_assets_tests/upgrades/make_lake.py.")
    return f"{tag} may be released: CHANGELOG.md of {newest.date} says what it brings."


def notes(root: Path, tag: str) -> str:
    """Return what the release of a tag brings, for its page."""
    found = sections((root / "CHANGELOG.md").read_text(encoding="utf-8"))
    return next(section.text.strip() for section in found if f"v{section.version}" == tag) + "\n"


def _version(root: Path) -> str:
    found = _VERSION.search((root / "cltv_assets/__init__.py").read_text(encoding="utf-8"))
    if found is None:
        raise WrongError('cltv_assets/__init__.py has no line __version__ = "1.2.3".')
    return found[1]


def _git(root: Path, *arguments: str) -> str:
    """Return what git says; nothing where it has nothing to say, as in an archive without its history."""
    answer = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else ""


def main() -> None:
    """Check, and end with 1 and a sentence if something is wrong."""
    parser = argparse.ArgumentParser(description="Holds CHANGELOG.md, version and tags together.")
    parser.add_argument("--tag", help="The tag to release under, such as v0.2.0.")
    parser.add_argument("--notes", action="store_true", help="Print what the release brings, if all is well.")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1], help=argparse.SUPPRESS)
    given = parser.parse_args()
    try:
        said = check_release(given.root, given.tag) if given.tag is not None else check(given.root)
    except WrongError as wrong:
        sys.exit(str(wrong))
    if given.tag is not None:
        sys.stdout.write(notes(given.root, given.tag) if given.notes else f"{said}\n")


if __name__ == "__main__":
    main()
