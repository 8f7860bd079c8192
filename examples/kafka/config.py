"""What ``init_config`` says, and what the client is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

import msgspec

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Setting: TypeAlias = str | int | float | bool

_OWN_SETTINGS = {
    "bootstrap.servers": "say bootstrap_servers instead",
    "metadata.broker.list": "say bootstrap_servers instead",
    "group.id": "say group instead",
    "auto.offset.reset": "say offset_reset instead",
    "enable.auto.commit": "offsets are committed once Falco has the events",
    "auto.commit.enable": "offsets are committed once Falco has the events",
}
_SECRET_ENDINGS = ("password", "secret", "passphrase", "key.pem", "oauthbearer.config")


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """README.md says what each of them means."""

    bootstrap_servers: _Text
    group: _Text = "falco"
    offset_reset: Literal["earliest", "latest"] = "earliest"
    settings: dict[str, _Setting] = {}
    secret_files: dict[str, _Text] = {}
    event_size: Annotated[int, msgspec.Meta(ge=1, le=64 << 20)] = 1 << 20
    commit_records: Annotated[int, msgspec.Meta(ge=1)] = 1000
    commit_interval: Annotated[float, msgspec.Meta(gt=0)] = 1

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises ``ValueError``, which names what is wrong."""
        try:
            config = msgspec.json.decode(text or "{}", type=cls)
        except msgspec.DecodeError as error:
            raise ValueError(f"init_config: {error}") from None
        for name in config.settings:
            if name in _OWN_SETTINGS:
                raise ValueError(f"init_config: settings: {name} is the plugin's own, {_OWN_SETTINGS[name]}")
            if _is_secret(name):
                raise ValueError(
                    f"init_config: settings: {name} is a secret, name a file that holds it in secret_files"
                )
        for name in config.secret_files:
            if not _is_secret(name):
                raise ValueError(f"init_config: secret_files: {name} is no secret, write it into settings")
        return config

    def client_settings(self) -> dict[str, str]:
        """The settings of librdkafka, secrets included: read anew each time, for they may have been replaced.

        Raises:
            ValueError: the file of a secret holds none.
            OSError: it cannot be read.
        """
        settings = {
            "client.id": "falco",
            **{name: _text(value) for name, value in self.settings.items()},
            **{name: _secret(name, path) for name, path in self.secret_files.items()},
            "bootstrap.servers": self.bootstrap_servers,
            "group.id": self.group,
            "auto.offset.reset": self.offset_reset,
            "enable.auto.commit": "false",
        }
        if settings.get("group.protocol") != "consumer":
            # Partitions that stay where they are go on through a rebalance; the newer protocol does so by itself.
            settings.setdefault("partition.assignment.strategy", "cooperative-sticky")
        return settings


def _is_secret(name: str) -> bool:
    return name.endswith(_SECRET_ENDINGS)


def _text(value: _Setting) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _secret(name: str, path: str) -> str:
    try:
        secret = Path(path).read_bytes().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError(f"init_config: secret_files: {name}: {path} is not UTF-8 text") from None
    if not secret:
        raise ValueError(f"init_config: secret_files: {name}: {path} is empty")
    return secret
