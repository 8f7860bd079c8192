"""Keeps compiled modules between builds, in the user's cache folder."""

from __future__ import annotations

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

_FORMAT = 3
"""Changes if the same source would be compiled to something else."""


def folder() -> Path | None:
    """Returns the cache folder, which only this user can write to; ``None`` if there is none."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    path = Path(base) if os.path.isabs(base) else Path(os.path.expanduser("~"), ".cache")
    path /= "falco-plugin"
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
        self._path = cache / "code" / version / f"{name}.{_FORMAT}" if cache is not None else None
        self._known: dict[str, tuple[bytes, tuple[Any, ...] | None]] = {}
        self._is_changed = False
        if self._path is not None:
            try:
                known = marshal.loads(self._path.read_bytes())  # noqa: S302 - only this user can write to it
            except (OSError, ValueError, EOFError, TypeError):
                known = None
            self._known = known if isinstance(known, dict) else {}

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
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file, temporary = tempfile.mkstemp(dir=self._path.parent)
            with os.fdopen(file, "wb") as stream:
                stream.write(marshal.dumps(self._known))
            os.replace(temporary, self._path)
        except OSError:
            # A build without a cache is only slower.
            return
