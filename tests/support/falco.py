"""The Falco of tests: a program that behaves as a test needs it (tests/hosts/falco), or a real one."""

from __future__ import annotations

import os
import shutil

import pytest

from support.hosts import environment
from support.paths import HOSTS

FAKE = HOSTS / "falco" / "falco"


def fake_environment(behaviour: str = "", **changes: str | None) -> dict[str, str]:
    """Returns the environment in which commands run the program of tests/hosts/falco."""
    return environment(**{"FALCO": str(FAKE), "FAKE_FALCO": behaviour, **changes})


def has_falco() -> bool:
    """Returns whether there is a real Falco."""
    return bool(os.environ.get("FALCO") or shutil.which("falco"))


def real_falco() -> str:
    """Returns the path of a real Falco. Skips the test if there is none."""
    found = os.environ.get("FALCO") or shutil.which("falco")
    if found is None:
        if os.environ.get("FALCO_REQUIRED") == "1":
            pytest.fail("FALCO_REQUIRED=1, but FALCO names no Falco and there is none on PATH")
        pytest.skip("needs a real Falco: FALCO names none, and there is none on PATH")
    return found
