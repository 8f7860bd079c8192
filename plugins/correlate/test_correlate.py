"""Counts the failed logins of events in the native host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from falco_plugin.testing import Run, RunError, collect, run

CORRELATE = Path(__file__).parent
JSONLOG = CORRELATE.parent / "jsonlog"
SAMPLE = CORRELATE / "sample.jsonl"
CONFIG: dict[str, Any] = {
    "user": ["/user/name", "/account"],
    "address": ["/client"],
    "failure": {"/action": ["login", "sudo"], "/outcome": "failure"},
    "success": {"/action": "login", "/outcome": "success"},
}
FIELDS = ("login.user", "login.failed", "login.succeeded", "login.failures[5m]", "login.addresses[5m]")


def counted(log: Path, *fields: str, **changes: Any) -> Run:
    config = {**CONFIG, **changes}
    return run(JSONLOG, str(log), config={"follow": False}, plugins=[(CORRELATE, config)], fields=fields)


def write(path: Path, *events: dict[str, Any]) -> Path:
    path.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    return path


def failure(second: int, user: str | None = "eve", **members: Any) -> dict[str, Any]:
    event = {"time": f"2026-11-30T09:{second // 60:02}:{second % 60:02}Z", "action": "login", "outcome": "failure"}
    return event | ({} if user is None else {"user": {"name": user}}) | members


def test_each_event_of_sample_has_counts_of_its_user() -> None:
    ran = counted(SAMPLE, *FIELDS)
    assert [tuple(event.fields[name] for name in FIELDS) for event in ran.events] == [
        ("eve", True, False, 1, 1),
        ("alice", False, True, 0, 0),
        ("eve", True, False, 2, 2),
        ("eve", True, False, 3, 2),
        ("eve", False, True, 3, 2),
        ("eve", True, False, 1, 1),
    ]


def test_rules_and_configuration_of_falco_yaml_fit_plugin() -> None:
    settings = yaml.safe_load((CORRELATE / "falco.yaml").read_text())
    (config,) = (plugin["init_config"] for plugin in settings["plugins"] if plugin["name"] == "correlate")
    rules = (CORRELATE / "correlate_rules.yaml").read_text()
    events = collect(JSONLOG, str(SAMPLE), config={"follow": False}, plugins=[(CORRELATE, config)], fields=FIELDS)
    assert len(events) == 6
    assert all(name in rules for name in FIELDS)


def test_failure_without_user_is_counted_apart(tmp_path: Path) -> None:
    log = write(tmp_path / "log", failure(0, None), failure(1, None, account="eve"), failure(2))
    ran = counted(log, "login.user", "login.failures[1m]")
    assert [tuple(event.fields.values()) for event in ran.events] == [(None, None), ("eve", 1), ("eve", 2)]
    metrics = {name: ran.metrics[f"correlate.{name}"] for name in ("failures", "failures_without_user")}
    assert metrics == {"failures": 3, "failures_without_user": 1}


def test_event_that_arrives_late_counts_at_its_own_time(tmp_path: Path) -> None:
    log = write(tmp_path / "log", failure(200), failure(10), failure(60), failure(210))
    counts = [event.fields["login.failures[1m]"] for event in counted(log, "login.failures[1m]").events]
    assert counts == [1, 1, 2, 2]


def test_forgotten_failures_are_reported_once_and_counted(tmp_path: Path) -> None:
    log = write(tmp_path / "log", *(failure(second, f"user-{second}") for second in range(50)))
    ran = counted(log, "login.failures[1h]", max_failures=10)
    assert ran.metrics["correlate.failures_forgotten"] == 40
    assert len([line for line in ran.log if "than max_failures, 10" in line.text]) == 1


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        ("5", "the window '5' must be a number and one of s, m, h and d, such as 5m"),
        ("2h", "the window 2h is longer than max_window, 3600 s: set max_window to at least 7200"),
    ],
)
def test_wrong_window_is_reported_and_has_no_count(tmp_path: Path, argument: str, problem: str) -> None:
    name = f"login.failures[{argument}]"
    ran = counted(write(tmp_path / "log", failure(0)), name)
    assert [event.fields[name] for event in ran.events] == [None]
    assert any(problem in line.text for line in ran.log)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"user": []}, "user"),
        ({"failure": {}}, "failure"),
        ({"failure": {"action": "login"}}, "failure"),
        ({"max_window": 0}, "max_window"),
    ],
)
def test_invalid_configuration_names_setting(changes: dict[str, Any], problem: str) -> None:
    extractor = (CORRELATE, {**CONFIG, **changes})
    with pytest.raises(RunError, match=problem):
        collect(JSONLOG, str(SAMPLE), config={"follow": False}, plugins=[extractor])
