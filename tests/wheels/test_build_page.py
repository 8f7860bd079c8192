"""Runs the build stage of the page Deployment with the wheels of ``make wheels``, in a Debian without a compiler."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from support.hosts import run, run_command
from support.pages import blocks_of, dockerfile_script
from support.paths import REPOSITORY
from support.roots import FILES, NATIVE, run_in_root
from test_wheels import DEPENDENCIES, System

pytestmark = [pytest.mark.wheels, pytest.mark.slow, pytest.mark.timeout(3600)]

SYSTEM = System("bookworm", "3.11", NATIVE)
DOCKERFILE = next(
    block.text for block in blocks_of(REPOSITORY / "docs/how-to/deploy.md") if block.title == "build.Dockerfile"
)
APT_GET = b"""\
#!/bin/sh
# The system has the packages already.
test "$1" = install || exit 0
shift
for argument; do
    case "$argument" in -*) ;; *) dpkg --status "$argument" >/dev/null || exit 1 ;; esac
done
"""


def build_backend() -> list[Path]:
    """Returns wheels of the build backend in the pyproject.toml that `falco-plugin new` writes."""
    folder = DEPENDENCIES / "hatchling"
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.part")
        command = ["-m", "pip", "download", "--only-binary=:all:", "--dest", part, "hatchling"]
        ran = run(sys.executable, *command, env=os.environ)
        assert ran.status == 0, ran.stderr
        part.rename(folder)
    return list(folder.iterdir())


@pytest.mark.skipif(not SYSTEM.is_chosen(), reason="the variables of make choose other systems")
def test_build_stage_of_page_builds_library(tmp_path: Path) -> None:
    assert DOCKERFILE.startswith("FROM debian:12 ")
    assert run_command("new", "audit", cwd=tmp_path).status == 0
    files: dict[str, Path | bytes] = {f"wheels/{path.name}": path for path in [*SYSTEM.wheels(), *build_backend()]}
    files |= {str(path.relative_to(tmp_path)): path for path in tmp_path.glob("audit/*")}
    script = f"cd {FILES}\nexport PIP_NO_INDEX=1\n{dockerfile_script(DOCKERFILE)}ls -l /libaudit.so\n"
    done = run_in_root(
        SYSTEM.suite,
        files,
        ["sh", "-euc", script],
        added={"usr/local/bin/apt-get": APT_GET},
        packages=SYSTEM.packages,
        timeout=1200,
    )
    assert done.status == 0, done.stdout + done.stderr
    assert "libaudit.so: plugin audit 0.1.0, event source audit, 4 fields" in done.stdout
    assert "needs glibc 2.3" in done.stdout
