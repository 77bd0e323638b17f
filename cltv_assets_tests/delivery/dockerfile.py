"""Reads a Dockerfile and a ``.dockerignore``, as far as deploy/Dockerfile uses them.

What is not known here is refused, never passed over: a step that nobody runs would be a step
that nobody tests.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath

KNOWN = ("ARG", "COPY", "ENTRYPOINT", "ENV", "FROM", "LABEL", "RUN", "USER", "WORKDIR")


class BuildError(Exception):
    """What an engine would end the build with."""


@dataclass(frozen=True)
class Instruction:
    """One instruction, its flags taken off and continued lines joined."""

    keyword: str
    value: str
    flags: tuple[tuple[str, str], ...]
    line: int


@dataclass
class Stage:
    """What stands from one FROM to the next."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)


@dataclass(frozen=True)
class Dockerfile:
    """All stages by name, and the arguments before the first FROM."""

    arguments: dict[str, str]
    stages: dict[str, Stage]


def parse(text: str) -> Dockerfile:
    """Return the stages of a Dockerfile."""
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    for instruction in _instructions(text):
        if instruction.keyword == "FROM":
            match = re.fullmatch(r"(\S+) AS ([a-z][a-z0-9-]*)", instruction.value)
            if match is None or instruction.flags:
                raise BuildError(f"line {instruction.line}: FROM must be «FROM image AS name»")
            base, name = match.groups()
            if name in stages:
                raise BuildError(f"line {instruction.line}: there is a stage {name} already")
            stage = stages[name] = Stage(name, expand(base, arguments))
        elif stage is not None:
            stage.instructions.append(instruction)
        elif instruction.keyword == "ARG":
            arguments |= argument(instruction.value, {}, arguments)
        else:
            raise BuildError(f"line {instruction.line}: {instruction.keyword} before the first FROM")
    return Dockerfile(arguments, stages)


def _instructions(text: str) -> list[Instruction]:
    found, pending, first = [], "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or not (line.strip() or pending):
            continue
        first = first if pending else number
        pending += line.rstrip().removesuffix("\\")
        if line.rstrip().endswith("\\"):
            continue
        keyword, _, rest = pending.strip().partition(" ")
        flags = []
        while match := re.match(r"\s*--([a-z]+)=(\S+)\s+", rest):
            flags.append((match[1], match[2]))
            rest = rest[match.end() :]
        if keyword not in KNOWN:
            raise BuildError(f"line {first}: {keyword} is not among {', '.join(KNOWN)}")
        found.append(Instruction(keyword, rest.strip(), tuple(flags), first))
        pending = ""
    if pending:
        raise BuildError(f"line {first}: the last line is continued")
    return found


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Put variables in the place of ``$NAME`` and ``${NAME}``; one that is not set is a fault."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in variables:
            raise BuildError(f"{text}: {name} is not set here")
        return variables[name]

    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, text)


def pairs(text: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the ``name=value`` pairs of ENV and LABEL."""
    words = shlex.split(text)
    if any("=" not in word for word in words):
        raise BuildError(f"not name=value: {text}")
    return {name: expand(value, variables) for name, _, value in (word.partition("=") for word in words)}


def argument(text: str, given: Mapping[str, str], outer: Mapping[str, str]) -> dict[str, str]:
    """Return what an ARG sets: what was given, or else its default."""
    name, has_default, default = text.partition("=")
    if name in given:
        return {name: given[name]}
    if has_default:
        return {name: expand(default, outer)}
    return {name: outer[name]} if name in outer else {}


def listed(text: str) -> list[str]:
    """Return the words of an instruction in JSON's form."""
    words = json.loads(text)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise BuildError(f"not a list of words: {text}")
    return words


class Context:
    """The folder that a build is given, without what ``.dockerignore`` leaves out.

    Parameters
    ----------
    root : Path
    ignore : str
        Content of the ignore file; later lines outdo earlier ones.
    """

    def __init__(self, root: Path, ignore: str) -> None:
        self.root = root
        self._rules: list[tuple[bool, re.Pattern[str]]] = []
        for line in ignore.splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            wanted = line.startswith("!")
            self._rules.append((not wanted, _pattern(line.strip().lstrip("!").strip("/"))))

    def is_ignored(self, path: str) -> bool:
        """Whether a path relative to the root is left out."""
        here = PurePosixPath(path)
        candidates = [str(here), *(str(parent) for parent in here.parents if str(parent) != ".")]
        ignored = False
        for verdict, pattern in self._rules:
            if any(pattern.fullmatch(candidate) for candidate in candidates):
                ignored = verdict
        return ignored

    def files(self, source: str) -> dict[str, Path]:
        """Return what COPY takes of a source: path below the target to file."""
        start = self.root / source
        if start.is_file():
            candidates = {start.name: start}
        else:
            candidates = {str(path.relative_to(start)): path for path in sorted(start.rglob("*")) if path.is_file()}
        found = {
            name: path
            for name, path in candidates.items()
            if not self.is_ignored(path.relative_to(self.root).as_posix())
        }
        if not found:
            raise BuildError(f"COPY {source}: not in the build's context (missing, or left out by .dockerignore)")
        return found


@lru_cache
def _pattern(text: str) -> re.Pattern[str]:
    """Return the expression for a line: ``*`` and ``?`` within a name, ``**`` across names."""
    parts = re.split(r"(\*\*/?|\*|\?)", text)
    meanings = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meanings.get(part, re.escape(part)) for part in parts))
