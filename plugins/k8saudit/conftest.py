"""A library of the plugin, a certificate, a running webhook, and audit events."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from support.http import AuditHook, build, port_in, self_signed

from falco_plugin.testing import RunningPlugin

TIME = "2026-01-01T00:00:01.5Z"
NANOSECONDS = 1_767_225_601_500_000_000


def event(name: str, **more: object) -> bytes:
    """Returns an audit event whose id is ``name``."""
    return json.dumps({"kind": "Event", "auditID": name, "stageTimestamp": TIME, **more}).encode()


def event_list(*items: bytes) -> bytes:
    return b'{"kind": "EventList", "items": [%s]}' % b", ".join(items)


def large_event(number: int, size: int) -> bytes:
    return event(str(number), padding="x" * size)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of the plugin."""
    return build(Path(__file__).parent, tmp_path_factory.mktemp("k8saudit"))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a certificate for 127.0.0.1 and its key."""
    file = tmp_path_factory.mktemp("tls") / "falco.pem"
    certificate, key = self_signed()
    file.write_bytes(key + certificate)
    return file


@pytest.fixture
def start(
    start_plugin: Callable[..., RunningPlugin], library: Path, certificate: Path
) -> Callable[..., tuple[RunningPlugin, AuditHook]]:
    """Starts the webhook. Returns the host, and a client of the webhook."""

    def start(params: str = "http://127.0.0.1:0/k8s-audit", **config: object) -> tuple[RunningPlugin, AuditHook]:
        host = start_plugin(library, params, config={"sslCertificate": str(certificate), **config})
        tls = ssl.create_default_context(cafile=str(certificate)) if params.startswith("https") else None
        return host, AuditHook(port_in(host.wait_for_log("listening on ", timeout=30).text), tls)

    return start
