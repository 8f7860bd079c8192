"""Permissions of files, for tests of checks as root."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="permissions are checked for root only")


def add_writer(path: Path, user: int) -> None:
    """Lets a user write to a file by its access control list. Skips the test if the file system has none."""
    path.chmod(0o644)
    named, owner, group, mask, other = 0x02, 0x01, 0x04, 0x10, 0x20
    rights = [(owner, 6, -1), (named, 6, user), (group, 4, -1), (mask, 6, -1), (other, 4, -1)]
    try:
        packed = b"".join(struct.pack("<HHi", *right) for right in rights)
        os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + packed)
    except OSError as problem:
        pytest.skip(f"the file system has no access control lists: {problem.strerror}")
