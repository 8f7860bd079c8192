"""Kubernetes audit events: where they come from, and the fields that rules are written on."""

from __future__ import annotations

from pathlib import Path

from falco_plugin import Context, Event, OpenParam, Plugin, source

from .address import Address, tls
from .config import Config
from .containers import ContainerFields
from .endpoint import Endpoint
from .events import Events
from .fields import AuditFields
from .files import Reader, find
from .reports import Reports
from .server import Server

_TIMEOUT = 0.01
"""Seconds that the host waits for more events of a batch. Each request waits as long for its answer."""


class K8sAudit(AuditFields, ContainerFields, Plugin):
    """Kubernetes audit events, from files or from API servers over HTTP and HTTPS"""

    name = "k8saudit"
    # The official plugin's with the same fields: rules ask for a version of it.
    version = "0.18.0"
    id = 1
    event_source = "k8s_audit"
    config: Config

    def open(self, params: str, context: Context) -> source.Instance:
        """Params: a file, a folder, or the URL to listen on."""
        if not params:
            raise ValueError("open_params is empty: give a file, a folder, or a URL such as http://:9765/k8s-audit")
        if "://" in params:
            return self._listen(Address.parse(params), context)
        return self._read(Path(params), context)

    def _listen(self, address: Address, context: Context) -> source.Instance:
        secure = tls(self.config.ssl_certificate) if address.scheme == "https" else None
        sender, receiver = source.channel(event_size=self.config.event_size)
        reports = Reports(self.log)
        events = Events(self.config.event_size, reports)
        endpoint = Endpoint(address.path, self.config.webhook_max_batch_size, events, sender, reports)
        server = Server(address, secure, endpoint)
        server.start()
        self.log.info("listening on %s", address._replace(port=server.port))
        return source.PushInstance(receiver, context=context, timeout=_TIMEOUT, close=server.close)

    def _read(self, path: Path, context: Context) -> source.Instance:
        files = find(path)
        reports = Reports(self.log)
        events = Events(self.config.event_size, reports)
        reader = Reader(events, self.config.webhook_max_batch_size, reports, self.log)
        return source.IterInstance(reader.read(files), context=context, event_size=self.config.event_size)

    def list_open_params(self) -> list[OpenParam]:
        return [
            OpenParam("http://:9765/k8s-audit", "the URL to listen on"),
            OpenParam("https://:9765/k8s-audit", "the URL to listen on, with the certificate of sslCertificate"),
            OpenParam(
                "/var/log/kubernetes/audit.log", "a file of events, one text of JSON a line, or a folder of these"
            ),
        ]

    def event_to_string(self, event: Event) -> str:
        """The whole event, where the SDK's own text ends after 1 KiB: nothing in it may be out of a rule's sight."""
        return event.text
