"""The plugin of the soak: sources of all kinds, whose events the host knows in advance."""

from __future__ import annotations

import json

from falco_plugin import Context, Event, OpenParam, Plugin, field, json_field, source

from .plan import mix
from .sources import KINDS
from .state import measure
from .version import VERSION
from .wishes import Meant, Wish


class Soak(Plugin):
    """Sources of all kinds, whose events the host knows in advance"""

    name = "soak"
    event_source = "soak"

    number = json_field("soak.number", "/n", desc="The event's number in hexadecimal digits")

    @field("soak.moody", desc="The event's number; the method raises at some of them")
    def moody(self, event: Event) -> int:
        number = int(event.json["n"], 16)
        if mix(number) % 16 == 0:
            raise Meant
        return number

    def init(self) -> None:
        if self.config == "fail":
            raise Meant
        self.log.info("version %s", VERSION)

    def open(self, params: str, context: Context) -> source.OpenResult:
        wish = Wish.read(params)
        if wish.refused:
            raise Meant
        return KINDS[wish.kind](wish, context)

    def list_open_params(self) -> list[OpenParam]:
        """What the interpreter holds: a host asks for nothing else that is not an event's."""
        return [OpenParam(json.dumps(measure()), "what the interpreter holds")]
