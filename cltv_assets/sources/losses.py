"""Whether a delivery has lost lines that were landed before: compares counts, and opens nothing.

A file that is gone, empty or cut short looks like any other delivery: fewer lines. Nobody but the one who delivers
knows whether that is meant, so what has far fewer lines never replaces what is there by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

#: A file of which more is there was corrected, or its lines moved to other months: the month's own share tells.
_CUT = 0.5
#: Stands for all files where a source has none of its own: a table, or a query.
WHOLE = "the source"
#: Files that a message names.
_SHOWN = 5


@dataclass(frozen=True)
class FileLoss:
    """A file that holds fewer lines of a month than were landed of it.

    Parameters
    ----------
    name : str
        The file.
    had, has : int
        Lines of the month that were landed of it, and that are there now: in it, or known to be elsewhere.
    left : int or None
        Lines that it holds now, of whatever month; None if the file is gone.
    """

    name: str
    had: int
    has: int
    left: int | None

    @property
    def lost(self) -> int:
        """Lines that are not there any more."""
        return self.had - self.has

    def is_cut(self, share: float) -> bool:
        """Whether the file is gone, empty or far smaller, so that even a small one counts."""
        allowed = max(share, _CUT) if self.left else share
        return self.had - max(self.has, self.left or 0) > allowed * self.had

    def sentence(self) -> str:
        """Say how many lines it had and has."""
        if self.left:
            return f"{self.name} has {self.has:,} of {self.had:,} lines"
        state = "is gone" if self.left is None else "has no line left"
        elsewhere = f", {self.has:,} of them in other files now" if self.has else ""
        return f"{self.name} {state} (had {self.had:,} {'line' if self.had == 1 else 'lines'}{elsewhere})"


@dataclass(frozen=True)
class Loss:
    """What a month would lose.

    Parameters
    ----------
    had : int
        Lines that were landed of the month.
    files : sequence of FileLoss
        The files that lost lines, most first.
    gained : int
        Lines of the month that other files hold beyond what was landed of them.
    """

    had: int
    files: Sequence[FileLoss]
    gained: int

    @property
    def lost(self) -> int:
        """Lines that are not there any more."""
        return sum(file.lost for file in self.files)

    def may_be_elsewhere(self, share: float) -> bool:
        """Whether other files brought so many lines that the lost ones may be among them."""
        return self.gained >= (1 - share) * self.lost

    def sentence(self) -> str:
        """Name the files, and how many lines they had and have."""
        named = ", ".join(file.sentence() for file in self.files[:_SHOWN])
        more = len(self.files) - _SHOWN
        return named + (f" and {more:,} more file{'s' if more > 1 else ''}" if more > 0 else "")

    @classmethod
    def of(cls, had: Mapping[str, int], has: Mapping[str, int], left: Mapping[str, int], share: float) -> Self | None:
        """Return what a month would lose, if that is too much to be a correction.

        Parameters
        ----------
        had, has : mapping of str to int
            Lines of the month by file, as landed and now.
        left : mapping of str to int
            The files that are there now, with their lines of whatever month.
        share : float
            The largest share of its lines that the month may lose.

        Returns
        -------
        Loss or None
            None if no file is gone, empty or far smaller, and the month keeps enough lines.
        """
        fewer = [
            FileLoss(name, lines, now, left.get(name))
            for name, lines in had.items()
            if (now := has.get(name, 0)) < lines
        ]
        fewer.sort(key=lambda file: (-file.lost, file.name))
        gained = sum(max(0, lines - had.get(name, 0)) for name, lines in has.items())
        loss = cls(sum(had.values()), fewer, gained)
        too_much = loss.lost > share * loss.had or any(file.is_cut(share) for file in fewer)
        return loss if too_much else None
