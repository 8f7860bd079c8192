"""The URL in ``open_params``."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

HEALTH_PATH = "/healthz"
_EXAMPLE = "https://0.0.0.0:8443/hook"


class Address(NamedTuple):
    """The address on which a receiver listens."""

    scheme: str
    host: str
    """Empty for all addresses of the machine."""
    port: int
    path: str
    """Percent-decoded, as :attr:`Request.path`."""

    @classmethod
    def parse(cls, url: str) -> Address:
        """Parses a URL such as ``https://0.0.0.0:8443/hook``. Errors do not repeat it, because it may hold a password.

        Raises:
            ValueError: the URL cannot be used.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError(f"open_params is not a valid URL: expected one such as {_EXAMPLE}") from None
        if parts.scheme not in {"http", "https"} or port is None:
            raise ValueError(f"open_params must be a URL with http or https and a port, such as {_EXAMPLE}")
        if parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError("open_params has a user, a query or a fragment: use only scheme, host, port and path")
        path = decode_path(parts.path or "/")
        if path == HEALTH_PATH:
            raise ValueError(f"open_params: the path {HEALTH_PATH} is reserved: choose another one")
        return cls(parts.scheme, parts.hostname or "", port, path)

    def __str__(self) -> str:
        # The path is omitted: some users keep it secret to control who can send requests.
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def decode_path(path: str) -> str:
    """Returns a path percent-decoded. Different bytes remain different."""
    return unquote(path, errors="surrogateescape")
