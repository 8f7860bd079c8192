"""The configuration in ``init_config``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class Config(Struct, frozen=True):
    """How log files are followed"""

    follow: Annotated[bool, Meta(description="Whether to wait for more lines; false: read to the end, then stop")] = (
        True
    )
    start: Annotated[
        Literal["beginning", "end"],
        Meta(description="Where the first run begins; end: skip the lines that the files already have"),
    ] = "beginning"
    position_file: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(description="Path of the file that stores the positions in the logs; its folder must exist"),
    ] = None
    poll_interval: Annotated[float, Meta(gt=0, description="Seconds between two checks of the files")] = 0.25
    rotated_wait: Annotated[
        float,
        Meta(ge=0, description="Seconds without change after which a rotated or deleted file is finished"),
    ] = 30
    event_size: Annotated[
        int, Meta(ge=1, le=64 << 20, description="Bytes of the longest event, up to 64 MiB; longer lines are cut")
    ] = 256 << 10
    max_open_files: Annotated[
        int, Meta(ge=1, description="Number of files that are kept open; others are opened when they change")
    ] = 256

    def __post_init__(self) -> None:
        if self.start == "end" and not self.follow:
            raise ValueError("start: end and follow: false leave nothing to read: remove one of them")
