"""Where the webhook listens."""

from __future__ import annotations

import ssl
from typing import NamedTuple, NoReturn
from urllib.parse import urlsplit


class Address(NamedTuple):
    """A URL such as ``https://:9765/k8s-audit``."""

    scheme: str
    host: str
    """Empty for all of the machine's addresses."""
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Reads a URL. It is not repeated in errors: it may hold a password.

        Raises:
            ValueError: it is no such URL.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError("open_params is no URL: give one such as http://:9765/k8s-audit") from None
        if parts.scheme not in {"http", "https"}:
            raise ValueError(
                f"open_params: unknown scheme {parts.scheme!r}: give a file, a folder, or a URL of http or https"
            )
        if port is None:
            raise ValueError("open_params must be a URL with a port, such as http://:9765/k8s-audit")
        return cls(parts.scheme, parts.hostname or "", port, parts.path or "/")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def tls(certificate: str) -> ssl.SSLContext:
    """TLS with a file that holds certificate and key.

    Raises:
        ValueError: it cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without a function for the password, OpenSSL would ask for it on Falco's terminal.
        context.load_cert_chain(certificate, password=_no_password)
    except (OSError, ValueError) as error:
        raise ValueError(f"sslCertificate {certificate} cannot be used: {error}") from None
    return context


def _no_password() -> NoReturn:
    raise ValueError("the key is encrypted, store it without a password")
