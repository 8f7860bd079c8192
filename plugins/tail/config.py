"""What ``init_config`` says."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class Config(Struct, frozen=True):
    """How log files are followed"""

    follow: Annotated[bool, Meta(description="Whether to go on; false: read what is there, then end")] = True
    start: Annotated[
        Literal["beginning", "end"],
        Meta(description="Where the very first start begins; end: leave out what the files have by then"),
    ] = "beginning"
    position_file: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(description="Path of the file that keeps how far the logs were read; its folder must exist"),
    ] = None
    poll_interval: Annotated[float, Meta(gt=0, description="Seconds between two looks at the files")] = 0.25
    rotated_wait: Annotated[
        float,
        Meta(ge=0, description="Seconds without change after which a file that was rotated away or deleted is done"),
    ] = 30
    event_size: Annotated[
        int, Meta(ge=1, le=64 << 20, description="Bytes of the longest event, up to 64 MiB; longer lines are cut")
    ] = 256 << 10
    max_open_files: Annotated[
        int, Meta(ge=1, description="Files that are kept open; others are opened when they change")
    ] = 256

    def __post_init__(self) -> None:
        if self.start == "end" and not self.follow:
            raise ValueError("with start: end and follow: false there is nothing to read, leave one of them out")
