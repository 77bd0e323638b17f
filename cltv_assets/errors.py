"""The errors that a user can cause and correct.

Each has a message that names the file, line, column, setting or month, and a remedy that
says what to do. The command line prints both as one paragraph and exits
with ``exit_code``; Dagster shows them as a failure without retries. Programming errors
are not here: they keep their traceback, and Dagster is not told their text.
"""

from __future__ import annotations


class CltvError(Exception):
    """A problem that the user can correct.

    Parameters
    ----------
    problem : str
        What is wrong and where (file, line, column, setting or month).
    remedy : str
        What to do about it.
    quoted : str
        What stands there, in the words of the delivery. Whoever gave a command sees it; Dagster records it not,
        because it may be a customer's.
    """

    exit_code = 1

    def __init__(self, problem: str, remedy: str, *, quoted: str = "") -> None:
        # One paragraph, even if a library's message has line breaks.
        problem = " ".join(problem.split())
        super().__init__(" ".join(filter(None, (problem, " ".join(quoted.split()), remedy))))
        self.problem = problem
        self.remedy = remedy
        self.quoted = quoted

    @property
    def recorded(self) -> str:
        """The message without what it quotes, as Dagster may record it."""
        return f"{self.problem} {self.remedy}"


class ConfigError(CltvError):
    """``cltv.yaml`` or a ``CLTV_*`` variable is wrong."""

    exit_code = 2


class SourceError(CltvError):
    """The delivered data cannot be read as configured."""

    exit_code = 3


class EmptyFileError(SourceError):
    """A delivered file holds nothing, not even a header: it has lost its lines, or never had any."""


class LakeError(CltvError):
    """The lake cannot be read or written."""

    exit_code = 4


class MissingMonthsError(LakeError):
    """A step needs months of a table that were never published."""


class ConcurrentPublishError(LakeError):
    """Another process published the same month of the same table at the same time."""


class ErasedMeanwhileError(LakeError):
    """A customer was erased from the lake while a run was computing from it."""


class LakeFormatError(LakeError):
    """The lake was written by a newer version of this package, or by an older one and was not migrated."""


class ModelError(CltvError):
    """A model cannot be fitted to, or used with, these numbers."""

    exit_code = 5


class EngineError(CltvError):
    """The engine has too few machines, too little memory or disk, or lacks rights."""

    exit_code = 6


class NoWorkersError(EngineError):
    """The engine's machines cannot run Python functions of this package."""


class StatementError(EngineError):
    """The engine cannot run a query; ``place`` is the line, column and length of what it means, where it says so."""

    def __init__(
        self, problem: str, remedy: str, place: tuple[int, int, int] | None = None, *, quoted: str = ""
    ) -> None:
        super().__init__(problem, remedy, quoted=quoted)
        self.place = place


class ProcessKilledError(CltvError):
    """A process that a command had started was ended from outside, as by a system that is short of memory."""

    exit_code = 7


class QueryError(CltvError):
    """A question in SQL is wrong, or asks for more than reading the lake's tables."""

    exit_code = 2
