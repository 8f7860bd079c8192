"""Checks that a tag can be released, and prints its notes.

``check TAG`` fails unless the tag, the version in ``Cargo.toml``, all lock files and ``CHANGELOG.md`` agree.
``notes TAG`` prints the section of ``CHANGELOG.md`` for the version of the tag. Both read the current folder, and need
only Python.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

_LOCKS = ("Cargo.lock", "rust/stub/Cargo.lock", "fuzz/Cargo.lock")
_UNVERSIONED = {"falco-plugin-stub", "falco-plugin-fuzz"}
"""Crates without a version, because nothing reads it."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Check a tag that is to be released, and print its notes.")
    parser.add_argument("command", choices=["check", "notes"])
    parser.add_argument("tag", metavar="TAG", help="such as v0.1.0")
    arguments = parser.parse_args()
    match = re.fullmatch(r"v(\d+\.\d+\.\d+)", arguments.tag)
    if match is None:
        sys.exit(f"{arguments.tag} is not the tag of a release: expected v and three numbers, such as v0.1.0")
    version = match[1]
    if arguments.command == "check":
        problems = list(_problems(version))
        if problems:
            sys.exit("\n".join(problems))
        return
    section = _section(version)
    if section is None:
        sys.exit(_no_section(version))
    print(section)


def _problems(version: str) -> Iterator[str]:
    declared = tomllib.loads(Path("Cargo.toml").read_text())["workspace"]["package"]["version"]
    if declared != version:
        yield f"the tag is v{version}, but Cargo.toml has the version {declared}: run `make version VERSION={version}`"
    for lock in _LOCKS:
        for package in tomllib.loads(Path(lock).read_text())["package"]:
            is_of_sdk = "source" not in package and package["name"] not in _UNVERSIONED
            if is_of_sdk and package["version"] != declared:
                yield (
                    f"{lock} has {package['name']} {package['version']}, not {declared}: "
                    f"run `make version VERSION={version}`"
                )
    if not _section(version):
        yield _no_section(version)
    fragments = sorted(path.name for path in Path("changes").iterdir() if path.name != "README.md")
    if fragments:
        yield (
            f"changes has fragments that CHANGELOG.md lacks, such as {fragments[0]}: "
            f"run `.venv/bin/towncrier build --version {version}`"
        )


def _no_section(version: str) -> str:
    return f"CHANGELOG.md has no section for {version}: run `.venv/bin/towncrier build --version {version}`"


def _section(version: str) -> str | None:
    """Returns the text below the heading of a version, or None if there is no such heading."""
    heading = rf"^## {re.escape(version)} \([^)\n]*\)$"
    match = re.search(rf"{heading}\n(.*?)(?=^## |\Z)", Path("CHANGELOG.md").read_text(), re.MULTILINE | re.DOTALL)
    return match and match[1].strip()


if __name__ == "__main__":
    main()
