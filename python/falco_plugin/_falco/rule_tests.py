"""Reads files with tests of rules: events, and which rules must and must not fire."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from falco_plugin._falco import expected, written_events, yaml_values
from falco_plugin._falco.configuration import RuleMatching
from falco_plugin._falco.errors import FalcoError
from falco_plugin._falco.expected import Expected

SUFFIX = ".test.yaml"
"""The end of the name of such a file."""
_FILE_KEYS = {"tests", "rules", "config", "with", "source", "rule_matching"}
_TEST_KEYS = {"name", "events", "events_file", "times", "config", "fires", "does_not_fire"}
_SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules", "venv", "build", "dist"})


@dataclass(frozen=True)
class RuleTest:
    """A test: events, and the rules that must and must not fire."""

    name: str
    events: Sequence[written_events.WrittenEvent]
    config: str | Mapping[str, Any]
    fires: Sequence[Expected]
    does_not_fire: Sequence[str] | None
    """The rules that must not fire; ``None`` for all that `fires` does not name."""


@dataclass(frozen=True)
class TestFile:
    """A file of tests."""

    path: Path
    rules: Sequence[Path]
    others: Sequence[tuple[str, str | Mapping[str, Any]]]
    """Further plugins, each with its ``init_config``."""
    source: str | None
    """The event source of the events, for a plugin that extracts from every source."""
    rule_matching: RuleMatching
    """Whether only the first rule that matches an event fires, or all of them."""
    tests: Sequence[RuleTest]


def find(target: str) -> list[Path]:
    """Returns the test files in the folder of a target, sorted."""
    path = Path(target.partition(":")[0])
    folder = path if path.is_dir() else path.parent
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name not in _SKIPPED_FOLDERS
            and not Path(parent, name, "pyvenv.cfg").exists()
        ]
        found += [Path(parent, name) for name in names if name.endswith(f"_rules{SUFFIX}")]
    return sorted(found)


def read(path: Path) -> TestFile:
    """Reads a file of tests.

    Raises:
        FalcoError: the file cannot be read, or is wrong.
    """
    content = yaml_values.read(path)
    if isinstance(content, list):
        content = {"tests": content}
    if not isinstance(content, Mapping):
        raise FalcoError(f"{path} must be a list of tests, or a mapping with tests")
    _check_keys(content, _FILE_KEYS, str(path))
    tests = content.get("tests")
    if not isinstance(tests, list) or not tests:
        raise FalcoError(f"{path} has no tests: add a list of tests, each with name, events and fires")
    return TestFile(
        path=path,
        rules=list(_rules(path, content.get("rules"))),
        others=list(_others(path, content.get("with"))),
        source=None if content.get("source") is None else str(content["source"]),
        rule_matching=_rule_matching(path, content.get("rule_matching", "first")),
        tests=[_test(path, test, number, content.get("config")) for number, test in enumerate(tests, 1)],
    )


def _rules(path: Path, value: object) -> Iterator[Path]:
    if value is None:
        name = path.name.removesuffix(SUFFIX)
        files = [path.with_name(f"{name}{suffix}") for suffix in (".yaml", ".yml")]
        file = next(filter(Path.is_file, files), None)
        if file is None:
            raise FalcoError(f"{path}: there is no {files[0].name} beside it: name the rule files with rules: [FILE]")
        yield file
        return
    for entry in value if isinstance(value, list) else [value]:
        named = path.parent / str(entry)
        if not named.is_file():
            raise FalcoError(f"{path}: rules: there is no file {named}")
        yield named


def _rule_matching(path: Path, value: object) -> RuleMatching:
    if value == "first":
        return "first"
    if value == "all":
        return "all"
    raise FalcoError(f"{path}: rule_matching must be first or all, got {value!r}")


def _others(path: Path, value: object) -> Iterator[tuple[str, str | Mapping[str, Any]]]:
    for entry in value if isinstance(value, list) else [] if value is None else [value]:
        if isinstance(entry, Mapping):
            _check_keys(entry, {"plugin", "config"}, f"{path}: with")
        name, config = (entry.get("plugin"), entry.get("config")) if isinstance(entry, Mapping) else (entry, None)
        if not isinstance(name, str):
            raise FalcoError(f"{path}: with must be a list of plugins, or of mappings with plugin and config")
        yield str(path.parent / name), _config(config, f"{path}: with")


def _test(path: Path, value: object, number: int, config: object) -> RuleTest:
    if not isinstance(value, Mapping):
        raise FalcoError(f"{path}: test {number} must be a mapping with name, events and fires, got {value!r}")
    name = str(value.get("name") or f"test {number}")
    where = f"{path}: {name}"
    _check_keys(value, _TEST_KEYS, where)
    if "fires" not in value and "does_not_fire" not in value:
        raise FalcoError(f"{where} expects nothing: add fires or does_not_fire")
    fires = value.get("fires")
    fires = [fires] if isinstance(fires, str) else [] if fires is None else fires
    return RuleTest(
        name=name,
        events=list(_events(path, where, value)),
        config=_config(value.get("config", config), where),
        fires=expected.parse(fires, f"{where}: fires", count=None),
        does_not_fire=_absent_rules(value, where),
    )


def _absent_rules(value: Mapping[Any, Any], where: str) -> Sequence[str] | None:
    rules = value.get("does_not_fire", [])
    match rules:
        case "any":
            return None
        case str():
            return [rules]
        case list() if all(isinstance(rule, str) for rule in rules):
            return rules
        case _:
            pass
    raise FalcoError(f"{where}: does_not_fire must be a list of rules, or any for all that fires does not name")


def _events(path: Path, where: str, value: Mapping[Any, Any]) -> Iterator[written_events.WrittenEvent]:
    if ("events" in value) == ("events_file" in value):
        raise FalcoError(f"{where}: give either events or events_file")
    if "events_file" in value:
        file = path.parent / str(value["events_file"])
        try:
            # A line is an event. Its end is not a part of it.
            events: list[Any] = file.read_bytes().splitlines()
        except OSError as error:
            raise FalcoError(f"{where}: cannot read {file}: {error.strerror}") from None
    else:
        events = value["events"]
        if not isinstance(events, list):
            raise FalcoError(f"{where}: events must be a list of events, each a mapping or a string")
    times = value.get("times")
    if times is not None and (not isinstance(times, list) or len(times) != len(events)):
        raise FalcoError(f"{where}: times must be a list with the time of each of the {len(events)} events")
    for number, event in enumerate(events):
        try:
            written_events.payload_of(event)
            yield event if times is None else (event, _time(times[number]))
        except (TypeError, ValueError) as error:
            raise FalcoError(f"{where}: event {number + 1}: {error}") from None


def _time(value: object) -> int:
    if isinstance(value, str):
        time = datetime.fromisoformat(value)
        if time.tzinfo is None:
            raise ValueError(f"the time {value} has no zone: add Z for UTC")
        return written_events.nanoseconds_of(time)
    return written_events.nanoseconds_of(value)


def _config(value: object, where: str) -> str | Mapping[str, Any]:
    if value is None:
        return ""
    if isinstance(value, str | Mapping):
        return value
    raise FalcoError(f"{where}: config must be a mapping or a string, not {type(value).__name__}")


def _check_keys(value: Mapping[Any, Any], known: set[str], where: str) -> None:
    if unknown := [str(key) for key in value if key not in known]:
        raise FalcoError(f"{where} has the unknown key {unknown[0]}: use {', '.join(sorted(known))}")
