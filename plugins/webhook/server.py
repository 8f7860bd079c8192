"""cheroot's server, with bounds that it has not: on a request's time as a whole, and on connections.

A new connection waits for its first byte beside the idle ones, without a thread, and a TLS handshake runs in a worker
thread, where cheroot would hold up the thread that accepts.
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
from .refusals import Refusals

_MAX_HEADERS = 16 << 10
_WRITE_TIMEOUT = 5.0
_LINGER = 1.0
_STOP = 2
_TLS_RECORD = 16 << 10


class Server(HTTPServer):
    """Listens from :meth:`open` to :meth:`close`. Where it fails in between, that is the source's error."""

    def __init__(
        self,
        address: Address,
        endpoint: Endpoint,
        config: Config,
        tls: ssl.SSLContext | None,
        sender: Sender,
        refusals: Refusals,
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
        self._refusals = refusals
        self._max_connections = config.max_connections
        self._connections_lock = threading.Lock()
        self._open_connections: set[Connection] = set()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
        self.ConnectionClass = Connection
        self.ssl_adapter = None if tls is None else TlsAdapter(tls)
        self.request_timeout = config.request_timeout
        # Of idle connections; whole seconds.
        self.timeout = math.ceil(config.request_timeout)
        self.keep_alive_conn_limit = config.max_connections
        self.request_queue_size = config.max_connections
        self.max_request_header_size = _MAX_HEADERS
        self.max_request_body_size = config.max_body
        self.expiration_interval = 0.1
        self.shutdown_timeout = _STOP

    def open(self) -> Address:
        """Binds, listens and starts the threads.

        Returns:
            Where it listens: port 0 has become one that was free.

        Raises:
            OSError: the address cannot be listened on.
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
        """Takes no more connections, answers the requests that are there, and returns when no thread is left."""
        with self._connections_lock:
            self._closing = True
            connections = list(self._open_connections)
        for connection in connections:
            connection.socket.cut()
        self.stop()
        self._thread.join()
        self._refusals.close()
        # cheroot keeps the statistics of each server, and by them the server, for as long as the process lives.
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
            self.refuse("more than max_connections", conn.remote_addr)
            conn.close()

    def put_conn(self, conn: Connection) -> None:
        try:
            super().put_conn(conn)
        except (KeyError, OSError, RuntimeError, ValueError):
            # The server was closed in between.
            conn.close()

    def _admit(self, connection: Connection) -> bool:
        with self._connections_lock:
            if self._closing or len(self._open_connections) >= self._max_connections:
                return False
            self._open_connections.add(connection)
            return True

    def forget(self, connection: Connection) -> None:
        with self._connections_lock:
            self._open_connections.discard(connection)

    def refuse(self, reason: str, address: str | None) -> None:
        self._refusals.count(reason, address)

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """What cheroot logs. The text of an exception may quote what a client sent, its place does not."""
        if traceback:
            self.refuse(_place(sys.exception()), None)
            # Such as no file descriptor being left for a connection, which is tried again at once.
            time.sleep(0.1)
        elif level > logging.INFO:
            self.refuse(msg, None)


class Request(HTTPRequest):
    """A request that is counted where cheroot itself refuses it."""

    header_reader = StrictHeaderReader()

    def parse_request(self) -> None:
        if self.conn.begin():
            super().parse_request()

    def simple_response(self, status: str, msg: str = "") -> None:
        self.server.refuse(f"HTTP: {status}", self.conn.remote_addr)
        super().simple_response(status, msg)


class Connection(HTTPConnection):
    """A connection whose requests have a time limit."""

    RequestHandlerClass = Request
    # A whole TLS record: what stayed behind in the TLS layer would wake nobody.
    rbufsize = _TLS_RECORD

    def __init__(self, server: Server, sock: socket.socket, makefile: Any = MakeFile) -> None:
        super().__init__(server, TimedSocket(sock), makefile)
        self.unread = False
        """Whether a part of the request may not have been read."""

    def begin(self) -> bool:
        """Before a request is read; says whether it can be."""
        self.unread = True
        try:
            self.socket.begin(self.server.request_timeout)
        except OSError as error:
            self.server.refuse(
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
    """A socket, with one deadline for all that is read of a request, its TLS handshake included."""

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
        """Ends what is being read, in whichever thread; an answer can still be sent."""
        self._cut = True
        with suppress(OSError):
            # Not a TLS socket's own, which would go on in clear.
            socket.socket.shutdown(self._socket, socket.SHUT_RD)

    def linger(self) -> None:
        """Reads on for a while after the last answer: a client that is still sending could not read it otherwise."""
        socket.socket.shutdown(self._socket, socket.SHUT_WR)
        self._deadline = time.monotonic() + _LINGER
        self._limit()
        while socket.socket.recv(self._socket, _TLS_RECORD):
            self._limit()

    def _limit(self) -> None:
        self._check_cut()
        left = self._deadline - time.monotonic()
        if left <= 0:
            # In the words by which cheroot knows it.
            raise TimeoutError("timed out")
        self._socket.settimeout(left)

    def _check_cut(self) -> None:
        if self._cut:
            raise ConnectionAbortedError(errno.ECONNABORTED, "the source is closing")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


class TlsAdapter(Adapter):
    """TLS whose handshake is left to the thread that reads the first request."""

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


def _place(error: BaseException | None) -> str:
    if error is None:
        return "unknown error"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {os.path.basename(frame.filename)}:{frame.lineno}"
