"""The plugin: Kubernetes audit events from files or from a webhook, and their fields."""

from __future__ import annotations

from pathlib import Path

from falco_plugin import Context, Event, OpenParam, Plugin, source

from .address import Address, tls_context
from .config import Config
from .containers import ContainerFields
from .endpoint import Endpoint
from .events import Events
from .fields import AuditFields
from .files import Reader, find
from .rejections import RejectionLog
from .server import Server

_TIMEOUT = 0.01
"""Seconds that Falco waits for more events of a batch. It delays the answer of each request by as much."""


class K8sAudit(AuditFields, ContainerFields, Plugin):
    """Kubernetes audit events, from files or from API servers over HTTP and HTTPS"""

    name = "k8saudit"
    # The version of the official plugin with the same fields, because rules require a version.
    version = "0.18.0"
    id = 1
    event_source = "k8s_audit"
    config: Config

    def open(self, params: str, context: Context) -> source.Instance:
        """Reads ``params``, a file or a folder, or listens on it if it is a URL."""
        if not params:
            raise ValueError(
                "open_params is empty: set it to a file, a folder, or a URL such as http://:9765/k8s-audit"
            )
        if "://" in params:
            return self._listen(Address.parse(params), context)
        return self._read(Path(params), context)

    def _listen(self, address: Address, context: Context) -> source.Instance:
        tls = tls_context(self.config.ssl_certificate) if address.scheme == "https" else None
        sender, receiver = source.channel(event_size=self.config.event_size)
        rejections = RejectionLog(self.log)
        events = Events(self.config.event_size, rejections)
        endpoint = Endpoint(address.path, self.config.webhook_max_batch_size, events, sender, rejections)
        server = Server(address, tls, endpoint)
        server.start()
        self.log.info("listening on %s", address._replace(port=server.port))
        return source.PushInstance(receiver, context=context, timeout=_TIMEOUT, close=server.close)

    def _read(self, path: Path, context: Context) -> source.Instance:
        files = find(path)
        rejections = RejectionLog(self.log)
        events = Events(self.config.event_size, rejections)
        reader = Reader(events, self.config.webhook_max_batch_size, rejections, self.log)
        return source.IterInstance(reader.read(files), context=context, event_size=self.config.event_size)

    def list_open_params(self) -> list[OpenParam]:
        return [
            OpenParam("http://:9765/k8s-audit", "the URL to listen on"),
            OpenParam("https://:9765/k8s-audit", "the URL to listen on, with the certificate of sslCertificate"),
            OpenParam(
                "/var/log/kubernetes/audit.log", "a file with a JSON document on each line, or a folder of such files"
            ),
        ]

    def event_to_string(self, event: Event) -> str:
        """Returns the whole event, because rules must see all of it. The SDK's default text ends after 1 KiB."""
        return event.text
