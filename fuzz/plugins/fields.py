"""Fields of every type, without a source, and a configuration that can make calls fail."""

from __future__ import annotations

from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import msgspec

from falco_plugin import Counter, Event, Gauge, Located, Plugin, field, json_field

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Config(msgspec.Struct, forbid_unknown_fields=True):
    """The configuration. Both values make a call fail."""

    init: str = ""
    number: int = 0


class Fields(Plugin):
    """Fields of every type"""

    name = "fuzz-fields"
    config: Config

    requests = Counter("requests")
    payload = Gauge("payload")

    text = json_field("fuzz.text", "/text", desc="A text")
    number = json_field("fuzz.number", "/number", type=int, desc="A number")
    flag = json_field("fuzz.flag", "/flag", type=bool, desc="A flag")
    time = json_field("fuzz.time", "/time", type=datetime, desc="A time")
    took = json_field("fuzz.took", "/took", type=timedelta, desc="A duration")
    address = json_field("fuzz.address", "/address", type=Address, desc="An address")
    network = json_field("fuzz.network", "/network", type=Network, desc="A network")
    texts = json_field("fuzz.texts", "/list/*", type=list[str], desc="Texts")
    numbers = json_field("fuzz.numbers", "/list/{index|*}", type=list[int], desc="Numbers")
    addresses = json_field("fuzz.addresses", "/list/{index|*}/{key}", type=list[Address], desc="Addresses")
    value = json_field("fuzz.value", "{pointer}", desc="Any value")

    @field("fuzz.located", desc="A part of the payload")
    def located(self, event: Event) -> Located[str] | None:
        at = event.data.find(b"text")
        return Located("text\0", at, 4) if at >= 0 else None

    @field("fuzz.both", desc="Has an index and a key")
    def both(self, event: Event, index: int | None = None, key: str | None = None) -> list[int]:
        return [index or 0, len(key or ""), event.number]

    @field("fuzz.wrong", desc="Has another type than declared")
    def wrong(self, event: Event, index: int) -> bool:
        return [1, "yes", None, -1, 2**70][index % 5]  # type: ignore[return-value]

    @field("fuzz.times", desc="Times")
    def times(self, event: Event) -> list[timedelta]:
        return [timedelta(seconds=len(event.data)), timedelta(microseconds=1)]

    @Gauge.computed("configured", every=0.001)
    def configured(self) -> int:
        if self.config.number < 0:
            raise ValueError("a gauge")
        return self.config.number

    @field("fuzz.json", desc="Decoded JSON")
    def json(self, event: Event) -> str:
        self.requests.add()
        self.payload.set(len(event.data) / 2)
        return str(event.json)

    @field("fuzz.source", desc="The event's source")
    def source(self, event: Event) -> str:
        return f"{event.source} {event.timestamp} {event.type}"

    def init(self) -> None:
        if self.config.init:
            raise ValueError(self.config.init)

    def set_config(self, config: Config) -> None:
        if config.number > 100:
            raise ValueError("set_config")

    def destroy(self) -> None:
        if self.config.number:
            raise ValueError("destroy")
