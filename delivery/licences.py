"""Judges the licences in bills of materials by the list in ``licences.toml``.

What is not allowed there fails, and so does what has no licence or one that nobody
knows: nothing passes because it could not be read.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from license_expression import ExpressionError, Licensing
from packaging.utils import canonicalize_name

POLICY = Path(__file__).with_name("licences.toml")

#: Without a list of licences: any name is one, and the policy says which are allowed.
_SPDX = Licensing()


class PolicyError(Exception):
    """``licences.toml`` itself is wrong."""


@dataclass(frozen=True)
class Exempt:
    """A package that is used although its licence, as found, is not allowed."""

    package: str
    found: str
    reason: str


@dataclass(frozen=True)
class Policy:
    """What may be used."""

    allowed: frozenset[str]
    classifiers: Mapping[str, str]
    exceptions: Mapping[str, Exempt]


@dataclass(frozen=True)
class Used:
    """A component of a bill of materials with the licences that it states; none if it states none."""

    name: str
    version: str
    licences: tuple[str, ...]

    @property
    def found(self) -> str:
        """What it states, in one line."""
        return "; ".join(self.licences)


def read_policy(path: Path = POLICY) -> Policy:
    """Read the list; an exception without a reason is none."""
    content = tomllib.loads(path.read_text())
    exceptions = [Exempt(**entry) for entry in content["exceptions"]]
    for entry in exceptions:
        if len(entry.reason.split()) < 4:
            raise PolicyError(f"The exception for {entry.package} has no reason.")
    if len({entry.package for entry in exceptions}) < len(exceptions):
        raise PolicyError("A package has two exceptions.")
    return Policy(frozenset(content["allowed"]), content["classifiers"], {entry.package: entry for entry in exceptions})


def components(bill: Mapping[str, Any]) -> list[Used]:
    """Return what a CycloneDX bill of materials lists."""
    return [
        Used(canonicalize_name(entry["name"]), entry["version"], tuple(_stated(entry.get("licenses", []))))
        for entry in bill.get("components", [])
    ]


def _stated(licences: Sequence[Mapping[str, Any]]) -> list[str]:
    # Each is an expression, an SPDX identifier, or a name in somebody's words.
    return [
        entry["expression"] if "expression" in entry else entry["license"].get("id") or entry["license"]["name"]
        for entry in licences
    ]


def permits(policy: Policy, licence: str) -> bool:
    """Say whether a licence or SPDX expression is allowed; ``OR`` leaves the choice to us.

    ``WITH`` names an exception to a licence; that makes another licence, to be allowed by its full name.
    """
    licence = policy.classifiers.get(licence, licence)
    if licence in policy.allowed:
        return True
    try:
        expression = _SPDX.parse(licence)
    except ExpressionError:
        return False
    return expression is not None and _permits(policy, expression)


def _permits(policy: Policy, expression: Any) -> bool:
    if isinstance(expression, _SPDX.OR):
        return any(_permits(policy, one) for one in expression.args)
    if isinstance(expression, _SPDX.AND):
        return all(_permits(policy, one) for one in expression.args)
    return expression.render() in policy.allowed


def judge(used: Sequence[Used], policy: Policy) -> list[str]:
    """Return what is against the list, a sentence each; empty if nothing is."""
    wrong = []
    needed = set()
    for component in {component.name: component for component in used}.values():
        # Of several licences stated side by side nobody says whether they are alternatives: all must do.
        if component.licences and all(permits(policy, licence) for licence in component.licences):
            continue
        exempt = policy.exceptions.get(component.name)
        if exempt is not None and exempt.found == component.found:
            needed.add(component.name)
        elif exempt is not None:
            needed.add(component.name)
            wrong.append(
                f"{component.name} {component.version} states {component.found or 'no licence'!r}; "
                f"its exception is for {exempt.found or 'no licence'!r}."
            )
        elif not component.licences:
            wrong.append(f"{component.name} {component.version} states no licence: unknown.")
        else:
            wrong.append(f"{component.name} {component.version}: {component.found!r} is not allowed.")
    wrong += [f"The exception for {name} is not needed any more." for name in sorted(policy.exceptions.keys() - needed)]
    return wrong


def listing(used: Sequence[Used], policy: Policy) -> str:
    """Return the list of licences for people, as a Markdown table."""
    rows = ["| Package | Version | Licence | Remark |", "|---|---|---|---|"]
    for component in sorted(used, key=lambda component: component.name):
        exempt = policy.exceptions.get(component.name)
        remark = exempt.reason if exempt else ""
        rows.append(f"| {component.name} | {component.version} | {component.found or 'not stated'} | {remark} |")
    return "\n".join(rows) + "\n"
