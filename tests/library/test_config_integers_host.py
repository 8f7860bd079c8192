"""The range of an `int` in the configuration, checked in the native host."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.config_classes import ACCEPTED_INTEGERS, INTEGER_LIMITS, REFUSED_INTEGERS
from support.hosts import run_command
from support.libraries import KIND, write_sources

SOURCE = """
    from dataclasses import dataclass, field
    from falco_plugin import Plugin

    @dataclass
    class Config:
        number: int = 0
        maybe: int | None = None
        many: list[int] = field(default_factory=list)
        real: float = 0

    class Numbers(Plugin):
        name = event_source = "numbers"
        config: Config

        def open(self, params):
            yield repr(self.config).encode()
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_sources(tmp_path_factory.mktemp("numbers"), {"numbers_plugin.py": SOURCE})
    ran = run_command("build", *KIND, folder / "numbers_plugin.py", "-o", folder / "numbers.so")
    assert ran.status == 0, ran.stderr
    return folder / "numbers.so"


@pytest.mark.parametrize("number", ACCEPTED_INTEGERS)
def test_host_accepts_integer_of_64_bits(library: Path, number: str) -> None:
    ran = run_command("run", library, "--config", f'{{"number": {number}, "maybe": {number}, "many": [{number}]}}')
    assert ran.status == 0, ran.stderr


@pytest.mark.parametrize("number", REFUSED_INTEGERS)
def test_host_rejects_larger_integer_with_range(library: Path, number: str) -> None:
    ran = run_command("run", library, "--config", f'{{"number": {number}}}')
    # The host reads the first number below the range as a float equal to the minimum. The plugin rejects the float.
    assert INTEGER_LIMITS in ran.stderr
    assert "all that Falco accepts" in ran.stderr
    assert ran.status == 1
