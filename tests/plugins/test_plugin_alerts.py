"""Tests of the rules of plugins (`*_rules.test.yaml`): their content without a Falco, and in a real one."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import yaml
from support.falco import real_falco
from support.hosts import environment, run_command
from support.paths import REPOSITORY

from falco_plugin._falco import rule_tests
from falco_plugin._falco.expected import field_text
from falco_plugin.testing import run

# confluent-kafka has no wheels for Python 3.15.
MISSING = set() if importlib.util.find_spec("confluent_kafka") else {"kafka"}
FILES = [
    file for file in sorted((REPOSITORY / "plugins").glob("*/*_rules.test.yaml")) if file.parent.name not in MISSING
]
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)


def test_most_plugins_have_tests_of_their_rules() -> None:
    tested = {file.parent.name for file in FILES}
    assert tested >= {"correlate", "json", "jsonlog", "k8saudit", "tail"} - MISSING


@each_file
def test_each_rule_fires_in_a_test(file: Path) -> None:
    tests = rule_tests.read(file)
    rules = {part["rule"] for path in tests.rules for part in yaml.safe_load(path.read_text()) if "rule" in part}
    named = {entry.rule for test in tests.tests for entry in test.fires}
    assert named == rules


@pytest.mark.slow
@each_file
def test_events_have_the_expected_fields(file: Path) -> None:
    for test in rule_tests.read(file).tests:
        names = list(dict.fromkeys(name for entry in test.fires for name in entry.fields))
        ran = run(file.parent, config=test.config, events=test.events, fields=names)
        assert ran.result == "eof", str(ran)
        assert len(ran.events) == len(test.events)
        for entry in test.fires:
            wanted = {name: field_text(value) for name, value in entry.fields.items()}
            assert not wanted or any(
                all(field_text(event.fields[name]) == text for name, text in wanted.items()) for event in ran.events
            ), f"{test.name}: {entry}"


@pytest.mark.slow
@each_file
def test_rules_fire_in_a_real_falco(file: Path) -> None:
    tests = rule_tests.read(file).tests
    ran = run_command("test", file.parent, env=environment(FALCO=real_falco()))
    assert ran.status == 0, ran
    assert [line for line in ran.stdout.splitlines() if line.startswith("  ")] == [
        f"  PASS  {test.name}" for test in tests
    ]
