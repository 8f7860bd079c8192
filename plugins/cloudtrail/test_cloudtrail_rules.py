"""Runs the tests of the rules in a real Falco."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.falco import real_falco
from support.hosts import environment, run_command


@pytest.mark.slow
def test_rules_fire_as_their_tests_expect() -> None:
    ran = run_command("test", Path(__file__).parent, env=environment(FALCO=real_falco()))
    assert ran.status == 0, ran
    assert "14 passed" in ran.stdout
