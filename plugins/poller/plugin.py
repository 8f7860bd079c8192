"""The plugin: delivers the records of a REST audit API, and keeps a cursor across restarts."""

from __future__ import annotations

from falco_plugin import Event, OpenParam, field, json_field
from falco_plugin.polling import HttpPoller

from .config import Config


class Poller(HttpPoller):
    """Records of a REST audit API, such as Okta's and GitHub's"""

    name = "poller"
    id = 1_734_560_004
    event_source = "audit_api"
    config: Config

    value = json_field(
        "audit_api.value",
        "{pointer}",
        desc="The value at a JSON pointer in the record, such as audit_api.value[/actor]",
    )
    number = json_field(
        "audit_api.number",
        "{pointer}",
        type=int,
        desc="The same value if it is an integer of at least 0, for < and >",
    )

    @field("audit_api.action", desc="The action: eventType of Okta, action of GitHub")
    def action(self, event: Event) -> str | None:
        return self.value(event, key="/eventType") or self.value(event, key="/action")

    @field("audit_api.actor", desc="The user who acted: actor.alternateId of Okta, actor of GitHub")
    def actor(self, event: Event) -> str | None:
        return self.value(event, key="/actor/alternateId") or self.value(event, key="/actor")

    @field("audit_api.record", desc="The whole record")
    def event_to_string(self, event: Event) -> str:
        """Returns the whole record, because rules must see all of it. The SDK's default text ends after 1 KiB."""
        return event.text

    def init(self) -> None:
        self.id_field = self.config.id_field
        self.timestamp_field = self.config.timestamp_field
        self.auth_scheme = self.config.auth_scheme

    def list_open_params(self) -> list[OpenParam]:
        return [
            OpenParam(
                "https://example.okta.com/api/v1/logs?since={start}&sortOrder=ASCENDING&limit=1000",
                "the System Log of Okta",
            ),
            OpenParam(
                "https://api.github.com/orgs/example/audit-log?phrase=created:>={start}&include=all&order=asc&per_page=100",
                "the audit log of an organisation on GitHub",
            ),
        ]
