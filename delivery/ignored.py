"""Reads ``ignored_vulnerabilities.toml``: what may be passed over, why, and until when."""

from __future__ import annotations

import datetime
import tomllib
from dataclasses import dataclass
from pathlib import Path

IGNORED = Path(__file__).with_name("ignored_vulnerabilities.toml")
#: The longest that nobody needs to look again.
LONGEST = datetime.timedelta(days=183)


class IgnoreError(Exception):
    """The list itself is wrong, or something in it has expired."""


@dataclass(frozen=True)
class Ignored:
    """One vulnerability of one package that is passed over until a day."""

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
    entries = []
    for entry in tomllib.loads(path.read_text())["ignored"]:
        try:
            ignored = Ignored(**entry)
        except TypeError:
            raise IgnoreError(f"Needs id, package, reason and expires, and no more: {entry}") from None
        if len(str(ignored.reason).split()) < 4:
            raise IgnoreError(f"{ignored.id} has no reason.")
        if type(ignored.expires) is not datetime.date:
            raise IgnoreError(f"{ignored.id}: expires is a day, as 2027-01-31 without quotes.")
        if ignored.expires < today:
            raise IgnoreError(f"{ignored.id} of {ignored.package} was ignored until {ignored.expires}. Look again.")
        if ignored.expires > today + LONGEST:
            raise IgnoreError(f"{ignored.id}: {ignored.expires} is more than {LONGEST.days} days ahead.")
        entries.append(ignored)
    return entries
