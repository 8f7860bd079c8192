"""The configuration in ``init_config``."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

Pointer: TypeAlias = Annotated[str, Meta(pattern="^/", description="JSON pointer into an event, such as /user/name")]
Conditions: TypeAlias = Annotated[
    dict[Pointer, str | list[str]],
    Meta(
        min_length=1,
        description="JSON pointers with the value, or a list of possible values, that an event must have there",
    ),
]


class Config(Struct, frozen=True):
    """The conditions of a login in the events of a source"""

    user: Annotated[
        list[Pointer],
        Meta(min_length=1, description="JSON pointers to the user's name; the first that an event has is used"),
    ]
    failure: Annotated[Conditions, Meta(description="The conditions of a failed login; all must be true")]
    success: Annotated[
        Conditions | None, Meta(description="The conditions of a successful login; all must be true")
    ] = None
    address: Annotated[
        list[Pointer],
        Meta(description="JSON pointers to the address of the client, as for user"),
    ] = []
    max_window: Annotated[
        int, Meta(ge=1, le=7 * 24 * 3600, description="Seconds of the longest window that rules use, up to 7 days")
    ] = 3600
    max_failures: Annotated[
        int,
        Meta(ge=1, le=100_000_000, description="Number of failed logins that are remembered of all users"),
    ] = 500_000
