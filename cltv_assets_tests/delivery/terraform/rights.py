"""Says whether a request would be allowed, by AWS's rules for policies.

A denial wins, and what nothing allows is denied. For one account, with identity policies, a permissions boundary and
a bucket's policy. Only the operators that the policies here use are known; another one raises.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cltv_assets_tests.delivery.terraform.workspace import State

Policy = Mapping[str, Any]


def matches(pattern: str, value: str) -> bool:
    """Tell whether a value is what a pattern with ``*`` and ``?`` says."""
    parts = ("".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern),)
    return re.fullmatch(parts[0], value, re.DOTALL) is not None


def listed(value: Any) -> list[Any]:
    """Return a value that may be one or a list as a list."""
    return value if isinstance(value, list) else [value]


def statements(policy: str | Policy) -> list[dict[str, Any]]:
    """Return a policy's statements."""
    document = json.loads(policy) if isinstance(policy, str) else policy
    assert document["Version"] == "2012-10-17"
    return listed(document["Statement"])


def _holds(operator: str, key: str, wanted: list[str], context: Mapping[str, str]) -> bool:
    value = context.get(key)
    if operator == "Null":
        return (value is None) == (wanted == ["true"])
    if operator == "StringNotEquals":
        # Holds for a key that the request does not have, too.
        return value is None or value not in wanted
    if value is None:
        return False
    if operator in ("StringEquals", "Bool"):
        return value in wanted
    if operator in ("StringLike", "ArnLike", "ArnEquals"):
        return any(matches(pattern, value) for pattern in wanted)
    if operator == "NumericGreaterThanEquals":
        return any(float(value) >= float(bound) for bound in wanted)
    if operator == "NumericLessThan":
        return any(float(value) < float(bound) for bound in wanted)
    raise AssertionError(f"an operator that is not known here: {operator}")


def applies(statement: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str]) -> bool:
    """Tell whether a statement speaks of a request."""
    assert not {"NotAction", "NotResource", "NotPrincipal"} & set(statement), "says what is not meant"
    return (
        any(matches(pattern.lower(), action.lower()) for pattern in listed(statement["Action"]))
        and any(matches(pattern, resource) for pattern in listed(statement["Resource"]))
        and all(
            _holds(operator, key, [str(item) for item in listed(wanted)], context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def effects(policies: Iterable[str | Policy], action: str, resource: str, context: Mapping[str, str]) -> set[str]:
    """Return the effects of the statements that speak of a request."""
    every = [statement for policy in policies for statement in statements(policy)]
    return {statement["Effect"] for statement in every if applies(statement, action, resource, context)}


@dataclass(frozen=True)
class Rights:
    """What somebody may do.

    Parameters
    ----------
    identity : sequence of str
        Policies of the role.
    boundary : str, optional
        The most that it can be given.
    resources : mapping, optional
        Bucket's name to its policy.
    context : mapping, optional
        What every request has.
    """

    identity: tuple[str, ...]
    boundary: str | None = None
    resources: Mapping[str, str] | None = None
    context: Mapping[str, str] | None = None

    def may(self, action: str, resource: str, context: Mapping[str, str] | None = None) -> bool:
        """Tell whether a request would be allowed."""
        given = dict(self.context or {}) | dict(context or {})
        found = effects(self.identity, action, resource, given)
        bucket = re.match(r"arn:aws:s3:::([^/*]+)", resource)
        if bucket and self.resources and (policy := self.resources.get(bucket.group(1))):
            found |= effects([policy], action, resource, given) - {"Allow"}
        if self.boundary is not None and "Allow" not in effects([self.boundary], action, resource, given):
            return False
        return found == {"Allow"}


def trust_of(state: State, name: str) -> list[dict[str, Any]]:
    """Return the statements of a role that say who may take it."""
    (role,) = [role for role in state.of("aws_iam_role").values() if role["name"] == name]
    return statements(role["assume_role_policy"])


def takes(statement: Mapping[str, Any], action: str, context: Mapping[str, str]) -> bool:
    """Tell whether a statement lets somebody take the role."""
    return applies(dict(statement) | {"Resource": "*"}, action, "", context)
