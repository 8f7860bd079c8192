"""Exceptions of rules: reads them, and writes the condition that Falco makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from falco_plugin._rules.conditions import LIST, MODIFIERS, OPERATORS, STRING
from falco_plugin._rules.entries import Reader
from falco_plugin._rules.files import describe
from falco_plugin._rules.names import listed
from falco_plugin._rules.problems import Report
from falco_plugin._rules.text import Part, Text
from falco_plugin._rules.yaml_nodes import Mapping, Node, Scalar, Sequence

_KEYS = ("name", "fields", "comps", "values")
_COMPOUND = tuple(f"{operator} {modifier}" for operator in STRING for modifier in MODIFIERS)
_FOR_LISTS = (*LIST, *_COMPOUND)


@dataclass
class Exclusion:
    """An exception of a rule: cases in which it does not fire."""

    name: str
    path: str
    line: int
    fields: list[Scalar]
    is_list: bool
    """Whether ``fields`` is a list, and each value a list, too."""
    comps: list[str]
    values: list[Node] = field(default_factory=list)


@dataclass
class Read:
    """An exception as an entry has it. An entry that appends may lack the fields."""

    name: str
    line: int
    fields: Node | None
    comps: Node | None
    values: list[Node]


def read(reader: Reader) -> Iterator[Read]:
    """Yields the exceptions of an entry.

    Raises:
        BadEntryError: one is wrong.
    """
    value = reader.entry.body.get("exceptions")
    if value is None or (isinstance(value, Scalar) and value.is_null):
        return
    if not isinstance(value, Sequence):
        raise reader.fail(value.line, f"exceptions of {reader.title} is {describe(value)}: write a list")
    names: set[str] = set()
    for item in value.items:
        if not isinstance(item, Mapping):
            message = f"exceptions of {reader.title} has {describe(item)}: write '- name: …', and fields and values"
            raise reader.fail(item.line, message)
        name = reader.text("name", item, f"an exception of {reader.title}").text
        title = f"the exception {name!r} of {reader.title}"
        if name in names:
            reader.report(item.line, f"{title} is there twice: give each exception another name", "warning")
        names.add(name)
        reader.warn_of_unknown_keys(_KEYS, item, title)
        values = item.get("values")
        if values is not None and not isinstance(values, Sequence):
            raise reader.fail(values.line, f"values of {title} is {describe(values)}: write a list")
        yield Read(name, item.line, item.get("fields"), item.get("comps"), values.items if values else [])


def define(reader: Reader, found: Read) -> Exclusion:
    """Returns a new exception.

    Raises:
        BadEntryError: its fields or its operators are wrong.
    """
    title = f"the exception {found.name!r} of {reader.title}"
    if found.fields is None:
        raise reader.fail(found.line, f"{title} has no fields: add 'fields: …'")
    if isinstance(found.fields, Mapping) or (isinstance(found.fields, Scalar) and not found.fields.text):
        raise reader.fail(found.fields.line, f"fields of {title} is {describe(found.fields)}: write a field or a list")
    is_list = isinstance(found.fields, Sequence)
    fields = [item for item in _items(found.fields) if isinstance(item, Scalar)]
    comps = _comps(reader, found, title, is_list, len(fields))
    return Exclusion(found.name, reader.entry.path, found.line, fields, is_list, comps, found.values)


def _comps(reader: Reader, found: Read, title: str, is_list: bool, count: int) -> list[str]:
    if found.comps is None:
        return ["="] * count if is_list else ["in"]
    if is_list != isinstance(found.comps, Sequence):
        remedy = "write a list of operators, one for each field" if is_list else "write one operator"
        raise reader.fail(found.comps.line, f"comps of {title} is {describe(found.comps)}: {remedy}")
    comps = [" ".join(item.text.split()) for item in _items(found.comps) if isinstance(item, Scalar)]
    if is_list and len(comps) != count:
        message = f"{title} has {count} fields and {len(comps)} comps: write one operator for each field"
        raise reader.fail(found.comps.line, message)
    allowed = (*OPERATORS, *_COMPOUND) if is_list else _FOR_LISTS
    for comp in comps:
        if comp not in allowed:
            names = OPERATORS if is_list else LIST
            message = f"comps of {title} has {comp!r}: use one of {listed(names)}"
            raise reader.fail(found.comps.line, message)
    return comps


def _items(node: Node) -> list[Node]:
    return node.items if isinstance(node, Sequence) else [node]


def excluded(condition: Text, exclusions: list[Exclusion], report: Report) -> Text:
    """Returns the condition of a rule with its exceptions."""
    if not exclusions:
        return condition
    path, line = condition.where(0)
    parts = [Part("(", path, line), *condition.parts, Part(")", path, line)]
    for exclusion in exclusions:
        try:
            added = list(_condition(exclusion, report))
        except _BadValueError:
            continue
        if added:
            path, line = exclusion.path, exclusion.line
            parts += [Part(" and not (", path, line), *added, Part(")", path, line)]
    return Text(tuple(parts))


class _BadValueError(Exception):
    pass


def _condition(exclusion: Exclusion, report: Report) -> Iterator[Part]:
    def part(text: str, line: int = exclusion.line) -> Part:
        return Part(text, exclusion.path, line)

    def fail(line: int, message: str) -> _BadValueError:
        report.add(exclusion.path, line, f"the exception {exclusion.name!r}: {message}")
        return _BadValueError()

    if not exclusion.is_list:
        (name,) = exclusion.fields
        for index, value in enumerate(exclusion.values):
            if not isinstance(value, Scalar):
                raise fail(value.line, f"fields is one field, but a value is {describe(value)}: write texts only")
            yield part(", " if index else f"{name.text} {exclusion.comps[0]} (", value.line if index else name.line)
            yield part(_quoted(value.text), value.line)
        if exclusion.values:
            yield part(")")
        return
    for index, row in enumerate(exclusion.values):
        count = len(row.items) if isinstance(row, Sequence) else 0
        if not isinstance(row, Sequence) or count != len(exclusion.fields):
            got = f"{count}" if isinstance(row, Sequence) else describe(row)
            message = (
                f"{len(exclusion.fields)} fields, but a value has {got}: write a list with one value for each field"
            )
            raise fail(row.line, message)
        yield part(" or (" if index else "(", row.line)
        for number, (name, comp, item) in enumerate(zip(exclusion.fields, exclusion.comps, row.items, strict=True)):
            yield part(f"{' and ' if number else ''} {name.text} {comp} ", name.line)
            yield part(_operand(item, comp), item.line)
        yield part(")")


def _operand(item: Node, comp: str) -> str:
    if isinstance(item, Sequence):
        return f"({', '.join(_quoted(one.text) for one in item.items if isinstance(one, Scalar))})"
    text = item.text if isinstance(item, Scalar) else ""
    if comp in _FOR_LISTS:
        return text if text.startswith("(") else f"({text})"
    return _quoted(text)


def _quoted(text: str) -> str:
    """Quotes a text with blanks, as Falco does."""
    return f'"{text}"' if " " in text and text[0] not in {'"', "'"} else text
