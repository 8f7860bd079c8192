"""The plugin: Kubernetes audit events from files or from a webhook, and their fields."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path

from falco_plugin import Context, Event, OpenParam, source
from falco_plugin.receiving import HttpReceiver, ReceiverConfig, Rejection, Request, tls_context

from .config import Config
from .containers import ContainerFields
from .events import Events, Item
from .fields import AuditFields
from .files import Reader, find

# Also types such as application/problem+json.
_JSON = re.compile(r"(application|text)/(.*[+.-])?(nd|ld)?json.*")


class K8sAudit(AuditFields, ContainerFields, HttpReceiver):
    """Kubernetes audit events, from files or from API servers over HTTP and HTTPS"""

    name = "k8saudit"
    # The version of the official plugin with the same fields, because rules require a version.
    version = "0.18.0"
    id = 1
    contact = "the maintainers of falco-plugin-sdk"
    event_source = "k8s_audit"
    config: Config

    def init(self) -> None:
        self._events = Events(self.config.event_size, self.rejections)

    def open(self, params: str, context: Context) -> source.Instance:
        """Reads ``params``, a file or a folder, or listens on it if it is a URL."""
        if not params:
            raise ValueError(
                "open_params is empty: set it to a file, a folder, or a URL such as http://:9765/k8s-audit"
            )
        scheme, separator, _ = params.partition("://")
        if separator:
            if scheme not in {"http", "https"}:
                raise ValueError(
                    f"open_params has the scheme {scheme!r}: expected a file, a folder, or a URL with http or https"
                )
            return super().open(params, context)
        files = find(Path(params))
        reader = Reader(self._events, self.config.webhook_max_batch_size, self.rejections, self.log)
        return source.IterInstance(reader.read(files), context=context, event_size=self.config.event_size)

    def receiver_config(self) -> ReceiverConfig:
        """Returns the limits of the webhook. Clients are not verified, as by the official plugin."""
        return ReceiverConfig(
            allow_unsigned=True,
            event_size=self.config.event_size,
            max_body=self.config.webhook_max_batch_size,
            max_connections=64,
            request_timeout=30,
        )

    def tls_context(self) -> ssl.SSLContext:
        """Returns the TLS context with the certificate and the key in one file, as the official plugin reads them."""
        try:
            return tls_context(self.config.ssl_certificate)
        except ValueError as error:
            raise ValueError(f"sslCertificate {self.config.ssl_certificate} cannot be used: {error}") from None

    def check(self, request: Request) -> None:
        """Rejects all types but JSON."""
        super().check(request)
        if not _JSON.fullmatch(request.media_type):
            raise Rejection(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the Content-Type is not JSON: send application/json")

    def events(self, request: Request) -> Sequence[Item]:
        """Returns the audit events of a body without the invalid ones, because sending them again would not help."""
        try:
            return self._events.split(request.body, lines=request.has_lines)
        except ValueError as problem:
            raise Rejection(HTTPStatus.BAD_REQUEST, f"the body {problem}") from None

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
