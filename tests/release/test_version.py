"""Checks that the version of the SDK is written only once, in the Cargo.toml of the workspace."""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Iterator

from support.paths import REPOSITORY

import falco_plugin


def manifests() -> Iterator[tuple[str, object]]:
    """Yields all manifests of the SDK, each with its version. Plugins have their own."""
    listed = subprocess.run(
        ["git", "ls-files", "*Cargo.toml", "*pyproject.toml"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    )
    for path in listed.stdout.splitlines():
        if not path.startswith("plugins/"):
            manifest = tomllib.loads((REPOSITORY / path).read_text())
            yield path, manifest.get("package", manifest.get("project", {})).get("version")


def test_only_workspace_has_version() -> None:
    found = dict(manifests())
    assert {"Cargo.toml", "pyproject.toml", "rust/stub/Cargo.toml", "rust/python/Cargo.toml"} <= found.keys()
    assert {path: version for path, version in found.items() if version not in (None, {"workspace": True})} == {}


def test_python_package_has_version_of_workspace() -> None:
    declared = tomllib.loads((REPOSITORY / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    assert falco_plugin.__version__ == declared
