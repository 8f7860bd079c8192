"""Events with the values of their fields, read from the host's JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any, Self

from falco_plugin._core import Event


class ExtractedEvent(Event):
    """An event of a run, with the values of its fields."""

    fields: Mapping[str, Any]
    """The values of the extracted fields by their names, which are written as in the request, such as ``"ka.verb"`` or
    ``"jevt.value[/a]"``. The value of an absent field is ``None``.

    A value is ``str``, ``int``, ``bool``, an aware ``datetime`` (UTC), ``timedelta``, ``IPv4Address``, ``IPv6Address``,
    or a list of one of them. Times and durations are cut to microseconds. A network is an address, because the plugin
    API does not pass the length of its prefix.
    """

    def __new__(
        cls,
        data: bytes | None = None,
        /,
        *,
        fields: Mapping[str, Any],
        number: int = 1,
        timestamp: int = 0,
        source: str = "",
        raw: bytes | None = None,
    ) -> Self:
        event = super().__new__(cls, data, number=number, timestamp=timestamp, source=source, raw=raw)
        event.fields = fields
        return event


class Values(Mapping[str, Any]):
    """The values of one event's fields. The error for a missing name lists the names that there are."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            extracted = ", ".join(self._values) or "none"
            raise KeyError(
                f"the field {name} was not extracted: name it in fields=[…], written the same way "
                f"(extracted: {extracted})"
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

    name: str
    """The name of the field as it was requested, with its argument."""
    type: str
    """The type, as the plugin API names it."""
    is_list: bool
    """Whether the value is a list."""

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """Reads an entry of the host's line of kind ``fields``."""
        return cls(entry["asked"], entry["type"], entry["is_list"])

    def value(self, value: Any) -> Any:
        """Converts a value from the form that it has in the host's JSON."""
        convert = _CONVERSIONS.get(self.type)
        if convert is None or value is None:
            return value
        return [convert(element) for element in value] if self.is_list else convert(value)


def _time(nanoseconds: int) -> datetime:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "abstime": _time,
    "reltime": lambda nanoseconds: timedelta(microseconds=nanoseconds // 1000),
    "ipaddr": ip_address,
    "ipnet": ip_address,
}
