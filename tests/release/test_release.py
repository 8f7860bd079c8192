"""Tests ``tools/release.py`` on copies of the files that have the version and the changelog."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.hosts import Output, run
from support.paths import REPOSITORY

COPIED = ("Cargo.toml", "Cargo.lock", "rust/stub/Cargo.lock", "fuzz/Cargo.lock", "CHANGELOG.md", "pyproject.toml")
FRAGMENTS = {
    "+sources.added.md": "A source of events.\n",
    "12.fixed.md": "A fix.\n",
    "README.md": "How to write fragments.\n",
}
VERSION = "7.8.9"


@dataclass(frozen=True)
class Project:
    """A folder with the files that a release consists of."""

    folder: Path

    def release(self, command: str, tag: str = f"v{VERSION}") -> Output:
        script = REPOSITORY / "tools" / "release.py"
        return run(sys.executable, script, command, tag, cwd=self.folder)

    def replace(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def write_changelog(self, version: str = VERSION) -> None:
        """Moves the fragments into the changelog, as a maintainer does."""
        towncrier = Path(sysconfig.get_path("scripts"), "towncrier")
        options = ["--yes", "--version", version, "--date", "2026-12-01"]
        subprocess.run([towncrier, "build", *options], cwd=self.folder, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Returns a project with the version `VERSION`, whose changes are not yet in the changelog."""
    project = Project(tmp_path)
    for name in COPIED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n<!-- towncrier: new releases below -->\n")
    (tmp_path / "changes").mkdir()
    for name, text in FRAGMENTS.items():
        (tmp_path / "changes" / name).write_text(text)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "changes"], cwd=tmp_path, check=True)
    current = released_version()
    for name in COPIED:
        if name.endswith(("Cargo.toml", ".lock")):
            project.replace(name, f'version = "{current}"', f'version = "{VERSION}"')
    return project


def released_version() -> str:
    import falco_plugin

    return falco_plugin.__version__


def test_check_accepts_complete_release(project: Project) -> None:
    project.write_changelog()
    assert project.release("check") == Output(0, "", "")


def test_notes_are_section_of_version(project: Project) -> None:
    project.write_changelog()
    (project.folder / "changes" / "+later.security.md").write_text("A later change.\n")
    project.write_changelog("8.0.0")
    assert project.release("notes") == Output(
        0, "### Added\n\n- A source of events.\n\n### Fixed\n\n- A fix. (#12)\n", ""
    )
    assert project.release("notes", "v8.0.0").stdout == "### Security\n\n- A later change.\n"


@pytest.mark.parametrize("command", ["check", "notes"])
@pytest.mark.parametrize("tag", ["7.8.9", "v7.8", "v7.8.9rc1", "v7.8.9-1", "main"])
def test_tag_that_is_not_of_release_is_refused(project: Project, tag: str, command: str) -> None:
    project.write_changelog()
    refused = project.release(command, tag)
    assert refused.status == 1
    assert f"{tag} is not the tag of a release" in refused.stderr


def test_notes_of_missing_section_are_refused(project: Project) -> None:
    refused = project.release("notes")
    assert refused.status == 1
    assert refused.stderr.startswith("CHANGELOG.md has no section for 7.8.9: run ")


def test_check_refuses_missing_changelog(project: Project) -> None:
    refused = project.release("check")
    assert refused.status == 1
    first, second = refused.stderr.splitlines()
    assert first.startswith("CHANGELOG.md has no section for 7.8.9")
    assert second.startswith("changes has fragments that CHANGELOG.md lacks, such as +sources.added.md")


def test_check_refuses_late_fragment(project: Project) -> None:
    project.write_changelog()
    (project.folder / "changes" / "13.fixed.md").write_text("A late fix.\n")
    refused = project.release("check")
    assert refused.status == 1
    assert "such as 13.fixed.md" in refused.stderr


def test_check_refuses_other_version_than_tag(project: Project) -> None:
    project.write_changelog()
    refused = project.release("check", "v7.8.10")
    assert refused.status == 1
    assert "the tag is v7.8.10, but Cargo.toml has the version 7.8.9" in refused.stderr
    assert "CHANGELOG.md has no section for 7.8.10" in refused.stderr


@pytest.mark.parametrize("lock", ["Cargo.lock", "rust/stub/Cargo.lock", "fuzz/Cargo.lock"])
def test_check_refuses_old_lock_file(project: Project, lock: str) -> None:
    project.write_changelog()
    project.replace(lock, f'version = "{VERSION}"', 'version = "7.8.8"')
    refused = project.release("check")
    assert refused.status == 1
    assert {line.split(" ")[0] for line in refused.stderr.splitlines()} == {lock}
    assert "7.8.8, not 7.8.9: run `make version VERSION=7.8.9`" in refused.stderr
