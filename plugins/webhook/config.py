"""What ``init_config`` says, and what the files hold that it names."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated, NoReturn

from msgspec import Meta, Struct

_Path = Annotated[str, Meta(min_length=1)]


class Config(Struct, frozen=True):
    """Who may send requests, and how many of what size"""

    secrets_file: Annotated[
        _Path | None,
        Meta(description="Path of a file of secrets, one a line, each accepted; needed, unless allow_unsigned is set"),
    ] = None
    allow_unsigned: Annotated[
        bool, Meta(description="Take requests from whoever can connect; without secrets_file only")
    ] = False
    signature_header: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9-]+$",
            description="Header with the body's HMAC-SHA256 in hex, with or without sha256= before it",
        ),
    ] = "X-Hub-Signature-256"
    certificate: Annotated[
        _Path | None, Meta(description="Path of the PEM file of the certificate and its chain; https needs it")
    ] = None
    key: Annotated[_Path | None, Meta(description="Path of the PEM file of its key, without a password")] = None
    event_size: Annotated[int, Meta(ge=1, le=64 << 20, description="Bytes of the largest event, up to 64 MiB")] = (
        256 << 10
    )
    max_body: Annotated[int, Meta(ge=1, le=256 << 20, description="Bytes of the largest body, up to 256 MiB")] = 1 << 20
    capacity: Annotated[int, Meta(ge=1, description="Events that wait for Falco at most")] = 1024
    threads: Annotated[int, Meta(ge=1, le=256, description="Requests at a time, up to 256")] = 8
    max_connections: Annotated[int, Meta(ge=1, description="Connections at a time; more are closed at once")] = 128
    request_timeout: Annotated[
        float,
        Meta(
            gt=0, description="Seconds in which a request must come, TLS handshake included; also of an idle connection"
        ),
    ] = 10
    delivery_timeout: Annotated[float, Meta(gt=0, description="Seconds that a request waits for Falco")] = 5

    def __post_init__(self) -> None:
        if self.secrets_file is None and not self.allow_unsigned:
            raise ValueError("there is no secrets_file: name one, or set allow_unsigned: true")
        if self.secrets_file is not None and self.allow_unsigned:
            raise ValueError("there are both secrets_file and allow_unsigned: leave one of them out")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("there must be both certificate and key, or neither")

    def secrets(self) -> list[bytes]:
        """The secrets; none where requests need no signature.

        Raises:
            ValueError: the file cannot be read, or is empty. Its path is not repeated: it may be the secret itself.
        """
        if self.secrets_file is None:
            return []
        try:
            lines = Path(self.secrets_file).read_bytes().splitlines()
        except OSError as error:
            raise ValueError(f"secrets_file cannot be read: {error.strerror}") from None
        secrets = [line.strip() for line in lines if line.strip()]
        if not secrets:
            raise ValueError("secrets_file is empty: write one secret a line into it")
        return secrets

    def tls(self) -> ssl.SSLContext | None:
        """What ``https`` needs; ``None`` without a certificate.

        Raises:
            ValueError: certificate and key cannot be used.
        """
        if self.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # Without a function for the password, OpenSSL would ask for it on Falco's terminal.
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (OSError, ValueError) as error:
            raise ValueError(f"certificate and key cannot be used: {error}") from None
        return context


def _no_password() -> NoReturn:
    raise ValueError("the key is encrypted, store it without a password")
