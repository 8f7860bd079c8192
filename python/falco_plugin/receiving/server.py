"""Listens, and starts a thread for each connection."""

from __future__ import annotations

import errno
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from falco_plugin.receiving.address import Address
from falco_plugin.receiving.connection import Connection
from falco_plugin.receiving.delivery import CLOSING

if TYPE_CHECKING:
    import ssl

    from falco_plugin.receiving.config import ReceiverConfig
    from falco_plugin.receiving.endpoint import Endpoint
    from falco_plugin.receiving.receiver import HttpReceiver
    from falco_plugin.source import Sender

_CLOSE_TIMEOUT = 8.0
"""Seconds that closing waits for the connections. Only user code can take longer."""
_BACKLOG = 1024
"""Connections that wait to be accepted. A client beyond them waits a second before it tries again."""
_GRACE = 1.0
"""Seconds that a client has to send a complete request, if others need its connection."""
_PAUSE = 0.1
"""Seconds until connections are accepted again after an error, such as that no file descriptor is left."""


class Server:
    """Listens from :meth:`open` to :meth:`close`. If it fails in between, the source ends with its error.

    Args:
        address: where to listen.
        tls: for ``https``.
        config: the limits.
        plugin: counts the answers.
        endpoint: handles the requests.
        sender: is closed when no more connections are accepted.
    """

    def __init__(
        self,
        address: Address,
        tls: ssl.SSLContext | None,
        config: ReceiverConfig,
        plugin: HttpReceiver,
        endpoint: Endpoint,
        sender: Sender,
    ) -> None:
        self._address = address
        self._tls = tls
        self._config = config
        self._plugin = plugin
        self._endpoint = endpoint
        self._sender = sender
        self._lock = threading.Lock()
        self._connections: dict[Connection, threading.Thread] = {}
        self._is_closing = threading.Event()

    def open(self) -> Address:
        """Binds, listens and starts to accept connections.

        Returns:
            The address, in which port 0 is replaced by the port that the system chose.

        Raises:
            OSError: the server cannot listen on the address.
        """
        host, port = self._address.host, self._address.port
        is_ipv6 = ":" in host or (not host and socket.has_dualstack_ipv6())
        family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
        try:
            self._listener = socket.create_server(
                (host, port),
                family=family,
                backlog=_BACKLOG,
                dualstack_ipv6=is_ipv6 and host in {"", "::"},
            )
        except OSError as error:
            raise OSError(f"cannot listen on {self._address}: {error.strerror or error}") from error
        self._thread = threading.Thread(target=self._run, name=self._plugin.name, daemon=True)
        self._thread.start()
        return self._address._replace(port=self._listener.getsockname()[1])

    def close(self) -> None:
        """Accepts no more connections, answers the pending requests, and returns when all threads have ended."""
        end = time.monotonic() + _CLOSE_TIMEOUT
        self._is_closing.set()
        with suppress(OSError):
            # Wakes the thread that accepts connections.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        with self._lock:
            connections = dict(self._connections)
        for connection in connections:
            connection.cut(CLOSING)
        for thread in connections.values():
            thread.join(max(0.0, end - time.monotonic()))
        if left := sum(thread.is_alive() for thread in connections.values()):
            self._plugin.log.error(
                "%d requests still run %.0f s after closing: let check, verify and events of the plugin return in time",
                left,
                _CLOSE_TIMEOUT,
            )
        self._plugin.rejections.flush()

    def _run(self) -> None:
        with self._sender:
            while not self._is_closing.is_set():
                try:
                    connected, address = self._listener.accept()
                except OSError as error:
                    if error.errno != errno.ECONNABORTED and not self._is_closing.is_set():
                        self._plugin._report(f"a connection failed: {error.strerror}")
                        self._is_closing.wait(_PAUSE)
                    continue
                # An IPv4 address on a socket for both versions.
                self._admit(connected, address[0].removeprefix("::ffff:"))

    def _admit(self, connected: socket.socket, client: str) -> None:
        """Starts the thread of a connection, or closes it if there are too many and none of them can be replaced."""
        if len(self._connections) >= self._config.max_connections:
            reason = f"more than {self._config.max_connections} connections"
            if (idle := self._oldest_idle()) is None:
                self._plugin._report(reason, client)
                connected.close()
                return
            self._plugin._report(reason, idle.client)
            idle.cut(reason)
        try:
            if self._tls is not None:
                # The thread of the connection makes the handshake, which may take long.
                connected = self._tls.wrap_socket(connected, server_side=True, do_handshake_on_connect=False)
            connection = Connection(connected, client, self._plugin, self._endpoint, self._config.request_timeout)
            self._start(connection)
        except (OSError, RuntimeError) as error:
            # The client has gone already, or the system starts no more threads.
            self._plugin._report(f"a connection failed: {type(error).__name__}", client)
            connected.close()

    def _oldest_idle(self) -> Connection | None:
        """Returns the connection to close in favour of a new one.

        Otherwise clients that send nothing could keep all others away.
        """
        newest = time.monotonic() - _GRACE
        with self._lock:
            return next((each for each in self._connections if each.is_idle and each.started <= newest), None)

    def _start(self, connection: Connection) -> None:
        thread = threading.Thread(target=self._serve, args=[connection], name=self._plugin.name, daemon=True)
        with self._lock:
            self._connections[connection] = thread
        try:
            thread.start()
        except RuntimeError:
            self._forget(connection)
            raise

    def _serve(self, connection: Connection) -> None:
        try:
            connection.serve()
        except Exception:
            self._plugin.log.exception("a connection failed")
        finally:
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        with self._lock:
            del self._connections[connection]
