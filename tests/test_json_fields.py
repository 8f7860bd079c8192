"""`json_field` against the plain walk of `json_walk`: the same values, absences and places, in any order."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

import pytest
from hosts_support import FIELD_TYPES, NO_INDEX, PAYLOAD_AT, Asked, Library, build_plugin, encoded, held
from hypothesis import given
from hypothesis import strategies as st
from json_walk import MAX_DEPTH, Document, Found

from falco_plugin import Event, _types, json_field

TYPES = {
    "string": str,
    "uint64": int,
    "bool": bool,
    "abstime": datetime,
    "reltime": timedelta,
    "ipaddr": IPv4Address | IPv6Address,
    "ipnet": IPv4Network | IPv6Network,
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

slow = pytest.mark.skipif(os.environ.get("HYPOTHESIS_PROFILE") != "slow", reason="needs seconds, and gigabytes")


@dataclass(frozen=True)
class Read:
    """A field, and the argument that it is read with."""

    pattern: str
    kind: str
    index: int | None = None
    key: str | None = None

    @property
    def is_list(self) -> bool:
        return any(token in ("*", "{index|*}") for token in self.pattern.split("/"))

    @property
    def type(self) -> Any:
        one = TYPES[self.kind]
        return list[one] if self.is_list else one

    def given(self, event: Event) -> Any:
        """What `json_field` gives."""
        return json_field("a.field", self.pattern, type=self.type, desc="A field")(event, self.index, self.key)

    def expected(self, document: Document) -> Any:
        """What it has to give."""
        values = [self.in_python(found) for found in self.found(document)]
        if self.is_list:
            return values or None
        return values[0] if values else None

    def found(self, document: Document) -> list[Found]:
        return document.values(self.pattern, self.kind, self.index, self.key)

    def in_python(self, found: Found) -> Any:
        # Python's times are as fine as a microsecond.
        match self.kind:
            case "abstime":
                return EPOCH + timedelta(microseconds=found.value // 1000)
            case "reltime":
                return timedelta(microseconds=found.value // 1000)
        return found.value


def assert_same(payload: bytes, reads: list[Read]) -> None:
    """All of the fields have what the walk finds: read on one event, in two orders, and each on an event of its own."""
    document = Document(payload)
    expected = [typed(read.expected(document)) for read in reads]
    event = Event(payload)
    assert [typed(read.given(event)) for read in reads] == expected
    event = Event(payload)
    assert [typed(read.given(event)) for read in reversed(reads)] == expected[::-1]
    assert [typed(read.given(Event(payload))) for read in reads] == expected


def typed(value: Any) -> Any:
    """A value that equals only one of the same type: 1 is not True."""
    if isinstance(value, list):
        return [typed(element) for element in value]
    return type(value), value


# Documents as text, since what matters is how they are written.

space = st.sampled_from(["", "", "", " ", "\n\t", "\r  "])
characters = st.one_of(
    st.characters(exclude_characters='"\\', exclude_categories=["Cs", "Cc"]),
    st.sampled_from(
        [r"\n", r"\/", r"\"", r"\\", r"\u0000", r"\u00e9", r"\uD83D\uDE00", r"\ud83d", r"\ude00", "𝄞", "[", "\x7f"]
    ),
)
digits = st.text("0123456789", min_size=1, max_size=3)
times = st.builds(
    "{}-{}-{}{}{}:{}:{}{}{}".format,
    st.sampled_from(["1970", "2016", "2024", "1969", "2554", "9999", "0000", "024"]),
    st.sampled_from(["01", "02", "07", "12", "13", "00", "1"]),
    st.sampled_from(["01", "21", "29", "30", "31", "32", "00"]),
    st.sampled_from(["T", "T", "t", " ", "x", "é", ""]),
    st.sampled_from(["00", "23", "24", "12", "1"]),
    st.sampled_from(["00", "59", "60", "34"]),
    st.sampled_from(["00", "59", "60", "61", "33"]),
    st.sampled_from(["", ".5", ".123456789", ".1234567899", ".", ",5"]),
    st.sampled_from(
        ["Z", "z", "+00:00", "-00:00", "+01:00", "-05:30", "+24:00", "+23:59", "-23:60", "+0100", "", "Zz"]
    ),
)
addresses = st.one_of(
    st.ip_addresses().map(str),
    st.sampled_from(
        ["::ffff:1.2.3.4", "1::", "::1%eth0", "01.2.3.4", "1.2.3", "1:2:3:4:5:6:7::", "1::2::3", "", "2001:DB8::"]
    ),
)
networks = st.one_of(
    st.ip_addresses(v=4, network="10.0.0.0/8").map(str).map("{}/32".format),
    st.builds(
        "{}/{}".format,
        st.sampled_from(["10.0.0.0", "10.1.0.0", "0.0.0.0", "::", "fe80::", "2001:db8::1", "1.2.3.4"]),
        st.sampled_from(
            ["0", "8", "08", "16", "24", "32", "33", "64", "128", "129", "256", "", "+8", "8/8", "255.0.0.0"]
        ),
    ),
)
strings = st.one_of(st.lists(characters, max_size=12).map("".join), times, addresses, networks).map('"{}"'.format)
numbers = st.one_of(
    st.integers(-2, 2**65).map(str),
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["", "-"]),
        st.one_of(st.just("0"), st.integers(1, 2**70).map(str)),
        st.one_of(st.just(""), digits.map(".{}".format)),
        st.one_of(
            st.just(""), st.builds("{}{}{}".format, st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), digits)
        ),
    ),
    st.sampled_from(
        ["-0", "-0.0", "18446744073.709551615", "18446744073.709551616", "1e-" + "9" * 20, "1e" + "9" * 20]
    ),
)
NAMES = ["", "a", "b", "c", "0", "1", "2", "01", "-", "*", "~", "/", "a/b", "~1", "{x", "é", " ", "😀", "\n"]
# A name is written in every way: as it is, or as escapes.
keys = st.builds(lambda name, plain: json.dumps(name, ensure_ascii=not plain), st.sampled_from(NAMES), st.booleans())
keys |= st.sampled_from([r'"\u0061"', r'"\u0062"', r'"\ud800"', r'"\u007e"'])


def containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    members = st.builds("{}{}:{}{}".format, keys, space, space, inner)
    return st.one_of(listed(members).map("{{{}}}".format), listed(inner).map("[{}]".format))


def listed(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(st.tuples(space, inner, space).map("".join), min_size=1, max_size=5).map(",".join)


leaves = strings | numbers | st.sampled_from(["null", "true", "false", "[]", "{ }"])
documents = st.tuples(space, containers(st.recursive(leaves, containers, max_leaves=25)), space).map("".join)


@st.composite
def reads_of(draw: st.DrawFn, payload: str) -> list[Read]:
    """Fields that mostly lead somewhere in a document."""
    root = Document(payload.encode()).root
    return [draw(read_of(root)) for _ in range(draw(st.integers(1, 6)))]


@st.composite
def read_of(draw: st.DrawFn, node: Any) -> Read:
    """A way from a node down, in which some tokens are replaced by what may stand for them."""

    def once_in(times: int) -> bool:
        return draw(st.integers(1, times)) == times

    tokens: list[str] = []
    index = key = None
    while isinstance(node, (dict, list)) and not once_in(8):
        if isinstance(node, dict):
            # Half of a surrogate pair is in no pointer.
            names = sorted(set(node) - {"\ud800"})
            name = draw(st.sampled_from(NAMES if once_in(10) or not names else names))
            node = node.get(name)
            if key is None and once_in(3):
                key = name
                tokens.append("{key}")
            else:
                tokens.append(escaped(name))
        else:
            place = draw(st.integers(0, max(len(node) - 1, 0)))
            node = node[place] if place < len(node) else None
            place += once_in(20)
            form = draw(st.sampled_from(["*", "{index|*}", "{index}", str(place)]))
            if form.startswith("{index") and index is None and not any("{index" in token for token in tokens):
                index = place if form == "{index}" or once_in(2) else None
            elif form.startswith("{index"):
                form = "*"
            tokens.append(form)
    if once_in(15):
        tokens.append(draw(st.sampled_from(["*", "0", "a", ""])))
    pointer = "".join(f"/{token}" for token in tokens)
    kind = draw(st.sampled_from(sorted(TYPES) if once_in(4) else kinds_of(node)))
    if not any(token == "*" or token.startswith("{") for token in tokens) and once_in(3):
        return Read("{pointer}", kind, None, draw(st.sampled_from([pointer, pointer, pointer[1:], pointer + "~"])))
    return Read(pointer, kind, index, key)


def escaped(name: str) -> str:
    """A name as a token of a pattern; where it would mean something else there, it is one that leads nowhere."""
    return "none" if name == "*" else name.replace("~", "~0").replace("/", "~1")


def kinds_of(node: Any) -> list[str]:
    """The types that a value may have."""
    match node:
        case bool():
            return ["bool"]
        case str() if type(node) is str:
            return ["string", "abstime", "ipaddr", "ipnet"]
        case str():
            return ["uint64", "abstime", "reltime"]
    return ["string"]


documents_and_reads = documents.flatmap(lambda text: st.tuples(st.just(text), reads_of(text)))


@given(documents_and_reads)
def test_fields_are_what_a_plain_walk_finds_in_any_order(case: tuple[str, list[Read]]) -> None:
    text, reads = case
    assert_same(text.encode(), reads)


# Broken documents


@st.composite
def damaged(draw: st.DrawFn) -> tuple[bytes, list[Read]]:
    text, reads = draw(documents_and_reads)
    payload = bytearray(text.encode())
    at = draw(st.integers(0, len(payload)))
    match draw(st.sampled_from(["cut", "change", "insert", "append"])):
        case "cut":
            del payload[at:]
        case "change":
            payload[at : at + 1] = draw(st.binary(min_size=1, max_size=1) | st.sampled_from(PIECES))
        case "insert":
            payload[at:at] = draw(st.sampled_from(PIECES))
        case "append":
            payload += draw(st.sampled_from(PIECES))
    return bytes(payload), reads


# With a byte order mark, and bytes that are not UTF-8.
PIECES = [*(bytes([byte]) for byte in b'",:[]{}0-.e \\\x00\x0b\xff\xc3'), b"NaN", b"\xef\xbb\xbf"]


@given(damaged())
def test_a_broken_document_gives_what_stands_before_the_fault(case: tuple[bytes, list[Read]]) -> None:
    assert_same(*case)


SAMPLE = (
    rb'{"verb":"get\u00e9","n" : 12,"list":[ {"x":1.5,"y":[true,"10.0.0.1"]},{"x":"b"},null,[],{}],'
    rb'"k\u0061":{"":"2024-02-29T12:00:00Z","deep":[[["\ud83d\ude00 \" ] }"]]]},"verb":"second","end":-0}'
)
SAMPLE_READS = [
    Read("/verb", "string"),
    Read("/n", "uint64"),
    Read("/list/*/x", "string"),
    Read("/list/{index|*}/y/*", "bool"),
    Read("/list/{index}/y/1", "ipaddr", 0),
    Read("/ka/", "abstime"),
    Read("/{key}", "string", None, "ka"),
    Read("{pointer}", "string", None, "/ka/deep/0/0"),
    Read("/end", "uint64"),
    Read("", "string"),
]


@pytest.mark.parametrize("order", [SAMPLE_READS, SAMPLE_READS[::-1]], ids=["forwards", "backwards"])
def test_a_document_cut_anywhere_gives_the_values_before_the_cut(order: list[Read]) -> None:
    whole = Document(SAMPLE)
    for cut in range(len(SAMPLE)):
        event = Event(SAMPLE[:cut])
        for read in order:
            value, undamaged = read.given(event), read.expected(whole)
            if read.is_list and value is not None:
                undamaged = undamaged[: len(value)]
            assert value in (None, undamaged)
        assert_same(SAMPLE[:cut], order)


def test_a_document_with_any_byte_changed_is_read_as_it_then_stands() -> None:
    for at, byte in itertools.product(range(len(SAMPLE)), b'"\\,]}{[:0x \x00\xff'):
        payload = bytearray(SAMPLE)
        payload[at] = byte
        document, event = Document(bytes(payload)), Event(payload)
        for read in SAMPLE_READS:
            assert read.given(event) == read.expected(document), payload


@given(st.binary(max_size=40))
def test_any_bytes_are_taken(payload: bytes) -> None:
    assert_same(payload, SAMPLE_READS)


@pytest.mark.parametrize("brackets", ["[]", "{}"])
@pytest.mark.parametrize("levels", [MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 10_000])
def test_what_is_deeper_than_128_levels_is_absent(brackets: str, levels: int) -> None:
    open, close = ('{"0":', "}") if brackets == "{}" else ("[", "]")
    payload = (open * (levels - 1) + brackets + close * (levels - 1)).encode()
    innermost = "/0" * (levels - 1)
    reads = [Read(pointer, "string") for pointer in ("", "/0", "/0/0", innermost)]
    assert_same(payload, reads)
    assert (reads[1].given(Event(payload)) is None) == (levels > MAX_DEPTH)


def test_values_beyond_those_that_are_kept_are_the_same_in_any_order() -> None:
    elements = [f'{{"id": {number}, "tags": ["{number}"]}}' for number in range(3000)]
    payload = f'{{"list": [{", ".join(elements)}], "end": true}}'.encode()
    choose = random.Random(1)
    reads = [Read("/end", "bool"), Read("/list/*/tags/*", "string"), Read("/list/*/id", "uint64")]
    reads += [Read("/list/{index}/id", "uint64", choose.randrange(3100)) for _ in range(20)]
    for _ in range(4):
        choose.shuffle(reads)
        event, document = Event(payload), Document(payload)
        for read in reads:
            assert read.given(event) == read.expected(document)


# Through the C plugin API, with places


FIELDS = [
    Read(pattern, kind, index, key)
    for pattern, index, key in [
        ("", None, None),
        ("/a", None, None),
        ("/*", None, None),
        ("/a/*", None, None),
        ("/*/*", None, None),
        ("/{index}", 1, None),
        ("/a/{index|*}", None, None),
        ("/{index|*}", 0, None),
        ("/{key}", None, "b"),
        ("{pointer}", None, "/0/a"),
    ]
    for kind in TYPES
]
PLUGIN = """
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from falco_plugin import Plugin, json_field


class Fields(Plugin):
    name = "fields"
    extract_event_sources = ("test",)
""" + "".join(
    f"    field{id} = json_field('test.f{id}', {read.pattern!r}, type={_types.name(read.type)}, desc='A field')\n"
    for id, read in enumerate(FIELDS)
)
ASKED = [
    Asked(
        name=f"test.f{id}",
        id=id,
        type=FIELD_TYPES[read.kind],
        is_list=read.is_list,
        present=read.index is not None or read.key is not None,
        index=NO_INDEX if read.index is None else read.index,
        key=read.key,
    )
    for id, read in enumerate(FIELDS)
]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    with Library(build_plugin(tmp_path_factory.mktemp("fields"), PLUGIN)) as library:
        yield library


_numbers = itertools.count(1)


@given(documents)
def test_a_host_is_told_each_value_and_its_exact_place(library: Library, text: str) -> None:
    # Of shapes that the fields of the library lead into.
    for payload in (
        text.encode(),
        f'{{"a": [{text}, {{"b":{text} }}], "b" : {text}}}'.encode(),
        f'[{{"a": {text}}} ,{text}]'.encode(),
    ):
        document, event, number = Document(payload), held(encoded(payload)), next(_numbers)
        for read, asked in zip(FIELDS, ASKED, strict=True):
            expected = read.found(document)
            extracted = library.extract(event, asked, number)
            assert extracted.values == ([in_c(read.kind, found.value) for found in expected] or None)
            places = [(start - PAYLOAD_AT, length) for start, length in extracted.places or []]
            assert places == [(found.start, found.length) for found in expected]
            for (start, length), found in zip(places, expected, strict=True):
                assert stands_at(payload, start, length, found.value, read.kind)


def in_c(kind: str, value: Any) -> Any:
    """A value as `Library.extract` has it."""
    match kind:
        case "ipaddr":
            return str(value)
        case "ipnet":
            return str(value.network_address)
    return value


def stands_at(payload: bytes, start: int, length: int, value: Any, kind: str) -> bool:
    """Whether a part of the payload, with the quotes around it where there are some, is the JSON of a value."""
    is_string = payload[start - 1 : start] == b'"'
    standing = json.loads(payload[start - is_string : start + length + is_string], parse_float=str, parse_int=str)
    match kind, standing:
        case "string", str():
            return re.sub("[\0\ud800-\udfff]", "\ufffd", standing) == value
        case "string", bool():
            return str(standing).lower() == value
        case "string", _:
            return isinstance(standing, (dict, list))
        case "uint64", _:
            return int(standing) == value
        case "bool", _:
            return standing is value
    return isinstance(standing, str)


# Event.json


def first_counts(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs))


@given(st.one_of(documents.map(str.encode), damaged().map(lambda case: case[0])))
def test_json_of_an_event_is_what_python_loads_with_the_first_of_duplicate_keys(payload: bytes) -> None:
    document = Document(payload)
    if document.whole and document.spot is not None:
        loaded = json.loads(payload.decode(), object_pairs_hook=first_counts)
        # Keys in any order; no number is NaN.
        assert repr(sorted_keys(Event(payload).json)) == repr(sorted_keys(loaded))
    else:
        with pytest.raises(ValueError):
            Event(payload).json  # noqa: B018


def sorted_keys(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: sorted_keys(tree[key]) for key in sorted(tree)}
    return [sorted_keys(element) for element in tree] if isinstance(tree, list) else tree


# Large payloads, each in a process of its own

READING = """
import sys
from pathlib import Path

from falco_plugin import Event, json_field

MEGABYTE = 1 << 20


def peak():
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) << 10


payload, reads, expected, megabytes = (eval(argument) for argument in sys.argv[1:])
event = Event(payload)
# From here on the peak is that of the reading.
Path("/proc/self/clear_refs").write_text("5")
before = peak()
for order in (reads, reads[::-1]):
    found = [json_field("a.field", pointer, type=type, desc="A field")(event) for pointer, type in order]
    assert [len(value) if isinstance(value, (str, list)) else value for value in found] == expected
    expected = expected[::-1]
    del found
assert peak() - before < megabytes * MEGABYTE, (peak() - before) / MEGABYTE
"""

ELEMENTS = "b'[' + b'1,' * 10_000_000 + b'true]'"


@pytest.mark.parametrize(
    ("payload", "reads", "expected", "megabytes"),
    [
        pytest.param(
            "b'{\"a\": \"' + b'x' * 100_000_000 + b'\"}'",
            "[('/a', int), ('/a', str), ('/a/0', str), ('/b', str)]",
            "[None, 100_000_000, None, None]",
            300,
            id="one string",
        ),
        pytest.param(
            ELEMENTS,
            "[('/10000000', bool), ('/*', list[bool]), ('/10000001', bool), ('/a', str)]",
            "[True, 1, None, None]",
            16,
            id="many elements",
        ),
        pytest.param(ELEMENTS, "[('/*', list[int])]", "[10_000_000]", 1024, id="a list of many elements", marks=slow),
        pytest.param(
            "b'[' * 50_000_000",
            "[('', str), ('/0', str), ('/*', list[str]), ('/0/0/0', int)]",
            "[None] * 4",
            16,
            id="many brackets",
        ),
        pytest.param(
            "b'{' + b','.join(b'\"%d\": %d' % (n, n) for n in range(1_000_000)) + b'}'",
            "[('/999999', int), ('/1000000', int), ('/5', int), ('', bool)]",
            "[999_999, None, 5, None]",
            16,
            id="many members",
        ),
    ],
)
def test_a_large_payload_is_read_in_bounded_memory(payload: str, reads: str, expected: str, megabytes: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", READING, payload, reads, expected, str(megabytes)], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
