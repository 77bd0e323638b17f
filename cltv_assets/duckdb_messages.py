"""What DuckDB says of a wrong query, taken apart: the problem, its place in the query, and what is near."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PLACE = re.compile(r"\n\n(LINE (\d+): ).*\n( *)\^")
_NEAR = re.compile(r'Candidate (?:bindings|tables): :? ?(.*)|(Did you mean "[^"\n]+")')


@dataclass(frozen=True)
class Said:
    """One message of DuckDB.

    Parameters
    ----------
    problem : str
        What is wrong, without a full stop.
    place : str
        ``line 2, column 7``; empty where DuckDB does not say it.
    near : str
        One sentence on names that are near the unknown one; empty if there are none.
    """

    problem: str
    place: str
    near: str


def said_in(message: str, lines_above: int = 0) -> Said:
    """Take a message of DuckDB apart; so many lines stood above the query in what it was given."""
    place = ""
    if found := _PLACE.search(message):
        column = len(found[3]) - len(found[1]) + 1
        place = f"line {int(found[2]) - lines_above}, column {column}"
    head = re.split(r"\n\n|\nDid you mean|\nCandidate ", message)[0]
    near = _NEAR.search(message)
    named = "" if near is None else f"{near[2]}?" if near[2] else f"Near it are {near[1].strip()}."
    return Said(" ".join(head.split()).rstrip(".!"), place, named)
