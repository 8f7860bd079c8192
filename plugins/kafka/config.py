"""The configuration in ``init_config``, and the client's settings that follow from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from falco_plugin import Secret

_Text = Annotated[str, Meta(min_length=1)]
_Setting: TypeAlias = str | int | float | bool

_RESERVED_SETTINGS = {
    "bootstrap.servers": "use bootstrap_servers instead",
    "metadata.broker.list": "use bootstrap_servers instead",
    "group.id": "use group instead",
    "auto.offset.reset": "use offset_reset instead",
    "enable.auto.commit": "remove it, because offsets are committed when Falco has processed the events",
    "auto.commit.enable": "remove it, because offsets are committed when Falco has processed the events",
}
_SECRET_ENDINGS = ("password", "secret", "passphrase", "key.pem", "oauthbearer.config")


class Config(Struct, frozen=True):
    """The brokers, the consumer group, and how records are read"""

    bootstrap_servers: Annotated[_Text, Meta(description="host:port of a broker, or several separated by ,")]
    group: Annotated[_Text, Meta(description="The consumer group")] = "falco"
    offset_reset: Annotated[
        Literal["earliest", "latest"],
        Meta(description="Where to begin in a partition without a committed offset: earliest or latest"),
    ] = "earliest"
    settings: Annotated[
        dict[str, _Setting], Meta(description="Settings of librdkafka, such as security.protocol or session.timeout.ms")
    ] = {}
    secrets: Annotated[
        dict[str, Secret], Meta(description="Secret settings, such as sasl.password: file:PATH, env:NAME or the text")
    ] = {}
    framing: Annotated[
        Literal["none", "confluent"],
        Meta(
            description="Bytes to remove before a record's JSON: none, or confluent, which is a 0 byte and a schema id"
        ),
    ] = "none"
    event_size: Annotated[int, Meta(ge=1, le=64 << 20, description="Bytes of the largest record, up to 64 MiB")] = (
        1 << 20
    )
    commit_records: Annotated[int, Meta(ge=1, description="Number of records after which offsets are committed")] = 1000
    commit_interval: Annotated[
        float, Meta(gt=0, description="Seconds after which offsets are committed, if that is earlier")
    ] = 1

    def __post_init__(self) -> None:
        if problems := list(self._problems()):
            raise ValueError("; ".join(problems))

    def _problems(self) -> Iterator[str]:
        for name in self.settings:
            if name in _RESERVED_SETTINGS:
                yield f"settings: {name} is set by the plugin: {_RESERVED_SETTINGS[name]}"
            elif _is_secret(name):
                yield f"settings: {name} is a secret: write it into a file, and file:PATH into secrets"
        for name in self.secrets:
            if not _is_secret(name):
                yield f"secrets: {name} is not a secret: write it into settings"

    def client_settings(self) -> dict[str, str]:
        """Returns the settings of librdkafka. Secrets are read from their files in each call, because they may change.

        Raises:
            ValueError: the file of a secret cannot be read, or is empty.
        """
        settings = {
            "client.id": "falco",
            **{name: _text(value) for name, value in self.settings.items()},
            **{name: secret.reveal() for name, secret in self.secrets.items()},
            "bootstrap.servers": self.bootstrap_servers,
            "group.id": self.group,
            "auto.offset.reset": self.offset_reset,
            "enable.auto.commit": "false",
        }
        if settings.get("group.protocol") != "consumer":
            # With this strategy, members read their remaining partitions during a rebalance. The newer protocol always
            # does so.
            settings.setdefault("partition.assignment.strategy", "cooperative-sticky")
        return settings


def _is_secret(name: str) -> bool:
    return name.endswith(_SECRET_ENDINGS)


def _text(value: _Setting) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
