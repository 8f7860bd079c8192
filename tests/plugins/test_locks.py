"""Checks that builds, tests and plugins use the locked versions of packages and crates."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support.paths import REPOSITORY

LOCK = (REPOSITORY / "requirements-dev.txt").read_text()
LOCKED = {
    canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", LOCK, re.MULTILINE)
}
THIS_PACKAGE = "falco-plugin-sdk"
PROJECTS = [REPOSITORY / "pyproject.toml", *sorted((REPOSITORY / "plugins").glob("*/pyproject.toml"))]
CRATES = ["Cargo.lock", "fuzz/Cargo.lock", "bench/peers/rust/Cargo.lock"]


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.parent.name)
def test_lock_satisfies_requirements(project: Path) -> None:
    content = tomllib.loads(project.read_text())["project"]
    texts = [*content.get("dependencies", ()), *sum(content.get("optional-dependencies", {}).values(), [])]
    for required in map(Requirement, texts):
        if canonicalize_name(required.name) != THIS_PACKAGE:
            assert required.specifier.contains(LOCKED[canonicalize_name(required.name)]), required


def test_lock_has_hashes_of_each_package() -> None:
    for entry in re.split(r"\n(?=\S)", LOCK.strip()):
        assert "--hash=sha256:" in entry, entry.partition(" ")[0]


@pytest.mark.parametrize("lock", CRATES)
def test_crates_come_from_crates_io(lock: str) -> None:
    packages = tomllib.loads((REPOSITORY / lock).read_text())["package"]
    sources = {package["source"] for package in packages if "source" in package}
    assert sources == {"registry+https://github.com/rust-lang/crates.io-index"}
    assert all("checksum" in package for package in packages if "source" in package)


def test_locks_do_not_name_download_servers() -> None:
    assert "://" not in LOCK
