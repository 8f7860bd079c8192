"""What ``init_config`` says."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import msgspec


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """README.md says what each of them means."""

    follow: bool = True
    start: Literal["beginning", "end"] = "beginning"
    position_file: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    poll_interval: Annotated[float, msgspec.Meta(gt=0)] = 0.25
    rotated_wait: Annotated[float, msgspec.Meta(ge=0)] = 30
    event_size: Annotated[int, msgspec.Meta(ge=1, le=64 << 20)] = 256 << 10
    max_open_files: Annotated[int, msgspec.Meta(ge=1)] = 256

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises ``ValueError``, which names what is wrong."""
        try:
            config = msgspec.json.decode(text or "{}", type=cls)
        except msgspec.DecodeError as error:
            raise ValueError(f"init_config: {error}") from None
        if config.start == "end" and not config.follow:
            raise ValueError('init_config: with start "end" and without follow there is nothing to read')
        return config
