"""Secrets in configurations, such as tokens and passwords."""

from __future__ import annotations

import os
import stat
from typing import ClassVar, NoReturn

__all__ = ["Secret"]

_MAX_SIZE = 1 << 20
_HIDDEN = "Secret(…)"


class Secret:
    """A string that is never shown, as a type of a plugin's configuration.

    In ``init_config`` a secret is written as ``file:PATH`` or ``env:NAME``, or as the text itself. :meth:`reveal`
    returns it. Messages, ``repr``, ``str``, ``format`` and the JSON schema do not show it.

    - ``file:PATH`` is the content of a UTF-8 file, without a byte order mark and the line breaks at its end. It is read
      when the configuration is read, so that a mistake is an error at the start, and by each :meth:`reveal`, so that
      it can be replaced while Falco runs. If all users can read the file, a warning is logged.
    - ``env:NAME`` is the value of an environment variable of Falco.
    - A text that begins with ``file:`` or ``env:`` itself must be in a file.

    A secret is compared in constant time: with ``==``, with a ``Secret``, a ``str`` or ``bytes``. It can be neither
    hashed nor pickled.

    Args:
        text: the secret itself. It is not searched for ``file:`` and ``env:``.

    Raises:
        ValueError: the text is empty.

    Example:
        ```python
        @dataclass
        class Config:
            url: str
            token: Secret
            old_tokens: list[Secret] = field(default_factory=list)
        ```
    """

    __slots__ = ("_file", "_name", "_text")

    def __init__(self, text: str) -> None:
        if not text:
            raise ValueError("a secret must not be empty")
        self._text = text
        self._file: str | None = None
        self._name = ""

    def reveal(self) -> str:
        """Returns the secret. Call it where the secret is used, and do not keep the result.

        Raises:
            ValueError: the file cannot be read, is empty, larger than 1 MiB, or not UTF-8. The message names the key of
                the configuration, and has neither the secret nor the path.
        """
        if self._file is None:
            return self._text
        text, problem = _read(self._file)
        if problem:
            raise ValueError(f"{self._name}: {problem}")
        return text

    def __repr__(self) -> str:
        return _HIDDEN

    def __eq__(self, other: object) -> bool:
        import hmac

        if isinstance(other, Secret):
            other = other.reveal()
        if isinstance(other, str):
            other = other.encode("utf-8", "surrogatepass")
        if not isinstance(other, bytes):
            return NotImplemented
        return hmac.compare_digest(self.reveal().encode("utf-8", "surrogatepass"), other)

    # It equals text and bytes, whose hashes differ. Type checkers do not know this idiom for a class without a hash.
    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleMethodOverride]

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _memo: object) -> Secret:
        return self

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a Secret cannot be pickled: pass on where it is stored, such as the path of its file")


def from_config(text: str, name: str) -> Secret:
    """Makes a secret from its text in a configuration.

    Args:
        text: the secret, ``file:PATH`` or ``env:NAME``.
        name: the path of the key, for messages.

    Raises:
        ValueError: the secret cannot be read. The message has neither the text nor the name of the key.
    """
    kind, separator, rest = text.partition(":")
    if separator and kind == "file":
        if problem := _read(rest)[1]:
            raise ValueError(problem)
        if _is_readable_by_all(rest):
            import logging

            logging.getLogger("falco_plugin").warning(
                "%s: all users can read the file of this secret: remove the permission, such as with chmod 400", name
            )
        secret = Secret(text)
        secret._file, secret._name = rest, name
        return secret
    if separator and kind == "env":
        text = os.environ.get(rest, "")
        if not text:
            state = "is empty" if rest in os.environ else "is not set"
            raise ValueError(f"the environment variable of this secret {state}: set it for Falco")
    if not text:
        raise ValueError("the secret is empty: write file:PATH, env:NAME or the text")
    # Python reads bytes of variables that are not UTF-8 as surrogates. A later error would quote one of them.
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("the secret is not UTF-8 text: write it as UTF-8")
    return Secret(text)


def _read(path: str) -> tuple[str, str]:
    """Returns the content of the file, or else what is wrong. An exception would have the content in its traceback."""
    try:
        # Do not wait for the writer of a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return "", "the path of this secret is not a regular file: write the path of a file"
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(_MAX_SIZE + 1)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the path has a NUL character"
        return "", f"the file of this secret cannot be read: {reason}"
    if len(content) > _MAX_SIZE:
        return "", f"the file of this secret is larger than {_MAX_SIZE} bytes: check the path"
    try:
        text = content.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        return "", "the file of this secret is not UTF-8 text: check the path"
    return text, "" if text else "the file of this secret is empty: write the secret into it"


def _is_readable_by_all(path: str) -> bool:
    try:
        return bool(os.stat(path).st_mode & stat.S_IROTH)
    except OSError:
        return False
