"""The configuration in ``init_config``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from falco_plugin.polling import PollerConfig

_Text = Annotated[str, Meta(min_length=1)]


class Config(PollerConfig, frozen=True, kw_only=True):
    """How to request records, and how to read them"""

    id_field: Annotated[
        _Text, Meta(description="Field with the id of a record; a record without it is identified by its content")
    ]
    timestamp_field: Annotated[
        _Text, Meta(description="Field with the time of a record: RFC 3339, or a number since the epoch")
    ]
    auth_scheme: Annotated[
        str,
        Meta(pattern="^[A-Za-z][A-Za-z0-9-]*$", description="Word before the token in the header Authorization"),
    ] = "Bearer"
