"""Events with the values of their fields, read from what the host says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any, Self

from falco_plugin._core import Event


class ExtractedEvent(Event):
    """An event of a plugin that was run, with its fields."""

    fields: Mapping[str, Any]
    """The value of each field that was asked for, by its name as it was asked for: ``"ka.verb"``,
    ``"jevt.value[/a]"``; ``None`` where it is absent.

    A value is ``str``, ``int``, ``bool``, an aware ``datetime`` (UTC), a ``timedelta`` (both without what is finer than
    microseconds), ``IPv4Address`` or ``IPv6Address`` (of an ``ipnet`` too: the plugin API has no length of its prefix),
    or a list of them.
    """

    def __new__(
        cls, data: bytes, /, *, fields: Mapping[str, Any], number: int = 1, timestamp: int = 0, source: str = ""
    ) -> Self:
        event = super().__new__(cls, data, number=number, timestamp=timestamp, source=source)
        event.fields = fields
        return event


class Values(Mapping[str, Any]):
    """The fields of one event."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            asked = ", ".join(self._values) or "none"
            raise KeyError(
                f"the field {name} was not extracted: name it in fields=[…], written the same way (extracted: {asked})"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)


@dataclass(frozen=True)
class Column:
    """A field that is extracted from each event, as the host describes it."""

    asked: str
    type: str
    is_list: bool

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """From an entry of the host's line of kind ``fields``."""
        return cls(told["asked"], told["type"], told["is_list"])

    def value(self, told: Any) -> Any:
        """A value as the host writes it in JSON, as Python's."""
        convert = _CONVERTED.get(self.type)
        if convert is None or told is None:
            return told
        return [convert(one) for one in told] if self.is_list else convert(told)


def _time(nanoseconds: int) -> datetime:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)


_CONVERTED: dict[str, Callable[[Any], Any]] = {
    "abstime": _time,
    "reltime": lambda nanoseconds: timedelta(microseconds=nanoseconds // 1000),
    "ipaddr": ip_address,
    "ipnet": ip_address,
}
