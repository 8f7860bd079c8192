"""The configuration of a receiver, and the contents of the files that it names."""

from __future__ import annotations

import ssl
from typing import Annotated, NoReturn

from msgspec import Meta, Struct

from falco_plugin.secret import Secret

_Path = Annotated[str, Meta(min_length=1)]


class ReceiverConfig(Struct, frozen=True, kw_only=True):
    """Who may send requests, and their limits. A subclass may add settings, and change defaults."""

    secret: Annotated[
        Secret | None,
        Meta(
            description="Secret of the sender, such as file:/etc/falco/hook.secret; each line is one, and all are "
            "accepted; required unless allow_unsigned is set"
        ),
    ] = None
    allow_unsigned: Annotated[
        bool,
        Meta(description="Whether to accept requests without a signature; cannot be combined with secret"),
    ] = False
    certificate: Annotated[
        _Path | None, Meta(description="Path of a PEM file with the certificate and its chain; required for https")
    ] = None
    key: Annotated[
        _Path | None, Meta(description="Path of a PEM file with the key of the certificate, without a password")
    ] = None
    event_size: Annotated[int, Meta(ge=1, le=64 << 20, description="Bytes of the largest event, up to 64 MiB")] = (
        256 << 10
    )
    max_body: Annotated[int, Meta(ge=1, le=256 << 20, description="Bytes of the largest body, up to 256 MiB")] = 1 << 20
    capacity: Annotated[int, Meta(ge=1, description="Number of events that may wait for Falco")] = 1024
    max_connections: Annotated[
        int,
        Meta(
            ge=1,
            le=4096,
            description="Number of open connections, up to 4096; a further one replaces the oldest idle one",
        ),
    ] = 128
    request_timeout: Annotated[
        float,
        Meta(
            gt=0,
            description="Seconds until a request must be complete, including its TLS handshake",
        ),
    ] = 10
    delivery_timeout: Annotated[float, Meta(gt=0, description="Seconds that a request waits for Falco")] = 5

    def __post_init__(self) -> None:
        if self.secret is None and not self.allow_unsigned:
            raise ValueError("secret is missing: set it, or set allow_unsigned: true")
        if self.secret is not None and self.allow_unsigned:
            raise ValueError("secret and allow_unsigned are both set: remove one of them")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("only one of certificate and key is set: set both or neither")

    def secrets(self) -> list[bytes]:
        """Returns the secrets, which are the lines of ``secret``. An empty list means that requests are not verified.

        A secret in a file is read again by each call, so that it can be replaced while Falco runs.

        Raises:
            ValueError: the secret cannot be read. The message has neither the secret nor the path.
        """
        if self.secret is None:
            return []
        lines = self.secret.reveal().encode().splitlines()
        secrets = [line.strip() for line in lines if line.strip()]
        if not secrets:
            raise ValueError("secret has only white space: write one secret on each line")
        return secrets


def tls_context(certificate: str, key: str | None = None) -> ssl.SSLContext:
    """Returns a TLS context of a server, for version 1.2 and newer.

    Args:
        certificate: path of a PEM file with the certificate and its chain.
        key: path of a PEM file with the key, without a password. By default it is in the file of the certificate.

    Raises:
        ValueError: the files cannot be used. The message is a reason without the paths.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without a password function, OpenSSL would prompt for the password on Falco's terminal.
        context.load_cert_chain(certificate, key, password=_no_password)
    except OSError as error:
        # From Python 3.15 on, str(error) contains the path.
        raise ValueError(error.strerror or "the files cannot be read") from None
    except ValueError as error:
        raise ValueError(str(error)) from None
    return context


def _no_password() -> NoReturn:
    raise ValueError("the key is encrypted: store it without a password")
