"""Tests ``tools/verify-tag`` with a double of ``gh``, which answers as the API of GitHub describes it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.hosts import Output, run
from support.paths import REPOSITORY

GH = """\
#!/bin/sh
case "$*" in
"api repos/{{owner}}/{{repo}}/git/ref/tags/v1.2.3 --jq "*.object.type*.object.sha*) {ref} ;;
"api repos/{{owner}}/{{repo}}/git/tags/5a1b --jq "*.verification*.verified*.reason*) {tag} ;;
*) echo "unexpected: $*" >&2; exit 1 ;;
esac
"""


def verify(folder: Path, ref: str, tag: str) -> Output:
    gh = folder / "gh"
    gh.write_text(GH.format(ref=ref, tag=tag))
    gh.chmod(0o755)
    return run(REPOSITORY / "tools/verify-tag", "v1.2.3", env={"PATH": f"{folder}:{os.environ['PATH']}"})


def test_verified_tag_is_accepted(tmp_path: Path) -> None:
    assert verify(tmp_path, "echo tag 5a1b", "echo true valid") == Output(0, "", "")


@pytest.mark.parametrize(
    ("ref", "tag", "error"),
    [
        ("echo commit 77aa", "exit 9", "the tag v1.2.3 has no signature: create it with git tag --sign\n"),
        ("echo tag 5a1b", "echo false unsigned", "cannot verify the signature of the tag v1.2.3: unsigned\n"),
        ("echo tag 5a1b", "echo 'HTTP 500' >&2; exit 1", "HTTP 500\n"),
        ("echo 'HTTP 404' >&2; exit 1", "exit 9", "HTTP 404\n"),
    ],
)
def test_other_tags_are_refused(tmp_path: Path, ref: str, tag: str, error: str) -> None:
    refused = verify(tmp_path, ref, tag)
    assert refused.status == 1
    assert refused.stdout == ""
    assert refused.stderr.endswith(error)
