"""What ``init_config`` says, and the token."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Self

import msgspec

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Seconds = Annotated[float, msgspec.Meta(gt=0, le=24 * 3600)]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """README.md says what each of them means."""

    token_file: _Text
    id_field: _Text
    timestamp_field: _Text
    auth_scheme: Annotated[str, msgspec.Meta(pattern="^[A-Za-z][A-Za-z0-9-]*$")] = "Bearer"
    state_file: _Text | None = None
    start: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    interval: _Seconds = 10
    timeout: _Seconds = 60
    retry_wait: _Seconds = 5
    max_body: Annotated[int, msgspec.Meta(ge=1, le=1 << 30)] = 32 << 20
    event_size: Annotated[int, msgspec.Meta(ge=1, le=64 << 20)] = 256 << 10
    ca_file: _Text | None = None
    proxy: Annotated[str, msgspec.Meta(pattern=r"^https?://[^@/?#\s]+/?$")] | None = None

    @classmethod
    def read(cls, text: str) -> Self:
        """Reads the configuration, and the token to see that it can be read.

        Raises:
            ValueError: the configuration, or the token, is not as it must be.
            OSError: the token cannot be read.
        """
        try:
            config = msgspec.json.decode(text or "{}", type=cls)
        except msgspec.DecodeError as error:
            raise ValueError(f"init_config: {error}") from None
        config.authorization()
        return config

    def authorization(self) -> str:
        """The header's value. The file is read each time, so that a token can be replaced while Falco runs.

        Raises:
            ValueError: the file holds no token.
            OSError: the file cannot be read.
        """
        token = Path(self.token_file).read_bytes().strip()
        # Any other character would be an error of the HTTP library, which quotes the header.
        if not re.fullmatch(rb"[!-~]+", token):
            raise ValueError(
                f"token_file {self.token_file} must hold the token alone, in printable ASCII without blanks"
            )
        return f"{self.auth_scheme} {token.decode()}"
