"""The plugin: an HTTP or HTTPS endpoint that turns the documents in request bodies into events."""

from __future__ import annotations

from falco_plugin import Context, Event, OpenParam, Plugin, field, json_field, source

from .address import Address
from .config import Config
from .endpoint import Endpoint
from .rejections import RejectionLog
from .server import Server

_TIMEOUT = 0.01
"""Seconds that Falco waits for more events of a batch. It delays the answer of each request by as much."""


class Webhook(Plugin):
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
        self._secrets = self.config.secrets()
        self._tls = self.config.tls()

    def open(self, params: str, context: Context) -> source.PushInstance:
        """Listens on the URL ``params``."""
        address = Address.parse(params, with_tls=self._tls is not None)
        sender, receiver = source.channel(self.config.capacity, event_size=self.config.event_size)
        rejections = RejectionLog(self.log)
        endpoint = Endpoint(address.path, self.config, self._secrets, sender, rejections)
        server = Server(address, endpoint, self.config, self._tls, sender, rejections)
        self.log.info("listening on %s", server.open())
        return source.PushInstance(receiver, context=context, timeout=_TIMEOUT, close=server.close)

    def list_open_params(self) -> list[OpenParam]:
        return [
            OpenParam("https://0.0.0.0:8443/hook", "the URL to listen on, with TLS"),
            OpenParam("http://127.0.0.1:8080/hook", "without TLS, such as behind a proxy on the same machine"),
        ]
