"""Checks what actionlint does not check in the workflows: pinned actions, and the commands of this repository."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.paths import REPOSITORY

WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (REPOSITORY / "Makefile").read_text()


def commands(path: Path) -> Iterator[str]:
    """Yields the commands of all jobs, also those in a matrix."""
    jobs: dict[str, Any] = yaml.safe_load(path.read_text())["jobs"]
    for job in jobs.values():
        for entry in job.get("strategy", {}).get("matrix", {}).get("include", []):
            yield entry["command"]
        yield from (step["run"] for step in job["steps"] if "run" in step)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit(path: Path) -> None:
    used = re.findall(r"uses: *(.*)", path.read_text())
    assert used
    assert [line for line in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_commands_of_repository_exist(path: Path) -> None:
    text = "\n".join(commands(path))
    called = re.findall(r"""(?:^|&& |" )make ((?:[\w./-]+(?: |$))+)""", text, re.MULTILINE)
    targets = {target for words in called for target in words.split()}
    assert targets
    assert {target for target in targets if not re.search(rf"^{re.escape(target)}:", MAKEFILE, re.MULTILINE)} == set()
    for script in re.findall(r"(?:^|[ =])(tools/[\w.-]+)", text, re.MULTILINE):
        assert (REPOSITORY / script).is_file(), script


def test_only_jobs_without_checkout_or_with_approval_may_write() -> None:
    """Code of the repository runs with write access only after a maintainer's approval."""
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "release.yml").read_text())
    assert workflow["permissions"] == {}
    writing = {name: job for name, job in workflow["jobs"].items() if "write" in job["permissions"].values()}
    assert writing.keys() == {"publish-packages", "publish-wheels", "release"}
    for name, job in writing.items():
        checks_out = any(step.get("uses", "").startswith("actions/checkout@") for step in job["steps"])
        assert not checks_out or "environment" in job, name
