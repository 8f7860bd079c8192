"""Records of Kafka topics as events, shared by all Falcos of a consumer group."""

from __future__ import annotations

from falco_plugin import Event, OpenParam, Plugin, field, json_field, source

from .config import Config
from .member import Member
from .topics import SEPARATOR, topics

_RETRY = 1.0


class Kafka(Plugin):
    """Records of Kafka topics, shared by a consumer group"""

    name = "kafka"
    id = 1_734_560_005
    event_source = "kafka"
    config: Config

    value = json_field(
        "kafka.value", "{pointer}", desc="What a JSON pointer names in the record, such as kafka.value[/user/name]"
    )
    number = json_field(
        "kafka.number",
        "{pointer}",
        type=int,
        desc="The same where it is an integer, 0 or more, to compare with < and >",
    )

    @field("kafka.record", desc="The whole record: its value, in Kafka's terms")
    def event_to_string(self, event: Event) -> str:
        """The record in full, where the SDK's own text ends after 1 KiB: nothing in it may be out of a rule's sight."""
        return event.text

    def open(self, params: str) -> source.IterInstance:
        """Params: topics, with commas between them."""
        member = Member(topics(params), self.config, self.log)
        member.check()  # An error here ends Falco's start; later ones are tried again.
        return source.IterInstance(member.consume, retry=_RETRY, event_size=self.config.event_size)

    def list_open_params(self) -> list[OpenParam]:
        return [
            OpenParam("audit", "a topic", SEPARATOR),
            OpenParam("^audit[.].*", "all topics whose names match", SEPARATOR),
        ]
