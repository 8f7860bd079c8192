"""Checks that only root and the user of this process can change what is at a path."""

from __future__ import annotations

import os
import stat

_MAX_LINKS = 40
"""Most symbolic links of one path, as in the kernel."""


def reason_against(path: str) -> str:
    """Returns why other users can change what is at an absolute path; empty if they cannot.

    Each folder and each symbolic link on the way must belong to root or to the user of this process. A folder must not
    be writable by others, unless it has the sticky bit: then others cannot replace what is not theirs.
    """
    links = 0
    current = "/"
    names = path.split("/")[::-1]
    while True:
        try:
            status = os.lstat(current)
        except OSError as error:
            return error.strerror or str(error)
        if status.st_uid not in (0, os.geteuid()):
            return f"{current} belongs to user {status.st_uid}"
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > _MAX_LINKS:
                return "too many symbolic links"
            target = os.readlink(current)
            names += target.split("/")[::-1]
            current = "/" if target.startswith("/") else os.path.dirname(current)
        elif status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX:
            return f"{current} is writable by other users"
        # Skip empty names, which are at both ends and between two slashes.
        while names and names[-1] in ("", "."):
            names.pop()
        if not names:
            return ""
        name = names.pop()
        current = os.path.dirname(current) if name == ".." else os.path.join(current, name)
