"""The configuration in ``init_config``, and the token."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

_Text = Annotated[str, Meta(min_length=1)]
_Seconds = Annotated[float, Meta(gt=0, le=24 * 3600)]


class PollerConfig(Struct, kw_only=True):
    """How to request records

    A subclass adds the settings of its API. An annotation with ``msgspec.Meta`` gives a setting its description and
    its limits.

    Example:
        ```python
        class Config(PollerConfig):
            organisation: str
        ```
    """

    token_file: Annotated[
        _Text | None, Meta(description="Path of a file that contains only the token; read for each request")
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

    def token(self) -> str | None:
        """Returns the token; ``None`` if ``token_file`` is not set.

        The file of the token is read in each call, so that users can replace the token while Falco runs.

        Raises:
            ValueError: the file cannot be read, or does not contain a token. The message does not contain its path,
                because users write the token itself there by mistake.
        """
        if self.token_file is None:
            return None
        try:
            token = Path(self.token_file).read_bytes().strip()
        except OSError as error:
            raise ValueError(f"token_file cannot be read: {error.strerror}") from None
        # Any other character would be an error of the HTTP library, which quotes the header.
        if not re.fullmatch(rb"[!-~]+", token):
            raise ValueError("token_file must contain only the token, in printable ASCII without blanks")
        return token.decode()
