"""The URL in ``open_params``."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

HEALTH_PATH = b"/healthz"


class Address(NamedTuple):
    """The address on which the endpoint listens."""

    scheme: str
    host: str
    port: int
    path: bytes

    @classmethod
    def parse(cls, url: str, *, with_tls: bool) -> Address:
        """Parses a URL such as ``https://0.0.0.0:8443/hook``. Errors do not repeat it, because it may hold a password.

        Raises:
            ValueError: the URL cannot be used, or its scheme does not match the configuration.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError("open_params is not a valid URL: expected one such as https://0.0.0.0:8443/hook") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname or port is None:
            raise ValueError("open_params must be a URL with scheme, host and port, such as https://0.0.0.0:8443/hook")
        if parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError("open_params has a user, a query or a fragment: use only scheme, host, port and path")
        if parts.scheme == "https" and not with_tls:
            raise ValueError("open_params has the scheme https: set certificate and key in init_config, or use http")
        if parts.scheme == "http" and with_tls:
            raise ValueError("open_params has the scheme http, but certificate is set: use https, or remove it")
        path = unquote_to_bytes(parts.path or "/")
        if path == HEALTH_PATH:
            raise ValueError("open_params: the path /healthz is reserved: choose another one")
        return cls(parts.scheme, parts.hostname, port, path)

    def __str__(self) -> str:
        # The path is omitted: some users keep it secret to control who can send requests.
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"
