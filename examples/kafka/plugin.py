"""Records of Kafka topics as events, shared by all Falcos of a consumer group."""

from __future__ import annotations

from falco_plugin import Event, OpenParam, Plugin, source

from .config import Config
from .member import Member
from .topics import SEPARATOR, topics

_RETRY = 1.0


class Kafka(Plugin):
    """Records of Kafka topics, shared by a consumer group"""

    name = "kafka"
    id = 999
    event_source = "kafka"

    def init(self) -> None:
        self._config = Config.read(self.config)

    def open(self, params: str) -> source.IterInstance:
        """Params: topics, with commas between them."""
        member = Member(topics(params), self._config, self.log)
        member.check()  # An error here ends Falco's start; later ones are tried again.
        return source.IterInstance(member.consume, retry=_RETRY, event_size=self._config.event_size)

    def list_open_params(self) -> list[OpenParam]:
        return [
            OpenParam("audit", "a topic", SEPARATOR),
            OpenParam("^audit[.].*", "all topics whose names match", SEPARATOR),
        ]

    def event_to_string(self, event: Event) -> str:
        """The value in full, where the SDK's own text ends after 1 KiB: nothing in it may be out of a rule's sight."""
        return event.text
