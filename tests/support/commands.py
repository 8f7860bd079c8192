"""Plugins that tests of the command run, and checks of what the command prints."""

from __future__ import annotations

from support.hosts import Output

HEAD = "from falco_plugin import Plugin\n\n\nclass P(Plugin):\n    name = 'p'\n    def open(self, params): ...\n"


def check_refused(ran: Output, *told: str, by: str = "falco-plugin") -> None:
    """One clear line on stderr, nothing else, and exit status 1."""
    assert ran.status == 1, ran
    assert ran.stdout == ""
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"{by}: ")
    for text in told:
        assert text in line


RUN = """
    from falco_plugin import EOF, Plugin, source

    class Runs(Plugin):
        name = "runs"
        event_source = "run_source"

        def open(self, params):
            self.log.warning("opened %s with %s", params, self.config)
            items = iter([b"plain", b"\\xff\\x00", 'a "quoted" ü\\n'.encode(), b""])

            def pull(context, writer):
                for item in items:
                    writer.write(item)
                    writer.timestamp = 1_700_000_000_123_456_789
                    return
                raise EOF

            return source.PullInstance(pull)

        def event_to_string(self, event):
            return f"<{event.number}>"
"""

SHOP = """
    from __future__ import annotations

    from dataclasses import dataclass, field as default
    from datetime import datetime, timedelta
    from ipaddress import IPv4Address, IPv6Address, IPv4Network
    from typing import TYPE_CHECKING, Annotated

    from msgspec import Meta

    from falco_plugin import Plugin, field, json_field

    if TYPE_CHECKING:
        from falco_plugin import Event

    @dataclass
    class Tls:
        key: str
        ciphers: list[str] = default(default_factory=list)

    @dataclass
    class Config:
        limit: Annotated[int, Meta(ge=1, le=100, description="Orders at a time")] = 3
        token: str = ""
        tls: Tls | None = None

    class Shop(Plugin):
        name = event_source = "shop"
        config: Config
        order = json_field("shop.order", "/order", type=int, desc="Order", add_output=True)
        items = json_field("shop.items", "/items/{index|*}", type=list[str], desc="Items", display="All items")
        any = json_field("shop.any", "{pointer}", desc="Any", hidden=True)
        when = json_field("shop.when", "/when", type=datetime, desc="When")
        ip = json_field("shop.ip", "/ip", type=IPv4Address | IPv6Address, desc="From")

        @field("shop.paid", desc="Paid", info=True)
        def paid(self, event: Event) -> bool:
            return "paid" in event.json

        @field("shop.took", desc="How long")
        def took(self, event: Event) -> timedelta:
            return timedelta(seconds=event.json["order"] / 2)

        @field("shop.net", desc="Networks")
        def net(self, event: Event) -> list[IPv4Network]:
            return [IPv4Network("10.0.0.0/8")]

        @field("shop.never", desc="Absent")
        def never(self, event: Event, index: int | None = None, key: str | None = None) -> str | None:
            return f"{index} {key}" if key else None

        def open(self, params):
            self.log.info("limit %d", self.config.limit)
            return [
                b'{"order": 1, "items": ["a", "b, c"], "when": "2020-01-01T00:00:00Z", "ip": "::1"}',
                b'{"order": 2, "paid": 1, "items": [], "a b": "tab\\\\tand\\\\nline"}',
            ]
"""

TALLY = """
    from falco_plugin import Plugin, field

    class Tally(Plugin):
        name = "tally"
        extract_event_sources = ("shop", "other")

        @field("tally.bytes", desc="Size of the event")
        def bytes(self, event) -> int:
            return len(event.data)
"""

REQUIRES = """
    from dataclasses import dataclass, field

    from falco_plugin import Plugin

    @dataclass
    class Config:
        url: str
        period: int
        names: list[str] = field(default_factory=list)

    class Requires(Plugin):
        name = event_source = "requires"
        config: Config

        def open(self, params):
            return [b"event"]
"""
