"""The parameters of events: their mapping, and the values that have a class."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from falco_plugin._core import Params

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

__all__ = ["Params", "SocketAddress", "SocketTuple"]


class SocketAddress(NamedTuple):
    """The address of a socket (``PT_SOCKADDR``). As a string it is written as in Falco's output."""

    family: str
    """``inet``, ``inet6``, ``unix``, or the number of another family, such as ``16`` for netlink."""
    address: IPv4Address | IPv6Address | None = None
    """The IP address; ``None`` for another family."""
    port: int | None = None
    """The port; ``None`` for another family than IP."""
    path: str | None = None
    """The path of a Unix socket, which is empty if the socket has no name; ``None`` if the path is not known, and for
    another family."""

    def __str__(self) -> str:
        if self.address is not None:
            return f"{self.address}:{self.port}"
        return f"family {self.family}" if self.family.isdigit() else self.path or ""


class SocketTuple(NamedTuple):
    """Both ends of a connection (``PT_SOCKTUPLE``)."""

    source: SocketAddress
    """The end that opened the connection. The path of a Unix socket is not known."""
    destination: SocketAddress
    """The other end."""

    def __str__(self) -> str:
        return f"{self.source}->{self.destination}"
