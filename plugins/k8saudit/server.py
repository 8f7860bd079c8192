"""The webhook to which API servers send their events: Python's own HTTP server, with bounds that it has not."""

from __future__ import annotations

import io
import math
import socket
import ssl
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

from .address import Address
from .endpoint import Endpoint, Refusal

_MAX_CONNECTIONS = 64
_IDLE_TIMEOUT = 120.0
"""Longer than an API server waits for a batch to fill, so that its connection stays."""
_REQUEST_TIMEOUT = 30.0
_WRITE_TIMEOUT = 5.0
_LINGER = 1.0
_TOO_SLOW = f"a request that took longer than {_REQUEST_TIMEOUT:.0f} s"


class Server(ThreadingTCPServer):
    """Listens from the beginning, and answers from :meth:`start` to :meth:`close`, a thread for each connection.

    Raises:
        OSError: the address cannot be listened on.
    """

    allow_reuse_address = True
    request_queue_size = _MAX_CONNECTIONS

    def __init__(self, address: Address, tls: ssl.SSLContext | None, endpoint: Endpoint) -> None:
        self._tls = tls
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="k8saudit", daemon=True)
        if ":" in address.host or (not address.host and socket.has_dualstack_ipv6()):
            self.address_family = socket.AF_INET6
        try:
            super().__init__((address.host, address.port), partial(Exchange, endpoint))
        except OSError as error:
            raise OSError(f"cannot listen on {address}: {error.strerror or error}") from error

    @property
    def port(self) -> int:
        """Where it listens: port 0 has become one that was free."""
        port: int = self.socket.getsockname()[1]
        return port

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Takes no more connections, answers what is in work, and returns when no thread is left."""
        self.shutdown()
        with self._lock:
            self._closing = True
            for connection in self._connections:
                with suppress(OSError):
                    # Not a TLS socket's own, which would go on in clear.
                    socket.socket.shutdown(connection, socket.SHUT_RD)
        self.server_close()
        self._thread.join()
        self._endpoint.reports.close()

    def _run(self) -> None:
        with self._endpoint.sender:
            self.serve_forever(poll_interval=0.1)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def get_request(self) -> tuple[Any, Any]:
        try:
            return super().get_request()
        except OSError as error:
            self._endpoint.reports.count(f"a connection: {error.strerror}")
            # Such as no file descriptor being left; the connection is still there to be accepted.
            time.sleep(0.1)
            raise

    def finish_request(self, request: Any, client_address: Any) -> None:
        """One connection, on its thread."""
        if self._tls is not None:
            request = self._tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        with request:
            if not self._admit(request):
                return
            try:
                super().finish_request(request, client_address)
            finally:
                with self._lock:
                    self._connections.discard(request)

    def _admit(self, connection: socket.socket) -> bool:
        with self._lock:
            if self._closing:
                return False
            if len(self._connections) >= _MAX_CONNECTIONS:
                self._endpoint.reports.count(f"a connection beyond the {_MAX_CONNECTIONS} that are open")
                return False
            self._connections.add(connection)
            return True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The text of an exception may quote what a client sent, its class and OpenSSL's reason do not."""
        error = sys.exception()
        self._endpoint.reports.count(f"a connection: {getattr(error, 'reason', None) or type(error).__name__}")


class Incoming(io.RawIOBase):
    """What comes on a connection, with one deadline for all that is read of a request."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._deadline = math.inf

    def allow(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class Exchange(BaseHTTPRequestHandler):
    """The requests of one connection, and their answers."""

    protocol_version = "HTTP/1.1"
    # Of requests of which it is not known: an answer to HTTP/0.9 would have no status.
    default_request_version = "HTTP/1.0"

    def __init__(self, endpoint: Endpoint, *args: Any) -> None:
        self._endpoint = endpoint
        self._refused = False
        # By the base class this is all of the connection's life.
        super().__init__(*args)

    def setup(self) -> None:
        self.connection = self.request
        if isinstance(self.connection, ssl.SSLSocket):
            self.connection.settimeout(_REQUEST_TIMEOUT)
            self.connection.do_handshake()
        self._incoming = Incoming(self.connection)
        self.rfile = self._reader = io.BufferedReader(self._incoming)
        self.wfile = self.connection.makefile("wb")

    def handle_one_request(self) -> None:
        self._incoming.allow(_IDLE_TIMEOUT)
        try:
            is_open = bool(self._reader.peek(1))
        except OSError:
            is_open = False
        if not is_open:
            self.close_connection = True
            return
        self._incoming.allow(_REQUEST_TIMEOUT)
        super().handle_one_request()

    def do_POST(self) -> None:
        try:
            length = self._endpoint.length_of(self.path, self.headers)
            body = self._read(length)
            if len(body) < length:
                # The client has left in the middle of its request: nobody is there to be answered.
                self.close_connection = True
                return
            self._endpoint.take(self.headers, body)
        except Refusal as refusal:
            self._refuse(refusal)
        else:
            self._answer(HTTPStatus.OK, "")

    def do_GET(self) -> None:
        self._refuse(Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "method not allowed", Allow="POST"))

    do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET  # noqa: N815 - the base class looks for these names

    def _read(self, length: int) -> bytes:
        try:
            return self._reader.read(length)
        except TimeoutError:
            raise Refusal(HTTPStatus.REQUEST_TIMEOUT, _TOO_SLOW) from None

    def _refuse(self, refusal: Refusal) -> None:
        self._endpoint.reports.count(refusal.reason)
        self._refused = True
        # What follows may be the rest of a body, and no request.
        self._answer(refusal.status, f"{refusal.reason}\n", Connection="close", **refusal.headers)

    def _answer(self, status: HTTPStatus, text: str, **headers: str) -> None:
        self.connection.settimeout(_WRITE_TIMEOUT)
        self.send_response_only(status)
        for name, value in {"Content-Type": "text/plain", "Content-Length": str(len(text)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())
        self.wfile.flush()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses; its message may quote the request."""
        self._refuse(Refusal(HTTPStatus(code), f"HTTP: {HTTPStatus(code).phrase}"))

    def log_error(self, format: str, *args: Any) -> None:
        """Called where not even the headers of a request came in time."""
        self._endpoint.reports.count(_TOO_SLOW)

    def finish(self) -> None:
        with suppress(OSError):
            if self._refused:
                self._linger()
        with suppress(OSError):
            # The socket stays open as long as this is.
            self.wfile.close()

    def _linger(self) -> None:
        """Reads on for a while after the last answer: a client that is still sending could not read it otherwise."""
        socket.socket.shutdown(self.connection, socket.SHUT_WR)
        end = time.monotonic() + _LINGER
        while (left := end - time.monotonic()) > 0:
            self.connection.settimeout(left)
            if not socket.socket.recv(self.connection, 65536):
                break
