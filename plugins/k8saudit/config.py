"""The configuration in ``init_config``."""

from typing import Annotated

from msgspec import Meta, Struct

_LARGEST_SIZE = 2**32 - 1
"""Largest value of a size in bytes. The official plugin stores sizes in 32 bits."""
_LARGEST_EVENT = 2**32 - 39
"""Bytes of the largest payload. The plugin API stores the size of an event and its header in 32 bits."""


class Config(Struct, frozen=True, rename="camel"):
    """The settings of the official plugin"""

    ssl_certificate: Annotated[
        str,
        Meta(
            description="Path of a PEM file with the key, without a password, the certificate and its chain; for https"
        ),
    ] = "/etc/falco/falco.pem"
    use_async: Annotated[
        bool, Meta(description="Accepted for compatibility with the official plugin; has no effect")
    ] = True
    max_event_size: Annotated[
        int,
        Meta(ge=1, le=_LARGEST_SIZE, description="Bytes of the largest event, up to 4 GiB; larger ones are skipped"),
    ] = 256 << 10
    webhook_max_batch_size: Annotated[
        int,
        Meta(
            ge=1,
            le=_LARGEST_SIZE,
            description="Bytes of the largest request body and of the longest line, up to 4 GiB",
        ),
    ] = 12 << 20

    @property
    def event_size(self) -> int:
        """Bytes of the largest event that both Falco and the configuration allow."""
        return min(self.max_event_size, _LARGEST_EVENT)
