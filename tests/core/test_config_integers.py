"""The range of an ``int`` of the configuration: Falco accepts 64 bits, and so do the native host and the plugin."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.hosts import run_command
from support.libraries import write_sources

from falco_plugin._declare.config.parser import parse
from falco_plugin.errors import PluginError

LEAST, MOST = -(2**63), 2**63 - 1
LIMITS = f"{LEAST} to {MOST}"
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


@dataclass
class Config:
    number: int = 0
    maybe: int | None = None
    many: list[int] = field(default_factory=list)
    real: float = 0


ACCEPTED = [str(LEAST), str(MOST), "0", "3e9", "9007199254740993", "-9.223372036854775808e18"]
REFUSED = [str(LEAST - 1), str(MOST + 1), str(2**64 - 1), str(10**20), "1e20", "-1e19"]


@pytest.mark.parametrize("number", ACCEPTED)
def test_an_integer_of_64_bits_is_accepted(number: str) -> None:
    config = parse(f'{{"number": {number}, "maybe": {number}, "many": [{number}]}}', Config)
    expected = int(number) if number.lstrip("-").isdigit() else int(float(number))
    assert config == Config(expected, expected, [expected])


@pytest.mark.parametrize("number", REFUSED)
def test_an_integer_of_more_bits_is_refused_with_the_range(number: str) -> None:
    with pytest.raises(PluginError) as refused:
        parse(f'{{"number": {number}, "maybe": {number}, "many": [{number}]}}', Config)
    range_ = f"got an int out of range (from {LIMITS}, all that Falco accepts)"
    assert str(refused.value) == (
        f"init_config does not fit: number: expected int, {range_}; maybe: expected int or null, {range_}; "
        f"many[0]: expected int, {range_}"
    )
    assert parse(f'{{"real": {number}}}', Config) == Config(real=float(number))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_sources(tmp_path_factory.mktemp("numbers"), {"numbers_plugin.py": SOURCE})
    ran = run_command("build", folder / "numbers_plugin.py", "-o", folder / "numbers.so")
    assert ran.status == 0, ran.stderr
    return folder / "numbers.so"


@pytest.mark.parametrize("number", ACCEPTED)
def test_the_host_accepts_an_integer_of_64_bits(library: Path, number: str) -> None:
    ran = run_command("run", library, "--config", f'{{"number": {number}, "maybe": {number}, "many": [{number}]}}')
    assert ran.status == 0, ran.stderr


@pytest.mark.parametrize("number", REFUSED)
def test_the_host_refuses_an_integer_of_more_bits_with_the_range(library: Path, number: str) -> None:
    ran = run_command("run", library, "--config", f'{{"number": {number}}}')
    # To the host, the first number below the range is the least number in it: a float. The plugin refuses it.
    assert LIMITS in ran.stderr
    assert "all that Falco accepts" in ran.stderr
    assert ran.status == 1
