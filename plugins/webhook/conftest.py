from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from support.http import NEXT_SECRET, SECRET, Hook, build, port_in, self_signed

from falco_plugin.testing import RunningPlugin


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin as Falco would load it."""
    return build(Path(__file__).parent, tmp_path_factory.mktemp("webhook"))


@pytest.fixture(scope="session")
def secret(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A configured secret: a file with two secrets."""
    path = tmp_path_factory.mktemp("secrets") / "webhook.secret"
    path.write_bytes(SECRET + b"\n" + NEXT_SECRET + b"\n")
    path.chmod(0o400)
    return f"file:{path}"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "cert.pem", folder / "key.pem"
    for path, content in zip(paths, self_signed(), strict=True):
        path.write_bytes(content)
    return paths


@pytest.fixture
def start(
    start_plugin: Callable[..., RunningPlugin], library: Path, secret: str, certificate: tuple[Path, Path]
) -> Callable[..., tuple[RunningPlugin, Hook]]:
    """Starts the endpoint in a host: the host, and the endpoint to its clients."""

    def start(params: str = "http://127.0.0.1:0/hook", **config: object) -> tuple[RunningPlugin, Hook]:
        config = {"secret": secret, **config}
        tls = None
        if params.startswith("https"):
            config |= {"certificate": str(certificate[0]), "key": str(certificate[1])}
            tls = ssl.create_default_context(cafile=str(certificate[0]))
        host = start_plugin(library, params, config=config)
        return host, Hook(port_in(host.wait_for_log("listening on ", timeout=30).text), tls)

    return start
