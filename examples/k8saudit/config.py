"""What ``init_config`` says."""

from typing import Annotated

from msgspec import Meta, Struct


class Config(Struct, frozen=True, rename="camel"):
    """The keys of the official plugin."""

    ssl_certificate: Annotated[
        str, Meta(description="For https: a PEM file that holds the certificate, its chain, and the key")
    ] = "/etc/falco/falco.pem"
    use_async: Annotated[bool, Meta(description="Known to the official plugin, and of no effect in this one")] = True
    max_event_size: Annotated[
        int, Meta(ge=1, le=64 << 20, description="Bytes of the largest event; larger ones are dropped")
    ] = 256 << 10
    webhook_max_batch_size: Annotated[
        int,
        Meta(ge=1, le=256 << 20, description="Bytes of the largest body of a request, and of the longest line"),
    ] = 12 << 20
