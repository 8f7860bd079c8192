"""The plugin: records of Kafka topics, shared by all Falcos of a consumer group."""

from __future__ import annotations

from falco_plugin import Event, OpenParam, Plugin, field, json_field, source

from .config import Config
from .member import Member
from .topics import SEPARATOR, parse_topics

_RETRY = 1.0
"""Seconds until a new client is created after an error, doubled each time."""


class Kafka(Plugin):
    """Records of Kafka topics, shared by a consumer group"""

    name = "kafka"
    id = 1_734_560_005
    contact = "the maintainers of falco-plugin-sdk"
    event_source = "kafka"
    config: Config

    value = json_field(
        "kafka.value", "{pointer}", desc="The value at a JSON pointer in the record, such as kafka.value[/user/name]"
    )
    number = json_field(
        "kafka.number",
        "{pointer}",
        type=int,
        desc="The same value if it is an integer of at least 0, for < and >",
    )

    @field("kafka.record", desc="The value of the record, which is the whole event")
    def event_to_string(self, event: Event) -> str:
        """Returns the whole record, because rules must see all of it. The SDK's default text ends after 1 KiB."""
        return event.text

    def open(self, params: str) -> source.IterInstance:
        """Reads the topics in ``params``, which are separated by commas."""
        member = Member(parse_topics(params), self.config, self.log)
        member.check()  # an error here ends Falco at its start; after later errors the source is opened again
        return source.IterInstance(member.consume, retry=_RETRY, event_size=self.config.event_size)

    def list_open_params(self) -> list[OpenParam]:
        return [
            OpenParam("audit", "a topic", SEPARATOR),
            OpenParam("^audit[.].*", "all topics whose names match", SEPARATOR),
        ]
