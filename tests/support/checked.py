"""The plugin and the rules that tests of ``falco-plugin check`` check."""

from __future__ import annotations

from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network

from falco_plugin import Event, Plugin, field


class Shop(Plugin):
    """Orders of a shop, with a field of each type."""

    name = "shop"
    version = "1.2.0"
    id = 1_100_000_000
    contact = "https://example.org"
    event_source = "shop"

    def open(self, params: str) -> list[bytes]:
        return []

    @field("shop.user", desc="Who ordered")
    def user(self, event: Event) -> str | None: ...

    @field("shop.amount", desc="Price in cents")
    def amount(self, event: Event) -> int | None: ...

    @field("shop.paid", desc="Whether it is paid")
    def paid(self, event: Event) -> bool | None: ...

    @field("shop.items", desc="Names of the things")
    def items(self, event: Event, index: int | None = None) -> list[str] | None: ...

    @field("shop.prices", desc="Prices of the things")
    def prices(self, event: Event) -> list[int] | None: ...

    @field("shop.header", desc="A header of the request")
    def header(self, event: Event, key: str) -> str | None: ...

    @field("shop.item", desc="The name of one thing")
    def item(self, event: Event, index: int) -> str | None: ...

    @field("shop.address", desc="Where the order came from")
    def address(self, event: Event) -> IPv4Address | None: ...

    @field("shop.network", desc="The network that it came from")
    def network(self, event: Event) -> IPv4Network | None: ...

    @field("shop.time", desc="When it was ordered")
    def time(self, event: Event) -> datetime | None: ...

    @field("shop.took", desc="How long it took")
    def took(self, event: Event) -> timedelta | None: ...


def rule(
    condition: str = "shop.amount > 5",
    output: str = "An order of %shop.user",
    extra: str = "",
    source: str = "shop",
    name: str = "R",
    priority: str = "INFO",
) -> str:
    """Returns a rule. `extra` are lines after it."""
    lines = [f"- rule: {name}", "  desc: d"]
    if source:
        lines.append(f"  source: {source}")
    lines += [f"  condition: {condition}", f"  output: {output}", f"  priority: {priority}"]
    return "\n".join(lines) + f"\n{extra}"


RULE = rule()


def exceptions(*lines: str) -> str:
    """Returns a rule with one exception."""
    return rule(extra="  exceptions:\n  - name: e\n" + "".join(f"    {line}\n" for line in lines))
