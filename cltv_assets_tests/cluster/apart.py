"""Work in a process of its own.

A Java process keeps the jars, the memory and the master's kind that it was started
with, so one process of tests cannot use Spark in two ways. It can also be killed.
"""

from __future__ import annotations

import multiprocessing
import pickle
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Generic, Self, TypeVar

Result = TypeVar("Result")
_SPAWN = multiprocessing.get_context("spawn")


class Apart(Generic[Result]):
    """A function's call in a new process, as a context manager that ends the process.

    Parameters
    ----------
    function : callable
        Of a module, since it is pickled by name.
    *arguments
        Pickled too.
    """

    def __init__(self, function: Callable[..., Result], *arguments: Any) -> None:
        self._answers, answer = _SPAWN.Pipe(duplex=False)
        self._process = _SPAWN.Process(target=_answer, args=(answer, function, arguments), daemon=True)
        self._process.start()
        answer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def running(self) -> bool:
        """Whether the process still works."""
        return self._process.is_alive() and not self._answers.poll()

    def kill(self) -> None:
        """Kill -9 the process. A Java process that it started notices and ends."""
        if self._process.is_alive():
            self._process.kill()
        self._process.join(30)

    def result(self, seconds: float) -> Result:
        """Return what the function returned.

        Raises
        ------
        TimeoutError
            If it takes longer than ``seconds``.
        RuntimeError
            If the process ended without an answer.
        Exception
            What the function raised, with its traceback as a note; as a RuntimeError with its
            class's name where it cannot be pickled.
        """
        if not self._answers.poll(seconds):
            raise TimeoutError(f"no answer within {seconds} s")
        try:
            returned, error, trace = self._answers.recv()
        except EOFError:
            self._process.join(30)
            raise RuntimeError(f"the process ended with {self._process.exitcode}") from None
        if error is not None:
            error.add_note(trace)
            raise error
        self._process.join(60)
        value: Result = returned
        return value


def _answer(answers: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        answers.send((function(*arguments), None, ""))
    except Exception as error:
        told: Exception = error
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            # Exceptions made of two texts, as ours are, cannot be made again from the one that they keep.
            told = RuntimeError(f"{type(error).__name__}: {error}")
        answers.send((None, told, traceback.format_exc()))
