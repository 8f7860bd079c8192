"""The plugin: an HTTP or HTTPS endpoint that turns the documents in request bodies into events."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from falco_plugin import Event, field, json_field
from falco_plugin.receiving import HmacSignature, HttpReceiver, ReceiverConfig


class Config(ReceiverConfig, frozen=True):
    """Who may send requests, and their limits"""

    signature_header: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9-]+$",
            description="Header with the HMAC-SHA256 of the body in hex, with or without the prefix sha256=",
        ),
    ] = "X-Hub-Signature-256"


class Webhook(HttpReceiver):
    """Requests of webhooks, received over HTTP or HTTPS"""

    name = "webhook"
    id = 1_734_560_003
    event_source = "webhook"
    config: Config

    value = json_field(
        "webhook.value",
        "{pointer}",
        desc="The value at a JSON pointer in the event, such as webhook.value[/sender/login]",
    )
    number = json_field(
        "webhook.number",
        "{pointer}",
        type=int,
        desc="The same value if it is an integer of at least 0, for < and >",
    )

    @field("webhook.body", desc="The whole event: one document of the body, or the whole body")
    def event_to_string(self, event: Event) -> str:
        """Returns the whole event, because rules must see all of it. The SDK's default text ends after 1 KiB."""
        return event.text

    def init(self) -> None:
        self.verification = HmacSignature(self.config.signature_header, prefix="sha256=")
