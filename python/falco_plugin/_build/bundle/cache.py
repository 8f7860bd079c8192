"""Keeps compiled modules between builds, in the user's cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

from falco_plugin._build.bundle import code
from falco_plugin._build.bundle.code import Module
from falco_plugin._build.bundle.parts import Source

_FORMAT = 4
"""Changes if the same source would be compiled to something else."""
_DIGEST_LEN = hashlib.sha256().digest_size
Known = dict[str, tuple[bytes, tuple[Any, ...] | None]]
"""Modules by their names: the digest of the source, and the compiled module if this Python can compile it."""


def folder() -> Path | None:
    """Returns the cache folder, which only this user can write to; ``None`` if there is none."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    path = Path(base) if os.path.isabs(base) else Path(os.path.expanduser("~"), ".cache")
    path /= "falco-plugin"
    if not path.is_absolute():
        # The user has no home.
        return None
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except OSError:
        return None
    # The folder of another user could bring that user's code into a library of this one, for example under sudo.
    is_private = found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return path if is_private else None


class Compiler:
    """Compiles the modules of a part. Modules of the last builds with the same source are not compiled again."""

    def __init__(self, cache: Path | None, name: str) -> None:
        """Reads the compiled modules of a part.

        Args:
            cache: the cache folder; ``None`` for no cache.
            name: the name of the part, with its version.
        """
        version = f"{sys.implementation.cache_tag}-{sys.hexversion:x}"
        file = f"{name}.{_FORMAT}".replace("/", "-")
        self._path = cache / "code" / version / file if cache is not None else None
        self._known = _read(self._path) if self._path is not None else {}
        self._is_changed = False

    def compile(self, name: str, source: Source) -> Module | None:
        """Returns a compiled module; ``None`` if this Python cannot compile it."""
        text = source.path.read_bytes()
        digest = hashlib.sha256(text).digest() + bytes([source.is_package])
        known = self._known.get(name)
        if known is not None and known[0] == digest:
            return None if known[1] is None else Module(*known[1])
        module = code.compile_module(text, name, source.is_package)
        self._known[name] = (digest, None if module is None else tuple(module))
        self._is_changed = True
        return module

    def save(self) -> None:
        """Writes new modules to the cache, if it can be written."""
        if self._path is None or not self._is_changed:
            return
        # A build without a cache is only slower.
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(self._path, self._known)


def _read(path: Path) -> Known:
    """Returns the compiled modules in a file. A file that is damaged, for example by a full disk, has none."""
    try:
        stored = path.read_bytes()
    except OSError:
        return {}
    digest, packed = stored[:_DIGEST_LEN], stored[_DIGEST_LEN:]
    if hashlib.sha256(packed).digest() != digest:
        return {}
    known: Known = marshal.loads(packed)  # noqa: S302 - only this user can write to it
    return known


def _write(path: Path, known: Known) -> None:
    """Writes a temporary file and renames it, so that no other build reads a part of it."""
    packed = marshal.dumps(known)
    file, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(hashlib.sha256(packed).digest() + packed)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
