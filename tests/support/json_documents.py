"""Hypothesis strategies for JSON documents, valid and damaged, and for fields that select values in them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from hypothesis import strategies as st

from falco_plugin import Event, json_field
from support.json_values import decode_string, decode_utf8
from support.json_walk import Document, Found, Node, as_token

TYPES = {
    "string": str,
    "uint64": int,
    "bool": bool,
    "abstime": datetime,
    "reltime": timedelta,
    "ipaddr": IPv4Address | IPv6Address,
    "ipv4addr": IPv4Address,
    "ipv6addr": IPv6Address,
    "ipnet": IPv4Network | IPv6Network,
    "ipv4net": IPv4Network,
    "ipv6net": IPv6Network,
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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

    def get(self, event: Event) -> Any:
        """The result of `json_field`."""
        return json_field("a.field", self.pattern, type=self.type, desc="A field")(event, self.index, self.key)

    def get_expected(self, document: Document) -> Any:
        """The expected result, from the reference implementation."""
        values = [self._in_python(found) for found in self.find(document)]
        if self.is_list:
            return values or None
        return values[0] if values else None

    def find(self, document: Document) -> list[Found]:
        return document.values(self.pattern, self.kind, self.index, self.key)

    def _in_python(self, found: Found) -> Any:
        # Python's times are as fine as a microsecond.
        match self.kind:
            case "abstime":
                return EPOCH + timedelta(microseconds=found.value // 1000)
            case "reltime":
                return timedelta(microseconds=found.value // 1000)
        return found.value


def assert_same(payload: bytes, reads: list[Read]) -> None:
    """Checks fields against the reference: read from one event in two orders, and each from a separate event."""
    document = Document(payload)
    expected = [with_type(read.get_expected(document)) for read in reads]
    event = Event(payload)
    assert [with_type(read.get(event)) for read in reads] == expected
    event = Event(payload)
    assert [with_type(read.get(event)) for read in reversed(reads)] == expected[::-1]
    assert [with_type(read.get(Event(payload))) for read in reads] == expected


def with_type(value: Any) -> Any:
    """Pairs a value with its type, so that 1 does not equal True."""
    if isinstance(value, list):
        return [with_type(element) for element in value]
    return type(value), value


# Valid documents, as bytes since what matters is how they are written

space = st.sampled_from([b"", b"", b"", b" ", b"\n\t", b"\r  "])
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
    st.sampled_from(["T", "T", "t", " ", "_", "x", "é", ""]),
    st.sampled_from(["00", "23", "24", "12", "1"]),
    st.sampled_from(["00", "59", "60", "34"]),
    st.sampled_from(["00", "59", "60", "61", "33"]),
    st.sampled_from(["", "", ".5", ".123456789", ".1234567899", ".", ",5", ",", ";5"]),
    st.sampled_from(
        ["Z", "z", "+00:00", "-00:00", "+01:00", "-05:30", "+24:00", "+23:59", "-23:60", "+0100", "-05", "", "Zz"]
        + [" Z", " +01:00", "  Z", " -0530", "+1", "+01:0", "+010", " UTC"]
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
    # Whole numbers in every notation; limits of times and units.
    st.sampled_from(
        ["-0", "-0.0", "33.0", "3.3e1", "330e-1", "0.33E+2", "18446744073709551615.0", "1844674407370955161.5e1"]
        + ["18446744073.709551615", "18446744073.709551616", "1e-" + "9" * 20, "1e" + "9" * 20, "0e" + "9" * 20]
        + ["99999999999", "1e11", "1700000000.5", "1700000000123", "1700000000123456.7", "1700000000123456789"]
        + ["99999999999999.9", "1e14", "99999999999999999", "1e17", "18446744073709551616"]
    ),
)
lenient_numbers = st.one_of(
    numbers,
    st.sampled_from(
        ["007", "+1", "-007", "5.", ".5", ".5e1", "-.5", "5.e0", "+.0", "1e+03", "00", "0.0e5", "+-1", "1e", "e5", "."]
        + ["", " 1", "1 ", "1_0", "0x1F", "1.2.3", "--1", "٣"]
    ),
)
quoted = st.one_of(lenient_numbers, st.sampled_from(["true", "false", "null", "True", " true", "TRUE"]))
texts = st.one_of(st.lists(characters, max_size=12).map("".join), times, addresses, networks, quoted)
strings = texts.map('"{}"'.format).map(str.encode)
scalars = st.one_of(strings, numbers.map(str.encode), st.sampled_from([b"null", b"true", b"false"]))
NAMES = ["", "a", "b", "c", "0", "1", "2", "01", "-", "*", "~", "/", "a/b", "~1", "{x", "é", " ", "😀", "\n"]
# A name is written in every way: as it is, or as escapes.
keys = st.builds(lambda name, plain: json.dumps(name, ensure_ascii=not plain), st.sampled_from(NAMES), st.booleans())
keys = st.one_of(keys, st.sampled_from([r'"\u0061"', r'"\u0062"', r'"\ud800"', r'"\u007e"'])).map(str.encode)


def join(*parts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.tuples(*parts).map(b"".join)


def containers(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    members = join(keys, space, st.just(b":"), space, inner)
    return st.one_of(
        join(st.just(b"{"), list_of(members), st.just(b"}")), join(st.just(b"["), list_of(inner), st.just(b"]"))
    )


def list_of(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(join(space, inner, space), min_size=1, max_size=5).map(b",".join)


values = st.recursive(scalars | st.sampled_from([b"[]", b"{ }"]), containers, max_leaves=25)
valid_documents = join(space, containers(values), space)


# Faults inside one value

faulty_characters = st.one_of(
    characters.map(str.encode),
    # Not UTF-8: a stray byte, cut sequences, a surrogate, an overlong form, one above U+10FFFF.
    st.sampled_from(
        [b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80"]
    ),
    st.sampled_from([rb"\x5C", rb"\u12G4", rb"\u1", rb"\u", rb"\U0041", rb"\u+123", rb"\'", b"\\\xff", "\\é".encode()]),
    st.sampled_from([rb"\ud83d", rb"\ude00", rb"\ud83d\u0041", rb"\ud83d\uD83D\uDE00", rb"\ud83d\x", rb"\u00\n"]),
    st.sampled_from([b"\x00", b"\n", b"\t", b"\x1f", b"\\\n", b"\\\x00", b"\r\n"]),
)
faulty_texts = st.lists(faulty_characters, max_size=8).map(b"".join)
faulty_strings = faulty_texts.map(lambda text: b'"' + text + b'"')
faulty_bares = st.one_of(
    lenient_numbers.map(str.encode),
    st.sampled_from([b"NaN", b"nan", b"Infinity", b"-Infinity", b"+inf", b"-nan", b"0x1F", b"1_000", b"08", b"- 1"]),
    st.sampled_from([b"tru", b"True", b"nul", b"None", b"undefined", b"'a'", b"a: b", b"a\x00b", b"1\n2", b"\\n"]),
    st.sampled_from([b"2024-01-01T00:00:00Z", b"10.0.0.1", b"\xff", b"1\xff", "é".encode(), b"\xe2\x82", b":", b"::1"]),
)
faulty_scalars = st.one_of(faulty_strings, faulty_bares)
faulty_keys = st.one_of(keys, faulty_strings)


def faulty_containers(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Containers with any fault that keeps their brackets in pairs. A closing bracket may be of the other kind."""
    anything = st.one_of(inner, faulty_scalars, st.just(b""))
    colon = st.sampled_from([b":", b":", b":", b":", b"", b"::", b"=", b"\x00:"])
    comma = st.sampled_from([b",", b",", b",", b",", b"", b",,", b";", b" , "])
    faulty_space = st.sampled_from([b"", b"", b" ", b"\x00", b"\x0b\x1f", b"\xc2\xa0", b"\xef\xbb\xbf"])
    member = join(faulty_keys, faulty_space, colon, faulty_space, anything, faulty_space)
    member = st.one_of(member, member, anything)
    members = st.lists(join(st.one_of(member, join(faulty_space, anything)), comma), max_size=4).map(b"".join)
    return join(st.sampled_from([b"{", b"["]), members, st.sampled_from([b"}", b"]"]))


faulty_values = st.recursive(
    scalars | faulty_scalars, lambda inner: containers(inner) | faulty_containers(inner), max_leaves=15
)


# Faults of whole documents

prefixes = st.sampled_from(
    [b"", b"", b"", b"\xef\xbb\xbf", b"\0\0\0", b" \n", b"\0\xef\xbb\xbf \0", b"\xef\xbb\xbf\xef\xbb\xbf", b"\x1f"]
    + [b"x", b",", b"\xef\xbb", b"\xfe\xff"]
)
suffixes = st.sampled_from([b"", b"", b"", b"\0\0", b" \n", b"}", b"]", b" x", b'"', b',{"a":1}', b'{"a":2}', b"\xff"])
PIECES = [
    *(bytes([byte]) for byte in b'",:[]{}0-.e \\\x00\x0b\xff\xc3'),
    *(b"NaN", b"\xef\xbb\xbf", b"\\u", b"\\x", b"1e5", b"}]", b'":"', b",,"),
]


@st.composite
def damage(draw: st.DrawFn, payloads: st.SearchStrategy[bytes]) -> bytes:
    """Payloads that are cut, or have bytes changed, inserted, removed or moved."""
    payload = bytearray(draw(payloads))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(payload)))
        match draw(st.sampled_from(["cut", "change", "change", "insert", "insert", "remove", "copy"])):
            case "cut":
                del payload[at:]
            case "change":
                payload[at : at + 1] = draw(st.binary(min_size=1, max_size=1) | st.sampled_from(PIECES))
            case "insert":
                payload[at:at] = draw(st.sampled_from(PIECES))
            case "remove":
                del payload[at : at + draw(st.integers(1, 9))]
            case "copy":
                source = draw(st.integers(0, len(payload)))
                payload[at:at] = payload[source : source + 9]
    return bytes(payload)


def nest(payload: bytes) -> st.SearchStrategy[bytes]:
    """A document within many levels of arrays and objects, closed or not."""
    levels = st.lists(st.sampled_from([(b"[", b"]"), (b'{"a":', b"}"), (b"[1,", b"}")]), min_size=100, max_size=160)
    return st.builds(
        lambda levels, is_closed: b"".join(
            [*(opened for opened, _ in levels), payload, *(closed for _, closed in levels[::-1] if is_closed)]
        ),
        levels,
        st.booleans(),
    )


faulty_documents = join(prefixes, faulty_containers(faulty_values), suffixes)
any_documents = st.one_of(
    valid_documents,
    faulty_documents,
    damage(valid_documents),
    damage(faulty_documents),
    join(prefixes, scalars | faulty_scalars, suffixes),
    faulty_values.flatmap(nest),
)


# Fields that lead into a document


@st.composite
def reads_of(draw: st.DrawFn, payload: bytes) -> list[Read]:
    """Fields that mostly select existing values of a document."""
    document = Document(payload)
    return [draw(read_of(document)) for _ in range(draw(st.integers(1, 6)))]


@st.composite
def read_of(draw: st.DrawFn, document: Document) -> Read:
    """A path from the root, in which some tokens are replaced by arguments or wildcards."""

    def once_in(times: int) -> bool:
        return draw(st.integers(1, times)) == times

    pieces: list[str] = []
    index = key = None
    node = document.root
    while node is not None and node.is_container and not once_in(8):
        entries = document.entries(node)
        if node.kind == "object":
            names = sorted({name for name, _ in entries})
            name = draw(st.sampled_from(NAMES if once_in(10) or not names else names))
            node = next((value for other, value in entries if other == name), None)
            # The host ends an argument at its first NUL.
            if key is None and "\0" not in name and once_in(3):
                key = name
                pieces.append("{key}")
            else:
                pieces.append(escape(name))
        else:
            place = draw(st.integers(0, max(len(entries) - 1, 0)))
            node = entries[place][1] if place < len(entries) else None
            place += once_in(20)
            form = draw(st.sampled_from(["*", "{index|*}", "{index}", str(place)]))
            if form.startswith("{index") and index is None and not any("{index" in piece for piece in pieces):
                index = place if form == "{index}" or once_in(2) else None
            elif form.startswith("{index"):
                form = "*"
            pieces.append(form)
    if once_in(15):
        pieces.append(draw(st.sampled_from(["*", "0", "a", ""])))
    pointer = "".join(f"/{piece}" for piece in pieces)
    kind = draw(st.sampled_from(sorted(TYPES) if node is None or once_in(4) else kinds_of(document, node)))
    if not any(piece == "*" or piece.startswith("{") for piece in pieces) and "\0" not in pointer and once_in(3):
        return Read("{pointer}", kind, None, draw(st.sampled_from([pointer, pointer, pointer[1:], pointer + "~"])))
    return Read(pointer, kind, index, key)


def escape(name: str) -> str:
    """Converts a name to a token of a pattern. A name with a special meaning becomes one that selects nothing."""
    return "none" if name == "*" or name.startswith("{") and name.endswith("}") else as_token(name)


def kinds_of(document: Document, node: Node) -> list[str]:
    """The types that a value may have."""
    raw = document.payload[node.start : node.end]
    if node.is_container:
        return ["string"]
    text = decode_string(raw[1:-1]) if node.kind == "string" else decode_utf8(raw)
    if text in ("true", "false"):
        return ["bool"]
    kinds = ["string", "uint64", "abstime", "reltime"] if text[:1] in tuple("+-.0123456789") else ["string"]
    if "-" in text[1:-1]:
        kinds.append("abstime")
    if "." in text or ":" in text:
        kinds += ["ipaddr", "ipnet", "ipv4addr", "ipv6net"]
    return kinds
