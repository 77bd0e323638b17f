"""What the UI shows of a table's month: a few numbers, small tables and pictures.

Each table's own function makes them, from aggregates: nothing customer-sized leaves the engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Highlights:
    """What is worth seeing of a month.

    Parameters
    ----------
    numbers : dict
        By name; units stand in the name.
    tables : dict
        Rows by name; few.
    pictures : dict
        PNG and what it shows, by name.
    """

    numbers: dict[str, object] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    pictures: dict[str, tuple[bytes, str]] = field(default_factory=dict)


def money(amount: object) -> float:
    """Return an engine's sum of decimals as a number to show, in whole cents."""
    return round(float(str(amount or 0)), 2)
