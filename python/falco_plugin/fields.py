"""Fields: what Falco's rules are written on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar, overload

from falco_plugin._core import Event, JsonReader
from falco_plugin._declare.annotations import name as name_of

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

    from typing_extensions import TypeForm

    from falco_plugin._declare.types import ValueType

__all__ = ["JsonField", "Located", "field", "json_field"]

V_co = TypeVar("V_co", covariant=True)


class Located(NamedTuple, Generic[V_co]):
    """A value of a field's method, and where it stands in the event (``ss_plugin_extract_value_offsets``)."""

    value: V_co
    """The value."""
    start: int
    """Its first byte, counted in ``event.data``."""
    length: int
    """Its length in bytes."""


if TYPE_CHECKING:
    _Scalar: TypeAlias = str | int | datetime | timedelta | IPv4Address | IPv6Address | IPv4Network | IPv6Network
    _List: TypeAlias = (
        list[str]
        | list[int]
        | list[bool]
        | list[datetime]
        | list[timedelta]
        | list[IPv4Address]
        | list[IPv6Address]
        | list[IPv4Address | IPv6Address]
        | list[IPv4Network]
        | list[IPv6Network]
        | list[IPv4Network | IPv6Network]
    )
    _LocatedList: TypeAlias = (
        list[Located[str]]
        | list[Located[int]]
        | list[Located[bool]]
        | list[Located[datetime]]
        | list[Located[timedelta]]
        | list[Located[IPv4Address]]
        | list[Located[IPv6Address]]
        | list[Located[IPv4Address | IPv6Address]]
        | list[Located[IPv4Network]]
        | list[Located[IPv6Network]]
        | list[Located[IPv4Network | IPv6Network]]
    )
    _Value: TypeAlias = _Scalar | _List | Located[_Scalar] | _LocatedList | None

    class _Plain(Protocol):
        def __call__(self, plugin: Any, event: Event, /) -> _Value: ...

    class _Index(Protocol):
        def __call__(self, plugin: Any, event: Event, /, *, index: int) -> _Value: ...

    class _Key(Protocol):
        def __call__(self, plugin: Any, event: Event, /, *, key: str) -> _Value: ...

    class _Both(Protocol):
        def __call__(self, plugin: Any, event: Event, /, *, index: int | None, key: str | None) -> _Value: ...


Method = TypeVar("Method", bound="_Plain | _Index | _Key | _Both")
T = TypeVar("T", bound="_Scalar | _List")


class Declaration(NamedTuple):
    """What a field is called and how it is shown, as ``plugin_get_fields`` tells it."""

    name: str
    desc: str
    display: str | None
    add_output: bool
    hidden: bool
    info: bool
    conversation: bool


DECLARATION = "__falco_field__"
"""The attribute of a method that holds its declaration."""


def field(
    name: str,
    *,
    desc: str,
    display: str | None = None,
    add_output: bool = False,
    hidden: bool = False,
    info: bool = False,
    conversation: bool = False,
) -> Callable[[Method], Method]:
    """Makes a method the field ``name`` of rules (``plugin_extract_fields``); it stays the method that it was.

    The method is ``(self, event)``, and may have ``index: int`` and ``key: str``: the argument in ``name[argument]``,
    required where the parameter has no default, optional with ``= None``. Of a method with both, an argument that is a
    number comes as both, and any other as key; so both allow ``None``.

    Its annotation is the field's type: ``str``, ``int`` (0 to 2**64 - 1), ``bool``, ``datetime`` (aware), ``timedelta``
    (0 or more), ``IPv4Address | IPv6Address``, ``IPv4Network | IPv6Network`` (rules see its address alone), or a
    ``list`` of one of them; each may be :class:`Located`. ``None`` and an empty list mean that the field is absent.

    It must be pure, the same for the same event and argument: values are kept for the event, so that it is called once
    for any number of rules, on any thread, and also where no source is open. What it raises is logged once for each
    cause, and counted; the field is then absent.

    Args:
        name: as rules write it: parts that begin with a letter, joined by dots, such as ``"shop.order.id"``.
        desc: what it means.
        display: how a user interface calls it.
        add_output: Falco adds it to the output of all rules.
        hidden: it is not listed.
        info: it is a short description of the whole event.
        conversation: it is one end of a conversation.
    """
    declaration = Declaration(name, desc, display, add_output, hidden, info, conversation)

    def declare(method: Method) -> Method:
        try:
            setattr(method, DECLARATION, declaration)
        except AttributeError:
            raise TypeError(f"field {name}: @field is for methods, not for {type(method).__name__}") from None
        return method

    return declare


class JsonField(Generic[T]):
    """A field that :func:`json_field` made. Called with an event it gives the field's value."""

    declaration: Declaration
    type: ValueType
    reader: JsonReader

    def __init__(self, declaration: Declaration, pointer: str, type: Any) -> None:
        # With the classes of times and addresses, which a plugin without fields does not need.
        from falco_plugin._declare import types as _types

        self.declaration = declaration
        try:
            if not isinstance(pointer, str):
                raise TypeError(f"the pointer must be str, not {name_of(pointer.__class__)}")
            self.type = _types.of_value(type)
            self.reader = JsonReader(pointer, self.type.kind, self.type.is_list, self.type.family)
        except (TypeError, ValueError) as problem:
            raise _type_of(problem)(f"field {declaration.name}: {problem}") from None

    def __call__(self, event: Event, index: int | None = None, key: str | None = None) -> T | None:
        """The value for an event and, where the pointer takes one, an argument; ``None`` where it is absent.

        Raises:
            TypeError: an argument is missing, is one that the pointer does not take, or is of the wrong type.
            ValueError: the index is out of range.
        """
        try:
            value: T | None = self.reader.read(event, index, key)
        except (TypeError, ValueError) as problem:
            raise _type_of(problem)(f"field {self.declaration.name}: {problem}") from None
        return value


def _type_of(problem: Exception) -> type[Exception]:
    """The class of a problem, to raise it with more in its text."""
    return TypeError if isinstance(problem, TypeError) else ValueError


@overload
def json_field(
    name: str,
    pointer: str,
    *,
    desc: str,
    display: str | None = None,
    add_output: bool = False,
    hidden: bool = False,
    info: bool = False,
    conversation: bool = False,
) -> JsonField[str]: ...


@overload
def json_field(
    name: str,
    pointer: str,
    *,
    type: TypeForm[T],
    desc: str,
    display: str | None = None,
    add_output: bool = False,
    hidden: bool = False,
    info: bool = False,
    conversation: bool = False,
) -> JsonField[T]: ...


def json_field(
    name: str,
    pointer: str,
    *,
    type: Any = str,
    desc: str,
    display: str | None = None,
    add_output: bool = False,
    hidden: bool = False,
    info: bool = False,
    conversation: bool = False,
) -> JsonField[Any]:
    """A field ``name`` that is read out of JSON payloads in Rust: no Python is called for it.

    The pointer is one of RFC 6901, such as ``/user/name``, in which a token may be ``*`` for each element of an array,
    ``{index}`` or ``{key}`` for the field's argument, or ``{index|*}``: the element that the argument names, or each
    where there is none. ``{pointer}`` alone: the argument is the pointer, with or without its first ``/``. With a ``*``
    the type is a ``list``, and elements without a value are left out.

    How JSON becomes a value: strings, numbers and booleans are ``str`` as the JSON has them, objects and arrays too, as
    compact JSON. ``int`` reads a whole number in any notation, ``bool`` reads ``true`` and ``false``, and ``timedelta``
    reads a number of seconds; each of them may be in quotes. ``datetime`` reads what
    :func:`falco_plugin.source.parse_timestamp` reads. Addresses and networks are read from strings. A field is absent
    if the value is ``null`` or of another type; a value of another type is counted and reported. Of duplicate keys the
    first counts.

    A fault of the JSON costs at most the value that contains it. Bytes that are not UTF-8 become U+FFFD.

    Args:
        name: as rules write it, such as ``"shop.order.id"``.
        pointer: where the value stands.
        type: ``str``, ``int``, ``bool``, ``datetime``, ``timedelta``, ``IPv4Address``, ``IPv6Address``,
            ``IPv4Network``, ``IPv6Network``, a union of both versions, or a ``list`` of one of them.
        desc: what it means.
        display: how a user interface calls it.
        add_output: Falco adds it to the output of all rules.
        hidden: it is not listed.
        info: it is a short description of the whole event.
        conversation: it is one end of a conversation.

    Raises:
        TypeError: the type is none of these.
        ValueError: the pointer is none, or pointer and type do not fit.
    """
    return JsonField(Declaration(name, desc, display, add_output, hidden, info, conversation), pointer, type)
