"""The address on which the webhook listens, and its TLS."""

from __future__ import annotations

import ssl
from typing import NamedTuple, NoReturn
from urllib.parse import urlsplit


class Address(NamedTuple):
    """A URL such as ``https://:9765/k8s-audit``."""

    scheme: str
    host: str
    """Empty for all addresses of the machine."""
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Parses a URL. Errors do not repeat it, because it may hold a password.

        Raises:
            ValueError: the URL cannot be used.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError("open_params is not a valid URL: expected one such as http://:9765/k8s-audit") from None
        if parts.scheme not in {"http", "https"}:
            raise ValueError(
                f"open_params has the scheme {parts.scheme!r}: expected a file, a folder, or a URL with http or https"
            )
        if port is None:
            raise ValueError("open_params must be a URL with a port, such as http://:9765/k8s-audit")
        return cls(parts.scheme, parts.hostname or "", port, parts.path or "/")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def tls_context(certificate: str) -> ssl.SSLContext:
    """Returns a TLS context with the certificate and the key of a file.

    Raises:
        ValueError: the file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without a password function, OpenSSL would prompt for the password on Falco's terminal.
        context.load_cert_chain(certificate, password=_no_password)
    except (OSError, ValueError) as error:
        raise ValueError(f"sslCertificate {certificate} cannot be used: {error}") from None
    return context


def _no_password() -> NoReturn:
    raise ValueError("the key is encrypted: store it without a password")
