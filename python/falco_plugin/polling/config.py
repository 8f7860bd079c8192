"""The configuration in ``init_config``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from falco_plugin import Secret

_Text = Annotated[str, Meta(min_length=1)]
_Seconds = Annotated[float, Meta(gt=0, le=24 * 3600)]


class PollerConfig(Struct, frozen=True, kw_only=True):
    """How to request records

    A subclass adds the settings of its API. An annotation with ``msgspec.Meta`` gives a setting its description and
    its limits.

    Example:
        ```python
        class Config(PollerConfig, frozen=True):
            organisation: str
        ```
    """

    token: Annotated[
        Secret | None,
        Meta(description="The token of the API: file:PATH, env:NAME or the text; a file is read for each request"),
    ] = None
    cursor_file: Annotated[
        _Text | None, Meta(description="Path of the file that stores the cursor; its folder must exist")
    ] = None
    start: Annotated[
        Annotated[datetime, Meta(tz=True)] | None,
        Meta(
            description="Time to begin at without a cursor, such as 2026-11-01T00:00:00Z; the current time if not set"
        ),
    ] = None
    interval: Annotated[
        _Seconds, Meta(description="Seconds between two requests, except after a full page; up to a day")
    ] = 10
    rate_share: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="Share of the API's rate limit that the plugin uses; the rest is left to other clients",
        ),
    ] = 0.5
    timeout: Annotated[_Seconds, Meta(description="Seconds until an answer must be complete; up to a day")] = 60
    retry_wait: Annotated[
        _Seconds,
        Meta(description="Seconds until the next request after a failure, doubled each time up to 5 minutes"),
    ] = 5
    max_body: Annotated[int, Meta(ge=1, le=1 << 30, description="Bytes of the largest answer, up to 1 GiB")] = 32 << 20
    event_size: Annotated[int, Meta(ge=1, le=64 << 20, description="Bytes of the largest event, up to 64 MiB")] = (
        256 << 10
    )
    ca_file: Annotated[
        _Text | None, Meta(description="Path of a PEM file with certificate authorities, instead of those of httpx")
    ] = None
    proxy: Annotated[
        Annotated[str, Meta(pattern=r"^https?://[^@/?#\s]+/?$")] | None,
        Meta(description="URL of an HTTP proxy, without a password; environment variables are ignored"),
    ] = None
