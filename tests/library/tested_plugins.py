"""Plugins that are given to `falco_plugin.testing` as classes; they import nothing that Falco's Python has not."""

import os
import subprocess
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from falco_plugin import Plugin, field, json_field


class Numbers(Plugin):
    """Numbers up to the one in the open params"""

    name = event_source = "numbers"

    def open(self, params):
        self.log.info("config %s", self.config)
        for number in range(int(params)):
            yield (b"%d" % number, number + 1)
        self.log.warning("the end is near")
        if "fail" in self.config:
            raise ValueError("the source is broken")

    def event_to_string(self, event):
        return f"number {event.text}"


def make():
    return Numbers()


class Endless(Plugin):
    name = "endless"

    def open(self, params, context):
        self.log.info("opened")
        yield b"first"
        context.wait()
        self.log.info("closed")


class Loud(Plugin):
    """What it prints, past Python too, and a program that it leaves behind"""

    name = "loud"

    def open(self, params):
        os.write(1, b'{"kind": "nonsense"}\n5\n')
        subprocess.Popen(["sleep", "60"])
        yield b"event"


class Orders(Plugin):
    """A value of each type, and none in the second event"""

    name = event_source = "orders"
    number = json_field("order.number", "/number", type=int, desc="Number")
    text = json_field("order.text", "/text", desc="Text")
    paid = json_field("order.paid", "/paid", type=bool, desc="Paid")
    at = json_field("order.at", "/at", type=datetime, desc="When")
    took = json_field("order.took", "/took", type=timedelta, desc="How long")
    ip = json_field("order.ip", "/ip", type=IPv4Address | IPv6Address, desc="From")
    net = json_field("order.net", "/net", type=IPv4Network | IPv6Network, desc="From where")
    items = json_field("order.items", "/items/{index|*}", type=list[str], desc="Items")
    times = json_field("order.times", "/times/*", type=list[datetime], desc="Steps")
    any = json_field("order.any", "{pointer}", desc="Anything")

    def open(self, params):
        yield (
            b'{"number": 18446744073709551615, "text": "x", "paid": true, "at": "2020-01-01T00:00:00.123456789Z", '
            b'"took": 1.5, "ip": "10.0.0.1", "net": "2001:db8::/32", "items": ["a", "b"], "times": [0, 4102444800]}'
        )
        yield b"{}"


class Sizes(Plugin):
    """Only extracts, from any source"""

    name = "sizes"

    @field("size.bytes", desc="Size")
    def bytes(self, event) -> int:
        return len(event.data)


class Broken(Plugin):
    name = "broken"

    @field("broken.field", desc="Fails")
    def fails(self, event) -> int:
        raise ValueError("no field today")

    def open(self, params):
        yield b"event"


@dataclass
class Word:
    word: str


class Tuned(Plugin):
    """Extracts what its configuration says"""

    name = "tuned"
    config: Word

    @field("tuned.word", desc="The word")
    def word(self, event) -> str:
        return self.config.word


class Elsewhere(Plugin):
    """Extracts from a source that there is not"""

    name = "elsewhere"
    extract_event_sources = ("nmbers",)

    @field("elsewhere.bytes", desc="Size")
    def bytes(self, event) -> int:
        return len(event.data)
