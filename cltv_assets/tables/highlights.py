"""What the UI shows of a table's month: a few numbers, small tables and pictures.

Each table's own function makes them from aggregates, so no data per customer leaves the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Highlights:
    """What is shown of a month.

    Parameters
    ----------
    numbers : dict
        Numbers by name; the name includes the unit.
    tables : dict
        For each name a few rows, and a caption: what is shown, in which unit, how to read it. The month comes
        before it.
    pictures : dict
        For each name, what draws it as PNG, and such a caption.
    """

    numbers: dict[str, object] = field(default_factory=dict)
    tables: dict[str, tuple[list[dict[str, Any]], str]] = field(default_factory=dict)
    pictures: dict[str, tuple[Callable[[], bytes], str]] = field(default_factory=dict)


def money(amount: object) -> float:
    """Return an engine's sum of decimals as a number to show, in whole cents."""
    return round(float(str(amount or 0)), 2)
