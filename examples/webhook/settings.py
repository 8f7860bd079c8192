"""What the operator says: ``init_config``, the files that it names, and the URL."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated, NamedTuple, NoReturn
from urllib.parse import unquote_to_bytes, urlsplit

import msgspec

_Count = Annotated[int, msgspec.Meta(ge=1)]
_Seconds = Annotated[float, msgspec.Meta(gt=0)]

HEALTH_PATH = b"/healthz"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``init_config`` may say; README.md says what it means."""

    secrets_file: str | None = None
    allow_unsigned: bool = False
    signature_header: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9-]+$")] = "X-Hub-Signature-256"
    certificate: str | None = None
    key: str | None = None
    event_size: Annotated[int, msgspec.Meta(ge=1, le=64 << 20)] = 256 << 10
    max_body: Annotated[int, msgspec.Meta(ge=1, le=256 << 20)] = 1 << 20
    capacity: _Count = 1024
    threads: Annotated[int, msgspec.Meta(ge=1, le=256)] = 8
    max_connections: _Count = 128
    request_timeout: _Seconds = 10
    delivery_timeout: _Seconds = 5


class Settings(NamedTuple):
    """The configuration, with what its files hold."""

    config: Config
    secrets: list[bytes]
    """Empty where requests need no signature."""
    tls: ssl.SSLContext | None

    @classmethod
    def read(cls, init_config: str) -> Settings:
        """Reads the configuration and its files.

        Raises:
            ValueError: the configuration, or a file, is not as it must be.
            OSError: the file of secrets cannot be read.
        """
        try:
            config = msgspec.json.decode(init_config or "{}", type=Config)
        except msgspec.DecodeError as error:
            raise ValueError(f"init_config: {error}") from None
        return cls(config, _secrets(config), _tls(config))


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


def _secrets(config: Config) -> list[bytes]:
    if config.secrets_file is None:
        if not config.allow_unsigned:
            raise ValueError("init_config names no secrets_file: name one, or set allow_unsigned: true")
        return []
    if config.allow_unsigned:
        raise ValueError("init_config has both secrets_file and allow_unsigned: leave one of them out")
    secrets = [line.strip() for line in Path(config.secrets_file).read_bytes().splitlines() if line.strip()]
    if not secrets:
        raise ValueError(f"secrets_file {config.secrets_file} is empty: write one secret a line into it")
    return secrets


def _tls(config: Config) -> ssl.SSLContext | None:
    if config.certificate is None and config.key is None:
        return None
    if config.certificate is None or config.key is None:
        raise ValueError("init_config must have both certificate and key, or neither")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without a function for the password, OpenSSL would ask for it on Falco's terminal.
        context.load_cert_chain(config.certificate, config.key, password=_no_password)
    except (OSError, ValueError) as error:
        raise ValueError(f"certificate {config.certificate} with key {config.key} cannot be used: {error}") from None
    return context


def _no_password() -> NoReturn:
    raise ValueError("the key is encrypted, store it without a password")
