"""Version, changelog and tags fit together, or lint and the release say why not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "delivery" / "changelog.py"

CHANGELOG = """\
# Changelog

## [Unreleased]

## [0.2.0] - 2026-11-26

### Added

- A thing.

## [0.1.0] - 2026-11-23

### Added

- The first thing.
"""


class Project:
    """A repository with a version, a changelog and code."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "-q")
        self.git("config", "user.email", "nobody@example.invalid")
        self.git("config", "user.name", "nobody")
        self.write("CHANGELOG.md", CHANGELOG)
        self.version("0.2.0")
        self.write("cltv_assets_tests/upgrades/lakes/0.2.0/cltv.yaml", "{}\n")
        self.commit()

    def git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self.folder, check=True, capture_output=True)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def replace(self, old: str, new: str) -> None:
        text = (self.folder / "CHANGELOG.md").read_text()
        assert old in text
        self.write("CHANGELOG.md", text.replace(old, new))

    def version(self, version: str) -> None:
        self.write("cltv_assets/__init__.py", f'__version__ = "{version}"\n')

    def commit(self, tag: str = "") -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "A step")
        if tag:
            self.git("tag", tag)

    def complaint(self, *arguments: str) -> str:
        """What the script says against it; empty if nothing."""
        answer = subprocess.run(
            [sys.executable, SCRIPT, "--root", self.folder, *arguments], capture_output=True, text=True, check=False
        )
        assert answer.returncode in (0, 1), answer.stderr
        assert "Traceback" not in answer.stderr, answer.stderr
        assert bool(answer.returncode) == bool(answer.stderr)
        return answer.stderr


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_code_that_changed_since_its_release_is_written_down(project: Project) -> None:
    assert project.complaint() == ""
    project.commit("v0.2.0")
    assert project.complaint() == ""
    project.write("cltv_assets_tests/test_x.py", "")
    project.commit()
    assert project.complaint() == ""
    project.write("cltv_assets/x.py", "")
    # Before and after the commit alike.
    project.git("add", "-A")
    assert "say under [Unreleased]" in project.complaint()
    project.commit()
    assert "cltv_assets/x.py" in project.complaint()
    project.replace("## [Unreleased]\n", "## [Unreleased]\n\n### Fixed\n\n- A fault.\n")
    assert project.complaint() == ""


def test_a_new_version_is_written_down_in_a_section_of_its_own(project: Project) -> None:
    project.commit("v0.2.0")
    project.version("0.2.1")
    assert "says nothing of 0.2.1" in project.complaint()
    project.replace("## [Unreleased]\n", "## [Unreleased]\n\n## [0.2.1] - 2026-11-27\n")
    assert "says nothing of 0.2.1" in project.complaint()
    project.replace("[0.2.1] - 2026-11-27\n", "[0.2.1] - 2026-11-27\n\n### Fixed\n\n- A fault.\n")
    assert project.complaint() == ""
    project.commit("v0.3.0")
    assert "raise __version__" in project.complaint()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("## [Unreleased]\n", "", "must be [Unreleased]"),
        ("## [0.2.0] - 2026-11-26", "## 0.2.0", "'## 0.2.0' is neither"),
        ("## [0.1.0] - 2026-11-23", "## [0.3.0] - 2026-11-23", "0.2.0 stands before 0.3.0"),
        ("## [0.1.0] - 2026-11-23", "## [0.1.0] - 2027-01-01", "newest first, by number and date"),
        ("## [0.1.0]", "## [0.1.9]", ""),
        ("## [0.1.0]", "## [0.2.0]", "newest first"),
    ],
)
def test_the_changelogs_form(project: Project, old: str, new: str, said: str) -> None:
    project.replace(old, new)
    complaint = project.complaint()
    assert said in complaint
    assert bool(said) == bool(complaint)


def test_a_patch_release_holds_fixes_only(project: Project) -> None:
    project.version("0.2.1")
    project.replace("## [Unreleased]\n", "## [Unreleased]\n\n## [0.2.1] - 2026-11-27\n\n### Added\n\n- A feature.\n")
    assert "Added: that is no patch release" in project.complaint()


def test_a_tag_fits_version_changelog_and_lakes(project: Project) -> None:
    assert project.complaint("--tag", "v0.2.0") == ""
    for wrong in ("0.2.0", "v0.2.1", "v0.2", "", "v0.2.0-rc1"):
        assert "it must be v0.2.0" in project.complaint("--tag", wrong)
    project.replace("## [Unreleased]\n", "## [Unreleased]\n\n### Fixed\n\n- A fault.\n")
    assert "move what waits" in project.complaint("--tag", "v0.2.0")
    project.write("CHANGELOG.md", CHANGELOG.replace("2026-11-26", "2999-01-01"))
    assert "still to come" in project.complaint("--tag", "v0.2.0")
    project.write("CHANGELOG.md", CHANGELOG.replace("- A thing.\n", ""))
    assert "say what changed" in project.complaint("--tag", "v0.2.0")
    project.write("CHANGELOG.md", CHANGELOG)
    (project.folder / "cltv_assets_tests/upgrades/lakes/0.2.0/cltv.yaml").unlink()
    (project.folder / "cltv_assets_tests/upgrades/lakes/0.2.0").rmdir()
    assert "make_lake.py" in project.complaint("--tag", "v0.2.0")


def test_the_page_of_a_release_says_what_that_release_brings(project: Project) -> None:
    command = [sys.executable, SCRIPT, "--root", project.folder, "--tag", "v0.2.0", "--notes"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown == "### Added\n\n- A thing.\n"
