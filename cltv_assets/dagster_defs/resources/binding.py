"""Gives a Dagster resource values that are not part of its configuration."""

from __future__ import annotations

import types
from typing import Any, ClassVar, TypeVar

Made = TypeVar("Made")


def bound(resource: type[Made], **constants: Any) -> type[Made]:
    """Return ``resource`` with constants in its class.

    Dagster makes a resource again from its fields for each run, and shows the fields in the UI.
    Other values, such as the whole settings, would be lost or shown.

    Parameters
    ----------
    resource : type
        A subclass of ``ConfigurableResource``.
    **constants
        Values of class variables that it declares, by name.
    """
    body = {
        "__module__": resource.__module__,
        "__qualname__": resource.__qualname__,
        "__annotations__": dict.fromkeys(constants, ClassVar[Any]),
        **constants,
    }
    return types.new_class(resource.__name__, (resource,), exec_body=lambda namespace: namespace.update(body))
