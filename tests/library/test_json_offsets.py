"""Values of `json_field` and their offsets in the payload, as a host receives them through the C plugin API."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from support.embedded import Library, event_buffer
from support.events import PAYLOAD_AT, encode_event
from support.fields import FIELD_TYPES, NO_INDEX, FieldRequest
from support.json_documents import TYPES, Read, any_documents, valid_documents
from support.json_values import convert
from support.json_walk import Document, Found
from support.libraries import build_plugin

from falco_plugin._declare.annotations import source_of

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
    f"    field{id} = json_field('test.f{id}', {read.pattern!r}, type={source_of(read.type)}, desc='A field')\n"
    for id, read in enumerate(FIELDS)
)


def type_of(kind: str) -> int:
    """Returns the type in the plugin API, which has one type for all addresses and one for all networks."""
    return FIELD_TYPES[kind.replace("v4", "").replace("v6", "")]


REQUESTS = [
    FieldRequest(
        name=f"test.f{id}",
        id=id,
        type=type_of(read.kind),
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


@given(valid_documents)
def test_host_receives_values_with_offsets(library: Library, payload: bytes) -> None:
    assert_same_in_host(library, payload)


@given(any_documents)
def test_host_receives_offsets_in_damaged_documents(library: Library, payload: bytes) -> None:
    assert_same_in_host(library, payload)


def assert_same_in_host(library: Library, value: bytes) -> None:
    # The pointers of the library's fields match in each of these shapes.
    for payload in (
        value,
        b'{"a": [%b, {"b":%b }], "b" : %b}' % (value, value, value),
        b'[{"a": %b} ,%b]' % (value, value),
    ):
        document, event, number = Document(payload), event_buffer(encode_event(payload)), next(_numbers)
        for read, request in zip(FIELDS, REQUESTS, strict=True):
            expected = read.find(document)
            extracted = library.extract(event, request, number)
            assert extracted.values == ([as_extracted(read.kind, found) for found in expected] or None), read
            spans = [(start - PAYLOAD_AT, length) for start, length in extracted.places or []]
            assert spans == [(found.start, found.length) for found in expected]
            assert all(is_at_offset(payload, found, read.kind) for found in expected)


def as_extracted(kind: str, found: Found) -> Any:
    """Returns a value in the form in which `Library.extract` returns it."""
    if kind.endswith("addr"):
        return str(found.value)
    if kind.endswith("net"):
        return str(found.value.network_address)
    return found.value


def is_at_offset(payload: bytes, found: Found, kind: str) -> bool:
    """Returns whether the bytes at the position of a value convert to that value."""
    raw = payload[found.start : found.start + found.length]
    is_string = payload[found.start - 1 : found.start] == b'"'
    form = "string" if is_string else {b"{": "object", b"[": "array"}.get(raw[:1], "bare")
    return convert(form, raw, kind) == found.value
