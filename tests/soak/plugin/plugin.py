"""The plugin of the soak, with sources of all kinds. The host computes their events in advance."""

from __future__ import annotations

import json

from falco_plugin import Context, Counter, Event, Gauge, OpenParam, Plugin, field, json_field, source

from .plan import mix
from .sources import KINDS
from .spec import RequestedError, SourceSpec
from .state import measure
from .version import VERSION


class Soak(Plugin):
    """Sources of all kinds for the soak"""

    name = "soak"
    event_source = "soak"

    failures = Counter("failures", desc="Exceptions of the field")
    largest = Gauge("largest", desc="The largest number of an event")

    @Gauge.computed("computed", desc="Calls of the method", every=0.01)
    def computed(self) -> int:
        self.calls += 1
        return self.calls

    number = json_field("soak.number", "/n", desc="The event's number in hexadecimal digits")

    @field("soak.failing", desc="The event's number; the method raises an exception for some events")
    def failing(self, event: Event) -> int:
        number = int(event.json["n"], 16)
        self.largest.set(max(self.largest.value, number))
        if mix(number) % 16 == 0:
            self.failures.add()
            raise RequestedError
        return number

    def init(self) -> None:
        if self.config == "fail":
            raise RequestedError
        self.calls = 0
        self.log.info("version %s", VERSION)

    def set_config(self, config: str) -> None:
        if config == "fail":
            raise RequestedError

    def open(self, params: str, context: Context) -> source.OpenResult:
        spec = SourceSpec.parse(params)
        if spec.open_fails:
            raise RequestedError
        return KINDS[spec.kind](spec, context)

    def list_open_params(self) -> list[OpenParam]:
        """Returns the measured counts as a parameter, because a host can read nothing else that is not an event."""
        return [OpenParam(json.dumps(measure()), "counts of the interpreter")]
