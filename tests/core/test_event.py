"""Tests events and fields as plain Python objects, without a host."""

from __future__ import annotations

import gc
import math
import threading
import weakref
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

import pytest

from falco_plugin import Event, Located, Plugin, field, json_field


class Shop(Plugin):
    """A shop"""

    name = "shop"

    order = json_field("shop.order", "/order/id", type=int, desc="The order's number")
    images = json_field("shop.images", "/images/{index|*}/name", type=list[str], desc="Names")
    size = json_field("shop.size", "/sizes/{index}", type=int, desc="A size")
    label = json_field("shop.label", "/labels/{key}", desc="A label")
    cell = json_field("shop.cell", "/rows/{key}/{index}", desc="A cell")
    any = json_field("shop.any", "{pointer}", desc="Anything")
    whole = json_field("shop.whole", "", desc="The whole document")

    @field("shop.count", desc="The number of images")
    def count(self, event: Event, index: int | None = None) -> int | None:
        images = self.images(event)
        return None if images is None else len(images) + (index or 0)

    @field("shop.word", desc="A word of the payload")
    def word(self, event: Event, *, key: str) -> Located[str] | None:
        start = event.data.find(key.encode())
        return None if start < 0 else Located(key, start, len(key))


EVENT = Event(
    b'{"order": {"id": 7}, "images": [{"name": "a"}, {}, {"name": "b"}], "sizes": [1, 18446744073709551615, -1], '
    b'"labels": {"x/y": "slash", "": "empty", "0": "zero"}, "rows": {"r": ["c0", "c1"]}}'
)


# Fields


def test_field_can_be_called_as_method() -> None:
    shop = Shop()
    assert shop.count(EVENT) == 2
    assert shop.count(EVENT, 3) == 5
    assert shop.count(Event(b"{}")) is None
    assert shop.word(EVENT, key="order") == Located("order", 2, 5)


def test_decorated_method_is_unchanged() -> None:
    def method(self: object, event: Event) -> str:
        return ""

    assert field("a.b", desc="x")(method) is method


@pytest.mark.parametrize(
    ("name", "arguments", "value"),
    [
        ("order", {}, 7),
        ("images", {}, ["a", "b"]),
        ("images", {"index": None}, ["a", "b"]),
        ("images", {"index": 0}, ["a"]),
        ("images", {"index": 1}, None),
        ("images", {"index": 2**64 - 1}, None),
        ("size", {"index": 0}, 1),
        ("size", {"index": 1}, 2**64 - 1),
        ("size", {"index": 2}, None),
        ("label", {"key": "x/y"}, "slash"),
        ("label", {"key": ""}, "empty"),
        ("label", {"key": "0"}, "zero"),
        ("label", {"key": "none"}, None),
        ("cell", {"index": 1, "key": "r"}, "c1"),
        ("cell", {"index": 2, "key": "r"}, None),
        ("any", {"key": "/rows/r/0"}, "c0"),
        ("any", {"key": "/labels/x~1y"}, "slash"),
        ("any", {"key": "/rows/r/00"}, None),
        ("any", {"key": "rows/r/0"}, "c0"),
        ("any", {"key": "rows/none"}, None),
        ("any", {"key": "/labels/"}, "empty"),
        ("any", {"key": "/rows/r"}, '["c0","c1"]'),
    ],
)
def test_json_field_can_be_called_with_argument(name: str, arguments: dict, value: object) -> None:
    assert getattr(Shop(), name)(EVENT, **arguments) == value
    assert getattr(Shop, name)(EVENT, **arguments) == value, "a JSON field can be called on the class"


def test_field_accepts_positional_arguments() -> None:
    assert Shop.images(EVENT, 2) == ["b"]
    assert Shop.cell(EVENT, 0, "r") == "c0"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Shop.size(EVENT), TypeError, "field shop.size: the index is missing: pass it as index=…"),
        (lambda: Shop.label(EVENT), TypeError, "field shop.label: the key is missing: pass it as key=…"),
        (lambda: Shop.cell(EVENT, key="r"), TypeError, "field shop.cell: the index is missing: pass it as index=…"),
        (lambda: Shop.cell(EVENT, 1), TypeError, "field shop.cell: the key is missing: pass it as key=…"),
        (lambda: Shop.any(EVENT), TypeError, "field shop.any: the key is missing: pass it as key=…"),
        (lambda: Shop.order(EVENT, 0), TypeError, "field shop.order: an index is not expected: leave it out"),
        (lambda: Shop.images(EVENT, key="a"), TypeError, "field shop.images: a key is not expected: leave it out"),
        (lambda: Shop.size(EVENT, "0"), TypeError, "field shop.size: index must be an int, got str"),
        (lambda: Shop.size(EVENT, True), TypeError, "field shop.size: index must be an int, got bool"),
        (lambda: Shop.size(EVENT, 1.0), TypeError, "field shop.size: index must be an int, got float"),
        (lambda: Shop.size(EVENT, -1), ValueError, "field shop.size: index must be 0 to 18446744073709551615, got -1"),
        (
            lambda: Shop.size(EVENT, 2**64),
            ValueError,
            f"field shop.size: index must be 0 to 18446744073709551615, got {2**64}",
        ),
    ],
    ids=[
        "no index",
        "no key",
        "key without index",
        "index without key",
        "no pointer",
        "unexpected index",
        "unexpected key",
        "str index",
        "bool index",
        "float index",
        "negative index",
        "large index",
    ],
)
def test_json_field_rejects_wrong_argument(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize("event", [None, b"{}", object()])
def test_json_field_requires_event(event: Any) -> None:
    with pytest.raises(TypeError):
        Shop.order(event)


CONVERSIONS: list[tuple[Any, str, Any]] = [
    (str, '"text"', "text"),
    (str, '"\\u00fc \\ud83e\\udd85 \\/"', "ü 🦅 /"),
    (str, '"not cut\\u0000here"', "not cut\ufffdhere"),
    (str, '"half \\ud83e of"', "half \ufffd of"),
    (str, "1.50e+3", "1.50e+3"),
    (str, "123456789012345678901234567890", "123456789012345678901234567890"),
    (str, "-0", "-0"),
    (str, "true", "true"),
    (str, "null", None),
    (str, '[1, {"a b": "c d"} ]', '[1,{"a b":"c d"}]'),
    (str, "{ }", "{}"),
    (int, "0", 0),
    (int, "-0", 0),
    (int, "18446744073709551615", 2**64 - 1),
    (int, "18446744073709551616", None),
    (int, "-1", None),
    (int, "1.0", 1),
    (int, "1e3", 1000),
    (int, "007", 7),
    (int, '"1"', 1),
    (int, '"3.3e1"', 33),
    (int, "1.5", None),
    (int, '"x"', None),
    (int, "true", None),
    (bool, "true", True),
    (bool, "false", False),
    (bool, "1", None),
    (bool, '"true"', True),
    (bool, '"True"', None),
    (datetime, '"2020-01-01T01:00:00+01:00"', datetime(2020, 1, 1, tzinfo=UTC)),
    (datetime, '"2020-01-01T00:00:00.123456789Z"', datetime(2020, 1, 1, 0, 0, 0, 123456, UTC)),
    (datetime, "1577836800.25", datetime(2020, 1, 1, 0, 0, 0, 250000, UTC)),
    (datetime, '"1577836800"', datetime(2020, 1, 1, tzinfo=UTC)),
    (datetime, '"2020-01-01"', None),
    (datetime, '"1969-12-31T23:59:59Z"', None),
    (datetime, "-1", None),
    (timedelta, "1.5", timedelta(seconds=1.5)),
    (timedelta, "1e-7", timedelta(0)),
    (timedelta, '"1.5"', timedelta(seconds=1.5)),
    (timedelta, '"long"', None),
    (timedelta, "-1", None),
    (IPv4Address | IPv6Address, '"10.0.0.1"', IPv4Address("10.0.0.1")),
    (IPv4Address | IPv6Address, '"::1"', IPv6Address("::1")),
    (IPv4Address | IPv6Address, '"10.0.0.1/32"', None),
    (IPv4Address | IPv6Address, '"010.0.0.1"', None),
    (IPv4Address | IPv6Address, "1", None),
    (IPv4Network | IPv6Network, '"10.1.0.0/16"', IPv4Network("10.1.0.0/16")),
    (IPv4Network | IPv6Network, '"2001:db8::/32"', IPv6Network("2001:db8::/32")),
    (IPv4Network | IPv6Network, '"10.0.0.1"', IPv4Network("10.0.0.1/32")),
    (IPv4Network | IPv6Network, '"10.0.0.1/8"', None),
    (IPv4Network | IPv6Network, '"10.0.0.0/33"', None),
    (IPv4Address, '"10.0.0.1"', IPv4Address("10.0.0.1")),
    (IPv4Address, '"::1"', None),
    (IPv6Address, '"::1"', IPv6Address("::1")),
    (IPv6Address, '"10.0.0.1"', None),
    (IPv4Network, '"10.1.0.0/16"', IPv4Network("10.1.0.0/16")),
    (IPv4Network, '"2001:db8::/32"', None),
    (IPv6Network, '"2001:db8::/32"', IPv6Network("2001:db8::/32")),
]


@pytest.mark.parametrize(("type", "text", "value"), CONVERSIONS)
def test_json_value_is_converted_to_field_type(type: Any, text: str, value: object) -> None:
    found = json_field("a.b", "/v", type=type, desc="x")(Event(f'{{"v": {text}}}'.encode()))
    assert found == value
    assert found.__class__ is value.__class__, "the type must match exactly, and a bool is not an int"


@pytest.mark.parametrize(("type", "text", "value"), CONVERSIONS)
def test_json_list_omits_missing_values(type: Any, text: str, value: object) -> None:
    many = json_field("a.b", "/v/*", type=list[type], desc="x")
    found = many(Event(f'{{"v": [{text}, null, {text}]}}'.encode()))
    assert found == (None if value is None else [value, value])


def test_json_field_reads_up_to_a_structural_fault() -> None:
    broken = Event(b'{"order": {"id": 7}, "images": [{"name": "a"}, oops')
    assert Shop.order(broken) == 7
    assert Shop.images(broken) == ["a"]
    assert Shop.whole(broken) is None, "the document is not complete"
    assert Shop.order(Event(EVENT.data + b"\xff")) == Shop.order(EVENT)


def test_first_of_duplicate_keys_wins() -> None:
    event = Event(rb'{"order": {"id": 1, "id": 2}, "\u006frder": {"id": 3}}')
    assert Shop.order(event) == 1
    assert event.json == {"order": {"id": 1}}


def test_located_value_is_independent() -> None:
    located = Located("x", 1, 2)
    assert located == Located("x", 1, 2) != Located("x", 1, 3)
    assert (located.value, located.start, located.length) == ("x", 1, 2)
    with pytest.raises(AttributeError):
        located.start = 3


# Events


def test_event_has_constructor_arguments() -> None:
    event = Event(bytearray(b"data"), number=5, timestamp=6, source="quelle")
    assert (event.data, event.number, event.timestamp, event.source, event.type) == (b"data", 5, 6, "quelle", 322)
    assert repr(event) == "Event(b'data', number=5, timestamp=6, source=\"quelle\")"
    plain = Event(b"")
    assert (plain.data, plain.number, plain.timestamp, plain.source) == (b"", 1, 0, "")


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"", ""), ("Grüße 🦅".encode(), "Grüße 🦅"), (b"a\xffb\xe2\x82", "a\ufffdb\ufffd\ufffd"), (b"a\0b", "a\0b")],
)
def test_str_of_event_is_payload(data: bytes, text: str) -> None:
    assert Event(data).text == text


def test_event_can_be_subclassed() -> None:
    class CustomEvent(Event):
        pass

    assert Shop.order(CustomEvent(EVENT.data)) == 7
    assert CustomEvent(b"1").json == 1


@pytest.mark.parametrize("name", ["data", "number", "json", "text"])
def test_event_is_immutable(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(Event(b"{}"), name, None)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"null", None),
        (b" \t\r\n true ", True),
        (b"[]", []),
        (b"{}", {}),
        (b'"text"', "text"),
        (b'{"a": [1, 2.5, "x", null, false, {"b": {}}]}', {"a": [1, 2.5, "x", None, False, {"b": {}}]}),
        (b"-0", 0),
        (b"9223372036854775808", 2**63),
        (b"-9223372036854775809", -(2**63) - 1),
        (b"1" * 400, int("1" * 400)),
        (b"1e3", 1000.0),
        (b"0.1", 0.1),
        (b"1e999", math.inf),
        (rb'"\u00fc\ud83e\udd85\/\b\f\n\r\t\"\\"', 'ü🦅/\b\f\n\r\t"\\'),
        (rb'"half \ud83e"', "half \ufffd"),
        (rb'{"\udd85": 1}', {"\ufffd": 1}),
        ('"ü🦅"'.encode(), "ü🦅"),
        (rb'"nul\u0000inside"', "nul\0inside"),
        (b'{"a": 1, "b": 2, "a": 3}', {"a": 1, "b": 2}),
        (rb'{"a": 1, "\u0061": 2}', {"a": 1}),
        (b'{"": {"": 1}}', {"": {"": 1}}),
        (b"Infinity", math.inf),
        (b"\xef\xbb\xbf{}", {}),
        (b"\0\0 {}", {}),
        (b"[1]\0", [1]),
        (b"[1] 2", [1]),
        (b"{} x", {}),
        (b"01", "01"),
        (b"[1., .5, +1, 007, 0x1F, abc]", ["1.", ".5", "+1", "007", "0x1F", "abc"]),
        (b"[1,]", [1]),
        (b"[1,,2]", [1, None, 2]),
        (b'{"a": 1,}', {"a": 1}),
        (b'{"a": , "b": 2}', {"a": None, "b": 2}),
        (b'{"a": 1, "b" 2, "c": 3}', {"a": 1}),
        (b'{"a": {"b": 1, c: 2}, "d": 3}', {"a": {"b": 1}, "d": 3}),
        (b'{"a": [1, 2}, "b": 3}', {"a": [1, 2], "b": 3}),
        (b'{"a": {"b": 1, "c": "cut', {"a": {"b": 1}}),
        (b'{"a": 1, "b": 12', {"a": 1}),
        (b"{a: 1}", {}),
        (b'"line\nbreak"', "line\nbreak"),
        (rb'"\x41"', r"\x41"),
        (rb'"\u12"', r"\u12"),
        (b'"a\xffb\xe2\x82c"', "a\ufffdb\ufffd\ufffdc"),
        (b'{"\xff": 1}', {"\ufffd": 1}),
    ],
)
def test_event_json_decodes_payload(data: bytes, value: object) -> None:
    found = Event(data).json
    assert found == value
    assert found.__class__ is value.__class__


@pytest.mark.parametrize("data", [b"", b" ", b"nul", b"-", b"'a'", b"plain text", b"2026-11-29 10:00:00 started"])
def test_json_raises_if_the_payload_is_not_json(data: bytes) -> None:
    with pytest.raises(ValueError, match="^the payload is not JSON: not a JSON value at byte [01]$"):
        Event(data).json  # noqa: B018


def test_json_raises_for_unterminated_string() -> None:
    with pytest.raises(ValueError, match="^the payload is not JSON: the text ends within a value at byte 0$"):
        Event(b'"open').json  # noqa: B018


def test_json_returns_none_below_128_levels() -> None:
    value = Event(b'{"deep": ' + nested(1_000) + b', "other": 1}').json
    assert value["other"] == 1
    value = value["deep"]
    for _ in range(126):
        (value,) = value
    assert value == [None]
    assert json_field("a.b", "/deep" + "/0" * 999, desc="x")(Event(b'{"deep": ' + nested(1_000) + b"}")) == "[]"


def test_json_is_decoded_once() -> None:
    event = Event(b'{"a": []}')
    assert event.json is event.json
    broken = Event(b"no")
    for _ in range(2):
        with pytest.raises(ValueError, match="not JSON"):
            broken.json  # noqa: B018


def test_json_can_be_read_by_finalizer_while_decoding() -> None:
    event = Event(b"[" + b",".join([b'{"a": [1]}'] * 5000) + b"]")
    seen = []

    class Cycle:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            seen.append(event.json)

    gc.collect()
    # Decoding creates enough objects to start the garbage collector.
    Cycle()
    decoded = event.json
    gc.collect()
    assert len(decoded) == 5000
    assert all(json is decoded for json in seen), "each read returns the same object"
    assert seen


# The cache of an event


def test_cache_is_one_dict_for_an_event() -> None:
    event = Event(b"{}")
    assert event.cache == {}
    event.cache["record"] = 1
    assert event.cache is event.cache
    assert (event.cache, Event(b"{}").cache, event.json) == ({"record": 1}, {}, {})


def test_event_in_its_own_cache_is_collected() -> None:
    class Value:
        pass

    event = Event(b"")
    value = Value()
    event.cache["cycle"] = event, value
    alive = weakref.ref(value)
    del event, value
    gc.collect()
    assert alive() is None


def test_threads_get_one_cache() -> None:
    for _ in range(50):
        event, barrier = Event(b""), threading.Barrier(4)
        caches: list[dict[Any, Any]] = []

        def read(event: Event = event, barrier: threading.Barrier = barrier, caches: Any = caches) -> None:
            barrier.wait()
            caches.append(event.cache)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(cache is event.cache for cache in caches)
