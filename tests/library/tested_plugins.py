"""Plugin classes for the tests of `falco_plugin.testing`.

They import only the standard library and `falco_plugin`, so that any Python can load them.
"""

import os
import subprocess
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from falco_plugin import Plugin, field, json_field


class Numbers(Plugin):
    """Yields as many numbers as the open parameters request"""

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
    """Writes to the standard output directly and leaves a child process running"""

    name = "loud"

    def open(self, params):
        os.write(1, b'{"kind": "nonsense"}\n5\n')
        subprocess.Popen(["sleep", "60"])
        yield b"event"


class Orders(Plugin):
    """Has fields of each type, without values in the second event"""

    name = event_source = "orders"
    number = json_field("order.number", "/number", type=int, desc="Number")
    text = json_field("order.text", "/text", desc="Text")
    paid = json_field("order.paid", "/paid", type=bool, desc="Paid")
    at = json_field("order.at", "/at", type=datetime, desc="Time")
    took = json_field("order.took", "/took", type=timedelta, desc="Duration")
    ip = json_field("order.ip", "/ip", type=IPv4Address | IPv6Address, desc="Address of the client")
    net = json_field("order.net", "/net", type=IPv4Network | IPv6Network, desc="Network of the client")
    items = json_field("order.items", "/items/{index|*}", type=list[str], desc="Items")
    times = json_field("order.times", "/times/*", type=list[datetime], desc="Times of the steps")
    any = json_field("order.any", "{pointer}", desc="Any value")

    def open(self, params):
        yield (
            b'{"number": 18446744073709551615, "text": "x", "paid": true, "at": "2020-01-01T00:00:00.123456789Z", '
            b'"took": 1.5, "ip": "10.0.0.1", "net": "2001:db8::/32", "items": ["a", "b"], "times": [0, 4102444800]}'
        )
        yield b"{}"


class Sizes(Plugin):
    """Only extracts fields, from events of any source"""

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
    """Extracts the word of its configuration"""

    name = "tuned"
    config: Word

    @field("tuned.word", desc="The word")
    def word(self, event) -> str:
        return self.config.word


class Elsewhere(Plugin):
    """Extracts from an event source that does not exist"""

    name = "elsewhere"
    extract_event_sources = ("nmbers",)

    @field("elsewhere.bytes", desc="Size")
    def bytes(self, event) -> int:
        return len(event.data)
