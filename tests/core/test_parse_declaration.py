"""Tests the declaration of methods that parse events."""

from __future__ import annotations

from typing import Any

import pytest
from support.events import ASYNC_EVENT, EXECVE, GENERIC, PLUGIN_EVENT

import falco_plugin
from falco_plugin import Event, Plugin, PluginError, field, parse
from falco_plugin._build.manifest import hidden_symbols, manifest_of
from falco_plugin._declare.capabilities import check

PARSING = {"plugin_parse_event", "plugin_get_parse_event_types", "plugin_get_parse_event_sources"}
SCHEMA = "plugin_get_required_event_schema_version"


def declared(body: dict[str, Any]) -> Any:
    """Returns a plugin whose class has these members."""
    return type("Parses", (Plugin,), {"name": "parses", **body})()


def parses(*events: Any, **options: Any) -> Any:
    """Returns a method that parses these events."""

    def method(plugin: Any, event: Event) -> None: ...

    return parse(*events, **options)(method)


def static(plugin: Any) -> tuple[str | None, str | None]:
    """Returns the types and sources of parsing in the manifest."""
    values = manifest_of(plugin, check(plugin), "", "a:b", "")
    return values.get("parse_event_types"), values.get("parse_event_sources")


def opens(plugin: Any, params: str) -> list[bytes]:
    return []


CASES: dict[str, tuple[dict[str, Any], str | None, set[int]]] = {
    "system call": ({"a": parses("execve")}, '["syscall"]', {EXECVE}),
    "generic system call": ({"a": parses("setxattr")}, '["syscall"]', {GENERIC}),
    "tracepoint": ({"a": parses("procexit")}, '["syscall"]', {186}),
    "source": ({"a": parses("execve", sources=["other"])}, '["other"]', {EXECVE}),
    "every source": ({"a": parses("execve", sources=[])}, "[]", {EXECVE}),
    "plugin events": ({"a": parses("pluginevent")}, "[]", {PLUGIN_EVENT}),
    "async events": ({"a": parses("asyncevent")}, "[]", {ASYNC_EVENT}),
    "own name": ({"a": parses(async_events=["changed"])}, "[]", {ASYNC_EVENT}),
    "both": ({"a": parses("execve", async_events=["changed"])}, "[]", {EXECVE, ASYNC_EVENT}),
    "name of Falco and of a plugin": ({"a": parses("container")}, "[]", {ASYNC_EVENT}),
}


@pytest.mark.parametrize("case", CASES)
def test_types_and_sources_of_methods(case: str) -> None:
    body, sources, codes = CASES[case]
    types, found = static(declared(body))
    assert found == sources
    assert types is not None
    assert codes <= set(map(int, types.split(",")))


def test_types_and_sources_are_those_of_all_methods() -> None:
    plugin = declared({"a": parses("close"), "b": parses("pluginevent", sources=["shop", "syscall"])})
    assert static(plugin) == ("5,322", '["syscall", "shop"]')
    assert [found.name for found in check(plugin).parse_methods] == ["a", "b"]


def test_methods_keep_the_order_of_the_class() -> None:
    class Base(Plugin):
        name = "base"

        @parse("close")
        def second(self, event: Event) -> None: ...

        @parse("close")
        def first(self, event: Event) -> None: ...

        @parse("close")
        def removed(self, event: Event) -> None: ...

    class Derived(Base):
        @parse("execve")
        def last(self, event: Event) -> None: ...

        def first(self, event: Event) -> None: ...

        removed = None  # type: ignore[assignment]

    assert [found.name for found in check(Derived()).parse_methods] == ["second", "first", "last"]


def test_library_without_methods_hides_parsing() -> None:
    plugin = declared({"open": opens})
    hidden = hidden_symbols(plugin, check(plugin), "")
    assert hidden >= PARSING | {SCHEMA}
    assert static(plugin) == (None, None)


@pytest.mark.parametrize(
    ("body", "exports"),
    [
        ({"a": parses("execve")}, True),
        ({"a": parses("asyncevent")}, True),
        ({"a": parses("pluginevent")}, False),
        ({"open": opens, "a": parses("pluginevent")}, False),
    ],
)
def test_schema_version_is_exported_if_events_have_parameters(body: dict[str, Any], exports: bool) -> None:
    plugin = declared(body)
    hidden = hidden_symbols(plugin, check(plugin), "")
    assert not hidden & PARSING
    assert (SCHEMA not in hidden) == exports


def text(plugin: Any, event: Event) -> str:
    return ""


@pytest.mark.parametrize(
    ("body", "types", "exports"),
    [
        ({}, "322", False),
        ({"extract_event_sources": ("shop",)}, "322", False),
        ({"extract_event_sources": ("syscall",)}, "", True),
        ({"extract_event_sources": ("shop", "syscall")}, "", True),
        ({"extract_event_sources": ("syscall",), "extract_event_types": ("close", "pluginevent")}, "5,322", True),
        ({"open": opens, "extract_event_types": ["asyncevent"]}, "402", True),
    ],
)
def test_event_types_of_fields(body: dict[str, Any], types: str, exports: bool) -> None:
    plugin = declared({"text": field("a.text", desc="x")(text), **body})
    found = check(plugin)
    assert manifest_of(plugin, found, "", "a:b", "")["extract_event_types"] == types
    assert (SCHEMA not in hidden_symbols(plugin, found, "")) == exports


async def coroutine(plugin: Any, event: Event) -> None: ...


UNKNOWN = "neither an event type nor a system call has the name "
REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"a": parses("exceve")},
        f"Parses.a: {UNKNOWN}'exceve': did you mean execve, execveat? For an async event of a plugin, write "
        "@parse(async_events=['exceve'])",
    ),
    ({"a": parses()}, 'Parses.a: parse has no events: name them, as in @parse("execve")'),
    ({"a": parses(3)}, "Parses.a: the name of an event must be str, not int"),
    (
        {"a": parses("execve", sources="syscall")},
        "Parses.a: sources must be a list of names, not str",
    ),
    (
        {"a": parses("execve", sources=["Upper"])},
        "Parses.a: sources has 'Upper', which is not the name of an event source",
    ),
    ({"a": parses(async_events="x")}, "Parses.a: async_events must be a list of names, not str"),
    ({"a": parses(async_events=[""])}, "Parses.a: async_events has '', which is not a name"),
    (
        {"a": parse("execve")(lambda plugin: None)},  # type: ignore[type-var]
        "Parses.a: it must take the event: define it as def a(self, event)",
    ),
    (
        {"a": parse("execve")(coroutine)},  # type: ignore[type-var]
        "Parses.a: it must parse the event when it is called: define it as def a(self, event), without async and "
        "without yield",
    ),
    ({"a": staticmethod(parses("execve"))}, "Parses.a: @parse is for methods, not for staticmethod"),
    ({"a": property(parses("execve"))}, "Parses.a: @parse is for methods, not for property"),
    (
        {"b": field("a.text", desc="x")(text), "extract_event_types": ("exceve",)},
        f"Parses: {UNKNOWN}'exceve': did you mean execve, execveat?",
    ),
    (
        {"b": field("a.text", desc="x")(text), "extract_event_types": "execve"},
        "Parses: extract_event_types must be a list of names, not str",
    ),
    (
        {"a": parses("execve"), "extract_event_types": ("execve",)},
        "Parses has extract_event_types but no fields to extract: remove it, or declare fields",
    ),
]


@pytest.mark.parametrize(("body", "message"), REFUSED)
def test_wrong_declaration_is_refused(body: dict[str, Any], message: str) -> None:
    with pytest.raises(PluginError) as caught:
        check(declared(body))
    assert str(caught.value) == message


def test_parse_without_parentheses_is_refused() -> None:
    with pytest.raises(PluginError, match="needs the names of events"):
        check(declared({"a": parses(opens)}))


def test_decorated_method_is_unchanged() -> None:
    def own(plugin: Any, event: Event) -> None: ...

    assert parse("execve")(own) is own


def test_parse_is_for_functions() -> None:
    with pytest.raises(TypeError, match="@parse is for methods, not for int"):
        parse("execve")(3)  # type: ignore[type-var]


def test_package_lacks_other_names() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        falco_plugin.nothing  # noqa: B018
