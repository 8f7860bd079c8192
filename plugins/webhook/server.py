"""cheroot's HTTP server with limits that it lacks: the total time of a request, and the number of connections.

A new connection waits for its first byte together with the idle ones, without a thread. A TLS handshake runs in a
worker thread, whereas cheroot would run it in the thread that accepts connections.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import socket
import ssl
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from cheroot.errors import FatalSSLAlert
from cheroot.makefile import MakeFile
from cheroot.server import HTTPConnection, HTTPRequest, HTTPServer
from cheroot.ssl import Adapter

from falco_plugin.source import Sender

from .address import Address
from .config import Config
from .endpoint import Endpoint, Exchange
from .headers import StrictHeaderReader
from .rejections import RejectionLog

_MAX_HEADERS = 16 << 10
_WRITE_TIMEOUT = 5.0
_LINGER = 1.0
"""Seconds in which the rest of a rejected request is read."""
_SHUTDOWN_TIMEOUT = 2
"""Seconds that cheroot waits for its worker threads."""
_TLS_RECORD = 16 << 10


class Server(HTTPServer):
    """Listens from :meth:`open` to :meth:`close`. If it fails in between, the source ends with its error."""

    def __init__(
        self,
        address: Address,
        endpoint: Endpoint,
        config: Config,
        tls: ssl.SSLContext | None,
        sender: Sender,
        rejections: RejectionLog,
    ) -> None:
        super().__init__(
            (address.host, address.port),
            partial(Exchange, endpoint),
            minthreads=config.threads,
            maxthreads=config.threads,
            server_name="falco-plugin-webhook",
        )
        self._address = address
        self._sender = sender
        self._rejections = rejections
        self._max_connections = config.max_connections
        self._connections_lock = threading.Lock()
        self._open_connections: set[Connection] = set()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
        self.ConnectionClass = Connection
        self.ssl_adapter = None if tls is None else TlsAdapter(tls)
        self.request_timeout = config.request_timeout
        # For idle connections. cheroot requires whole seconds.
        self.timeout = math.ceil(config.request_timeout)
        self.keep_alive_conn_limit = config.max_connections
        self.request_queue_size = config.max_connections
        self.max_request_header_size = _MAX_HEADERS
        self.max_request_body_size = config.max_body
        self.expiration_interval = 0.1
        self.shutdown_timeout = _SHUTDOWN_TIMEOUT

    def open(self) -> Address:
        """Binds, listens and starts the threads.

        Returns:
            The address, in which port 0 is replaced by the port that the system chose.

        Raises:
            OSError: the server cannot listen on the address.
        """
        try:
            self.prepare()
        except OSError as error:
            if self.socket is not None:
                self.socket.close()
            raise OSError(f"cannot listen on {self._address}: {error}") from error
        self._thread.start()
        return self._address._replace(port=self.bind_addr[1])

    def close(self) -> None:
        """Accepts no more connections, answers the pending requests, and returns when all threads have ended."""
        with self._connections_lock:
            self._is_closing = True
            connections = list(self._open_connections)
        for connection in connections:
            connection.socket.cut()
        self.stop()
        self._thread.join()
        self._rejections.close()
        # cheroot never removes the statistics of a server, and they keep the server alive.
        statistics: dict[str, object] = vars(logging)["statistics"]
        statistics.pop(f"Cheroot HTTPServer {id(self)}", None)

    def _run(self) -> None:
        with self._sender:
            self.serve()

    def process_conn(self, conn: Connection) -> None:
        if conn.last_used is not None:
            super().process_conn(conn)
        elif self._admit(conn):
            self.put_conn(conn)
        else:
            self.report("more connections than max_connections", conn.remote_addr)
            conn.close()

    def put_conn(self, conn: Connection) -> None:
        try:
            super().put_conn(conn)
        except (KeyError, OSError, RuntimeError, ValueError):
            # The server was closed in another thread.
            conn.close()

    def _admit(self, connection: Connection) -> bool:
        with self._connections_lock:
            if self._is_closing or len(self._open_connections) >= self._max_connections:
                return False
            self._open_connections.add(connection)
            return True

    def forget(self, connection: Connection) -> None:
        with self._connections_lock:
            self._open_connections.discard(connection)

    def report(self, reason: str, address: str | None) -> None:
        """Counts a rejected request or connection."""
        self._rejections.count(reason, address)

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """Counts an error of cheroot, which calls this method.

        An exception is reported by its type and location, because its message may quote the request.
        """
        if traceback:
            self.report(_describe(sys.exception()), None)
            # cheroot retries immediately, for example if no file descriptor is left for a connection.
            time.sleep(0.1)
        elif level > logging.INFO:
            self.report(msg, None)


class Request(HTTPRequest):
    """A request that is also counted if cheroot rejects it."""

    header_reader = StrictHeaderReader()

    def parse_request(self) -> None:
        if self.conn.begin():
            super().parse_request()

    def simple_response(self, status: str, msg: str = "") -> None:
        self.server.report(f"HTTP: {status}", self.conn.remote_addr)
        super().simple_response(status, msg)


class Connection(HTTPConnection):
    """A connection whose requests have a time limit."""

    RequestHandlerClass = Request
    # Read whole TLS records: bytes that remain in the TLS layer do not make the socket readable.
    rbufsize = _TLS_RECORD

    def __init__(self, server: Server, sock: socket.socket, makefile: Any = MakeFile) -> None:
        super().__init__(server, TimedSocket(sock), makefile)
        self.unread = False
        """Whether a part of the current request may still be unread."""

    def begin(self) -> bool:
        """Starts the deadline of the next request, with the TLS handshake if there was none.

        Returns:
            Whether the request can be read.
        """
        self.unread = True
        try:
            self.socket.begin(self.server.request_timeout)
        except OSError as error:
            self.server.report(
                f"TLS handshake: {getattr(error, 'reason', None) or type(error).__name__}", self.remote_addr
            )
            return False
        return True

    def close(self) -> None:
        # An error here would end the worker thread.
        with suppress(OSError):
            if self.unread:
                self.socket.linger()
        with suppress(OSError):
            super().close()
        self.server.forget(self)


class TimedSocket:
    """A socket with one deadline for reading a whole request, including its TLS handshake."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._deadline = math.inf
        self._cut = False
        self._handshake = connected.do_handshake if isinstance(connected, ssl.SSLSocket) else None

    def begin(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        if self._handshake is not None:
            self._limit()
            self._handshake()
            self._handshake = None

    def recv_into(self, buffer: bytearray) -> int:
        self._limit()
        count = self._socket.recv_into(buffer)
        self._check_cut()
        return count

    def send(self, data: bytes) -> int:
        self._socket.settimeout(_WRITE_TIMEOUT)
        return self._socket.send(data)

    def cut(self) -> None:
        """Ends reading in any thread. An answer can still be sent."""
        self._cut = True
        with suppress(OSError):
            # SSLSocket.shutdown would end TLS, and an answer would be sent unencrypted.
            socket.socket.shutdown(self._socket, socket.SHUT_RD)

    def linger(self) -> None:
        """Reads for a while after the last answer.

        Otherwise a client that is still sending would get a connection reset instead of the answer.
        """
        socket.socket.shutdown(self._socket, socket.SHUT_WR)
        self._deadline = time.monotonic() + _LINGER
        self._limit()
        while socket.socket.recv(self._socket, _TLS_RECORD):
            self._limit()

    def _limit(self) -> None:
        self._check_cut()
        left = self._deadline - time.monotonic()
        if left <= 0:
            # cheroot recognises a timeout by this message.
            raise TimeoutError("timed out")
        self._socket.settimeout(left)

    def _check_cut(self) -> None:
        if self._cut:
            raise ConnectionAbortedError(errno.ECONNABORTED, "the source is closing")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


class TlsAdapter(Adapter):
    """TLS without a handshake: the thread that reads the first request does it."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context

    def bind(self, sock: socket.socket) -> socket.socket:
        return sock

    def wrap(self, sock: socket.socket) -> tuple[ssl.SSLSocket, Mapping[str, str]]:
        try:
            return self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), {}
        except OSError as error:
            raise FatalSSLAlert(*error.args) from error

    def get_environ(self) -> Mapping[str, str]:
        return {}

    def makefile(self, sock: Any, mode: str = "r", bufsize: int = -1) -> Any:
        return MakeFile(sock, mode, bufsize)


def _describe(error: BaseException | None) -> str:
    if error is None:
        return "unknown error"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {os.path.basename(frame.filename)}:{frame.lineno}"
