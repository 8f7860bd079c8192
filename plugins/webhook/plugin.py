"""An HTTP or HTTPS endpoint. The documents in the bodies of its requests are events."""

from __future__ import annotations

from falco_plugin import Context, Event, OpenParam, Plugin, field, json_field, source

from .address import Address
from .config import Config
from .endpoint import Endpoint
from .refusals import Refusals
from .server import Server

_TIMEOUT = 0.01
"""Seconds that the host waits for more events of a batch. Each request waits as long for its answer."""


class Webhook(Plugin):
    """Requests of webhooks, received over HTTP or HTTPS"""

    name = "webhook"
    id = 1_734_560_003
    event_source = "webhook"
    config: Config

    value = json_field(
        "webhook.value",
        "{pointer}",
        desc="What a JSON pointer names in the event, such as webhook.value[/sender/login]",
    )
    number = json_field(
        "webhook.number",
        "{pointer}",
        type=int,
        desc="The same where it is an integer, 0 or more, to compare with < and >",
    )

    @field("webhook.body", desc="The whole event: a document of the body, or all of it")
    def event_to_string(self, event: Event) -> str:
        """Returns the whole event. The SDK's own text ends after 1 KiB, and rules must see all of the event."""
        return event.text

    def init(self) -> None:
        self._secrets = self.config.secrets()
        self._tls = self.config.tls()

    def open(self, params: str, context: Context) -> source.PushInstance:
        """Params: the URL to listen on."""
        address = Address.parse(params, with_tls=self._tls is not None)
        sender, receiver = source.channel(self.config.capacity, event_size=self.config.event_size)
        refusals = Refusals(self.log)
        endpoint = Endpoint(address.path, self.config, self._secrets, sender, refusals)
        server = Server(address, endpoint, self.config, self._tls, sender, refusals)
        self.log.info("listening on %s", server.open())
        return source.PushInstance(receiver, context=context, timeout=_TIMEOUT, close=server.close)

    def list_open_params(self) -> list[OpenParam]:
        return [
            OpenParam("https://0.0.0.0:8443/hook", "the URL to listen on, with TLS"),
            OpenParam("http://127.0.0.1:8080/hook", "without TLS, such as behind a proxy on the same machine"),
        ]
