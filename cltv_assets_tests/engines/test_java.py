"""Which Java is chosen; the Javas here are small scripts that answer like one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cltv_assets.engines import java
from cltv_assets.errors import ConfigError

VECTOR = "jdk.incubator.vector"


@pytest.fixture
def fake(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of Java homes whose ``java`` lists modules and else repeats its arguments."""

    def make(name: str, version: str, *modules: str) -> Path:
        home = tmp_path / name
        (home / "bin").mkdir(parents=True)
        listed = "".join(f"echo {module}@{version}; " for module in ("java.base", *modules))
        script = home / "bin" / "java"
        script.write_text(
            f'#!/bin/sh\nif [ "$1" = --list-modules ]; then {listed}exit 0; fi\nfor a do echo "<$a>"; done\n'
        )
        script.chmod(0o755)
        return home

    return make


@pytest.fixture(autouse=True)
def _no_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the machine's Java; ``ensure_java`` may set JAVA_HOME, and monkeypatch takes it back."""
    monkeypatch.setenv("JAVA_HOME", "")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(java, "_bundled_java", lambda: None)


def on_path(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home / "bin"))


def test_java_home_counts_before_the_path(fake: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    on_path(fake("path", "21.0.1", VECTOR), monkeypatch)
    named = fake("named", "17.0.15", VECTOR)
    monkeypatch.setenv("JAVA_HOME", str(named))
    assert java.ensure_java() == named


@pytest.mark.parametrize(
    ("version", "told"), [("11.0.2", "is Java 11"), ("25.0.2", "is Java 25"), ("17.0.1", None), ("22", None)]
)
def test_only_the_releases_that_spark_runs_on(
    fake: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, version: str, told: str | None
) -> None:
    home = fake("named", version, VECTOR)
    monkeypatch.setenv("JAVA_HOME", str(home))
    if told is None:
        assert java.ensure_java() == home
        return
    with pytest.raises(ConfigError, match=f"JAVA_HOME names no usable Java: .*{told}"):
        java.ensure_java()


def test_java_8_knows_no_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "old" / "bin" / "java"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\necho 'Unrecognized option: --list-modules' >&2\nexit 1\n")
    script.chmod(0o755)
    on_path(tmp_path / "old", monkeypatch)
    with pytest.raises(ConfigError, match="Unrecognized option") as caught:
        java.ensure_java()
    assert "pip install 'cltv-assets[jre]'" in caught.value.remedy
    assert "spark.remote" in caught.value.remedy


def test_a_java_home_without_java_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    with pytest.raises(ConfigError, match="gone/bin/java does not run"):
        java.ensure_java()


def test_the_path_sets_java_home(fake: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    home = fake("path", "17.0.15", VECTOR)
    on_path(home, monkeypatch)
    assert java.ensure_java() == home
    assert os.environ["JAVA_HOME"] == str(home)


def test_an_old_java_on_the_path_gives_way_to_the_pip_runtime(
    fake: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path(fake("path", "11.0.1", VECTOR), monkeypatch)
    bundled = fake("bundled", "21.0.8", VECTOR)
    monkeypatch.setattr(java, "_bundled_java", lambda: bundled / "bin" / "java")
    assert java.ensure_java() == bundled


def test_no_java_anywhere_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="there is none: neither JAVA_HOME nor java on the path"):
        java.ensure_java()


def test_a_runtime_without_the_vector_module_is_wrapped(
    fake: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake("it's small", "21.0.8")))
    home = java.ensure_java()
    assert home.is_relative_to(os.environ["XDG_CACHE_HOME"])
    arguments = ["-cp", "a b", f"--add-modules={VECTOR}", "--add-modules=java.sql", "", "Main"]
    said = subprocess.run([home / "bin" / "java", *arguments], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == ["<-cp>", "<a b>", "<--add-modules=java.sql>", "<>", "<Main>"]
    # JAVA_HOME now names the wrapper; it must not be wrapped again.
    assert java.ensure_java() == home


def test_a_cache_that_cannot_be_written_is_done_without(
    fake: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("JAVA_HOME", str(fake("small", "21.0.8")))
    home = java.ensure_java()
    assert (home / "bin" / "java").is_file()
    assert not home.is_relative_to(tmp_path)
