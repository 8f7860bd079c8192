"""What ``init_config`` says."""

from typing import Annotated

from msgspec import Meta, Struct

_MOST = 2**32 - 1
"""The official plugin counts bytes in 32 bits."""
_LARGEST_EVENT = 2**32 - 39
"""Bytes of a payload, for which the plugin API has 32 bits, its header included."""


class Config(Struct, frozen=True, rename="camel"):
    """The keys of the official plugin."""

    ssl_certificate: Annotated[
        str, Meta(description="For https: a PEM file that holds the certificate, its chain, and the key")
    ] = "/etc/falco/falco.pem"
    use_async: Annotated[bool, Meta(description="Known to the official plugin, and of no effect in this one")] = True
    max_event_size: Annotated[
        int, Meta(ge=1, le=_MOST, description="Bytes of the largest event, up to 4 GiB; larger ones are dropped")
    ] = 256 << 10
    webhook_max_batch_size: Annotated[
        int,
        Meta(
            ge=1,
            le=_MOST,
            description="Bytes of the largest body of a request, and of the longest line, up to 4 GiB",
        ),
    ] = 12 << 20

    @property
    def event_size(self) -> int:
        """Bytes of the largest event that Falco can take and that the configuration allows."""
        return min(self.max_event_size, _LARGEST_EVENT)
