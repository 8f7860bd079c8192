"""The cursor of the API's log, and the state file that stores it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote

import msgspec

_START = "{start}"


class Cursor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The page to request next, and its records that were delivered.

    An API may end its pages in two ways. Okta's last page has a link to a next one, which is empty until there are new
    records. GitHub's last page does not have a link: it grows, and must be requested again.
    """

    url: str
    seen: frozenset[str] = frozenset()
    """Ids of the page's records that were delivered."""

    def advance(self, ids: Iterable[str], next_url: str | None) -> Cursor:
        """Returns the cursor to save when a page's records are delivered."""
        if next_url is None or next_url == self.url:
            # An empty answer does not mean that the known records will not come back.
            return Cursor(self.url, frozenset(ids) or self.seen)
        return Cursor(next_url)


class _Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    open_params: str
    cursor: Cursor
    version: Literal[1] = 1


_decoder = msgspec.json.Decoder(_Saved)


def first_url(params: str, start: datetime | None) -> str:
    """Returns the URL to begin with if there is no cursor.

    Raises:
        ValueError: a start is configured, but the URL does not contain ``{start}``.
    """
    if start is not None and _START not in params:
        raise ValueError(f"start is set, but open_params does not contain {_START}: write it there instead of a time")
    text = (start or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
    return params.replace(_START, quote(f"{text}Z"))


class CursorFile:
    """The state file. If its path is ``None``, nothing is read or written."""

    def __init__(self, path: str | None, params: str, log: logging.Logger) -> None:
        self._path = None if path is None else os.path.realpath(path)
        self._params = params
        self._log = log
        self._has_failed = False

    def load(self, url: str) -> Cursor:
        """Returns the cursor of the last run, or one that begins at the URL.

        The cursor is saved immediately. A restart before the first record then begins at the time of the first start.

        Raises:
            OSError: the file cannot be read or written.
            ValueError: the file is damaged, or belongs to another URL.
        """
        if self._path is None:
            return Cursor(url)
        try:
            cursor = self._read(self._path) or Cursor(url)
            self._write(self._path, cursor)
        except OSError as error:
            raise OSError(error.errno, f"state_file cannot be used: {error.strerror}", self._path) from None
        return cursor

    def save(self, cursor: Cursor) -> None:
        """Writes the cursor. A failure is logged, and the cursor of the next page is tried."""
        if self._path is None:
            return
        try:
            self._write(self._path, cursor)
        except OSError as error:
            if not self._has_failed:
                self._log.error("state_file %s cannot be written: %s; trying again", self._path, error.strerror)
            self._has_failed = True
        else:
            if self._has_failed:
                self._log.info("state_file %s is written again", self._path)
            self._has_failed = False

    def _read(self, path: str) -> Cursor | None:
        try:
            with open(path, "rb") as file:
                saved = _decoder.decode(file.read())
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ValueError(
                f"state_file {path} is damaged ({error}): restore a good copy, or remove it to begin again"
            ) from None
        if saved.open_params != self._params:
            raise ValueError(
                f"state_file {path} belongs to other open_params: use another file, or remove it to begin again"
            )
        return saved.cursor

    def _write(self, path: str, cursor: Cursor) -> None:
        """Replaces the file atomically, also in case of a power failure."""
        folder, name = os.path.split(path)
        temporary = os.path.join(folder, f".{name}.tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(temporary, flags, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(msgspec.json.encode(_Saved(self._params, cursor)))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Make the new name as durable as the content.
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
