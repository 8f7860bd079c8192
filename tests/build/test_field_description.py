"""Static answers of a library with fields, before it is initialised."""

from __future__ import annotations

import textwrap

import pytest
from support.hosts import c_host_lines, go_loader_lines, init_error, static_answers

STATIC = """
    @field(
        "the.method", desc="Ünïcode \\"quoted\\"", display="The method", add_output=True, hidden=True, info=True,
        conversation=True,
    )
    def method(self, event) -> list[int]:
        return []

    plain = json_field("the.plain", "/a", desc="Plain")
    output = json_field("the.output", "/a", desc="Output", add_output=True, conversation=True)
    index = json_field("the.index", "/a/{index}", type=bool, desc="Index")
    maybe = json_field("the.maybe", "/a/{index|*}", type=list[datetime], desc="Maybe")
    key = json_field("the.key", "/a/{key}", type=timedelta, desc="Key")
    pointer = json_field("the.pointer", "{pointer}", type=IPv4Address | IPv6Address, desc="Pointer")
    both = json_field("the.both", "/{key}/{index}", type=IPv4Network | IPv6Network, desc="Both")

    @field("the.either", desc="Either")
    def either(self, event, index: int | None = None, key: str | None = None) -> str:
        return ""
"""
FIELDS = [
    {
        "name": "the.method",
        "type": "uint64",
        "isList": True,
        "desc": 'Ünïcode "quoted"',
        "display": "The method",
        "addOutput": True,
        "properties": ["hidden", "info", "conversation"],
    },
    {"name": "the.plain", "type": "string", "isList": False, "desc": "Plain"},
    {
        "name": "the.output",
        "type": "string",
        "isList": False,
        "desc": "Output",
        "addOutput": True,
        "properties": ["conversation"],
    },
    {
        "name": "the.index",
        "type": "bool",
        "isList": False,
        "desc": "Index",
        "arg": {"isRequired": True, "isIndex": True, "isKey": False},
    },
    {
        "name": "the.maybe",
        "type": "abstime",
        "isList": True,
        "desc": "Maybe",
        "arg": {"isRequired": False, "isIndex": True, "isKey": False},
    },
    {
        "name": "the.key",
        "type": "reltime",
        "isList": False,
        "desc": "Key",
        "arg": {"isRequired": True, "isIndex": False, "isKey": True},
    },
    {
        "name": "the.pointer",
        "type": "ipaddr",
        "isList": False,
        "desc": "Pointer",
        "arg": {"isRequired": True, "isIndex": False, "isKey": True},
    },
    {
        "name": "the.both",
        "type": "ipnet",
        "isList": False,
        "desc": "Both",
        "arg": {"isRequired": True, "isIndex": True, "isKey": True},
    },
    {
        "name": "the.either",
        "type": "string",
        "isList": False,
        "desc": "Either",
        "arg": {"isRequired": False, "isIndex": True, "isKey": True},
    },
]
OPENS = """
    def open(self, params):
        return []
"""
REQUIRED = {
    "plugin_get_required_api_version",
    "plugin_get_name",
    "plugin_get_description",
    "plugin_get_contact",
    "plugin_get_version",
    "plugin_init",
    "plugin_destroy",
    "plugin_get_last_error",
    # Optional for hosts, but every plugin of this SDK has metrics.
    "plugin_get_metrics",
}
SOURCING = {
    "plugin_get_id",
    "plugin_get_event_source",
    "plugin_open",
    "plugin_close",
    "plugin_next_batch",
    "plugin_get_progress",
    "plugin_event_to_string",
}
EXTRACTION = {
    "plugin_get_fields",
    "plugin_extract_fields",
    "plugin_get_extract_event_sources",
    "plugin_get_extract_event_types",
}
KINDS = {
    # Kind of plugin: class body, symbols, required API version, event sources that it extracts from
    "source": (OPENS, REQUIRED | SOURCING, "3.5.0", None),
    "extracts": (STATIC, REQUIRED | EXTRACTION, "3.11.0", []),
    "extracts from some": (
        'extract_event_sources = ("one", "two")\n' + textwrap.dedent(STATIC),
        REQUIRED | EXTRACTION,
        "3.11.0",
        ["one", "two"],
    ),
    "both": (textwrap.dedent(STATIC) + textwrap.dedent(OPENS), REQUIRED | SOURCING | EXTRACTION, "3.11.0", []),
}


@pytest.mark.parametrize("kind", KINDS)
def test_library_exports_symbols_of_its_capabilities(build_fields, kind: str) -> None:
    body, symbols, version, sources = KINDS[kind]
    library = build_fields(body)
    (line,) = c_host_lines("symbols", library)
    assert set(line["symbols"]) == symbols
    assert static_answers(library) == {
        "required_api_version": version,
        "fields": None if sources is None else FIELDS,
        "extract_event_sources": sources,
        "schema": None,
        # The list is never empty, because a host may then pass system events.
        "extract_event_types": None if sources is None else [322],
    }


@pytest.mark.parametrize("kind", KINDS)
def test_go_loader_accepts_each_kind_of_library(build_fields, kind: str) -> None:
    body, symbols, version, sources = KINDS[kind]
    info, init, *_ = go_loader_lines(build_fields(body))
    assert info["info"]["required_api_version"] == version
    assert info["info"]["caps"] == {
        "sourcing": symbols >= SOURCING,
        "extraction": symbols >= EXTRACTION,
        "broken": False,
        "broken_error": None,
    }
    assert info["info"]["fields"] == ([] if sources is None else [field["name"] for field in FIELDS])
    assert (info["info"]["extract_event_sources"] or []) == (sources or [])
    assert init == {"init": "ok"}


def test_damaged_library_loads_and_fails_in_init(build_fields) -> None:
    library = build_fields(STATIC)
    library.write_bytes(library.read_bytes()[:-10])
    assert [field["name"] for field in static_answers(library)["fields"]] == ["unreadable.library"]
    assert "build it again" in init_error(library)
