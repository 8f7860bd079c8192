"""Positions of sources, which survive a restart of Falco."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from falco_plugin.errors import PluginError

if TYPE_CHECKING:
    from falco_plugin.plugin import Plugin

__all__ = ["Cursor"]

T = TypeVar("T")

MAX_SIZE = 16 << 20
"""Bytes of the largest file, 16 MiB. A larger one is not read into the memory of Falco."""
_FULL = {errno.ENOSPC, errno.EDQUOT}


class _Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of the file."""

    plugin: str
    open_params: str
    version: int
    cursor: msgspec.Raw


_decoder = msgspec.json.Decoder(_Saved)
# Equal sets and maps must be equal as bytes.
_encoder = msgspec.json.Encoder(order="deterministic")


class Cursor(Generic[T]):
    r"""The position of a source, kept in a file, so that a restart of Falco continues there.

    It has the type of ``start``: ``str``, ``int``, ``float``, or a dataclass or ``msgspec.Struct`` for several values.
    The file is JSON with the mode 0600. It is replaced in one step: after a crash or a power failure it has the
    preceding position or the new one. Make the cursor in ``open``, and save it when Falco has consumed the events, such
    as after ``yield None``. Any thread may call the methods.

    The constructor also writes the file, so that a file that cannot be written is an error at the start, and so that
    a source that begins now still begins at that time after a restart. If only the disk is full, and the file has a
    position, this is logged, and the source continues. As long as the cursor exists, its process holds a lock on the
    file, because two processes with one cursor would skip events after a restart.

    Args:
        plugin: the plugin, ``self``. A file of another plugin is an error.
        params: the open params. A file of other params is an error, because its position is meaningless. Pass ``""``
            if a position stays valid when the params change.
        path: path of the file, whose folder must exist. With ``None`` the position is only in memory.
        start: the position without a file.
        version: the version of the position's meaning, at least 1. Increase it when you change the type of ``start``.
        migrate: for each older version, a function that converts its position, as decoded JSON, to the next version.

    Raises:
        PluginError: the file cannot be read or written, is not a regular file of Falco's user, is larger than 16 MiB,
            is damaged, belongs to another plugin or to other params, or has a version that cannot be migrated; another
            process uses it; or other users could replace it, because its folder or a symbolic link belongs to them.
        TypeError: ``start`` cannot be written as JSON, or could not be read again.
        ValueError: ``version`` is less than 1, or ``migrate`` has a version that is not an older one.

    Example:
        ```python
        def open(self, params):
            cursor = Cursor(self, params, path=self.config.cursor_file, start=0)
            with open(params, "rb") as file:
                file.seek(cursor.value)
                for line in iter(file.readline, b""):
                    yield line.rstrip(b"\n")
                    yield None  # Falco has consumed the line
                    cursor.save(file.tell())
        ```
    """

    def __init__(
        self,
        plugin: Plugin,
        params: str,
        *,
        path: str | os.PathLike[str] | None,
        start: T,
        version: int = 1,
        migrate: Mapping[int, Callable[[Any], Any]] | None = None,
    ) -> None:
        if version < 1:
            raise ValueError(f"version must be at least 1, got {version}")
        steps = migrate or {}
        for older in steps:
            if older not in range(1, version):
                raise ValueError(f"migrate has version {older}: each must be from 1 to {version - 1}")
        self._plugin = plugin.name
        self._params = params
        # A symbolic link stays one, because its target is replaced.
        self._path = None if path is None else _resolve(path)
        self._locked: _Locked | None = None
        self._version = version
        self._type = type(start)
        self._log = logging.getLogger(plugin.name)
        self._lock = threading.Lock()
        self._has_failed = False
        self._value = start
        found = None if self._path is None else _read(self._path)
        if self._path is not None and found is not None:
            self._locked, saved = found
            self._value = self._checked(self._path, saved, steps)
        self._saved = b""
        content = self._encode(self._value)
        self._check_readable(content)
        if self._path is not None:
            try:
                self._locked = _write(self._path, content)
            except OSError as error:
                if found is None or error.errno not in _FULL:
                    raise PluginError(_unwritable(self._path, error)) from None
                # Anyone who can fill the disk could otherwise keep Falco from starting.
                self._log_failure(error)
                return
        self._saved = content

    @property
    def value(self) -> T:
        """The position that was saved last, the one of the file, or ``start``."""
        return self._value

    @property
    def path(self) -> str | None:
        """Path of the file without symbolic links, or ``None`` without a file."""
        return self._path

    def save(self, value: T) -> bool:
        """Writes a position. A position that equals the last one costs no write, so call it as often as you like.

        A failure to write is logged once, and the source continues. After a restart Falco then gets the events since
        the last successful write again. The next call tries again.

        Args:
            value: the position up to which the host has consumed the events.

        Returns:
            Whether the position is in the file. Always true without a file.

        Raises:
            TypeError: the value is not of the type of ``start``, cannot be written as JSON, or could not be read again,
                such as a NaN.
            ValueError: the position would need a file of more than 16 MiB.
        """
        content = self._encode(value)
        with self._lock:
            if content != self._saved:
                self._check_readable(content)
                try:
                    if self._path is not None:
                        self._locked = _write(self._path, content)
                except OSError as error:
                    self._log_failure(error)
                    return False
                if self._has_failed:
                    self._log.info("cursor file %s is written again", self._path)
                self._has_failed = False
                self._saved = content
            self._value = value
        return True

    def _log_failure(self, error: OSError) -> None:
        if not self._has_failed:
            self._log.error("%s; trying again", _unwritable(self._path, error))
        self._has_failed = True

    def _encode(self, value: T) -> bytes:
        if not isinstance(value, self._type):
            raise TypeError(f"the cursor must be {self._type.__name__}, as start is, got {type(value).__name__}")
        saved = _Saved(self._plugin, self._params, self._version, msgspec.Raw(_encoder.encode(value)))
        content = _encoder.encode(saved)
        if len(content) > MAX_SIZE:
            raise ValueError(f"the cursor has {len(content)} bytes, and {MAX_SIZE} are allowed: save less")
        return content

    def _check_readable(self, content: bytes) -> None:
        """Raises a TypeError for a file that the next start would refuse."""
        try:
            msgspec.convert(msgspec.json.decode(_decoder.decode(content).cursor), self._type)
        except (msgspec.DecodeError, RecursionError) as error:
            raise TypeError(
                f"the cursor could not be read again ({error}): save only finite numbers, and values of the types that "
                f"{self._type.__name__} has"
            ) from None

    def _checked(self, path: str, content: bytes, steps: Mapping[int, Callable[[Any], Any]]) -> T:
        """Returns the position of a file.

        Raises:
            PluginError: it cannot be used.
        """
        try:
            saved = _decoder.decode(content)
            value: Any = msgspec.json.decode(saved.cursor)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise PluginError(f"cursor file {path} is damaged ({error}): {_REMEDY}") from None
        if saved.plugin != self._plugin:
            raise PluginError(
                f"cursor file {path} belongs to plugin {saved.plugin[:100]!r}, not to {self._plugin}: use another file"
            )
        if saved.open_params != self._params:
            raise PluginError(
                f"cursor file {path} belongs to other open_params: use another file, or remove it to begin again"
            )
        if saved.version > self._version:
            raise PluginError(
                f"cursor file {path} has version {saved.version} of a newer {self._plugin}, and this one reads "
                f"version {self._version}: use the newer plugin, or remove the file to begin again"
            )
        for version in range(saved.version, self._version):
            if version not in steps:
                raise PluginError(
                    f"cursor file {path} has version {saved.version}, and {self._plugin} reads version "
                    f"{self._version}: remove the file to begin again"
                )
            value = steps[version](value)
        try:
            return msgspec.convert(value, self._type)
        except msgspec.ValidationError as error:
            raise PluginError(f"cursor file {path} is damaged ({error}): {_REMEDY}") from None


_REMEDY = "restore a good copy, or remove it to begin again"


def _unwritable(path: str | None, error: OSError) -> str:
    return f"cursor file {path} cannot be written: {error.strerror}"


class _Locked:
    """An open file, on which this process has a lock.

    The lock is one of the process (POSIX), so a source that is opened again in the same process is not refused, and the
    end of the process releases it. Each write replaces the file, so the lock moves to the new one.

    Args:
        descriptor: of the file. It is closed with this object.
        kind: ``LOCK_SH`` if the file is open for reading only, else ``LOCK_EX``.

    Raises:
        BlockingIOError: another process has the lock.
    """

    def __init__(self, descriptor: int, kind: int) -> None:
        self._descriptor = descriptor
        try:
            fcntl.lockf(descriptor, kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in {errno.EACCES, errno.EAGAIN}:
                raise BlockingIOError(error.errno, error.strerror) from None
            # This file system has no locks.

    def __del__(self) -> None:
        os.close(self._descriptor)


def _resolve(path: str | os.PathLike[str]) -> str:
    """Returns the path without symbolic links.

    Raises:
        PluginError: other users could choose or remove the file.
    """
    resolved = os.path.realpath(path)
    with suppress(FileNotFoundError):
        # The kernel's protection of links in folders such as /tmp does not apply to a path that was resolved.
        link = os.lstat(path)
        if stat.S_ISLNK(link.st_mode) and link.st_uid not in {0, os.geteuid()}:
            raise PluginError(
                f"cursor file {os.fspath(path)} is a symbolic link of user {link.st_uid}, who could let Falco write "
                "elsewhere: use another path"
            )
    with suppress(FileNotFoundError):
        mode = os.stat(os.path.dirname(resolved)).st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise PluginError(
                f"cursor file {resolved}: all users can write to its folder, so they could remove it to hide events: "
                "use another folder, or remove this permission"
            )
    return resolved


def _read(path: str) -> tuple[_Locked, bytes] | None:
    """Locks a file, and returns its lock and its content. Returns ``None`` if the file does not exist.

    Raises:
        PluginError: it cannot be read, or must not be used.
    """
    try:
        while True:
            # Do not wait for the writer of a pipe.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            locked = _Locked(descriptor, fcntl.LOCK_SH)
            # Another process may have replaced the file before it was locked.
            if not os.path.samestat(status := os.fstat(descriptor), os.stat(path)):
                continue
            if problem := _problem(status):
                raise PluginError(f"cursor file {path} {problem}")
            with open(descriptor, "rb", closefd=False) as file:
                return locked, file.read(MAX_SIZE + 1)
    except BlockingIOError:
        raise PluginError(
            f"cursor file {path} is in use by another process: stop it, or use another file, because after a restart "
            "each would skip events that only the other has delivered"
        ) from None
    except FileNotFoundError:
        if os.path.isdir(os.path.dirname(path)):
            return None
        raise PluginError(f"cursor file {path}: its folder does not exist: create it") from None
    except OSError as error:
        raise PluginError(f"cursor file {path} cannot be read: {error.strerror}") from None


def _problem(status: os.stat_result) -> str:
    """Returns why a file must not be used; empty if it may be."""
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file: use another path"
    if status.st_uid != os.geteuid():
        return (
            f"belongs to user {status.st_uid}, but Falco runs as user {os.geteuid()}: give it to that user, or remove "
            "it to begin again"
        )
    if status.st_mode & stat.S_IWOTH:
        return "can be written by all users, who could hide events: remove this permission"
    if status.st_size > MAX_SIZE:
        return f"has {status.st_size} bytes, and a cursor has at most {MAX_SIZE}: {_REMEDY}"
    return ""


def _write(path: str, content: bytes) -> _Locked:
    """Replaces a file in one step, also if the power fails. Returns the lock of the new file."""
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.tmp")
    # A file of a crashed run, or of another user, must not become the cursor.
    with suppress(FileNotFoundError):
        os.unlink(temporary)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    locked = _Locked(descriptor, fcntl.LOCK_EX)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    os.replace(temporary, path)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Make the new name as durable as the content.
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return locked
