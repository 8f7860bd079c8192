"""Clients, certificates and hosts for the tests of the plugins webhook and k8saudit."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support.hosts import run_command
from support.libraries import KIND

SECRET = b"a secret of the sender"
NEXT_SECRET = b"the secret after it"


def signature(body: bytes, secret: bytes = SECRET) -> str:
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.005)


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def free_port() -> int:
    """A free port, for tests that open the same port several times."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def port_in(text: str) -> int:
    """The port in the log message of a plugin that listens."""
    found = re.search(r"listening on \w+://[^/]*:(\d+)", text)
    assert found is not None, text
    return int(found[1])


def build(example: Path, folder: Path) -> Path:
    """Builds a plugin into a library."""
    path = folder / f"lib{example.name}.so"
    built = run_command("build", *KIND, example, "-o", path)
    assert built.status == 0, built.stderr
    return path


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.text = response.read().decode()


class Client:
    """A client of an endpoint."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.port = port
        self._tls = tls

    def connect(self) -> http.client.HTTPConnection:
        if self._tls is not None:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=self._tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def raw(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, **named: str
    ) -> Answer:
        named = {name.replace("_", "-"): value for name, value in named.items()}
        with closing(self.connect()) as connection:
            connection.request(method, path, body, {**(headers or {}), **named})
            return Answer(connection.getresponse())

    def exchange(self, request: bytes) -> bytes:
        """Sends bytes, and reads the answer until the connection is closed."""
        with self.raw() as connection:
            connection.sendall(request)
            return read_all(connection)

    def is_free(self) -> bool:
        """Whether another process may listen on the port."""
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                other.bind(("127.0.0.1", self.port))
                other.listen()
            except OSError:
                return False
            return True


class Hook(Client):
    """A client of the plugin webhook."""

    def post(self, body: bytes, **headers: str) -> Answer:
        """Sends a signed request."""
        return self.request("POST", "/hook", body, {"X-Hub-Signature-256": signature(body)}, **headers)


class AuditHook(Client):
    """A client of the plugin k8saudit."""

    def post(self, body: Any, **headers: str) -> Answer:
        # API servers send a time limit in the query.
        return self.request("POST", "/k8s-audit?timeout=30s", body, {"Content-Type": "application/json"}, **headers)


class BlockedHost:
    """A plugin in a host whose output is not read, so that the host soon stops reading events."""

    def __init__(self, library: Path, params: str, config: Mapping[str, object]) -> None:
        command = [sys.executable, "-P", "-m", "falco_plugin", "run", str(library), "--json"]
        command += ["--params", params, "--config", json.dumps(config)]
        # A checkout need not belong to root.
        environment = {**os.environ, "FALCO_PLUGIN_ALLOW_WRITABLE": "1"}
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, start_new_session=True)
        assert self._process.stdout is not None
        self._lines = self._process.stdout
        self.port = port_in(self._read("log", "listening on ")["text"])

    def read_event(self) -> bytes:
        return self._read("event", "")["data"].encode()

    def close(self) -> None:
        # The host may be blocked in a write. Signal the whole group: the command waits for its host.
        self._lines.close()
        os.killpg(self._process.pid, signal.SIGINT)
        self._process.wait(20)

    def _read(self, kind: str, text: str) -> dict[str, str]:
        for line in self._lines:
            read: dict[str, str] = json.loads(line)
            if read["kind"] == kind and text in read.get("text", text):
                return read
        raise AssertionError("the host has ended")


def old_tls() -> ssl.SSLContext:
    """A client that offers only versions before 1.2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    # Otherwise the client's own TLS library refuses to offer these versions.
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def self_signed() -> tuple[bytes, bytes]:
    """Returns a self-signed certificate for 127.0.0.1 and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return signed.public_bytes(serialization.Encoding.PEM), private
