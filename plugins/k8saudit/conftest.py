from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from support.http import AuditHook, build, port_in, self_signed

from falco_plugin.testing import RunningPlugin


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin as Falco would load it."""
    return build(Path(__file__).parent, tmp_path_factory.mktemp("k8saudit"))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, and its key in the same file."""
    file = tmp_path_factory.mktemp("tls") / "falco.pem"
    certificate, key = self_signed()
    file.write_bytes(key + certificate)
    return file


@pytest.fixture
def start(
    start_plugin: Callable[..., RunningPlugin], library: Path, certificate: Path
) -> Callable[..., tuple[RunningPlugin, AuditHook]]:
    """Starts the webhook in a host: the host, and the webhook to its clients."""

    def start(params: str = "http://127.0.0.1:0/k8s-audit", **config: object) -> tuple[RunningPlugin, AuditHook]:
        host = start_plugin(library, params, config={"sslCertificate": str(certificate), **config})
        tls = ssl.create_default_context(cafile=str(certificate)) if params.startswith("https") else None
        return host, AuditHook(port_in(host.wait_for_log("listening on ").text), tls)

    return start
