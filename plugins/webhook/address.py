"""What ``open_params`` says."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

HEALTH_PATH = b"/healthz"


class Address(NamedTuple):
    """Where the endpoint listens."""

    scheme: str
    host: str
    port: int
    path: bytes

    @classmethod
    def parse(cls, url: str, *, with_tls: bool) -> Address:
        """Reads a URL such as ``https://0.0.0.0:8443/hook``. It is not repeated in errors: it may hold a password.

        Raises:
            ValueError: it is no such URL, or its scheme does not suit the configuration.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError("open_params is no URL: give one such as https://0.0.0.0:8443/hook") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname or port is None:
            raise ValueError("open_params must be a URL with scheme, host and port, such as https://0.0.0.0:8443/hook")
        if parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError("open_params must be a URL of scheme, host, port and path alone")
        if parts.scheme == "https" and not with_tls:
            raise ValueError("open_params says https: name certificate and key in init_config, or say http")
        if parts.scheme == "http" and with_tls:
            raise ValueError("open_params says http, but init_config names a certificate: say https, or leave it out")
        path = unquote_to_bytes(parts.path or "/")
        if path == HEALTH_PATH:
            raise ValueError("open_params: the path /healthz is taken, choose another")
        return cls(parts.scheme, parts.hostname, port, path)

    def __str__(self) -> str:
        # Without the path, by which some let only those in who know it.
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"
