"""Fields: the values of events that the conditions and outputs of Falco's rules use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, Self, TypeAlias, TypeVar, overload

from falco_plugin._core import Event, JsonReader
from falco_plugin._declare.annotations import source_of

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

    from typing_extensions import TypeForm

    from falco_plugin._declare.types import ValueType

__all__ = ["JsonField", "Located", "TableField", "field", "json_field"]

V_co = TypeVar("V_co", covariant=True)


class Located(NamedTuple, Generic[V_co]):
    """A value that a field's method returns, with its position in the event (``ss_plugin_extract_value_offsets``)."""

    value: V_co
    """The value."""
    start: int
    """Offset of the first byte of the value in ``event.data``."""
    length: int
    """Length of the value in ``event.data``, in bytes."""


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
    """The name of a field and how users see it (an entry of ``plugin_get_fields``)."""

    name: str
    desc: str
    display: str | None
    add_output: bool
    hidden: bool
    info: bool
    conversation: bool


DECLARATION = "__falco_field__"
"""The attribute of a method that holds the declaration of its field."""


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
    """Declares a field whose value a method returns (``plugin_extract_fields``). The method itself is not changed.

    The method takes ``(self, event)``. It may also take ``index: int`` or ``key: str``, which is the argument in
    ``name[argument]``. The argument is required if the parameter has no default, and optional with ``= None``. A method
    may take both: a number is then passed as both, any other argument as ``key`` only. So both must allow ``None``.

    The return annotation is the field's type: ``str``, ``int`` (0 to 2**64 - 1), ``bool``, ``datetime`` (aware),
    ``timedelta`` (0 or more), ``IPv4Address | IPv6Address``, ``IPv4Network | IPv6Network`` (of which rules see only the
    address), or a ``list`` of one of them. A value may be wrapped in :class:`Located`. The field is absent if the
    method returns ``None`` or an empty list.

    The method must be pure: its result may depend only on the event and the argument. It is called once for an event,
    however many rules use the field. It may be called on any thread, and while no source is open. If it raises, the
    field is absent. The first exception of each cause is logged, and further ones are counted.

    Args:
        name: the name in rules: parts that begin with a letter, joined by dots, such as ``"shop.order.id"``.
        desc: the meaning of the field.
        display: a name for user interfaces.
        add_output: add the field to the output of all rules.
        hidden: leave the field out of lists of fields.
        info: the field is a short description of the whole event.
        conversation: the field is one of the two ends of a conversation.

    Raises:
        TypeError: the decorated object is not a function.

    Example:
        ```python
        @field("shop.order.large", desc="Whether the order is larger than 1000")
        def large(self, event: Event) -> bool:
            return event.json["total"] > 1000
        ```
    """
    declaration = Declaration(name, desc, display, add_output, hidden, info, conversation)

    def declare(method: Method) -> Method:
        try:
            setattr(method, DECLARATION, declaration)
        except AttributeError:
            raise TypeError(f"field {name}: @field is for methods, not for {type(method).__name__}") from None
        return method

    return declare


class JsonField(JsonReader, Generic[T]):
    """A field that :func:`json_field` declared. Call it with an event to get the field's value."""

    declaration: Declaration
    type: ValueType

    def __new__(cls, declaration: Declaration, pointer: str, type: Any) -> Self:
        # This imports the classes of times and addresses, which a plugin without fields does not need.
        from falco_plugin._declare.types import value_type

        try:
            if not isinstance(pointer, str):
                raise TypeError(f"pointer must be str, not {source_of(pointer.__class__)}")
            found = value_type(type)
            name = str(declaration.name)
            field = super().__new__(cls, name, pointer, found.kind, found.is_list, found.family)
        except (TypeError, ValueError) as error:
            base = TypeError if isinstance(error, TypeError) else ValueError
            raise base(f"field {declaration.name}: {error}") from None
        field.declaration = declaration
        field.type = found
        return field

    if TYPE_CHECKING:

        def __call__(self, event: Event, index: int | None = None, key: str | None = None) -> T | None:
            """Returns the value of the field for an event; ``None`` if it is absent.

            Args:
                event: the event.
                index: the argument, if the pointer has ``{index}``.
                key: the argument, if the pointer has ``{key}`` or is ``{pointer}``.

            Raises:
                TypeError: an argument is missing, unexpected or of the wrong type.
                ValueError: the index is out of range.
            """


class TableField:
    """A field that :func:`falco_plugin.table_field` declared."""

    def __init__(self, declaration: Declaration, table: Any, attribute: str, key: Any) -> None:
        self.declaration = declaration
        self.table = table
        self.attribute = attribute
        self.key = key


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
    """Declares a field whose value Rust reads from JSON payloads, without a call of Python.

    The pointer is a JSON pointer (RFC 6901) such as ``/user/name``. One of its tokens may stand for more than one
    member:

    - ``*``: every element of an array.
    - ``{index}`` or ``{key}``: the element or member that the field's argument names, as in ``name[argument]``.
    - ``{index|*}``: the element that the argument names, or every element if rules have no argument.

    The pointer may also be ``{pointer}`` alone. The argument is then the pointer, with or without its first ``/``. With
    ``*`` the type must be a ``list``, and elements without a value are left out.

    JSON becomes a value of the type as follows:

    - ``str``: strings, numbers and booleans as they are in the JSON, objects and arrays as compact JSON.
    - ``int``: a whole number in any notation.
    - ``bool``: ``true`` and ``false``.
    - ``timedelta``: a number of seconds.
    - ``datetime``: any time that :func:`falco_plugin.source.parse_timestamp` reads.
    - addresses and networks: strings.

    Numbers and booleans may be in quotes. The field is absent if the value is ``null`` or does not fit the type; a
    value that does not fit is counted and reported. If an object has duplicate keys, the first one counts.

    Invalid JSON costs at most the value that contains the fault. Bytes that are not UTF-8 become U+FFFD.

    Args:
        name: the name in rules, such as ``"shop.order.id"``.
        pointer: the position of the value in the JSON.
        type: ``str``, ``int``, ``bool``, ``datetime``, ``timedelta``, ``IPv4Address``, ``IPv6Address``,
            ``IPv4Network``, ``IPv6Network``, a union of both versions, or a ``list`` of one of them.
        desc: the meaning of the field.
        display: a name for user interfaces.
        add_output: add the field to the output of all rules.
        hidden: leave the field out of lists of fields.
        info: the field is a short description of the whole event.
        conversation: the field is one of the two ends of a conversation.

    Raises:
        TypeError: the type is not one of these.
        ValueError: the pointer is not valid, or pointer and type do not fit.

    Example:
        ```python
        class Audit(Plugin):
            name = "audit"
            verb = json_field("audit.verb", "/verb", desc="The requested action")
            images = json_field(
                "audit.images", "/spec/containers/{index|*}/image", type=list[str], desc="Images of the containers"
            )
        ```
    """
    return JsonField(Declaration(name, desc, display, add_output, hidden, info, conversation), pointer, type)
